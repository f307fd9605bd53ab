"""Paints a whole person with what is held, back to front."""

from kolbench.data.scenes.body import draw_arm, draw_fingers, draw_legs, draw_palm, draw_torso
from kolbench.data.scenes.canvas import Canvas
from kolbench.data.scenes.hair import draw_back_hair, draw_front_hair
from kolbench.data.scenes.head import draw_head
from kolbench.data.scenes.person import Person
from kolbench.data.scenes.pose import Pose
from kolbench.data.scenes.product_shapes import draw_product

HOLDING = ("fingers", "thumb", "fist")


def draw_person(canvas: Canvas, person: Person, pose: Pose) -> None:
    """Paints a person in a pose over what is on the canvas."""
    look, scale = person.look, pose.body.scale
    draw_back_hair(canvas, look, pose.head)
    idle = [arm for arm in pose.arms if arm.grip not in HOLDING]
    busy = [arm for arm in pose.arms if arm.grip in HOLDING]
    draw_legs(canvas, look, pose.body)
    for arm in idle:
        draw_palm(canvas, look, arm)
        draw_arm(canvas, look, arm, scale)
    draw_torso(canvas, look, pose.body)
    draw_head(canvas, look, pose.head, pose.yaw, pose.blink)
    draw_front_hair(canvas, look, pose.head)
    for arm in busy:
        draw_palm(canvas, look, arm)
        draw_arm(canvas, look, arm, scale)
    if person.hold is None or pose.product is None:
        return
    draw_product(canvas, person.hold.product, pose.product)
    for arm in busy:
        draw_fingers(canvas, look, arm, person.hold.product.width * 1.05)
