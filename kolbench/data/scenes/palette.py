"""Picks colours for a clean plate, and outlines the rectangle most of it is made of."""

from collections.abc import Sequence

from kolbench.data.scenes import fabric
from kolbench.data.scenes.canvas import Colour, Shape
from kolbench.data.scenes.fabric import Random


class Palette:
    """Picks colours for a plate: any, or those that the people in front wear."""

    def __init__(self, random: Random, own: Sequence[Colour]) -> None:
        self.random = random
        self.own = list(own)

    def pick(self, saturation: float = 0.3, low: float = 0.5, high: float = 0.95) -> Colour:
        """Picks a colour no stronger than `saturation`, its value between `low` and `high`."""
        if self.own and self.random.random() < 0.8:
            colour = self.own[self.random.integers(len(self.own))]
            return fabric.mix(fabric.scaled(colour, self.random.uniform(0.88, 1.12)), (128, 124, 120), 0.1)
        warm = (
            0.09 + 0.1 * self.random.standard_normal() if self.random.random() < 0.6 else self.random.random()
        )
        return fabric.hsv(warm, self.random.uniform(0, saturation), self.random.uniform(low, high))


def quad(x: float, y: float, width: float, height: float) -> Shape:
    """Outlines the rectangle with its left upper corner at (x, y), in unit coordinates."""
    return Shape().polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
