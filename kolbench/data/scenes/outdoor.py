"""Paints streets and parks behind the people."""

import math

import numpy as np

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Canvas, Frame, Shape, oval
from kolbench.data.scenes.fabric import Random
from kolbench.data.scenes.palette import Palette, quad


def draw_outdoor(canvas: Canvas, random: Random, palette: Palette) -> None:
    """Paints sky with clouds over a street or a park, by day or in the evening."""
    horizon = random.uniform(0.5, 0.78)
    evening = random.random() < 0.3
    top, low = ((112, 134, 182), (246, 196, 158)) if evening else ((128, 176, 226), (222, 234, 242))
    canvas.paint(quad(-0.01, -0.01, 1.02, 1.02), fabric.gradient(top, low, Frame(0, 0, horizon), 0.02))
    for _ in range(int(random.integers(1, 5))):
        cloud, (x, y) = Shape(), random.uniform((0, 0.02), (1, 0.35))
        for k in range(4):
            cloud.polygon(oval(x + (k - 1.5) * 0.06, y + 0.012 * (k % 2), 0.07, 0.03))
        canvas.paint(cloud, (252, 250, 248), 0.0, 0.75, 0.025)
    if random.random() < 0.6:
        _street(canvas, random, palette, horizon)
    else:
        _park(canvas, random, horizon)


def _street(canvas: Canvas, random: Random, palette: Palette, horizon: float) -> None:
    x = random.uniform(-0.1, 0.0)
    while x < 1.0:
        width, top, tone = random.uniform(0.14, 0.3), random.uniform(0.0, 0.4), palette.pick(0.4, 0.35, 0.85)
        canvas.paint(quad(x, top, width, horizon - top + 0.01), tone, 0.008)
        windows, step = Shape(), random.uniform(0.045, 0.075)
        for wx in np.arange(x + 0.02, x + width - 0.03, step):
            for wy in np.arange(top + 0.03, horizon - 0.16, step * 1.3):
                windows.polygon(
                    [
                        (wx, wy),
                        (wx + step * 0.55, wy),
                        (wx + step * 0.55, wy + step * 0.75),
                        (wx, wy + step * 0.75),
                    ]
                )
        if windows.polygons:
            canvas.paint(windows, fabric.scaled(tone, random.uniform(0.45, 0.65)))
        canvas.paint(
            quad(x + 0.015, horizon - 0.11, width - 0.03, 0.11), fabric.scaled(palette.pick(0.4, 0.5), 0.55)
        )
        canvas.paint(quad(x + 0.01, horizon - 0.14, width - 0.02, 0.03), palette.pick(0.8, 0.4), 0.006)
        x += width
    tone = fabric.hsv(0.1, 0.06, random.uniform(0.45, 0.7))
    canvas.paint(
        quad(-0.01, horizon, 1.02, 1.02 - horizon),
        fabric.gradient(
            fabric.scaled(tone, 0.9), fabric.scaled(tone, 1.1), Frame(0, horizon, 1 - horizon), 0.07, 5
        ),
    )
    if random.random() < 0.7:
        _tree(
            canvas,
            random,
            float(random.choice((random.uniform(0.0, 0.2), random.uniform(0.8, 1.0)))),
            horizon + 0.04,
        )


def _tree(canvas: Canvas, random: Random, x: float, y: float) -> None:
    size, hue = random.uniform(0.13, 0.22), random.uniform(0.22, 0.36)
    canvas.paint(Shape().limb([(x, y), (x, y - size * 1.6)], [0.018, 0.012]), (92, 72, 56), 0.012)
    for k, shade in enumerate((0.34, 0.42, 0.5, 0.58)):
        leaves = Shape()
        for _ in range(26):
            angle, reach = (
                random.uniform(0, 2 * math.pi),
                size * (0.85 - 0.12 * k) * math.sqrt(random.random()),
            )
            centre = (
                x + reach * math.cos(angle),
                y - size * 2.1 + 0.9 * reach * math.sin(angle) - 0.1 * k * size,
            )
            leaves.polygon(oval(*centre, size * 0.17, size * 0.1, random.uniform(0, math.pi), 8))
        canvas.paint(leaves, fabric.hsv(hue, 0.5, shade), 0.012, feather=0.006)


def _park(canvas: Canvas, random: Random, horizon: float) -> None:
    hue = random.uniform(0.2, 0.34)
    for k, value in enumerate((0.62, 0.52)):
        base = horizon - 0.1 + 0.06 * k
        heights = base - np.abs(random.normal(0.06, 0.05, 7))
        ridge = np.concatenate([np.stack([np.linspace(-0.1, 1.1, 7), heights], 1), [(1.1, 1.1), (-0.1, 1.1)]])
        canvas.paint(Shape().polygon(ridge), fabric.hsv(hue + 0.12 - 0.06 * k, 0.28 + 0.1 * k, value))
    grass = fabric.gradient(
        fabric.hsv(hue, 0.42, 0.56), fabric.hsv(hue, 0.5, 0.42), Frame(0, horizon, 1 - horizon), 0.12, 6
    )
    canvas.paint(quad(-0.01, horizon, 1.02, 1.02 - horizon), grass)
    for x in random.uniform(-0.05, 1.05, int(random.integers(2, 5))):
        _tree(canvas, random, float(x), horizon + random.uniform(0.0, 0.06))
