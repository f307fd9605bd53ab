"""Draws the products that are shown: kind, size in head heights, colours, and where hands grip them."""

from dataclasses import dataclass
from typing import NamedTuple

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Colour
from kolbench.data.scenes.fabric import Fabric, Random

WHITE: Colour = (244.0, 242.0, 238.0)
DARK: Colour = (38.0, 36.0, 40.0)

# kind: least and greatest width, least and greatest height per width
SIZES: dict[str, tuple[float, float, float, float]] = {
    "bag": (0.95, 1.4, 0.68, 0.85),
    "book": (0.72, 0.95, 1.28, 1.4),
    "bottle": (0.28, 0.36, 2.7, 3.4),
    "bouquet": (0.85, 1.15, 1.25, 1.45),
    "box": (0.6, 1.45, 0.6, 0.95),
    "cup": (0.42, 0.52, 1.15, 1.5),
    "garment": (1.3, 1.7, 1.15, 1.4),
    "lipstick": (0.15, 0.19, 3.3, 3.9),
    "phone": (0.42, 0.5, 1.95, 2.1),
    "plush": (0.85, 1.25, 1.2, 1.3),
    "tube": (0.28, 0.36, 2.3, 2.7),
}
KINDS = tuple(SIZES)


class Grip(NamedTuple):
    """Where the hand on the right of the picture touches; the left one is its mirror.

    angle: radians by which the fingers, which point inwards, are raised.
    kind: fingers (wrapped around the front), thumb (in front, fingers behind), fist (over a handle).
    """

    x: float
    y: float
    angle: float
    kind: str


@dataclass(frozen=True)
class Product:
    """A product. width, height: in head heights; grip for one hand, both_grip for each of two."""

    kind: str
    width: float
    height: float
    main: Fabric
    accent: Colour
    variant: int
    grip: Grip
    both_grip: Grip


def sample_product(random: Random, kind: str) -> Product:
    """Draws a product of a kind in any size, colours and variant."""
    least, most, flat, tall = SIZES[kind]
    width = random.uniform(least, most)
    height = width * random.uniform(flat, tall)
    colour = fabric.hsv(random.random(), random.uniform(0.35, 0.85), random.uniform(0.5, 0.97))
    if kind == "plush":
        colour = fabric.mix(colour, (214, 176, 128), float(random.choice((0.2, 0.85))))
    main = fabric.sample_fabric(random, colour if random.random() < 0.75 else None)
    accent = fabric.cloth_colour(random)
    if abs(sum(accent) - sum(main.base)) < 90:
        accent = WHITE if sum(main.base) < 420 else DARK
    raised = random.uniform(0.2, 0.7)
    single = _one_hand(kind, width, height, raised, random)
    edge = width * (0.42 if kind == "plush" else 0.5)
    pair = Grip(edge, height * random.uniform(0.0, 0.25), raised, single.kind)
    return Product(kind, width, height, main, accent, int(random.integers(3)), single, pair)


def _one_hand(kind: str, width: float, height: float, raised: float, random: Random) -> Grip:
    if kind == "bag":
        return Grip(0.0, -height / 2 - 0.36, 0.2, "fist")
    if kind == "garment":
        return Grip(0.0, -height / 2 - 0.02, 0.2, "fist")
    if kind in ("book", "box"):
        return Grip(width / 2, height * 0.22, raised, "thumb")
    if kind == "phone":
        return Grip(width / 2, height * 0.2, raised, str(random.choice(("thumb", "fingers"))))
    if kind in ("lipstick", "bouquet"):
        return Grip(0.09, height * 0.36, raised * 0.6, "fingers")
    if kind == "plush":
        return Grip(width * 0.38, height * 0.2, raised, "fingers")
    return Grip(width / 2, height * 0.15, raised * 0.8, "fingers")
