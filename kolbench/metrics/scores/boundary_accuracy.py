"""mBA (Cheng et al., CascadePSP, CVPR 2020): the share of pixels that are right along the truth's edge.

The edge at a radius is where a disk of that radius meets both foreground and background of the truth. It
depends on the truth alone, so two histograms of each radius give the score at every threshold.
"""

from __future__ import annotations  # so that reading run folders needs no torch

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kolbench.metrics.confusion import Thresholded, of_classes
from kolbench.metrics.counts import LEVELS
from kolbench.metrics.formulas import accuracy
from kolbench.metrics.score import ExtraCounts, Score, register
from kolbench.metrics.scores.boundary import minimum_along
from kolbench.types import Float64Array

if TYPE_CHECKING:
    from torch import Tensor

RADII = 5
# of each radius background before foreground
NAMES = tuple(f"edge{place}_{side}" for place in range(RADII) for side in ("bg", "fg"))


def radii_of(height: int, width: int) -> tuple[int, ...]:
    """The five radii in pixels, rising, some alike in small pictures: 1 + int((most - 1) / 5 i)."""
    most = (height + width) / 300
    return tuple(1 + int((most - 1) / RADII * place) for place in range(RADII))


def count(levels: Tensor, mask: Tensor) -> Tensor:
    """(10, 256) int64 histograms in the order of `NAMES`, of levels (H, W) uint8 and mask (H, W) bool."""
    radii = radii_of(*levels.shape)
    # the disks lie in each other, so a pixel is counted once, by how many edges it is in
    edges = mask.new_zeros(mask.shape).byte()
    for radius in dict.fromkeys(radii):
        edges += edge(mask, radius).byte() * radii.count(radius)
    codes = levels.short().add_(mask, alpha=LEVELS).add_(edges, alpha=2 * LEVELS)
    counted = codes.flatten().bincount(minlength=(RADII + 1) * 2 * LEVELS).view(RADII + 1, 2, LEVELS)
    inside: Tensor = counted[1:].flip(0).cumsum(0)
    return inside.reshape(len(NAMES), LEVELS)


def edge(mask: Tensor, radius: int) -> Tensor:
    """(H, W) bool, where a disk meets foreground and background of (H, W) bool; nothing lies outside."""
    return ~(_all_in_disk(mask, radius) | _all_in_disk(~mask, radius))


def _all_in_disk(mask: Tensor, radius: int) -> Tensor:
    """Where all pixels of OpenCV's ellipse of 2 radius + 1 are set, row pair by row pair of the ellipse."""
    height, width = mask.shape
    padded = mask.new_ones(height + 2 * radius, width + 2 * radius).byte()
    padded[radius : radius + height, radius : radius + width] = mask
    found = mask.byte()
    for offset in range(radius + 1):
        half = round(math.sqrt(radius * radius - offset * offset))
        columns = padded.narrow(1, radius - half, width + 2 * half)
        row_all = minimum_along(columns, 1, 2 * half + 1)
        for start in (radius - offset, radius + offset):
            found = found.minimum(row_all.narrow(0, start, height))
    return found.bool()


def _per_image(at: Thresholded) -> Float64Array:
    """(T, N), NaN where a truth has no edge."""
    sides = [(at.counts[NAMES[2 * place]], at.counts[NAMES[2 * place + 1]]) for place in range(RADII)]
    shares = [accuracy(of_classes(fg, bg, at.cutoffs)) for bg, fg in sides]
    return np.where(_has_edge(at), np.mean(shares, axis=0), np.nan)


def _has_edge(at: Thresholded) -> npt.NDArray[np.bool_]:
    """(N,) whether the truth has foreground and background."""
    bg, fg = (at.counts[name].sum(-1) for name in NAMES[:2])
    found: npt.NDArray[np.bool_] = bg + fg > 0
    return found


def _images(at: Thresholded) -> Float64Array:
    return np.full(len(at.cutoffs), float(_has_edge(at).sum()))


_COUNTS = ExtraCounts(NAMES, count)

register(
    Score(
        "mba",
        "mean boundary accuracy of CascadePSP: the share of pixels classified correctly where a disk meets "
        "foreground and background of the ground truth, mean over five radii from 1 pixel to four fifths of "
        "(height + width) / 300, averaged over the images whose ground truth has both; absent where none "
        "has",
        per_image=_per_image,
        extra=_COUNTS,
        family="boundary",
    )
)
register(
    Score(
        "mba_images",
        "number of images whose ground truth has foreground and background",
        pooled=_images,
        extra=_COUNTS,
        depends_on_threshold=False,
        family="boundary",
    )
)
