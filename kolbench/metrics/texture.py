"""How complex a picture is: entropy of neighbouring grey levels (papers/pdnet.txt, section 3.2)."""

import cv2
import numpy as np

from kolbench.types import Float64Array, UInt8Array

LONGER_SIDE = 512
LEVELS = 256
# neighbours at distance 1 to the right, up right, up and up left: 0, 45, 90 and 135 degrees
STEPS = ((0, 1), (-1, 1), (-1, 0), (-1, -1))


def glcm_entropy(image: UInt8Array) -> float:
    """Mean over four directions of the entropy of a picture's co-occurring grey levels, in bits.

    The paper gives no parameters; ours: luma, the longer side made 512 pixels, 256 levels, distance 1,
    symmetric, each direction by itself.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        From 0 (one level) to 16.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = LONGER_SIDE / max(grey.shape)
    if scale != 1:
        height, width = (max(1, round(side * scale)) for side in grey.shape)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        grey = cv2.resize(grey, (width, height), interpolation=how)
    return float(direction_entropies(np.asarray(grey, np.uint8)).mean())


def direction_entropies(grey: UInt8Array) -> Float64Array:
    """(4,) entropies in bits of the co-occurrences of (h, w) uint8 levels in the directions of `STEPS`.

    0 where a direction has no pair.
    """
    return np.array([_entropy(_cooccurrences(grey, *step)) for step in STEPS])


def _cooccurrences(grey: UInt8Array, down: int, right: int) -> Float64Array:
    """(256, 256) symmetric counts of levels and those of their neighbours."""
    height, width = grey.shape
    rows, columns = slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right))
    there = grey[rows.start + down : rows.stop + down, columns.start + right : columns.stop + right]
    pairs = LEVELS * grey[rows, columns].astype(np.int64) + there
    counts = np.bincount(pairs.ravel(), minlength=LEVELS**2).reshape(LEVELS, LEVELS).astype(np.float64)
    return counts + counts.T


def _entropy(counts: Float64Array) -> float:
    total = counts.sum()
    if total == 0:
        return 0.0
    shares = counts[counts > 0] / total
    # of a single share -0.0 otherwise
    return abs(float((shares * np.log2(shares)).sum()))
