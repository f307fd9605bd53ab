"""Measures of salient object detection that follow from the counts of foreground and background alone.

As PySODMetrics 1.6.2 (lartpang) computes them: a map is cut at each of 256 thresholds, foreground is
level >= 0, 1 ... 255, or at a threshold of its own. Which stretch comes before is the caller's choice.
"""

from collections.abc import Callable

import numpy as np

from kolbench.metrics.confusion import Confusion
from kolbench.metrics.counts import Counts
from kolbench.metrics.formulas import ratio
from kolbench.metrics.stretch import Bounds, unstretched
from kolbench.types import Float64Array, Int64Array

# pixels of pictures, at one threshold or several -> its value for each
Measure = Callable[[Confusion], Float64Array]

# of the field's F since Achanta et al. (CVPR 2009): beta squared
BETA2 = 0.3
# what keeps the field's quotients finite: the distance from 1 to the next double
EPS = float(np.spacing(1.0))


def at_every_level(counts: Counts) -> Confusion:
    """(256, N) int64 each: row t predicts what has level >= t."""
    tp, fp = _at_least(counts.fg), _at_least(counts.bg)
    return Confusion(tp, fp, tp[0] - tp, fp[0] - fp)


def adaptive(counts: Counts, bounds: Bounds) -> Confusion:
    """(N,) int64 each: predicted is value >= min(2 mean value, 1), reckoned in whole numbers."""
    levels = np.arange(counts.fg.shape[-1], dtype=np.int64)
    histogram = counts.fg + counts.bg
    pixels = histogram.sum(-1)
    excess = histogram @ levels - pixels * bounds.low
    wanted = np.minimum(2 * excess, pixels * bounds.width)
    predicted = (levels - bounds.low[:, None]) * pixels[:, None] >= wanted[:, None]
    tp, fp = ((plane * predicted).sum(-1) for plane in (counts.fg, counts.bg))
    return Confusion(tp, fp, counts.fg.sum(-1) - tp, counts.bg.sum(-1) - fp)


def mean_over_levels(measure: Measure, counts: Counts) -> Float64Array:
    """(N,) mean of a measure over the 256 thresholds."""
    values: Float64Array = measure(at_every_level(counts)).mean(0)
    return values


def at_own_threshold(measure: Measure, counts: Counts) -> Float64Array:
    """(N,) a measure at each picture's adaptive threshold, alpha as it is."""
    return measure(adaptive(counts, unstretched(counts.fg)))


def highest_mean(measure: Measure, counts: Counts) -> float:
    """The mean of a measure over pictures at that of the 256 thresholds where it is highest."""
    return float(measure(at_every_level(counts)).mean(-1).max())


def precision(c: Confusion) -> Float64Array:
    """TP / (TP + FP); 0 where nothing is predicted."""
    return ratio(c.tp, c.tp + c.fp, if_none=0.0)


def recall(c: Confusion) -> Float64Array:
    """TP / (TP + FN); 0 where the truth is empty."""
    return ratio(c.tp, c.tp + c.fn, if_none=0.0)


def f_measure(c: Confusion) -> Float64Array:
    """F with beta squared 0.3 in counts; 0 where nothing is hit, an empty truth included."""
    return ratio((1 + BETA2) * c.tp, (1 + BETA2) * c.tp + BETA2 * c.fn + c.fp, if_none=0.0)


def f_of_means(c: Confusion) -> Float64Array:
    """(T, N) -> (T,) F with beta squared 0.3 of the mean precision and the mean recall over pictures."""
    p, r = precision(c).mean(-1), recall(c).mean(-1)
    return ratio((1 + BETA2) * p * r, BETA2 * p + r, if_none=0.0)


def e_measure(c: Confusion) -> Float64Array:
    """Enhanced-alignment measure of binary maps (Fan et al., IJCAI 2018), from counts of any one shape.

    Both maps less their mean, p and g, align by phi = 2 p g / (p^2 + g^2 + eps) in each pixel; E is the sum
    of (phi + 1)^2 / 4 over N - 1, N the pixels. So a perfect map has N / (N - 1), a little above 1. Of an
    empty truth it is the pixels left alone over N - 1, of a full one those found over N - 1.
    """
    pixels = np.asarray(c.tp + c.fp + c.fn + c.tn)
    predicted, true = np.asarray(c.tp + c.fp), np.asarray(c.tp + c.fn)
    p, g = (ratio(part, pixels, if_none=0.0) for part in (predicted, true))
    aligned = (
        c.tp * _alignment(1 - p, 1 - g)
        + c.fp * _alignment(1 - p, -g)
        + c.fn * _alignment(-p, 1 - g)
        + c.tn * _alignment(-p, -g)
    )
    total = np.where(true == 0, pixels - predicted, np.where(true == pixels, predicted, aligned))
    return np.asarray(total / np.maximum(pixels - 1, 1), np.float64)


def mean_absolute_error(counts: Counts, bounds: Bounds) -> Float64Array:
    """(N,) mean |value - mask|; 0 where there is no pixel."""
    values = bounds.values()
    distance = (counts.fg * (1 - values) + counts.bg * values).sum(-1)
    return ratio(distance, (counts.fg + counts.bg).sum(-1), if_none=0.0)


def _at_least(histogram: Int64Array) -> Int64Array:
    """(256, N) pixels at or above each level."""
    reached: Int64Array = histogram[:, ::-1].cumsum(-1, dtype=np.int64)[:, ::-1].T
    return reached


def _alignment(p: Float64Array, g: Float64Array) -> Float64Array:
    """(phi + 1)^2 / 4 of pixels that lie p and g from the means."""
    return (2 * p * g / (p * p + g * g + EPS) + 1) ** 2 / 4
