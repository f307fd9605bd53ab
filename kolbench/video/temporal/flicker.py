"""How much the alphas of a clip flicker, told without any truth and in constant memory."""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.types import Float32Array

Mask = npt.NDArray[np.bool_]

FOREGROUND = 0.5  # alpha from which a pixel counts as foreground
_SHARE_OF_DIAGONAL = (
    0.008  # half the width of the band at the edge, as the tolerance of DAVIS's contour score
)

DEFINITIONS = {
    "pairs": "pairs of consecutive frames of one shot; every other number is a mean over them and rises with "
    "motion too",
    "flicker_mad": "mean over the frame's pixels of |alpha(t) - alpha(t-1)|",
    "flicker_iou": "1 - IoU of the foregrounds (alpha >= 0.5) of t and t-1; 0 where both are empty",
    "border_flicker": "mean of |alpha(t) - alpha(t-1)| over pixels near the edge of the foreground of t or "
    "of t-1: the square of 2 r + 1 px around them holds both sides, r = ceil(0.008 x the frame's diagonal in "
    "px); over pairs with such pixels",
}


class Flicker(NamedTuple):
    """What `FlickerMeter` found; see DEFINITIONS. None where there is no pair to tell it from."""

    pairs: int
    flicker_mad: float | None
    flicker_iou: float | None
    border_flicker: float | None


def foreground_of(alpha: Float32Array) -> Mask:
    """(H, W) in [0, 1] -> (H, W) bool: alpha >= 0.5."""
    return np.asarray(alpha >= FOREGROUND)


def border_radius(height: int, width: int) -> int:
    """Half the width in pixels of the band at an edge: ceil(0.008 x diagonal), video_metrics.md section 1."""
    return math.ceil(_SHARE_OF_DIAGONAL * math.hypot(height, width))


def near_edge(foreground: Mask, radius: int) -> Mask:
    """(H, W) bool -> (H, W) bool: where the square of 2 radius + 1 px, inside the frame, holds both sides.

    So the frame's own border is no edge.
    """
    square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    levels = foreground.view(np.uint8)
    return np.asarray(cv2.dilate(levels, square) != cv2.erode(levels, square))


class _Seen(NamedTuple):
    alpha: Float32Array
    foreground: Mask
    edge: Mask


class _Mean:
    """A mean of numbers that are not kept; None of none."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self._sum += value

    @property
    def value(self) -> float | None:
        return self._sum / self.count if self.count else None


class FlickerMeter:
    """Means over the pairs of consecutive frames of a clip; pairs that a cut parts are left out."""

    def __init__(self) -> None:
        self._before: _Seen | None = None
        self._mad, self._iou, self._border = _Mean(), _Mean(), _Mean()

    def push(self, alpha: Float32Array) -> None:
        """Takes the next alpha, (H, W) float32 in [0, 1], which nobody writes into afterwards."""
        foreground = foreground_of(alpha)
        seen = _Seen(alpha, foreground, near_edge(foreground, border_radius(*alpha.shape)))
        if self._before is not None:
            self._add(self._before, seen)
        self._before = seen

    def cut(self) -> None:
        """The next alpha begins a new shot."""
        self._before = None

    def result(self) -> Flicker:
        """The means so far."""
        return Flicker(self._mad.count, self._mad.value, self._iou.value, self._border.value)

    def _add(self, before: _Seen, now: _Seen) -> None:
        change: Any = cv2.absdiff(now.alpha, before.alpha)
        self._mad.add(float(change.mean(dtype=np.float64)))
        union = int(np.count_nonzero(now.foreground | before.foreground))
        apart = int(np.count_nonzero(now.foreground ^ before.foreground))
        self._iou.add(apart / union if union else 0.0)
        edge = now.edge | before.edge
        if edge.any():
            self._border.add(float(change[edge].mean(dtype=np.float64)))
