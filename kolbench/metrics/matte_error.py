"""Errors of alphas against true alphas, as papers on matting print them, whole or inside a region.

Alphas are (H, W) float64 in [0, 1], or their levels, uint8; a region is (H, W) bool, and None means all
pixels. Gradient and connectivity error are of Rhemann et al. (CVPR 2009), in the form of the evaluation code
of P3M (Li et al., ACM Multimedia 2021) and of Robust Video Matting (Lin et al., WACV 2022).
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.metrics.counts import LEVELS
from kolbench.types import Float64Array, Int64Array, UInt8Array

Region = npt.NDArray[np.bool_] | None

BAND_PX = 10
SIGMA = 1.4
# of the connectivity error
STEPS, SLACK = 10, 0.15
_WHITE = LEVELS - 1
# half the length of both derivative filters
_RADIUS_P3M, _RADIUS_RVM = 6, 4


def transition(truth: UInt8Array) -> npt.NDArray[np.bool_]:
    """(H, W) bool: dilate(alpha > 0) less erode(alpha = 1), by an ellipse of `BAND_PX`; no edge at the frame.

    Everywhere else the alpha of `truth`, (H, W) uint8, is exactly 0 or 1.
    """
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BAND_PX, BAND_PX))
    reached = cv2.dilate((truth > 0).astype(np.uint8), ellipse)
    sure = cv2.erode((truth == 255).astype(np.uint8), ellipse)
    return np.asarray((reached == 1) & (sure == 0))


def pixel_errors(levels: UInt8Array, truth: UInt8Array, region: Region = None) -> tuple[float, float, float]:
    """SAD, MAD and MSE: sum (in thousands) and mean of |alpha - truth|, and mean of its square.

    Sums of whole numbers, so exact to the last division; the means are NaN where the region is empty.
    """
    distance = cv2.absdiff(levels, truth)
    counts = np.bincount(distance.ravel() if region is None else distance[region], minlength=LEVELS)
    steps, size = np.arange(LEVELS), int(counts.sum())
    total, squared = int(counts @ steps) / _WHITE, int(counts @ steps**2) / _WHITE**2
    return total / 1000, total / size if size else math.nan, squared / size if size else math.nan


def gradient(alpha: Float64Array, truth: Float64Array, region: Region = None) -> float:
    """Grad of P3M: squared differences of gradient magnitudes, summed, in tens.

    Gradients are those of `scipy.ndimage.gaussian_filter` with sigma 1.4 and one derivative.
    """
    at = np.arange(-_RADIUS_P3M, _RADIUS_P3M + 1, dtype=np.float64)
    smooth = np.exp(-0.5 * (at / SIGMA) ** 2)
    smooth /= smooth.sum()
    steep = -at / SIGMA**2 * smooth
    return _of_gradients(alpha, truth, region, smooth, steep, cv2.BORDER_REFLECT) / 10


def gradient_rvm(alpha: Float64Array, truth: Float64Array, region: Region = None) -> float:
    """Grad of Robust Video Matting: filters of 9 x 9 of unit energy; in thousands, alphas not stretched."""
    at = np.arange(-_RADIUS_RVM, _RADIUS_RVM + 1, dtype=np.float64)
    smooth = np.exp(-0.5 * (at / SIGMA) ** 2)
    steep = -at * smooth
    smooth, steep = (kernel / np.linalg.norm(kernel) for kernel in (smooth, steep))
    return _of_gradients(alpha, truth, region, smooth, steep, cv2.BORDER_REPLICATE) / 1000


def connectivity(alpha: Float64Array, truth: Float64Array, region: Region = None) -> float:
    """Conn: differences of how far pixels hang together with the largest common part, summed, in thousands.

    At each of the levels 0.1, 0.2 ... 1 that part is the largest 4-connected component of what both have at
    or above the level; where there is none, all pixels leave it, as in Robust Video Matting's code.
    """
    left = _left_at(np.minimum(alpha, truth))
    return _sum(np.abs(_hanging(alpha, left) - _hanging(truth, left)), region) / 1000


def _hanging(alpha: Float64Array, left: Float64Array) -> Float64Array:
    """phi of Rhemann et al.: 1 less what lies above the level at which a pixel leaves, from `SLACK` on."""
    above = alpha - left
    return 1 - above * (above >= SLACK)


def _left_at(common: Float64Array) -> Float64Array:
    """The level below the first at which each pixel is outside of the largest component; 1 where it stays."""
    inside = np.ones(common.shape, bool)
    stays = np.zeros(common.shape, np.uint8)
    for step in range(1, STEPS + 1):
        inside &= _largest(common >= step / STEPS)
        stays += inside
    return stays / STEPS


def _largest(plane: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest 4-connected component of (H, W); of several, the first in rows."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=4)
    areas: Int64Array = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
    return labels == 1 + areas.argmax() if areas.size else np.zeros_like(plane)


def _of_gradients(
    alpha: Float64Array,
    truth: Float64Array,
    region: Region,
    smooth: Float64Array,
    steep: Float64Array,
    border: int,
) -> float:
    """Sum of squared differences of gradient magnitudes, by two filters along the axes."""

    def magnitude(plane: Float64Array) -> Float64Array:
        along = cv2.sepFilter2D(plane, cv2.CV_64F, steep, smooth, borderType=border)
        down = cv2.sepFilter2D(plane, cv2.CV_64F, smooth, steep, borderType=border)
        return np.asarray(cv2.magnitude(along, down), np.float64)

    return _sum((magnitude(alpha) - magnitude(truth)) ** 2, region)


def _sum(errors: Float64Array, region: Region) -> float:
    return float(errors.sum() if region is None else errors[region].sum())
