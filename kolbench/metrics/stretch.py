"""What becomes of a picture's levels where a map is stretched before it is scored, as published tables do.

A stretch is a monotone map of the 256 levels, so a picture's histogram is enough for it. Scores of kolbench
stretch nothing unless their definition says so; the other ways are for comparison with published numbers.
"""

from typing import NamedTuple

import numpy as np

from kolbench.metrics.counts import LEVELS, Counts
from kolbench.types import Float64Array, Int64Array


class Bounds(NamedTuple):
    """The levels that become 0 and 1 in each of N pictures: (N,) int64 each, low < high."""

    low: Int64Array
    high: Int64Array

    @property
    def width(self) -> Int64Array:
        """(N,) levels between both."""
        return self.high - self.low

    def values(self) -> Float64Array:
        """(N, 256) what each level becomes; outside of [0, 1] where no pixel is.

        In PySODMetrics' order of steps, whose rounding decides on which side of a threshold a value lies.
        """
        scale = LEVELS - 1
        low, high = (bound[:, None] / scale for bound in self)
        values: Float64Array = (np.arange(LEVELS) / scale - low) / (high - low)
        return values


def unstretched(histogram: Int64Array) -> Bounds:
    """(N, 256) pixels at each level -> level 0 stays 0 and level 255 stays 1."""
    low = np.zeros(len(histogram), np.int64)
    return Bounds(low, low + LEVELS - 1)


def min_max(histogram: Int64Array) -> Bounds:
    """(N, 256) -> the lowest level becomes 0, the highest 1 [PySODMetrics]; constant maps stay."""
    return _unless_flat(histogram, (histogram > 0).argmax(-1))


def by_maximum(histogram: Int64Array) -> Bounds:
    """(N, 256) -> 0 stays, the highest level becomes 1 [sal_eval_toolbox]; maps of zeros stay."""
    return _unless_flat(histogram, np.zeros(len(histogram), np.int64))


def requantised(counts: Counts, bounds: Bounds) -> Counts:
    """The counts fg and bg of the stretched maps at the levels floor(255 value), the others left out."""
    moved = np.clip(np.floor(bounds.values() * (LEVELS - 1)), 0, LEVELS - 1).astype(np.int64)
    places = (moved + np.arange(len(moved))[:, None] * LEVELS).ravel()
    fg, bg = (
        np.bincount(places, plane.ravel(), moved.size).astype(np.int64).reshape(moved.shape)
        for plane in (counts.fg, counts.bg)
    )
    return Counts(fg, bg, np.zeros_like(fg))


def _unless_flat(histogram: Int64Array, low: Int64Array) -> Bounds:
    high = LEVELS - 1 - (histogram[:, ::-1] > 0).argmax(-1)
    # without any pixel the highest level reads 255
    flat = (high == low) | (histogram.sum(-1) == 0)
    return Bounds(np.where(flat, 0, low), np.where(flat, LEVELS - 1, high))
