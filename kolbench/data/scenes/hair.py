"""Paints hair, headscarves and caps: shaded masses with strand-like soft edges."""

import math
from collections.abc import Sequence

import numpy as np

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Canvas, Fill, Floats, Frame, Points, Shape, mirrored, oval, smooth
from kolbench.data.scenes.fabric import Random
from kolbench.data.scenes.person import Look


def _random(look: Look, part: int) -> Random:
    return np.random.Generator(np.random.PCG64([look.hair_seed, part]))


def _streaks(look: Look, head: Frame, curl: float = 0.0) -> Fill:
    """Colours that run in strands away from the parting, with a band of gloss."""
    table = fabric.NOISE[look.hair_seed % 128]
    fine = fabric.NOISE[(look.hair_seed // 128) % 128]

    def fill(xs: Floats, ys: Floats) -> Floats:
        u, v = head.local(xs, ys)
        u = u - np.float32(0.5 * look.parting)
        v = v + np.float32(0.5)
        if curl:
            bumps = fabric.noise(u, v, 4.5, 0.3)
            shade = np.float32(0.9) + np.float32(0.55) * bumps
            return np.stack([np.maximum(shade * np.float32(c), 0) for c in look.hair])
        angle = np.arctan2(u, np.maximum(v, 0) + np.float32(0.12))
        place = (angle * np.float32(70)).astype(np.int32) & 127
        thin = (angle * np.float32(230)).astype(np.int32) & 127
        strand = np.take(table, place) * np.float32(0.2) + np.take(fine, thin) * np.float32(0.16)
        radius = np.sqrt(u * u + v * v)
        gloss = np.exp(-(((radius - np.float32(0.34)) * np.float32(7)) ** 2)) * (np.float32(0.5) + strand)
        shade = np.float32(0.92) + strand - np.float32(0.1) * np.clip(v - np.float32(0.7), 0, 1)
        lift = np.float32(44) * gloss
        return np.stack([np.clip(shade * np.float32(c) + lift, 0, 255) for c in look.hair])

    return fill


def _strands(
    random: Random, roots: Points, directions: Points, length: float, bend: float, steps: int = 6
) -> Points:
    """(n, steps, 2) curved lines from roots (n, 2) along unit directions, sagging by `bend`."""
    count = len(roots)
    t = np.linspace(0, 1, steps)[None, :, None]
    reach = length * random.uniform(0.45, 1.15, (count, 1, 1))
    sideways = np.stack([-directions[:, 1], directions[:, 0]], 1)[:, None]
    swing = random.normal(0, 0.16, (count, 1, 1))
    lines = roots[:, None] + reach * t * directions[:, None] + reach * swing * t**2 * sideways
    lines[:, :, 1:] += bend * reach * t**2
    return np.asarray(lines)


def _fringe_of(random: Random, outline: Points, count: int, inside: float) -> tuple[Points, Points]:
    """Random roots (count, 2) just inside a closed outline, and the outward unit normals there."""
    place = random.uniform(0, len(outline), count)
    low = place.astype(int)
    share = (place - low)[:, None]
    start, stop = outline[low % len(outline)], outline[(low + 1) % len(outline)]
    along = stop - start
    normal = np.stack([along[:, 1], -along[:, 0]], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    middle = outline.mean(0)
    spots = start + share * along
    normal *= np.where(((spots - middle) * normal).sum(1, keepdims=True) < 0, -1, 1)
    return spots - inside * normal, normal


def _lay(canvas: Canvas, head: Frame, layers: Sequence[tuple[Points, float, float]], fill: Fill) -> None:
    """Strands as (lines, width, opacity), faint ones first: later ones replace what they cross."""
    shape = Shape()
    for lines, width, opacity in layers:
        if len(lines):
            shape.hairs(head.at(lines), width * head.scale, opacity)
    canvas.paint(shape, fill)


def _mass(
    canvas: Canvas, look: Look, head: Frame, outline: Points, part: int, loose: float, count: int = 110
) -> None:
    """A body of hair with a soft edge and strands that leave it; `loose` is their length."""
    s, random = head.scale, _random(look, part)
    fill = _streaks(look, head)
    canvas.paint(Shape().polygon(head.at(outline)), fill, 0.14 * s, feather=0.026 * s)
    roots, normal = _fringe_of(random, outline, count, 0.03)
    tangent = np.stack([-normal[:, 1], normal[:, 0]], 1)
    flow = roots - (0.5 * look.parting, -0.6) + (0, 0.25)
    tangent *= np.where((tangent * flow).sum(1, keepdims=True) < 0, -1, 1)
    hanging = np.clip(2.5 * normal[:, 1:], 0, 1)
    directions = (1 - hanging) * (tangent + 0.09 * normal) + hanging * np.array([0.0, 1.0])
    directions += random.normal(0, 0.08, (count, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True) + 1e-9
    lines = _strands(random, roots, directions, loose, 0.5)
    over_face = (np.abs(roots[:, 0]) < 0.37) & (roots[:, 1] > -0.47) & (roots[:, 1] < 0.45)
    hairline = roots[over_face, None] + 0.4 * (lines[over_face] - roots[over_face, None])
    lines = lines[~over_face]
    outside = (roots[:, 1] < 0.3) & ~over_face
    astray = 0.45 * normal[outside] + 0.9 * tangent[outside]
    wisps = _strands(random, roots[outside], astray + random.normal(0, 0.2, astray.shape), 0.16, 0.1)
    fuzz = _strands(random, roots[outside], astray + random.normal(0, 0.35, astray.shape), 0.1, 0.1)
    fine = ((fuzz, 0.004, 0.5), (wisps, 0.004, 0.5), (hairline, 0.005, 0.5))
    half = len(lines) // 2
    _lay(canvas, head, (*fine, (lines[half:], 0.006, 0.6), (lines[:half], 0.009, 0.75)), fill)


def _curls(canvas: Canvas, look: Look, head: Frame, outline: Points, part: int, size: float) -> None:
    """A body of coils with ringlets around its edge."""
    s, random = head.scale, _random(look, part)
    fill = _streaks(look, head, curl=1.0)
    canvas.paint(Shape().polygon(head.at(outline)), fill, 0.2 * s, feather=0.03 * s)
    roots, normal = _fringe_of(random, outline, 110, 0.02)
    t = np.linspace(0, 2.4 * math.pi, 9)[None, :]
    radius = size * random.uniform(0.5, 1.2, (len(roots), 1))
    turn = random.uniform(0, 2 * math.pi, (len(roots), 1))
    drift = normal[:, None] * (radius * 1.3 * t / t.max())[:, :, None]
    coils = roots[:, None] + np.stack([radius * np.cos(t + turn), radius * np.sin(t + turn)], 2) + drift
    _lay(canvas, head, ((coils[60:], 0.008, 0.65), (coils[:60], 0.014, 0.9)), fill)


def _wide(look: Look) -> float:
    return look.face_width


def _long_outline(look: Look) -> Points:
    w, end = _wide(look), look.hair_length
    half = [
        (0, -0.57),
        (0.2, -0.55),
        (0.37, -0.43),
        (0.455, -0.2),
        (0.48, 0.1),
        (0.52, 0.45),
        (0.55, end * 0.7),
        (0.47, end),
        (0.2, end - 0.1),
        (0, end - 0.15),
    ]
    return smooth(mirrored(half)) * (w, 1)


def _afro_outline(look: Look) -> Points:
    big = 0.52 + 0.12 * look.hair_length
    return oval(0, -0.19, big * 1.02, big * 0.94, 0.0, 40)


def draw_back_hair(canvas: Canvas, look: Look, head: Frame) -> None:
    """Paints what hangs behind head and shoulders; comes before the body."""
    style = look.hair_style
    if style == "long_hair":
        _mass(canvas, look, head, _long_outline(look), 1, 0.3, 130)
    elif style == "curly":
        _curls(canvas, look, head, _afro_outline(look), 1, 0.06)
    elif style == "ponytail":
        side = 1 if look.parting > 0 else -1
        tail = [
            (0.1, -0.5),
            (0.42, -0.42),
            (0.62, 0.0),
            (0.66, 0.5),
            (0.56, look.hair_length * 0.8),
            (0.46, 0.6),
            (0.36, 0.1),
        ]
        _mass(canvas, look, head, smooth(np.array(tail) * (side, 1)), 1, 0.3, 90)
    elif style == "bun":
        _mass(canvas, look, head, oval(0, -0.64, 0.22, 0.2, 0.0, 24), 1, 0.12, 50)
    elif style == "cap" and look.fringe:
        _mass(canvas, look, head, _long_outline(look), 1, 0.25, 80)
    elif style == "headscarf":
        half = [
            (0, -0.58),
            (0.26, -0.54),
            (0.43, -0.3),
            (0.47, 0.05),
            (0.44, 0.4),
            (0.62, 0.95),
            (0.3, 1.15),
            (0, 1.2),
        ]
        fill = fabric.cloth(look.headwear, head, 0.14)
        canvas.paint(Shape().polygon(head.at(smooth(mirrored(half)))), fill, 0.16 * head.scale)


def _cap_outline(look: Look, low: float, lift: float) -> Points:
    """Hair on top of the skull: outer edge over the crown, inner edge along the hairline."""
    w, p = _wide(look), look.parting
    outer = [
        (-0.385, low),
        (-0.425, -0.12),
        (-0.38, -0.37),
        (-0.22, -0.54 - lift),
        (0, -0.575 - lift),
        (0.22, -0.54 - lift),
        (0.38, -0.37),
        (0.425, -0.12),
        (0.385, low),
    ]
    if look.fringe:
        inner = [
            (0.345, -0.02),
            (0.3, -0.1),
            (0.15, -0.13),
            (p, -0.15),
            (-0.15, -0.12),
            (-0.3, -0.1),
            (-0.345, -0.02),
        ]
    else:
        inner = [
            (0.345, 0.0),
            (0.325, -0.17),
            (0.24, -0.29),
            (p, -0.38),
            (-0.24, -0.29),
            (-0.325, -0.17),
            (-0.345, 0.0),
        ]
    return smooth(np.array(outer + inner)) * (w, 1)


def draw_front_hair(canvas: Canvas, look: Look, head: Frame) -> None:
    """Paints what lies on the skull and beside the face; comes after the head."""
    style, s = look.hair_style, head.scale
    if style == "bald":
        half = [
            (0, -0.505),
            (0.18, -0.48),
            (0.31, -0.36),
            (0.36, -0.15),
            (0.32, -0.16),
            (0.22, -0.31),
            (0, -0.35),
        ]
        buzz = Shape().polygon(head.at(mirrored(half) * (_wide(look), 1)))
        canvas.paint(buzz, fabric.mix(look.hair, look.skin, 0.4), 0.0, 0.25 if look.fringe else 0.0, 0.04 * s)
        return
    if style == "headscarf":
        _headscarf(canvas, look, head)
        return
    if style == "curly":
        rim = [
            (-0.38, -0.02),
            (-0.5, -0.3),
            (-0.3, -0.62),
            (0, -0.7),
            (0.3, -0.62),
            (0.5, -0.3),
            (0.38, -0.02),
            (0.32, -0.2),
            (0.2, -0.31),
            (0, -0.34),
            (-0.2, -0.31),
            (-0.32, -0.2),
        ]
        _curls(canvas, look, head, smooth(rim), 2, 0.045)
        return
    shade = Shape().polygon(head.at(oval(0, -0.27 if not look.fringe else -0.1, 0.3, 0.06)))
    canvas.cast(shade, 0.08 * s, 0.2)
    if style == "cap":
        _baseball_cap(canvas, look, head)
        return
    low = {"short_hair": 0.06, "bun": 0.02, "ponytail": 0.04}.get(style, 0.22)
    lift = 0.05 if style == "short_hair" else 0.0
    _mass(canvas, look, head, _cap_outline(look, low, lift), 2, 0.09 if style == "short_hair" else 0.08, 80)
    if style == "long_hair":
        for side in (-1, 1):
            end = look.hair_length
            lock = [
                (0.3, -0.3),
                (0.42, -0.1),
                (0.46, 0.3),
                (0.56, end * 0.62),
                (0.45, end * 0.92),
                (0.34, end * 0.6),
                (0.335, 0.3),
                (0.345, 0.0),
            ]
            _mass(canvas, look, head, smooth(np.array(lock) * (side * _wide(look), 1)), 3 + side, 0.22, 60)


def _headscarf(canvas: Canvas, look: Look, head: Frame) -> None:
    s = head.scale
    fill = fabric.cloth(look.headwear, head, 0.16)
    outer = [
        (-0.44, 0.1),
        (-0.43, -0.25),
        (-0.27, -0.53),
        (0, -0.6),
        (0.27, -0.53),
        (0.43, -0.25),
        (0.44, 0.1),
        (0.36, 0.45),
        (0.16, 0.62),
        (-0.16, 0.62),
        (-0.36, 0.45),
    ]
    inner = oval(0, 0.08, 0.3 * look.face_width, 0.42, 0.0, 28)
    canvas.cast(Shape().polygon(head.at(oval(0, -0.3, 0.26, 0.06))), 0.08 * s, 0.3)
    canvas.paint(Shape().ring(head.at(smooth(outer)), head.at(inner)), fill, 0.1 * s)
    drape = [(-0.37, 0.36), (0, 0.56), (0.38, 0.34), (0.6, 0.85), (0.2, 1.25), (-0.3, 1.1), (-0.6, 0.75)]
    canvas.paint(Shape().polygon(head.at(smooth(drape))), fill, 0.14 * s)


def _baseball_cap(canvas: Canvas, look: Look, head: Frame) -> None:
    s = head.scale
    fill = fabric.cloth(look.headwear, head, 0.06)
    dome = [
        (-0.42, -0.17),
        (-0.4, -0.4),
        (-0.24, -0.59),
        (0, -0.64),
        (0.24, -0.59),
        (0.4, -0.4),
        (0.42, -0.17),
        (0, -0.24),
    ]
    canvas.paint(Shape().polygon(head.at(smooth(dome))), fill, 0.16 * s)
    visor = [(-0.41, -0.2), (0, -0.3), (0.41, -0.2), (0.36, -0.1), (0, -0.13), (-0.36, -0.1)]
    canvas.cast(Shape().polygon(head.at(oval(0, -0.06, 0.32, 0.06))), 0.07 * s, 0.35)
    canvas.paint(Shape().polygon(head.at(smooth(visor))), fabric.scaled(look.headwear.base, 0.72), 0.05 * s)
