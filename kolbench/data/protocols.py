"""How a picture is scored: as it is, or as the square that PortraitNet's published figures are of."""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from kolbench.io.masks import majority
from kolbench.types import NATIVE, PORTRAITNET, Sample, UInt8Array

SIDE = 224
GREY = 128
MAJORITY_SIDE = 5


def portraitnet_square(sample: Sample) -> Sample:
    """A picture and its truth as PortraitNet's released code scores them (dong-x16/PortraitNet).

    Both are laid into the middle of a square, on grey (128) and on background, and resized to 224 px by cubic
    interpolation without antialiasing, which for the mask rounds to 0 or 1; the mask then goes through
    `majority` of 5x5 pixels. Products and persons are resized to their nearest pixel and cut to that mask.

    Args:
        sample: of any size.

    Returns:
        (224, 224, 3) uint8 image and (224, 224) uint8 truth; no matte and no true colours.
    """
    image = _resized(_squared(sample.image, GREY), cv2.INTER_CUBIC)
    mask = majority(_resized(_squared(sample.mask, 0), cv2.INTER_CUBIC), MAJORITY_SIDE)

    def followed(labels: UInt8Array | None) -> UInt8Array | None:
        return None if labels is None else _resized(_squared(labels, 0), cv2.INTER_NEAREST_EXACT) * mask

    return Sample(image, mask, followed(sample.product), instances=followed(sample.instances))


# eval_protocol -> what is scored instead of a picture
VIEWS: Mapping[str, Callable[[Sample], Sample]] = {
    NATIVE: lambda sample: sample,
    PORTRAITNET: portraitnet_square,
}
# eval_protocol -> what is said of it before a run
WORDS: Mapping[str, tuple[str, ...]] = {
    NATIVE: (),
    PORTRAITNET: (
        f"eval_protocol={PORTRAITNET}: images are scored as squares of {SIDE} px, against a truth smoothed "
        f"by the majority of {MAJORITY_SIDE}x{MAJORITY_SIDE} pixels; such scores stand beside published "
        f"ones, not beside those of eval_protocol={NATIVE}",
    ),
}


def _squared(plane: UInt8Array, border: int) -> UInt8Array:
    """(H, W) or (H, W, 3) in the middle of a square; of an odd rest, the larger part is below or right."""
    height, width = plane.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    around = (top, side - height - top, left, side - width - left)
    squared: Any = cv2.copyMakeBorder(plane, *around, cv2.BORDER_CONSTANT, value=(border, border, border))
    return np.asarray(squared, np.uint8)


def _resized(plane: UInt8Array, interpolation: int) -> UInt8Array:
    resized: Any = cv2.resize(plane, (SIDE, SIDE), interpolation=interpolation)
    return np.asarray(resized, np.uint8)
