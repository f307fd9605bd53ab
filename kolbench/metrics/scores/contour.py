"""Contour accuracy F of DAVIS (Perazzi et al., CVPR 2016), of single pictures."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.metrics.score import ExtraValues, Score, of_value, register
from kolbench.metrics.wording import PICTURES
from kolbench.types import UInt8Array

NAME = "boundary_f"
# how far apart contours may lie, as a share of the picture's diagonal
TOLERANCE = 0.008

Plane = npt.NDArray[np.bool_]


def boundary_f(predicted: Plane, truth: Plane, tolerance: float = TOLERANCE) -> float:
    """F of contour precision and recall, of (H, W) bool each.

    Precision is the share of the predicted contour that lies within `reach` pixels of the true one, recall
    the share of the true contour near the predicted one. Where one contour has no pixels, what is a share of
    it is 1 and the other 0, so F is 0; where neither has any, F is 1.
    """
    found, wanted = contour(predicted), contour(truth)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    radius = reach(predicted.shape[0], predicted.shape[1], tolerance)
    precision = float(_near(wanted, radius)[found].mean())
    recall = float(_near(found, radius)[wanted].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def contour(plane: Plane) -> Plane:
    """(H, W) bool: pixels that differ from the one to the right, below, or below to the right.

    So a contour is one pixel wide, and the picture's border is none.
    """
    found = np.zeros_like(plane)
    found[:, :-1] |= plane[:, :-1] != plane[:, 1:]
    found[:-1] |= plane[:-1] != plane[1:]
    found[:-1, :-1] |= plane[:-1, :-1] != plane[1:, 1:]
    return found


def reach(height: int, width: int, tolerance: float = TOLERANCE) -> int:
    """Pixels that contours may lie apart: a share of the diagonal, rounded up."""
    return math.ceil(tolerance * math.hypot(height, width))


def _near(plane: Plane, radius: int) -> Plane:
    """(H, W) bool: pixels with one of the plane at most so many pixels away."""
    down, along = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (down**2 + along**2 <= radius**2).astype(np.uint8)
    return np.asarray(cv2.dilate(plane.astype(np.uint8), disk) == 1)


def values(levels: UInt8Array, truth: UInt8Array) -> tuple[float, ...]:
    """Of alpha and truth cut at 0.5."""
    return (boundary_f(levels > 127, truth > 127),)


register(
    Score(
        NAME,
        f"contour F of DAVIS: F of contour precision and recall within {TOLERANCE:.1%} of the picture's "
        f"diagonal, of alpha cut at 0.5, {PICTURES}; 1 where neither truth nor prediction has a contour, 0 "
        "where one has none",
        per_image=of_value(NAME),
        depends_on_threshold=False,
        values=ExtraValues((NAME,), values),
        family="boundary",
    )
)
