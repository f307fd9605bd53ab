"""A picture with its truth and what a method says of it, as trackers and run folders show it."""

from dataclasses import dataclass

import cv2
import numpy as np

from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.types import Float32Array, UInt8Array

OUTLINE = (255, 220, 0)
RIM = (30, 30, 30)


@dataclass(frozen=True)
class Overlay:
    """A picture with its truth and what a method says about it.

    image: (H, W, 3) uint8. truth, prediction: (H, W) uint8 in {0, 1}.
    alpha: (H, W) float32 in [0, 1], or None.
    """

    name: str
    image: UInt8Array
    truth: UInt8Array
    prediction: UInt8Array
    alpha: Float32Array | None
    caption: str


def overlay_picture(overlay: Overlay) -> UInt8Array:
    """Picture with the outline of the truth | prediction: false foreground red, missed foreground blue.

    What is rightly left out of the prediction is darkened.

    Returns:
        (H, 2 W, 3) uint8.
    """
    return np.concatenate([_outlined(overlay), _errors_marked(overlay)], axis=1)


def _outlined(overlay: Overlay) -> UInt8Array:
    outlined = overlay.image.copy()
    truth = np.ascontiguousarray(overlay.truth)
    contours, _ = cv2.findContours(truth, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(1, min(truth.shape) // 200)
    # the dark rim keeps the line in sight on bright pictures
    for colour, thickness in ((RIM, 2 * width + 1), (OUTLINE, width)):
        cv2.drawContours(outlined, list(contours), -1, colour, thickness)
    return outlined


def _errors_marked(overlay: Overlay) -> UInt8Array:
    marked = np.where(overlay.prediction[..., None] == 1, overlay.image, overlay.image // 8)
    for wrong, colour in (
        (overlay.prediction > overlay.truth, FALSE_FOREGROUND),
        (overlay.prediction < overlay.truth, MISSED_FOREGROUND),
    ):
        marked[wrong] = overlay.image[wrong] // 3 + (np.array(colour) * 2 // 3).astype(np.uint8)
    return marked
