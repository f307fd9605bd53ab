"""S-measure (Fan et al., ICCV 2017): how alike alpha and truth are as objects and in four quarters.

All it needs of a quarter, sums of alpha, of its square and of its product with the binary truth, follows
from two histograms, one of the truth's foreground and one of its background.
"""

import numpy as np

from kolbench.metrics.formulas import ratio
from kolbench.metrics.saliency import EPS
from kolbench.metrics.stretch import Bounds
from kolbench.types import Float64Array, Int64Array


def s_measure(quarters: Int64Array, bounds: Bounds) -> Float64Array:
    """(N,) half object, half region similarity, at least 0, as PySODMetrics 1.6.2 has it with alpha 0.5.

    Mean alpha where the truth is full, 1 - mean alpha where it is empty.

    Args:
        quarters: (N, 4, 2, 256) pixels at each level: four quarters of a picture, background before
            foreground. The quarters meet at the rounded centre of the true foreground; any may be empty.
        bounds: the levels that count as 0 and 1.
    """
    classes = quarters.sum(1)
    background, foreground = classes.sum(-1).T
    mean = _mean(classes.sum(1), bounds)
    mixed = np.maximum(0, (_object(classes, bounds) + _region(quarters, bounds)) / 2)
    return np.where(foreground == 0, 1 - mean, np.where(background == 0, mean, mixed))


def _object(classes: Int64Array, bounds: Bounds) -> Float64Array:
    """(N, 2, 256) -> (N,) similarity of alpha inside and of 1 - alpha outside, weighted by their pixels."""
    share = ratio(classes[:, 1].sum(-1), classes.sum((1, 2)), if_none=0.0)
    outside, inside = 1 - _mean(classes[:, 0], bounds), _mean(classes[:, 1], bounds)
    spread = [np.sqrt(_variance(classes[:, side], bounds)) for side in (0, 1)]
    return share * _evenness(inside, spread[1]) + (1 - share) * _evenness(outside, spread[0])


def _evenness(mean: Float64Array, deviation: Float64Array) -> Float64Array:
    """1 where a region is 1 all over."""
    return 2 * mean / (mean * mean + 1 + deviation + EPS)


def _region(quarters: Int64Array, bounds: Bounds) -> Float64Array:
    """(N, 4, 2, 256) -> (N,) structural similarity of the quarters, weighted by their pixels."""
    pixels = quarters.sum((2, 3))
    weights = pixels / np.maximum(pixels.sum(-1, keepdims=True), 1)
    return sum(
        (weights[:, place] * _similarity(quarters[:, place], bounds) for place in range(quarters.shape[1])),
        np.zeros(len(quarters)),
    )


def _similarity(quarter: Int64Array, bounds: Bounds) -> Float64Array:
    """(N, 2, 256) -> (N,) the paper's SSIM of one quarter; 1 where its formula is 0 / 0."""
    levels = np.arange(quarter.shape[-1], dtype=np.int64)
    off, on = quarter.sum(-1).T
    pixels = off + on
    between = np.maximum(pixels - 1, 1)
    x, y = _mean(quarter.sum(1), bounds), ratio(on, pixels, if_none=0.0)
    x_spread = _variance(quarter.sum(1), bounds)
    y_spread = ratio(on * off, pixels * between)
    # whole numbers before the quotient, so that an even quarter has a covariance of exactly 0
    shared = (quarter[:, 1] @ levels) * pixels - (quarter.sum(1) @ levels) * on
    covariance = ratio(shared, pixels * between) / bounds.width
    likeness = 4 * x * y * covariance
    largest = (x * x + y * y) * (x_spread + y_spread)
    return np.where(likeness != 0, likeness / (largest + EPS), largest == 0)


def _mean(histogram: Int64Array, bounds: Bounds) -> Float64Array:
    """(N, 256) -> (N,) mean value; 0 without a pixel."""
    levels = np.arange(histogram.shape[-1], dtype=np.int64)
    pixels = histogram.sum(-1)
    return ratio(histogram @ levels - pixels * bounds.low, pixels * bounds.width, if_none=0.0)


def _variance(histogram: Int64Array, bounds: Bounds) -> Float64Array:
    """(N, 256) -> (N,) sample variance of the values; 0 of a single pixel, and exactly 0 of equal ones."""
    levels = np.arange(histogram.shape[-1], dtype=np.int64)
    pixels = histogram.sum(-1)
    deviation = levels - ratio(histogram @ levels, pixels, if_none=0.0)[:, None]
    squares = (histogram * deviation * deviation).sum(-1)
    return np.asarray(squares / np.maximum(pixels - 1, 1) / bounds.width**2, np.float64)
