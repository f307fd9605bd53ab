"""Paints the products, each in its own frame with its centre at the origin."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Canvas, Colour, Fill, Frame, Shape, oval, rounded, smooth
from kolbench.data.scenes.products import DARK, WHITE, Product

GLASS_DARK: Colour = (24.0, 26.0, 32.0)
STEEL: Colour = (176.0, 178.0, 184.0)


class Brush:
    """Paints a product's parts in its own frame."""

    def __init__(self, canvas: Canvas, frame: Frame) -> None:
        self.canvas = canvas
        self.frame = frame

    def poly(
        self, points: npt.ArrayLike, fill: Colour | Fill, depth: float = 0.0, opacity: float = 1.0
    ) -> None:
        """Paints a filled outline; `depth` is its relief."""
        shape = Shape().polygon(self.frame.at(points))
        self.canvas.paint(shape, fill, depth * self.frame.scale, opacity, held=True)

    def line(
        self, points: npt.ArrayLike, radius: float | Sequence[float], fill: Colour, depth: float = 0.0
    ) -> None:
        """Paints a line with round ends, of one radius or of one for each point."""
        spots = self.frame.at(points)
        radii = [radius] * len(spots) if isinstance(radius, float) else radius
        shape = Shape().limb(spots, [r * self.frame.scale for r in radii])
        self.canvas.paint(shape, fill, depth * self.frame.scale, held=True)

    def small_print(self, x: float, y: float, width: float, rows: int, step: float, colour: Colour) -> None:
        """Paints bars that stand for text."""
        for row in range(rows):
            length = width * (1.0 if row == 0 else 0.8 - 0.12 * (row % 3))
            self.poly(rounded(length, step * 0.42, 0.01, x, y + row * step), colour, 0.0, 0.85)

    def cylinder(self, points: npt.ArrayLike, colour: Colour, half: float) -> None:
        """Paints a filled outline shaded like a round body of the given half width."""
        self.poly(points, round_body(colour, self.frame, half))


def round_body(colour: Colour, frame: Frame, half: float) -> Fill:
    """Shades a glossy upright cylinder around local u = 0."""

    def fill(xs: npt.NDArray[np.float32], ys: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        u, _ = frame.local(xs, ys)
        s = np.clip(u / np.float32(half), -1, 1)
        shade = np.float32(1.06) - np.float32(0.42) * s * s - np.float32(0.12) * s
        gloss = np.float32(70) * np.exp(-((s + np.float32(0.45)) ** 2) * np.float32(60))
        return np.stack([np.minimum(shade * np.float32(c) + gloss, np.float32(255)) for c in colour])

    return fill


def draw_product(canvas: Canvas, product: Product, frame: Frame) -> None:
    """Paints a product; its shadow falls on what is there already."""
    scale = frame.scale
    shadow = Shape().polygon(frame.at(rounded(product.width, product.height, 0.1)))
    canvas.cast(shadow.moved(-0.07 * canvas.light.x * scale, 0.06 * scale), 0.12 * scale, 0.34)
    DRAWERS[product.kind](Brush(canvas, frame), product)


def _bag(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    leather = fabric.cloth(product.main, brush.frame, 0.06)
    dark = fabric.scaled(product.main.base, 0.6)
    if product.variant == 0:
        for x in (-0.24, 0.24):
            brush.line([(x - 0.1, -h), (x * 0.75, -h - 0.2), (0, -h - 0.36)], 0.022, WHITE)
        brush.poly(
            [(-w * 0.82, -h), (w * 0.82, -h), (w * 0.82, h * 1.15), (-w * 0.82, h * 1.15)], leather, 0.05
        )
        brush.poly([(w * 0.6, -h), (w * 0.82, -h), (w * 0.82, h * 1.15), (w * 0.7, h * 1.15)], dark, 0.0, 0.4)
        brush.poly(oval(-0.06 * w, 0, w * 0.3, w * 0.3), product.accent)
        brush.small_print(-0.06 * w, w * 0.5, w * 0.8, 1, 0.16, product.accent)
        return
    t = np.linspace(0.06, 0.94, 12) * math.pi
    handle = np.stack([np.cos(t) * w * 0.52, -h - 0.36 * np.sin(t) + 0.03], 1)
    brush.line(handle, 0.055, dark, 0.05)
    body = smooth(
        [
            (-w * 0.82, -h),
            (w * 0.82, -h),
            (w * 0.97, h * 0.2),
            (w * 0.92, h),
            (-w * 0.92, h),
            (-w * 0.97, h * 0.2),
        ]
    )
    brush.poly(body, leather, 0.16)
    if product.variant == 1:
        flap = smooth(
            [(-w * 0.84, -h), (w * 0.84, -h), (w * 0.84, -h * 0.1), (0, h * 0.3), (-w * 0.84, -h * 0.1)]
        )
        brush.poly(flap, fabric.scaled(product.main.base, 0.88), 0.08)
        brush.poly(rounded(0.16, 0.13, 0.03, 0, h * 0.18), (214, 182, 108), 0.03)
    else:
        brush.poly(rounded(w * 1.9, 0.09, 0.04, 0, -h * 0.55), dark, 0.03)
        brush.poly(rounded(w * 1.5, h * 0.75, 0.08, 0, h * 0.35), fabric.scaled(product.main.base, 0.9), 0.06)
    for x in (-w * 0.5, w * 0.5):
        brush.poly(oval(x, -h + 0.04, 0.045, 0.045), (214, 182, 108), 0.02)


def _box(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    lift = 0.16 * h + 0.05
    face = fabric.cloth(product.main, brush.frame, 0.0)
    brush.poly(
        [(-w, -h + lift), (-w * 0.86, -h), (w * 0.86, -h), (w, -h + lift)],
        fabric.scaled(product.main.base, 1.2),
    )
    brush.poly([(-w, -h + lift), (w, -h + lift), (w, h), (-w, h)], face, 0.05)
    if product.variant == 0:
        brush.poly(
            [(-w * 0.14, -h + lift), (w * 0.14, -h + lift), (w * 0.14, h), (-w * 0.14, h)],
            product.accent,
            0.03,
        )
        for s in (-1, 1):
            bow = smooth(
                [(0, -h + lift * 0.6), (s * 0.16, -h - 0.12), (s * 0.3, -h - 0.02), (s * 0.2, -h + lift)]
            )
            brush.poly(bow, product.accent, 0.05)
    elif product.variant == 1:
        brush.poly(rounded(w * 1.1, h * 0.8, 0.04, 0, 0.1), WHITE, 0.0)
        brush.poly(oval(-w * 0.25, 0.08, h * 0.24, h * 0.24), product.accent)
        brush.small_print(w * 0.25, -0.0, w * 0.42, 3, h * 0.18, DARK)
    else:
        brush.poly(rounded(w * 1.3, h * 0.28, 0.03, 0, -h * 0.2), product.accent)
        brush.small_print(0, h * 0.3, w * 1.0, 2, h * 0.22, product.accent)


def _bottle(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    neck = 0.42 * w if product.variant != 2 else 0.7 * w
    half = [(neck, -h * 0.75), (neck, -h * 0.58), (w, -h * 0.32), (w, h * 0.92), (w * 0.85, h)]
    outline = np.array(half + [(-x, y) for x, y in half[::-1]])
    brush.cylinder(outline, product.main.base, w)
    brush.cylinder(rounded(neck * 2.3, h * 0.28, 0.03, 0, -h * 0.86), product.accent, neck * 1.3)
    label = WHITE if sum(product.main.base) < 560 else fabric.scaled(product.main.base, 0.5)
    brush.cylinder([(-w, -h * 0.1), (w, -h * 0.1), (w, h * 0.6), (-w, h * 0.6)], label, w * 1.1)
    brush.poly(oval(0, h * 0.1, w * 0.5, w * 0.5), product.accent)
    brush.small_print(0, h * 0.38, w * 1.1, 2, h * 0.12, product.main.base)


def _tube(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    cap = rounded(w * 1.5, h * 0.4, 0.03, 0, h * 0.8)
    if product.variant == 1:
        cap, outline = rounded(w * 1.2, h * 0.4, 0.03, 0, -h * 0.8), rounded(2 * w, h * 1.6, 0.07, 0, h * 0.2)
    else:
        outline = np.array([(-w, -h), (w, -h), (w * 0.82, h * 0.62), (-w * 0.82, h * 0.62)])
    brush.cylinder(cap, product.accent, w)
    brush.cylinder(outline, product.main.base, w)
    brush.poly(rounded(1.2 * w, h * 0.1, 0.02, 0, -h * 0.45), product.accent)
    brush.small_print(0, -h * 0.2, w * 1.1, 3, h * 0.16, product.accent)


def _cup(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    if product.variant == 0:
        t = np.linspace(-0.5, 0.5, 8) * math.pi
        brush.line(np.stack([-w - 0.13 * np.cos(t), 0.13 * np.sin(t)], 1), 0.04, product.main.base, 0.04)
        brush.cylinder(rounded(2 * w, 2 * h, 0.07), product.main.base, w)
        brush.poly(oval(0, -h + 0.03, w * 0.97, 0.06), fabric.scaled(product.main.base, 0.5))
        brush.poly(oval(0, 0.05, w * 0.4, w * 0.4), product.accent)
        return
    if product.variant == 2:
        brush.line([(0.05, -h), (0.12, -h - 0.34)], 0.025, product.accent)
    brush.cylinder([(-w, -h * 0.8), (w, -h * 0.8), (w * 0.74, h), (-w * 0.74, h)], product.main.base, w)
    brush.cylinder(
        [(-w * 0.95, -h * 0.3), (w * 0.95, -h * 0.3), (w * 0.84, h * 0.45), (-w * 0.84, h * 0.45)],
        (178, 138, 98),
        w,
    )
    brush.cylinder(rounded(2.2 * w, h * 0.26, 0.04, 0, -h * 0.86), product.accent, w * 1.1)
    brush.poly(oval(0, h * 0.06, w * 0.34, w * 0.34), WHITE)


def _phone(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    case = GLASS_DARK if product.variant == 0 else product.main.base
    brush.poly(rounded(2 * w, 2 * h, 0.09), case, 0.03)
    if product.variant == 0:
        screen = fabric.gradient(product.accent, product.main.base, brush.frame.child(0, -h, 2 * h))
        brush.poly(rounded(1.86 * w, 1.9 * h, 0.07), screen)
        for x in (-0.5, 0.0, 0.5):
            for y in (0.25, 0.5, 0.75):
                brush.poly(rounded(w * 0.3, w * 0.3, 0.03, x * w * 1.1, y * h), WHITE, 0.0, 0.75)
        return
    brush.poly(rounded(w * 0.85, w * 0.85, 0.06, -w * 0.45, -h + w * 0.55), fabric.scaled(case, 0.8), 0.02)
    for x, y in ((-0.62, 0.38), (-0.28, 0.72), (-0.62, 0.72)):
        brush.poly(oval(x * w, -h + y * w, w * 0.15, w * 0.15), GLASS_DARK)
    brush.poly(oval(0, h * 0.1, w * 0.2, w * 0.2), product.accent)


def _lipstick(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    shade = fabric.hsv(0.97 + 0.04 * product.variant, 0.8, 0.75)
    brush.cylinder(
        [(-w * 0.6, -h * 0.75), (w * 0.6, -h), (w * 0.6, -h * 0.2), (-w * 0.6, -h * 0.2)], shade, w * 0.7
    )
    brush.cylinder(rounded(w * 1.6, h * 0.5, 0.01, 0, -h * 0.1), (220, 186, 112), w)
    brush.cylinder(rounded(2 * w, h * 0.95, 0.02, 0, h * 0.52), product.main.base, w)


def _book(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    brush.poly(rounded(2 * w, 2 * h, 0.02, 0.035, 0.03), (232, 226, 212))
    brush.poly(rounded(2 * w, 2 * h, 0.02), fabric.cloth(product.main, brush.frame, 0.0), 0.03)
    brush.poly([(-w, -h), (-w * 0.86, -h), (-w * 0.86, h), (-w, h)], fabric.scaled(product.main.base, 0.7))
    if product.variant == 0:
        brush.poly(rounded(w * 1.3, h * 0.5, 0.01, w * 0.07, -h * 0.45), product.accent)
        brush.small_print(w * 0.07, -h * 0.52, w * 0.9, 2, h * 0.16, product.main.base)
    else:
        brush.poly(oval(w * 0.07, h * 0.1, w * 0.5, w * 0.5), product.accent)
        brush.small_print(w * 0.07, -h * 0.7, w * 1.2, 2, h * 0.16, product.accent)


def _plush(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    fur = product.main.base
    pale = fabric.mix(fur, WHITE, 0.55)
    for s in (-1, 1):
        brush.poly(oval(s * w * 0.42, h * 0.78, w * 0.28, h * 0.24), fur, 0.09)
        brush.poly(oval(s * w * 0.44, h * 0.8, w * 0.15, h * 0.13), pale, 0.04)
        brush.poly(oval(s * w * 0.72, h * 0.2, w * 0.26, h * 0.17, s * 0.6), fur, 0.08)
        ear = oval(s * w * 0.46, -h * 0.82, w * 0.22, w * 0.22)
        if product.variant == 1:
            ear = oval(s * w * 0.28, -h * 1.0, w * 0.13, h * 0.34, s * 0.15)
        brush.poly(ear, fur, 0.06)
    brush.poly(oval(0, h * 0.36, w * 0.62, h * 0.56), fur, 0.22)
    brush.poly(oval(0, h * 0.42, w * 0.38, h * 0.36), pale, 0.1)
    brush.poly(oval(0, -h * 0.42, w * 0.66, h * 0.48), fur, 0.22)
    brush.poly(oval(0, -h * 0.26, w * 0.28, h * 0.17), pale, 0.06)
    brush.poly(oval(0, -h * 0.32, w * 0.09, h * 0.05), DARK)
    for s in (-1, 1):
        brush.poly(oval(s * w * 0.26, -h * 0.48, w * 0.065, w * 0.075), DARK)
        brush.poly(oval(s * w * 0.26 - 0.012, -h * 0.5, w * 0.02, w * 0.02), WHITE)
    if product.variant == 2:
        brush.poly(
            smooth(
                [
                    (-w * 0.3, -h * 0.02),
                    (0, h * 0.06),
                    (w * 0.3, -h * 0.02),
                    (w * 0.3, h * 0.14),
                    (0, h * 0.08),
                    (-w * 0.3, h * 0.14),
                ]
            ),
            product.accent,
            0.03,
        )


def _garment(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    brush.line(
        [(0, -h + 0.02), (0, -h - 0.06), (0.07, -h - 0.14), (0, -h - 0.2), (-0.07, -h - 0.14)], 0.022, STEEL
    )
    long = product.variant == 1
    sleeve = (
        [(w, -h * 0.45), (w * 0.78, -h * 0.2)] if not long else [(w * 0.98, h * 0.45), (w * 0.78, h * 0.5)]
    )
    waist = w * (0.5 if product.variant == 2 else 0.62)
    hem = w * (0.95 if product.variant == 2 else 0.66)
    half = [(w * 0.24, -h), (w * 0.66, -h * 0.86), *sleeve, (w * 0.62, -h * 0.42), (waist, h * 0.1), (hem, h)]
    outline = np.array(half + [(-x, y) for x, y in half[::-1]])
    brush.poly(outline, fabric.cloth(product.main, brush.frame, 0.16), 0.1)
    brush.poly(oval(0, -h, w * 0.24, h * 0.12), fabric.scaled(product.main.base, 0.5))
    if product.variant != 2:
        brush.poly(
            rounded(w * 0.4, h * 0.2, 0.02, w * 0.3, -h * 0.25), fabric.scaled(product.main.base, 0.85), 0.02
        )
    for y in np.linspace(-h * 0.6, h * 0.8, 5):
        brush.poly(oval(0, float(y), 0.025, 0.025), product.accent)


def _bouquet(brush: Brush, product: Product) -> None:
    w, h = product.width / 2, product.height / 2
    for k in range(11):
        angle = -math.pi / 2 + (k - 5) * 0.24
        tip = (math.cos(angle) * w * 1.08, -h * 0.3 + math.sin(angle) * h * 0.72)
        leaf = oval((tip[0]) * 0.86, tip[1] * 0.9, w * 0.2, w * 0.075, angle)
        brush.poly(leaf, (58 + 6 * (k % 4), 106 + 9 * (k % 3), 62), 0.03)
    paper = fabric.mix(product.accent, WHITE, 0.5)
    brush.poly(
        [(-w * 0.8, -h * 0.25), (w * 0.8, -h * 0.25), (w * 0.12, h * 0.5), (-w * 0.12, h * 0.5)], paper, 0.08
    )
    brush.poly(
        [(-w * 0.16, h * 0.4), (w * 0.16, h * 0.4), (w * 0.26, h), (-w * 0.26, h)],
        fabric.scaled(paper, 0.9),
        0.05,
    )
    brush.poly(
        [(-w * 0.8, -h * 0.25), (w * 0.1, h * 0.1), (w * 0.02, h * 0.5), (-w * 0.12, h * 0.5)],
        fabric.scaled(paper, 0.92),
        0.04,
    )
    petals = (product.main.base, fabric.mix(product.main.base, WHITE, 0.45), product.main.second)
    places = [
        (-0.6, -0.42),
        (0.58, -0.4),
        (-0.3, -0.7),
        (0.32, -0.68),
        (0, -0.42),
        (-0.32, -0.25),
        (0.34, -0.22),
        (0.02, -0.84),
    ]
    for k, (x, y) in enumerate(places):
        _flower(brush, x * w, y * h, w * (0.3 if k % 2 else 0.25), petals[k % 3], k * 0.5)


def _flower(brush: Brush, x: float, y: float, radius: float, colour: Colour, turn: float) -> None:
    t = np.linspace(0, 2 * math.pi, 30, endpoint=False)
    reach = radius * (0.84 + 0.16 * np.cos(5 * t + turn))
    brush.poly(np.stack([x + reach * np.cos(t), y + reach * np.sin(t)], 1), colour, radius * 0.6)
    brush.poly(oval(x, y, radius * 0.52, radius * 0.5), fabric.scaled(colour, 0.86), radius * 0.3)
    brush.poly(oval(x, y, radius * 0.2, radius * 0.2), fabric.scaled(colour, 0.68), radius * 0.12)


DRAWERS: dict[str, Callable[[Brush, Product], None]] = {
    "bag": _bag, "book": _book, "bottle": _bottle, "bouquet": _bouquet, "box": _box, "cup": _cup,
    "garment": _garment, "lipstick": _lipstick, "phone": _phone, "plush": _plush, "tube": _tube,
}  # fmt: skip
