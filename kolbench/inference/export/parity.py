"""Does an exported file give the same alphas? Compared on pictures with people in them, never on noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from kolbench.data.scenes.scene import make_scene
from kolbench.segmenter import Clip, Segmenter
from kolbench.types import Float32Array, JsonObject, UInt8Array

BOUND = 1e-3
# height and width; odd sides, both aspects, smaller and larger than usual input sizes
SIZES = ((256, 256), (270, 481), (333, 251))
SCENE_SEED = 20
SCENE_SIDE = 384


@dataclass(frozen=True)
class Difference:
    """Of two alphas of one picture: the largest and the mean absolute difference of a pixel.

    picture: height and width. low, high: range of the first alpha; a network that says the same everywhere
    proves little.
    """

    picture: tuple[int, int]
    max: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Parity:
    """Differences of all pictures."""

    differences: tuple[Difference, ...]

    @property
    def max(self) -> float:
        """The largest of all."""
        return max(difference.max for difference in self.differences)

    @property
    def mean(self) -> float:
        """The mean over pictures of their means."""
        return float(np.mean([difference.mean for difference in self.differences]))

    @property
    def holds(self) -> bool:
        """Whether no pixel differs by more than BOUND."""
        return self.max <= BOUND

    def as_values(self) -> JsonObject:
        """For a sidecar."""
        return {
            "bound": BOUND,
            "max": self.max,
            "mean": self.mean,
            "pictures": [{**vars(d), "picture": list(d.picture)} for d in self.differences],
        }


def in_words(values: Mapping[str, Any]) -> str:
    """`Parity.as_values` as a sentence without its end."""
    pictures = values["pictures"]
    low, high = min(row["low"] for row in pictures), max(row["high"] for row in pictures)
    bound = "" if values["bound"] is None else f" (bound {values['bound']:.0e})"
    return (
        f"{len(pictures)} images, alphas from {low:.3f} to {high:.3f}, largest difference "
        f"{values['max']:.1e}, mean {values['mean']:.1e}{bound}"
    )


def compare(reference: Segmenter, other: Segmenter, pictures: Sequence[UInt8Array]) -> tuple[Difference, ...]:
    """Alphas of both, picture by picture."""
    return tuple(_difference(reference, other, picture) for picture in pictures)


def alpha_of(segmenter: Segmenter, picture: UInt8Array) -> Float32Array:
    """The alpha of a picture; of a stateful method that of a second frame, which the first has a part in."""
    if not segmenter.stateful:
        return segmenter.segment(picture)
    clip = Clip(segmenter)
    clip.segment(picture)
    return clip.segment(picture)


def _difference(reference: Segmenter, other: Segmenter, picture: UInt8Array) -> Difference:
    expected, found = alpha_of(reference, picture), alpha_of(other, picture)
    gap = np.abs(expected.astype(np.float64) - found)
    return Difference(
        (picture.shape[0], picture.shape[1]),
        # a comparison with NaN must fail
        float(gap.max()) if np.isfinite(gap).all() else float("inf"),
        float(gap.mean()),
        float(expected.min()),
        float(expected.max()),
    )


def picture_of(index: int, height: int, width: int) -> UInt8Array:
    """Scene `index` with people in it, (height, width, 3) uint8: its middle, enlarged where it must be."""
    scene = make_scene(SCENE_SEED, index, SCENE_SIDE).image
    scale = max(height, width) / SCENE_SIDE
    rows, columns = (min(SCENE_SIDE, round(side / scale)) for side in (height, width))
    top, left = (SCENE_SIDE - rows) // 2, (SCENE_SIDE - columns) // 2
    part = scene[top : top + rows, left : left + columns]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def pictures() -> list[UInt8Array]:
    """One of each of SIZES."""
    return [picture_of(index, *size) for index, size in enumerate(SIZES)]
