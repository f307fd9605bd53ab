"""How many pictures were scored, and how many of them by the rule for empty masks."""

import numpy as np

from kolbench.metrics.confusion import Thresholded
from kolbench.metrics.score import Score, register
from kolbench.types import Float64Array


def _images(at: Thresholded) -> Float64Array:
    return np.full(len(at.cutoffs), float(len(at.counts)))


def _both_empty(at: Thresholded) -> Float64Array:
    c = at.confusion
    both: Float64Array = np.sum(c.tp + c.fp + c.fn == 0, axis=-1, dtype=np.float64)
    return both


def _both_full(at: Thresholded) -> Float64Array:
    c = at.confusion
    both: Float64Array = np.sum(c.tn + c.fp + c.fn == 0, axis=-1, dtype=np.float64)
    return both


register(Score("images", "number of images scored", pooled=_images, depends_on_threshold=False))
register(
    Score(
        "both_empty",
        "images with ground truth and prediction both empty: their foreground scores are 1 by rule",
        pooled=_both_empty,
    )
)
register(
    Score(
        "both_full",
        "images with ground truth and prediction both filling the frame: their background IoU is 1 by rule",
        pooled=_both_full,
    )
)
