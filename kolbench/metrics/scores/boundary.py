"""Boundary IoU (Cheng et al., CVPR 2021): the IoU of the bands inside the edges of truth and prediction.

Eroding a thresholded alpha is thresholding the eroded alpha, as both take minima. So with e the eroded alpha,
the band of the prediction at threshold t is where e <= t < alpha, and three histograms give it at every t.
"""

from __future__ import annotations  # so that reading run folders needs no torch

import math
from typing import TYPE_CHECKING

from kolbench.metrics.confusion import Thresholded
from kolbench.metrics.counts import LEVELS
from kolbench.metrics.formulas import ratio
from kolbench.metrics.score import ExtraCounts, Score, register
from kolbench.metrics.wording import EMPTY, PICTURES
from kolbench.types import Float64Array

if TYPE_CHECKING:
    from torch import Tensor

# the band's width as a share of the picture's diagonal
SHARE = 0.02
# alpha in the band of the truth; eroded alpha everywhere; eroded alpha in the band of the truth
NAMES = ("boundary_band", "boundary_eroded", "boundary_eroded_band")


def width_of(height: int, width: int) -> int:
    """The band's width in pixels, at least 1; halves are rounded to even."""
    return max(1, round(SHARE * math.hypot(height, width)))


def count(levels: Tensor, mask: Tensor) -> Tensor:
    """(3, 256) int64 histograms in the order of `NAMES`, of levels (H, W) uint8 and mask (H, W) bool."""
    pixels = width_of(*levels.shape)
    eroded = erode(levels, pixels)
    band = mask & (erode(mask.byte(), pixels) == 0)
    outside, inside = _split(eroded, band)
    counts: Tensor = outside.new_zeros(len(NAMES), LEVELS)
    counts[0] = _split(levels, band)[1]
    counts[1] = outside + inside
    counts[2] = inside
    return counts


def _split(levels: Tensor, region: Tensor) -> Tensor:
    """(2, 256) int64 counts outside and inside a region, which is faster than picking its pixels."""
    codes = levels.short().add_(region, alpha=LEVELS)
    counts: Tensor = codes.flatten().bincount(minlength=2 * LEVELS).view(2, LEVELS)
    return counts


def erode(plane: Tensor, pixels: int) -> Tensor:
    """Minimum over the square of 2 pixels + 1 around each of (H, W); around the picture there are zeros."""
    height, width = plane.shape
    padded = plane.new_zeros(height + 2 * pixels, width + 2 * pixels)
    padded[pixels : pixels + height, pixels : pixels + width] = plane
    return minimum_along(minimum_along(padded, 0, 2 * pixels + 1), 1, 2 * pixels + 1)


def minimum_along(plane: Tensor, axis: int, window: int) -> Tensor:
    """Minimum over each window along an axis, by doubling what is covered: log2(window) passes."""
    covered = 1
    while covered < window:
        step = min(covered, window - covered)
        length = plane.shape[axis] - step
        plane = plane.narrow(axis, 0, length).minimum(plane.narrow(axis, step, length))
        covered += step
    return plane


def _per_image(at: Thresholded) -> Float64Array:
    c = at.confusion
    predicted = c.tp + c.fp - at.above("boundary_eroded")
    both = at.above("boundary_band") - at.above("boundary_eroded_band")
    return ratio(both, predicted + at.counts["boundary_band"].sum(-1) - both)


register(
    Score(
        "boundary_iou",
        "IoU of the bands along the inner edges of ground truth and prediction, "
        f"{SHARE:.0%} of the image's diagonal wide, {PICTURES}; {EMPTY}",
        per_image=_per_image,
        shown=True,
        extra=ExtraCounts(NAMES, count),
        family="boundary",
        by_default=True,
    )
)
