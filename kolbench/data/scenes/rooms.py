"""Paints what stands and hangs in a room: furniture, shelves, windows, lamps, clothes."""

import math
from collections.abc import Callable

import numpy as np

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Canvas, Floats, Frame, Shape, oval, rounded, smooth
from kolbench.data.scenes.fabric import Random
from kolbench.data.scenes.palette import Palette, quad


def draw_curtain(canvas: Canvas, random: Random, palette: Palette, left: float, width: float) -> None:
    """Paints a curtain from ceiling to floor."""
    tone = palette.pick(0.5, 0.35, 0.92)
    folds, phase = random.uniform(5, 11) / max(width, 0.3), random.uniform(0, 6)

    def fill(xs: Floats, ys: Floats) -> Floats:
        wave = np.sin(xs * np.float32(folds * 6.3) + phase + np.float32(0.5) * np.sin(xs * np.float32(23)))
        shade = (np.float32(0.86) + np.float32(0.17) * wave)[None, :] * (1 - np.float32(0.08) * ys)[:, None]
        return np.stack([shade * np.float32(c) for c in tone])

    canvas.paint(quad(left, -0.01, width, 1.02), fill)


def _shelf(canvas: Canvas, random: Random, palette: Palette) -> None:
    left, width = random.uniform(-0.15, 0.75), random.uniform(0.3, 0.55)
    top, rows = random.uniform(-0.05, 0.3), int(random.integers(2, 5))
    step = random.uniform(0.17, 0.24)
    wood = palette.pick(0.55, 0.3, 0.9)
    canvas.cast(quad(left + 0.02, top + 0.03, width, rows * step), 0.05, 0.25)
    canvas.paint(quad(left, top, width, rows * step + 0.02), fabric.scaled(wood, 0.62))
    for row in range(rows):
        shelf = top + (row + 1) * step
        x = left + 0.02
        while x < left + width - 0.05:
            x += _thing(canvas, random, palette, x, shelf, step * 0.86)
        canvas.paint(quad(left, shelf, width, 0.02), wood, 0.006)
    for x in (left, left + width - 0.016):
        canvas.paint(quad(x, top, 0.016, rows * step + 0.02), fabric.scaled(wood, 0.92), 0.006)


def _thing(canvas: Canvas, random: Random, palette: Palette, x: float, shelf: float, room: float) -> float:
    """One object that stands on a shelf; the width it takes."""
    kind, tone = random.random(), palette.pick(0.8, 0.3, 0.95)
    height = room * random.uniform(0.45, 0.95)
    if kind < 0.5:
        width = random.uniform(0.018, 0.036)
        canvas.paint(quad(x, shelf - height, width, height), tone, 0.006)
        canvas.paint(quad(x, shelf - height * 0.8, width, height * 0.1), fabric.scaled(tone, 0.7))
        return width + 0.002
    width = random.uniform(0.05, 0.09)
    if kind < 0.7:
        canvas.paint(quad(x, shelf - height * 0.6, width, height * 0.6), tone, 0.008)
    elif kind < 0.88:
        canvas.paint(
            Shape().limb([(x + width / 2, shelf - 0.03), (x + width / 2, shelf - height)], [0.03, 0.012]),
            tone,
            0.02,
        )
    else:
        for k in range(7):
            leaf = oval(
                x + width / 2 + 0.03 * math.cos(k * 0.9), shelf - 0.055 - 0.02 * (k % 3), 0.03, 0.011, k * 0.9
            )
            canvas.paint(Shape().polygon(leaf), (64 + 8 * (k % 3), 118, 66), 0.006)
        canvas.paint(quad(x + width * 0.25, shelf - 0.045, width * 0.5, 0.045), tone, 0.01)
    return width + random.uniform(0.005, 0.03)


def _picture(canvas: Canvas, random: Random, palette: Palette) -> None:
    x, y = random.uniform(0.0, 0.85), random.uniform(0.0, 0.4)
    width = random.uniform(0.12, 0.26)
    height = width * random.uniform(0.7, 1.4)
    canvas.cast(quad(x + 0.012, y + 0.016, width, height), 0.03, 0.3)
    canvas.paint(quad(x, y, width, height), palette.pick(0.4, 0.1, 0.95), 0.008)
    canvas.paint(quad(x + 0.012, y + 0.012, width - 0.024, height - 0.024), (238, 235, 228))
    inner = fabric.gradient(palette.pick(0.7, 0.4), palette.pick(0.7, 0.3), Frame(x, y + 0.03, height - 0.06))
    canvas.paint(quad(x + 0.028, y + 0.028, width - 0.056, height - 0.056), inner)
    middle = (x + width / 2, y + height * 0.56)
    canvas.paint(Shape().polygon(oval(*middle, width * 0.2, height * 0.16)), palette.pick(0.8, 0.3), 0.01)
    canvas.paint(
        Shape().polygon(oval(middle[0], middle[1] - height * 0.2, width * 0.1, width * 0.1)),
        palette.pick(0.8, 0.4),
        0.01,
    )


def _window(canvas: Canvas, random: Random, palette: Palette) -> None:
    x, y, width, height = (
        random.uniform(0.0, 0.6),
        random.uniform(-0.1, 0.12),
        random.uniform(0.28, 0.45),
        random.uniform(0.4, 0.6),
    )
    canvas.paint(quad(x - 0.02, y - 0.02, width + 0.04, height + 0.04), (236, 234, 230), 0.01)
    sky = fabric.gradient((206, 226, 244), (236, 240, 240), Frame(x, y, height), 0.03)
    canvas.paint(quad(x, y, width, height), sky)
    hill = smooth(
        [
            (x, y + height),
            (x, y + height * 0.7),
            (x + width * 0.4, y + height * 0.58),
            (x + width, y + height * 0.74),
            (x + width, y + height),
        ]
    )
    canvas.paint(Shape().polygon(np.clip(hill, (x, y), (x + width, y + height))), (142, 172, 130), 0.0, 0.8)
    for bar in (quad(x + width / 2 - 0.007, y, 0.014, height), quad(x, y + height * 0.45, width, 0.014)):
        canvas.paint(bar, (238, 236, 232), 0.006)
    if random.random() < 0.6:
        draw_curtain(canvas, random, palette, x - 0.12, 0.17)
        draw_curtain(canvas, random, palette, x + width - 0.05, 0.17)


def _plant(canvas: Canvas, random: Random, palette: Palette) -> None:
    x, y = (
        float(random.choice((random.uniform(-0.02, 0.22), random.uniform(0.78, 1.02)))),
        random.uniform(0.72, 1.0),
    )
    size, green = random.uniform(0.13, 0.22), random.uniform(0.24, 0.38)
    for k in range(13):
        angle = -math.pi / 2 + (k - 6) * 0.24 + random.normal(0, 0.06)
        length = size * random.uniform(0.7, 1.25)
        tip = np.array([x + length * math.cos(angle), y + length * math.sin(angle) * 1.25])
        side = np.array([-math.sin(angle), math.cos(angle)]) * size * 0.1
        root = np.array([x, y])
        middle = root + (0.55, 0.6) * (tip - root)
        leaf = smooth(np.stack([root, middle + side, tip, middle - side]), 4)
        canvas.paint(
            Shape().polygon(leaf),
            fabric.hsv(green, random.uniform(0.35, 0.6), random.uniform(0.3, 0.58)),
            0.012,
        )
    pot = [
        (x - size * 0.36, y - 0.01),
        (x + size * 0.36, y - 0.01),
        (x + size * 0.26, y + size * 0.7),
        (x - size * 0.26, y + size * 0.7),
    ]
    canvas.paint(Shape().polygon(pot), palette.pick(0.5, 0.5, 0.95), 0.03)


def _rack(canvas: Canvas, random: Random, palette: Palette) -> None:
    x, y, width = random.uniform(-0.1, 0.65), random.uniform(0.18, 0.36), random.uniform(0.35, 0.55)
    place = x + 0.03
    while place < x + width - 0.05:
        wide, tone = random.uniform(0.05, 0.09), palette.pick(0.8, 0.2, 0.95)
        drop = random.uniform(0.28, 0.45)
        outline = [
            (place + wide * 0.4, y + 0.01),
            (place + wide * 1.1, y + 0.06),
            (place + wide * 1.05, y + drop),
            (place - wide * 0.1, y + drop),
            (place - wide * 0.15, y + 0.06),
        ]
        canvas.paint(Shape().polygon(outline), tone, 0.02)
        place += wide * random.uniform(0.6, 0.95)
    bar = Shape().limb([(x, 1.0), (x, y), (x + width, y), (x + width, 1.0)], [0.008] * 4)
    canvas.paint(bar, (58, 56, 60) if random.random() < 0.6 else (206, 188, 152), 0.006)


def _lamp(canvas: Canvas, random: Random, palette: Palette) -> None:
    x, y = (
        float(random.choice((random.uniform(0.04, 0.2), random.uniform(0.8, 0.96)))),
        random.uniform(0.18, 0.4),
    )
    canvas.cast(Shape().polygon(oval(x, y + 0.06, 0.15, 0.15)), 0.2, -0.35)
    canvas.paint(Shape().limb([(x, y), (x, 1.02)], [0.006, 0.007]), (70, 62, 56))
    shade = [(x - 0.05, y), (x + 0.05, y), (x + 0.09, y + 0.12), (x - 0.09, y + 0.12)]
    canvas.paint(Shape().polygon(shade), fabric.mix(palette.pick(0.4, 0.8), (255, 236, 190), 0.6), 0.03)


def _sofa(canvas: Canvas, random: Random, palette: Palette) -> None:
    x, y, width, tone = (
        random.uniform(-0.2, 0.5),
        random.uniform(0.58, 0.76),
        random.uniform(0.5, 0.8),
        palette.pick(0.6, 0.3, 0.85),
    )
    canvas.cast(quad(x, y + 0.05, width, 0.4), 0.05, 0.2)
    canvas.paint(Shape().polygon(rounded(width, 0.5, 0.06, x + width / 2, y + 0.25)), tone, 0.05)
    for k in range(2):
        seat = rounded(width * 0.42, 0.3, 0.05, x + width * (0.28 + 0.44 * k), y + 0.3)
        canvas.paint(Shape().polygon(seat), fabric.scaled(tone, 1.08), 0.04)
        cushion = fabric.Fabric(
            str(random.choice(fabric.PATTERNS)),
            palette.pick(0.7, 0.4),
            palette.pick(0.7, 0.4),
            14.0,
            random.random(),
        )
        lay = Frame(x + width * (0.2 + 0.6 * k), y + 0.13, 1.0, random.normal(0, 0.2))
        canvas.paint(
            Shape().polygon(lay.at(rounded(0.15, 0.14, 0.04))), fabric.cloth(cushion, lay, 0.08), 0.04
        )


def _ring_light(canvas: Canvas, random: Random, palette: Palette) -> None:
    x, y, radius = (
        float(random.choice((random.uniform(0.05, 0.25), random.uniform(0.75, 0.95)))),
        random.uniform(0.12, 0.35),
        random.uniform(0.08, 0.13),
    )
    canvas.cast(Shape().polygon(oval(x, y, radius * 1.5, radius * 1.5)), 0.15, -0.3)
    canvas.paint(Shape().limb([(x, y + radius), (x, 1.02)], [0.006, 0.006]), (40, 40, 44))
    t = np.linspace(0, 2 * math.pi, 28)
    ring = np.stack([x + radius * np.cos(t), y + radius * np.sin(t)], 1)
    canvas.paint(
        Shape().limb(ring, [0.017] * len(ring)), fabric.mix(palette.pick(0.1, 0.9), (255, 252, 244), 0.85)
    )


ITEMS: tuple[Callable[[Canvas, Random, Palette], None], ...] = (
    _window, _shelf, _picture, _picture, _rack, _sofa, _lamp, _ring_light, _plant,
)  # fmt: skip
