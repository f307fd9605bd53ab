"""The formulas that trainings and tables share: arrays in, arrays of one shape out, never NaN but where said.

c is a `Confusion` of arrays of any shape S; what is 0 / 0 has the value that `DEFINITIONS` of
`kolbench.metrics.scores` states.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kolbench.metrics.confusion import Confusion, Thresholded, of_classes
from kolbench.metrics.counts import LEVELS, Counts
from kolbench.types import Float64Array


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any], if_none: npt.ArrayLike = 1.0) -> Float64Array:
    """part / whole, and `if_none` where the whole is nothing."""
    result = np.array(np.broadcast_to(if_none, whole.shape), np.float64)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def iou(c: Confusion) -> Float64Array:
    """Foreground intersection over union; 1 where the union is empty."""
    return ratio(c.tp, c.tp + c.fp + c.fn)


def miou(c: Confusion) -> Float64Array:
    """Mean of foreground and background IoU; 1 for a class that is empty in truth and prediction."""
    return (iou(c) + ratio(c.tn, c.tn + c.fp + c.fn)) / 2


def accuracy(c: Confusion) -> Float64Array:
    """Share of pixels classified correctly."""
    return ratio(c.tp + c.tn, c.tp + c.tn + c.fp + c.fn)


def precision(c: Confusion) -> Float64Array:
    """TP / (TP + FP); where nothing is predicted 1 if the truth is empty, else 0."""
    return ratio(c.tp, c.tp + c.fp, if_none=c.fn == 0)


def recall(c: Confusion) -> Float64Array:
    """TP / (TP + FN); where the truth is empty 1 if nothing is predicted, else 0."""
    return ratio(c.tp, c.tp + c.fn, if_none=c.fp == 0)


def f_measure(c: Confusion, beta2: float) -> Float64Array:
    """(1 + beta2) P R / (beta2 P + R) in counts, which stay defined where P or R is not.

    `beta2` is beta squared.
    """
    hits = (1 + beta2) * c.tp
    return ratio(hits, hits + beta2 * c.fn + c.fp)


def mean_absolute_error(counts: Counts) -> Float64Array:
    """(N,) mean |alpha - mask|, a ratio of whole numbers; 0 where no pixel counts."""
    levels = np.arange(LEVELS, dtype=np.int64)
    distance = counts.fg @ levels[::-1] + counts.bg @ levels
    return ratio(distance, (LEVELS - 1) * (counts.fg + counts.bg).sum(-1), if_none=0.0)


def product_recall(at: Thresholded) -> Float64Array:
    """(T, N) share of the held product's pixels that is found; NaN where a picture has no product."""
    found = of_product(at)
    return ratio(found.tp, found.tp + found.fn, if_none=np.nan)


def of_product(at: Thresholded) -> Confusion:
    """(T, N) pixels inside the product mask: all are true foreground, as a product is part of the mask."""
    product = at.counts.product
    return of_classes(product, np.zeros_like(product), at.cutoffs)


def mean_over_pictures(values: Float64Array) -> Float64Array | None:
    """(T, N) -> (T,) means over the pictures whose value is not NaN; None where there is no such picture."""
    applies = ~np.isnan(values).any(0)
    if not applies.any():
        return None
    means: Float64Array = (values if applies.all() else np.ascontiguousarray(values[:, applies])).mean(-1)
    return means
