"""Paints a person below the head: legs, torso and clothes, arms and hands."""

import numpy as np

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Canvas, Colour, Fill, Frame, Points, Shape, mirrored, oval, smooth
from kolbench.data.scenes.person import Look
from kolbench.data.scenes.pose import Arm


def draw_legs(canvas: Canvas, look: Look, body: Frame) -> None:
    """Paints trousers or bare legs under a skirt, and shoes."""
    if body.at((0, 1.9))[1] > 1.0:
        return
    s, bare, h = body.scale, look.skirt, look.hips
    fill: Colour | Fill = look.skin if bare else fabric.cloth(look.bottom, body, 0.08)
    thick = look.limb if bare else look.limb + 0.18
    radii = [0.34 * thick * s, 0.22 * thick * s, (0.13 if bare else 0.17) * thick * s]
    legs = Shape()
    for side in (-1, 1):
        foot = body.at(oval(side * (h * 0.42 + 0.07), 5.9, 0.23, 0.14))
        canvas.paint(Shape().polygon(foot), look.shoes, 0.08 * s)
        legs.limb(body.at([(side * h * 0.5, 2.6), (side * h * 0.47, 4.15), (side * h * 0.42, 5.75)]), radii)
    if not bare:
        waist = [(0, 2.2), (h * 0.9, 2.2), (h * 1.0, 2.5), (h * 0.5 + 0.33 * thick, 2.75), (0, 2.95)]
        legs.polygon(body.at(smooth(mirrored(waist))))
    canvas.paint(legs, fill, 0.2 * s)


def _torso(look: Look, top: float = 0.0) -> Points:
    """Closed outline of the trunk in body coordinates; `top` > 0 starts lower, for strapped garments."""
    b, w, h = 0.9 * look.shoulders, look.waist, look.hips
    shoulders = [(0.0, -0.05), (0.2, -0.04), (0.42, 0.06), (b * 0.9, 0.16), (b, 0.34)]
    if top:
        shoulders = [(0.0, top), (0.3, top - 0.02), (b * 0.62, top - 0.06)]
    sides = [
        (b * 0.93, 0.8),
        (max(w, b * 0.72) * 0.97, 1.15),
        (w, 1.6),
        (h * 0.97, 2.1),
        (h, 2.45),
        (0.0, 2.55),
    ]
    return smooth(mirrored([*shoulders, *sides]))


def draw_torso(canvas: Canvas, look: Look, body: Frame) -> None:
    """Paints the trunk with its garment, the neckline and the neck."""
    s = body.scale
    top = fabric.cloth(look.top, body, 0.13)
    strapped = look.garment == "tank" or (look.garment == "dress" and look.sleeve == 0)
    trunk = Shape().polygon(body.at(_torso(look)))
    lower = Shape()
    if look.skirt:
        hem = 3.7 if look.garment == "dress" else 3.4
        flare = [
            (0, 1.6),
            (look.waist * 0.99, 1.6),
            (look.hips, 2.3),
            (look.hips * 1.25, hem),
            (0, hem + 0.08),
        ]
        lower.polygon(body.at(smooth(mirrored(flare))))
    if look.skirt and look.garment != "dress":
        canvas.paint(lower, fabric.cloth(look.bottom, body, 0.13), 0.2 * s)
    elif not strapped:
        trunk.polygons += lower.polygons
    if strapped:
        canvas.paint(trunk, look.skin, 0.26 * s)
        garment = Shape().polygon(body.at(_torso(look, 0.62)))
        if look.garment == "dress":
            garment.polygons += lower.polygons
        for side in (-1, 1):
            garment.limb(body.at([(side * 0.36, 0.05), (side * 0.4, 0.75)]), [0.07 * s, 0.1 * s])
        canvas.paint(garment, top, 0.2 * s)
    else:
        canvas.paint(trunk, top, 0.26 * s)
    if look.bust:
        for side in (-1, 1):
            under = oval(side * 0.33, 1.06, 0.26, 0.1 * look.bust + 0.04)
            canvas.cast(Shape().polygon(body.at(under)), 0.12 * s, 0.16 * look.bust)
    _neckline(canvas, look, body, strapped)


def _neckline(canvas: Canvas, look: Look, body: Frame, strapped: bool) -> None:
    s, garment = body.scale, look.garment
    thick = 0.19 * s * look.limb**0.5
    neck = Shape().limb(body.at([(0, -0.5), (0, -0.08), (0, 0.0)]), [thick, thick, thick * 1.12], cut=True)
    dark = fabric.scaled(look.top.base, 0.62)
    if garment == "hoodie":
        canvas.paint(Shape().polygon(body.at(oval(0, -0.1, 0.52, 0.24))), dark, 0.12 * s)
    if garment == "blazer":
        inner = fabric.cloth(look.inner, body, 0.06)
        canvas.paint(
            Shape().polygon(body.at([(-0.3, -0.06), (0.3, -0.06), (0.08, 1.35), (-0.08, 1.35)])), inner
        )
    if not strapped and garment != "turtleneck":
        deep = {"tee": 0.17, "hoodie": 0.13, "shirt": 0.42, "blazer": 0.3, "dress": 0.34}[garment]
        if garment in ("shirt", "blazer"):
            neck.polygon(body.at([(-0.24, -0.1), (0.24, -0.1), (0, deep)]))
        else:
            rim = Shape().polygon(body.at(oval(0, -0.02, 0.33, deep + 0.055)))
            canvas.paint(rim, fabric.scaled(look.top.base, 0.82))
            neck.polygon(body.at(oval(0, -0.02, 0.29, deep)))
    canvas.paint(neck, look.top.base if garment == "turtleneck" else look.skin, 0.14 * s)
    if garment == "turtleneck":
        canvas.paint(
            Shape().limb(body.at([(0, -0.55), (0, -0.24)]), [0.19 * s, 0.18 * s]), look.skin, 0.12 * s
        )
    if garment == "shirt":
        _collar(canvas, look, body)
    if garment == "blazer":
        _lapels(canvas, look, body, dark)
    if garment == "hoodie":
        for side in (-1, 1):
            string = body.at([(side * 0.13, 0.12), (side * 0.15, 0.55)])
            canvas.paint(Shape().limb(string, [0.018 * s, 0.018 * s]), (235, 232, 226))


def _collar(canvas: Canvas, look: Look, body: Frame) -> None:
    s = body.scale
    light = fabric.mix(look.top.base, (255, 255, 255), 0.18)
    canvas.paint(
        Shape().limb(body.at([(0, 0.4), (0, 2.3)]), [0.035 * s, 0.035 * s]),
        fabric.scaled(look.top.base, 0.88),
    )
    for side in (-1, 1):
        flap = [(side * 0.23, -0.16), (side * 0.01, 0.36), (side * 0.17, 0.44), (side * 0.38, 0.06)]
        canvas.paint(Shape().polygon(body.at(flap)), light, 0.05 * s)
    buttons = Shape()
    for y in (0.62, 0.98, 1.34, 1.7):
        buttons.disc(body.at((0, y)), 0.028 * s)
    canvas.paint(buttons, fabric.mix(look.top.base, (255, 255, 255), 0.6))


def _lapels(canvas: Canvas, look: Look, body: Frame, dark: Colour) -> None:
    s = body.scale
    for side in (-1, 1):
        lapel = [
            (side * 0.27, -0.12),
            (side * 0.06, 1.3),
            (side * 0.36, 0.72),
            (side * 0.3, 0.6),
            (side * 0.46, 0.5),
            (side * 0.36, 0.02),
        ]
        shape = Shape().polygon(body.at(lapel))
        canvas.cast(shape.moved(0, 0.03 * s), 0.05 * s, 0.2)
        canvas.paint(shape, fabric.mix(dark, look.top.base, 0.55), 0.05 * s)


def draw_arm(canvas: Canvas, look: Look, arm: Arm, scale: float) -> None:
    """Paints upper arm, forearm and sleeve, up to the wrist; the hand comes separately."""
    s, limb = scale, look.limb
    joints = np.stack([arm.shoulder, arm.elbow, arm.wrist])
    radii = [0.2 * limb * s, 0.165 * limb**0.7 * s, 0.105 * s]
    shadow = Shape().limb(joints, [r * 1.05 for r in radii])
    canvas.cast(shadow.moved(-0.06 * canvas.light.x * s, 0.07 * s), 0.12 * s, 0.24)
    middle = arm.elbow + 0.3 * (arm.wrist - arm.elbow)
    path = np.stack([arm.shoulder, arm.elbow, middle, arm.wrist])
    thick = [radii[0], radii[1] * 0.97, 0.16 * limb**0.6 * s, radii[2]]
    if look.sleeve < 2:
        canvas.paint(Shape().limb(path, thick), look.skin, 0.13 * s)
    if look.sleeve == 0:
        return
    wider = 0.035 * s
    along = arm.elbow - arm.shoulder
    lay = Frame(
        float(arm.shoulder[0]), float(arm.shoulder[1]), s, float(np.arctan2(along[1], along[0]) - np.pi / 2)
    )
    fill = fabric.cloth(look.top, lay, 0.12)
    if look.sleeve < 2:
        end = arm.shoulder + along * look.sleeve
        taper = radii[0] + (radii[1] - radii[0]) * look.sleeve
        short = Shape().limb(np.stack([arm.shoulder, end]), [radii[0] + wider, taper + wider * 1.4], cut=True)
        canvas.paint(short, fill, 0.14 * s)
        return
    cuff = arm.elbow + 0.93 * (arm.wrist - arm.elbow)
    radii = [radii[0] + wider, radii[1] + wider * 1.3, 0.125 * s + wider * 0.6]
    canvas.paint(Shape().limb(np.stack([arm.shoulder, arm.elbow, cuff]), radii, cut=True), fill, 0.15 * s)


def _digits(hand: Frame, places: list[tuple[float, float, float, float]], radius: float) -> list[Shape]:
    s = hand.scale
    return [
        Shape().limb(hand.at([(x0, y0), (x1, y1)]), [radius * 1.08 * s, radius * s])
        for x0, y0, x1, y1 in places
    ]


def draw_palm(canvas: Canvas, look: Look, arm: Arm) -> None:
    """Paints the part of the hand that lies behind what it holds, or the whole of an empty hand."""
    hand, s = arm.hand, arm.hand.scale
    if arm.grip in ("fingers", "thumb", "fist"):
        wrist = hand.back(arm.wrist)
        bones = np.stack([wrist, wrist * 0.45, np.zeros(2)])
        palm = Shape().limb(hand.at(bones), [0.1 * s, 0.14 * s, 0.14 * s])
        canvas.paint(palm, look.skin, 0.1 * s)
        return
    knuckles = [(-0.36, 0.0), (-0.2, 0.0), (0.0, 0.0)]
    canvas.paint(Shape().limb(hand.at(knuckles), [0.1 * s, 0.14 * s, 0.15 * s]), look.skin, 0.1 * s)
    spread = 0.11 if arm.grip == "open" else 0.015
    length = 0.36 if arm.grip == "open" else 0.3
    for k, reach in enumerate((0.92, 1.0, 0.96, 0.78)):
        y = (k - 1.5) * 0.082
        tip = (0.02 + length * reach, y + (k - 1.5) * spread)
        canvas.paint(_digits(hand, [(0.02, y, *tip)], 0.042)[0], look.skin, 0.045 * s)
    canvas.paint(_digits(hand, [(-0.2, -0.1, 0.02, -0.22)], 0.05)[0], look.skin, 0.05 * s)


def draw_fingers(canvas: Canvas, look: Look, arm: Arm, wide: float) -> None:
    """Paints the part of the hand in front of what it holds; `wide`: how far fingers may reach around it."""
    hand, s = arm.hand, arm.hand.scale
    if arm.grip == "thumb":
        digits = _digits(hand, [(-0.08, -0.07, 0.2, -0.16)], 0.054)
    elif arm.grip == "fingers":
        reach = min(0.3, wide)
        rows = [
            (-0.09, (k - 1.5) * 0.09, reach * (0.9, 1.0, 0.96, 0.8)[k], (k - 1.5) * 0.086) for k in range(4)
        ]
        digits = _digits(hand, rows, 0.044)
    elif arm.grip == "fist":
        columns = [((k - 1.5) * 0.088, -0.07, (k - 1.5) * 0.088, 0.09) for k in range(4)]
        digits = _digits(hand, columns, 0.045)
    else:
        return
    for digit in digits:
        canvas.cast(digit.moved(0, 0.03 * s), 0.045 * s, 0.28)
        canvas.paint(digit, look.skin, 0.05 * s)
