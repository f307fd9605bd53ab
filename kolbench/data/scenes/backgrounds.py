"""Paints clean plates: plain walls, rooms and streets, at times in the colours of the people before them."""

from collections.abc import Sequence

import numpy as np

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Canvas, Colour, Frame, Shape, oval
from kolbench.data.scenes.fabric import Random
from kolbench.data.scenes.outdoor import draw_outdoor
from kolbench.data.scenes.palette import Palette, quad
from kolbench.data.scenes.rooms import ITEMS, draw_curtain

KINDS = ("plain", "cluttered", "outdoor")
KIND_CHANCES = (0.34, 0.46, 0.2)


def draw_background(canvas: Canvas, random: Random, kind: str, own: Sequence[Colour]) -> None:
    """Covers the whole canvas with a plate.

    Args:
        canvas: what to cover.
        random: source of all choices; their order does not depend on the canvas's size.
        kind: plain, cluttered or outdoor.
        own: colours of the people in front to draw from; empty = any.
    """
    palette = Palette(random, own)
    {"plain": _plain, "cluttered": _cluttered, "outdoor": draw_outdoor}[kind](canvas, random, palette)


def _wall(canvas: Canvas, random: Random, palette: Palette) -> Colour:
    base = palette.pick()
    angle = random.uniform(-0.6, 0.6)
    lay = Frame(0.5, -0.1, 1.3, angle).child(0, 0)
    top, bottom = (
        fabric.scaled(base, random.uniform(0.98, 1.12)),
        fabric.scaled(base, random.uniform(0.74, 0.96)),
    )
    canvas.paint(quad(-0.01, -0.01, 1.02, 1.02), fabric.gradient(top, bottom, lay, 0.03))
    glow = Shape().polygon(oval(random.uniform(0.1, 0.9), random.uniform(0.0, 0.5), 0.3, 0.25))
    canvas.cast(glow, 0.3, -random.uniform(0.0, 0.16))
    return base


def _plain(canvas: Canvas, random: Random, palette: Palette) -> None:
    base = _wall(canvas, random, palette)
    extra = random.random()
    if extra < 0.2:
        _mouldings(canvas, random, base)
    elif extra < 0.36:
        draw_curtain(canvas, random, palette, -0.02, 1.04)
    elif extra < 0.52:
        _bricks(canvas, random, base)
    elif extra < 0.66:
        print_lay = Frame(
            random.uniform(0, 0.2),
            random.uniform(0, 0.2),
            random.uniform(0.8, 1.4),
            random.uniform(-0.1, 0.1),
        )
        paper = fabric.Fabric(
            str(random.choice(fabric.PATTERNS[1:])),
            base,
            fabric.scaled(base, 0.86),
            random.uniform(4, 9),
            random.random(),
        )
        canvas.paint(quad(-0.01, -0.01, 1.02, 1.02), fabric.cloth(paper, print_lay, 0.02))
    if random.random() < 0.35:
        _floor(canvas, random, palette, random.uniform(0.78, 0.93))


def _cluttered(canvas: Canvas, random: Random, palette: Palette) -> None:
    _wall(canvas, random, palette)
    if random.random() < 0.6:
        _floor(canvas, random, palette, random.uniform(0.7, 0.9))
    chosen = np.sort(random.choice(len(ITEMS), int(random.integers(3, 6)), replace=False))
    for which in chosen:
        ITEMS[which](canvas, random, palette)


def _floor(canvas: Canvas, random: Random, palette: Palette, y: float) -> None:
    tone = palette.pick(0.5, 0.3, 0.75)
    lay = Frame(0.0, y, 1 - y + 0.02, 0.0)
    canvas.paint(
        quad(-0.01, y, 1.02, 1.02 - y),
        fabric.gradient(fabric.scaled(tone, 0.86), fabric.scaled(tone, 1.06), lay, 0.1, 6),
    )
    canvas.paint(quad(-0.01, y - 0.022, 1.02, 0.022), fabric.mix(tone, (240, 238, 234), 0.7), 0.006)
    vanish = random.uniform(0.3, 0.7)
    for x in np.linspace(-1.2, 2.2, 13):
        line = Shape().limb([(vanish + (x - vanish) * 0.45, y), (x, 1.05)], [0.0012, 0.003])
        canvas.paint(line, fabric.scaled(tone, 0.7), 0.0, 0.5)


def _mouldings(canvas: Canvas, random: Random, base: Colour) -> None:
    step = random.uniform(0.26, 0.42)
    for x in np.arange(random.uniform(-0.3, 0.0), 1.0, step):
        for y, height in ((0.06, 0.62), (0.74, 0.4)):
            for inset, tone in ((0.0, 0.84), (0.006, 1.1), (0.014, 0.98)):
                canvas.paint(
                    quad(x + inset, y + inset, step * 0.84 - 2 * inset, height - 2 * inset),
                    fabric.scaled(base, tone),
                )


def _bricks(canvas: Canvas, random: Random, base: Colour) -> None:
    height, width = 0.05, 0.13
    groups = [Shape(), Shape(), Shape()]
    for row, y in enumerate(np.arange(0.0, 1.0, height)):
        for x in np.arange(-width * (0.5 if row % 2 else 1.0), 1.0, width):
            groups[int(random.integers(3))].polygon(
                [
                    (x + 0.004, y + 0.004),
                    (x + width - 0.004, y + 0.004),
                    (x + width - 0.004, y + height - 0.004),
                    (x + 0.004, y + height - 0.004),
                ]
            )
    for group, tone in zip(groups, (0.8, 0.88, 0.94), strict=True):
        canvas.paint(group, fabric.scaled(base, tone), 0.008)
