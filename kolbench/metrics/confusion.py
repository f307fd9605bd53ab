"""Pixels by truth and prediction at a threshold, from the counts of `histogram.level_counts`.

"Foreground at threshold t" means level > 255 t, everywhere. No network, no pictures, no torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from kolbench.errors import ConfigError
from kolbench.metrics.counts import LEVELS, Counts
from kolbench.types import Float64Array, Int64Array


class Confusion(NamedTuple):
    """Pixels by truth and prediction, int64 arrays of one shape."""

    tp: Int64Array
    fp: Int64Array
    fn: Int64Array
    tn: Int64Array

    def pooled(self) -> "Confusion":
        """Summed over the last axis, the pictures."""
        return Confusion(*(part.sum(-1) for part in self))


@dataclass(frozen=True, eq=False)
class Thresholded:
    """Counts of N pictures, cut at T levels: what every score is computed from.

    counts: of the pictures. cutoffs: T levels from 0 to 255; what lies above one is predicted foreground.
    """

    counts: Counts
    cutoffs: tuple[int, ...]

    @cached_property
    def confusion(self) -> Confusion:
        """True and false positives and negatives of each picture at each cut-off, (T, N) int64 each."""
        return of_classes(self.counts.fg, self.counts.bg, self.cutoffs)

    def above(self, name: str) -> Int64Array:
        """(T, N) pixels that the counts of a name have above each cut-off."""
        return _above(self.counts[name], self.cutoffs)

    def values(self, name: str) -> Float64Array:
        """(T, N) values of a name, the same at each cut-off; NaN where they do not apply to a picture."""
        return np.tile(self.counts.values[name], (len(self.cutoffs), 1))


def at_thresholds(counts: Counts, thresholds: Sequence[float]) -> Thresholded:
    """The counts, cut at thresholds.

    Raises:
        ConfigError: a threshold is not between 0 and 1.
    """
    return Thresholded(counts, tuple(cutoff_level(threshold) for threshold in thresholds))


def cutoff_level(threshold: float) -> int:
    """The highest 8-bit level that is background at a threshold: foreground is level > 255 t.

    A product like 255 * 0.2 counts as the whole number that it is but for floating point.

    Raises:
        ConfigError: the threshold is not between 0 and 1.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold={threshold} is not between 0 and 1; 0.5 is the usual choice.")
    return math.floor((LEVELS - 1) * threshold + 1e-9)


def confusion(counts: Counts, threshold: float) -> Confusion:
    """(tp, fp, fn, tn) of each picture at a threshold, (N,) int64 each.

    Raises:
        ConfigError: the threshold is not between 0 and 1.
    """
    return Confusion(*(part[0] for part in at_thresholds(counts, [threshold]).confusion))


def of_classes(foreground: Int64Array, background: Int64Array, cutoffs: Sequence[int]) -> Confusion:
    """(T, N) int64 each, of (N, 256) counts of two classes: predicted is what lies above the cut-off."""
    tp, fp = _above(foreground, cutoffs), _above(background, cutoffs)
    return Confusion(tp, fp, foreground.sum(-1, dtype=np.int64) - tp, background.sum(-1, dtype=np.int64) - fp)


def _above(counts: Int64Array, cutoffs: Sequence[int]) -> Int64Array:
    """(T, N) pixels above each cut-off level."""
    up_to = np.cumsum(counts, axis=-1, dtype=np.int64)
    above: Int64Array = up_to[:, -1] - up_to.T[list(cutoffs)]
    return above
