"""Weighted F (Margolin et al., CVPR 2014): errors count by their distance from the foreground."""

import math

import cv2
import numpy as np

from kolbench.metrics.counts import LEVELS
from kolbench.metrics.parity import agreement
from kolbench.metrics.saliency import EPS
from kolbench.metrics.score import ExtraValues, Score, of_value, register
from kolbench.metrics.stretch import min_max
from kolbench.metrics.wording import PICTURES
from kolbench.types import Float64Array, UInt8Array

NAME = "weighted_f"
# of the filter that spreads errors, and pixels after which a false alarm counts for half as much more
_WINDOW, _SIGMA, _HALF = 7, 5.0, 5.0


def weighted_f(levels: UInt8Array, truth: UInt8Array, minmax: bool = False) -> float:
    """Weighted F with beta 1, as the authors' MATLAB code and pysodmetrics have it.

    Args:
        levels: (H, W) uint8, the alpha.
        truth: (H, W) uint8; foreground is what lies above 127.
        minmax: whether the alpha is stretched to its extremes first, as tables on salient objects do; one
            that is constant stays as it is.

    Returns:
        In [0, 1]; 0 where the truth is empty.
    """
    from scipy import ndimage

    foreground = truth > 127
    if not foreground.any():
        return 0.0
    alpha = _stretched(levels) if minmax else levels / 255
    distance, (rows, columns) = ndimage.distance_transform_edt(~foreground, return_indices=True)
    error = np.abs(alpha - foreground)
    # what is missed may be made up for by what is found beside it
    spread = _blurred(error[rows, columns])
    weighted = np.where(foreground, np.minimum(error, spread), error * (2 - 0.5 ** (distance / _HALF)))
    missed, false = weighted[foreground], weighted[~foreground]
    found = foreground.sum() - missed.sum()
    recall = 1 - missed.mean()
    precision = found / (found + false.sum() + EPS)
    return float(2 * recall * precision / (recall + precision + EPS))


def _stretched(levels: UInt8Array) -> Float64Array:
    histogram = np.bincount(levels.ravel(), minlength=LEVELS)[None]
    return np.asarray(min_max(histogram).values()[0][levels], np.float64)


def _blurred(error: Float64Array) -> Float64Array:
    """By a Gaussian of 7 x 7 that sums to 1; outside of the picture there are zeros."""
    at = np.arange(_WINDOW) - _WINDOW // 2
    kernel = np.exp(-(at**2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    blurred = cv2.sepFilter2D(error, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, np.float64)


def values(levels: UInt8Array, truth: UInt8Array) -> tuple[float, ...]:
    """Of the alpha as it is, which is not stretched."""
    value = weighted_f(levels, truth)
    return (value if math.isfinite(value) else 0.0,)


register(
    Score(
        NAME,
        "weighted F (Margolin et al. 2014, beta = 1) of alpha at 8 bits as it is, not stretched, against the "
        f"binary mask, {PICTURES}; 0 where the ground truth is empty{agreement(NAME)}",
        per_image=of_value(NAME),
        depends_on_threshold=False,
        values=ExtraValues((NAME,), values),
        family="saliency",
    )
)
