"""Contour accuracy F of DAVIS (Perazzi et al., CVPR 2016), of one picture."""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.types import UInt8Array

Plane = npt.NDArray[np.bool_]

# how far apart contours may lie, as a share of the picture's diagonal
TOLERANCE = 0.008


def boundary_f(predicted: Plane, truth: Plane, tolerance: float = TOLERANCE) -> float:
    """F of contour precision and recall, of (H, W) bool each; in [0, 1].

    Precision is the share of the predicted contour that lies within `reach` pixels of the true one, recall
    the share of the true contour near the predicted one. Where one contour has no pixels, what is a share of
    it is 1 and the other 0, so F is 0; where neither has any, F is 1.
    """
    found, wanted = contour(predicted), contour(truth)
    lengths = cv2.countNonZero(found), cv2.countNonZero(wanted)
    if 0 in lengths:
        return float(lengths == (0, 0))
    # what lies outside of the box around both contours is near to neither
    x, y, width, height = cv2.boundingRect(found | wanted)
    found, wanted = (np.ascontiguousarray(p[y : y + height, x : x + width]) for p in (found, wanted))
    disk = _disk(reach(predicted.shape[0], predicted.shape[1], tolerance))
    precision = cv2.countNonZero(cv2.bitwise_and(found, cv2.dilate(wanted, disk))) / lengths[0]
    recall = cv2.countNonZero(cv2.bitwise_and(wanted, cv2.dilate(found, disk))) / lengths[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def contour(plane: Plane) -> UInt8Array:
    """(H, W) uint8: 1 where a pixel differs from the one to the right, below, or below to the right.

    So a contour is one pixel wide, and the picture's border is none.
    """
    square = np.ones((2, 2), np.uint8)
    levels = plane.view(np.uint8)
    most, least = (
        apply(levels, square, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
        for apply in (cv2.dilate, cv2.erode)
    )
    return np.asarray(most != least).view(np.uint8)


def reach(height: int, width: int, tolerance: float = TOLERANCE) -> int:
    """Pixels that contours may lie apart: a share of the diagonal, rounded up; from 1 on, pixels already."""
    return math.ceil(tolerance if tolerance >= 1 else tolerance * math.hypot(height, width))


def _disk(radius: int) -> UInt8Array:
    """(2 radius + 1, 2 radius + 1) uint8: 1 at most so many pixels from the centre."""
    down, along = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    inside: Any = down**2 + along**2 <= radius**2
    return np.asarray(inside, np.uint8)
