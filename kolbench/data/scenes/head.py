"""Paints a head: skull, ears, face, beard, glasses."""

import numpy as np

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Canvas, Colour, Frame, Points, Shape, mirrored, oval, smooth
from kolbench.data.scenes.person import Look

EYE_X, EYE_Y, MOUTH_Y = 0.155, 0.03, 0.295


def face_outline(look: Look) -> Points:
    """Outlines skull and jaw in head coordinates; closed."""
    j = look.jaw
    half = [
        (0, -0.5), (0.17, -0.475), (0.3, -0.36), (0.355, -0.17), (0.352, 0.05),
        (0.318 * j**0.5, 0.22), (0.225 * j, 0.385), (0.09 * j, 0.485), (0, 0.5),
    ]  # fmt: skip
    return smooth(mirrored(half)) * (look.face_width, 1)


def draw_head(canvas: Canvas, look: Look, head: Frame, yaw: float, blink: float) -> None:
    """Paints ears, face and its features; the hair comes separately."""
    s = head.scale
    chin = Shape().polygon(head.at(oval(0, 0.52, 0.3, 0.16)))
    canvas.cast(chin, 0.12 * s, 0.42)
    for side in (-1, 1):
        x = side * (0.355 * look.face_width) - 0.03 * yaw
        canvas.paint(
            Shape().polygon(head.at(oval(x, 0.08, 0.06, 0.11, side * -0.15))),
            fabric.scaled(look.skin, 0.92),
            0.04 * s,
        )
        if look.earrings:
            drop = Shape().disc(head.at((x + side * 0.015, 0.23)), 0.032 * s)
            canvas.paint(drop, (226, 198, 122), 0.02 * s)
    canvas.paint(Shape().polygon(head.at(face_outline(look))), look.skin, 0.2 * s)
    turned = head.child(0.1 * yaw, 0)
    _modelling(canvas, look, turned)
    for side in (-1, 1):
        _eye(
            canvas,
            look,
            turned.child(side * EYE_X * (1 - 0.12 * max(0.0, side * yaw)), EYE_Y, 1.0, 0.0, float(side)),
            blink,
        )
    _nose_and_mouth(canvas, look, turned)
    if look.beard:
        _beard(canvas, look, head, turned)
    if look.glasses:
        _glasses(canvas, turned)


def _modelling(canvas: Canvas, look: Look, face: Frame) -> None:
    s = face.scale
    for side in (-1, 1):
        socket = Shape().polygon(face.at(oval(side * EYE_X, EYE_Y - 0.01, 0.1, 0.055)))
        canvas.cast(socket, 0.07 * s, 0.17)
        cheek = Shape().polygon(face.at(oval(side * 0.21, 0.17, 0.07, 0.045)))
        canvas.paint(cheek, fabric.mix(look.skin, (214, 84, 84), 0.4), 0.0, 0.32, 0.07 * s)
    canvas.cast(Shape().polygon(face.at(oval(-0.1 * canvas.light.x, -0.26, 0.14, 0.07))), 0.12 * s, -0.07)


def _eye(canvas: Canvas, look: Look, eye: Frame, blink: float) -> None:
    s = eye.scale
    lid: Colour = fabric.mix(look.skin, (26, 18, 18), 0.82)
    upper = [(-0.078, 0.012), (-0.04, -0.026), (0.01, -0.036), (0.055, -0.02), (0.084, 0.0)]
    if blink < 0.5:
        lower = [(0.05, 0.028), (0.0, 0.034), (-0.045, 0.028)]
        canvas.paint(Shape().polygon(eye.at(upper + lower)), (238, 233, 228))
        pupil = eye.at((0.003, -0.001))
        canvas.paint(Shape().disc(pupil, 0.036 * s), look.iris)
        canvas.paint(Shape().disc(pupil, 0.018 * s), (14, 12, 14))
        canvas.paint(Shape().disc(eye.at((0.015, -0.015)), 0.009 * s), (255, 255, 255), 0.0, 0.9)
    else:
        upper = [(x, 0.03 - y * 0.4) for x, y in upper]
    lash = Shape().limb(eye.at(upper), [0.007 * s, 0.011 * s, 0.013 * s, 0.013 * s, 0.009 * s])
    canvas.paint(lash, lid)
    brow_colour = (
        fabric.mix(look.hair, look.skin, 0.25) if sum(look.hair) < 420 else fabric.scaled(look.skin, 0.62)
    )
    brow = [(-0.09, -0.088), (-0.03, -0.108), (0.04, -0.112), (0.1, -0.088)]
    canvas.paint(
        Shape().limb(eye.at(brow), [0.016 * s, 0.019 * s, 0.016 * s, 0.006 * s]),
        brow_colour,
        0.0,
        0.85,
        0.008 * s,
    )


def _nose_and_mouth(canvas: Canvas, look: Look, face: Frame) -> None:
    s, side = face.scale, -1 if canvas.light.x > 0 else 1
    bridge = Shape().limb(face.at([(side * 0.035, 0.0), (side * 0.05, 0.14)]), [0.018 * s, 0.03 * s])
    canvas.cast(bridge, 0.05 * s, 0.15)
    canvas.cast(Shape().polygon(face.at(oval(0, 0.185, 0.075, 0.028))), 0.035 * s, 0.3)
    canvas.cast(Shape().polygon(face.at(oval(0, 0.135, 0.032, 0.04))), 0.045 * s, -0.13)
    nostrils = Shape()
    for x in (-0.034, 0.034):
        nostrils.polygon(face.at(oval(x, 0.178, 0.016, 0.009)))
    canvas.paint(nostrils, fabric.scaled(look.skin, 0.42), 0.0, 0.8)
    lift, wide = 0.022 * look.smile, 0.115 + 0.02 * look.smile
    y = MOUTH_Y
    corner = y - lift
    line = [(-wide, corner), (-0.045, y + 0.004), (0, y), (0.045, y + 0.004), (wide, corner)]
    top = [(0.035, y - 0.032), (0, y - 0.022), (-0.035, y - 0.032)]
    full = [(wide * 0.6, y + 0.038), (0, y + 0.05), (-wide * 0.6, y + 0.038)]
    canvas.cast(Shape().polygon(face.at(oval(0, y + 0.08, 0.08, 0.018))), 0.03 * s, 0.16)
    canvas.paint(Shape().polygon(face.at(line + full)), fabric.scaled(look.lips, 1.08), 0.02 * s)
    canvas.paint(Shape().polygon(face.at(line + top)), fabric.scaled(look.lips, 0.86))
    if look.smile > 0.55:
        teeth = [(-wide * 0.7, corner + 0.012), (0, y + 0.004), (wide * 0.7, corner + 0.012), (0, y + 0.026)]
        canvas.paint(Shape().polygon(face.at(smooth(teeth))), (246, 242, 236))
    else:
        canvas.paint(Shape().limb(face.at(line), [0.005 * s] * 5), fabric.scaled(look.lips, 0.5))


def _beard(canvas: Canvas, look: Look, head: Frame, face: Frame) -> None:
    s = head.scale
    half = [
        (0.0, 0.25),
        (0.12, 0.24),
        (0.22, 0.22),
        (0.31, 0.1),
        (0.345, -0.02),
        (0.35, 0.08),
        (0.325, 0.24),
        (0.23, 0.41),
        (0.1, 0.51),
        (0.0, 0.525),
    ]
    outline = mirrored(half) * (look.face_width * min(1.02, look.jaw), 1)
    shape = Shape().polygon(head.at(smooth(outline, 3)))
    canvas.paint(shape, fabric.mix(look.hair, look.skin, 0.15), 0.0, 0.35 + 0.5 * look.beard, 0.05 * s)
    mouth = Shape().polygon(face.at(oval(0, MOUTH_Y + 0.006, 0.115, 0.042)))
    canvas.paint(mouth, look.lips, 0.0, 0.9, 0.012 * s)
    wide = 0.1
    canvas.paint(
        Shape().limb(
            face.at([(-wide, MOUTH_Y - 0.01), (0, MOUTH_Y), (wide, MOUTH_Y - 0.01)]), [0.006 * s] * 3
        ),
        fabric.scaled(look.lips, 0.5),
    )


def _glasses(canvas: Canvas, face: Frame) -> None:
    s = face.scale
    t = np.linspace(0, 2 * np.pi, 20)
    frame = Shape()
    for side in (-1, 1):
        ring = np.stack([side * EYE_X + 0.12 * np.cos(t), EYE_Y + 0.01 + 0.095 * np.sin(t)], 1)
        canvas.paint(Shape().polygon(face.at(ring)), (220, 232, 240), 0.0, 0.12)
        frame.limb(face.at(ring), [0.011 * s] * len(ring))
        frame.limb(face.at([(side * (EYE_X + 0.12), EYE_Y), (side * 0.36, EYE_Y - 0.01)]), [0.011 * s] * 2)
    frame.limb(face.at([(-0.04, EYE_Y), (0.04, EYE_Y)]), [0.011 * s] * 2)
    canvas.paint(frame, (34, 30, 32))
