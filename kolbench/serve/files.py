"""The files that the page gives: PNGs of the picture's own size, their soft edges without the old colours."""

from typing import Any

import numpy as np

from kolbench.errors import require_between
from kolbench.io import images
from kolbench.serve.uploads import preview
from kolbench.types import Float32Array, JsonObject, UInt8Array
from kolbench.video.compositing.ad import AdStill, Placement
from kolbench.video.compositing.backdrops import make_backdrop
from kolbench.video.compositing.composite import AdBehind, Look
from kolbench.video.compositing.foreground import estimate_foreground
from kolbench.video.compositing.renderings import alpha8, cutout
from kolbench.video.frame import Frame

KINDS = ("alpha", "cutout", "composite")
AD, IMAGE = "ad", "image"
# what may stand behind the person; an ad or an image is another upload
BACKGROUNDS = (AD, "colour", "blur", IMAGE)
UPLOADED = (AD, IMAGE)

_PLACE = ("left", "top", "width", "height", "fit")
_BACKDROP = ("colour", "radius")


def alpha_of(levels: UInt8Array, threshold: Any) -> Float32Array:
    """(H, W) uint8 levels -> float32 in [0, 1]; in {0, 1} with a threshold, as the scores cut.

    Raises:
        ConfigError: the threshold is no number in [0, 1].
    """
    if threshold is None:
        return levels.astype(np.float32) / np.float32(255)
    cut = require_between("threshold", threshold, 0, 1)
    return np.asarray(levels > 255 * cut, np.float32)


def foreground_preview(image: UInt8Array, levels: UInt8Array) -> UInt8Array:
    """(h, w, 3) uint8 of the preview's size: the person's own colours where alpha is soft.

    Args:
        image: (H, W, 3) uint8 RGB. levels: (H, W) uint8 of its alpha.
    """
    small, alpha = preview(image), alpha_of(preview(levels), None)
    return np.rint(estimate_foreground(small, alpha)).astype(np.uint8)


def alpha_file(image: UInt8Array, alpha: Float32Array) -> bytes:
    """The alpha matte in grey."""
    del image
    return images.png_bytes(alpha8(alpha))


def cutout_file(image: UInt8Array, alpha: Float32Array) -> bytes:
    """The person on nothing, RGBA with straight alpha."""
    return images.png_bytes(cutout(image, alpha, estimate_foreground(image, alpha)))


def composite_file(
    image: UInt8Array, alpha: Float32Array, background: str, layer: UInt8Array | None, wishes: JsonObject
) -> bytes:
    """The person in front of a background.

    Args:
        image: (H, W, 3) uint8 RGB. alpha: (H, W) float32 in [0, 1]. background: one of BACKGROUNDS.
        layer: (h, w, 3 or 4) uint8, the ad or the image; None for the others.
        wishes: of an ad `left`, `top`, `width`, `height`, `fit` (see ad.Placement) and `opacity`; of the
            others `colour` and `radius` (see backdrops.make_backdrop). What is missing has its default.

    Raises:
        ConfigError: a wish is out of range.
    """
    if background == AD and layer is not None:
        placement = Placement(**_given(wishes, _PLACE))
        placer = AdBehind(AdStill(layer), placement, Look(opacity=wishes.get("opacity", 1.0)))
        return images.png_bytes(placer(Frame(image, 0, 0.0), alpha).image)
    backdrop = make_backdrop(background, image=layer, **_given(wishes, _BACKDROP))
    return images.png_bytes(backdrop(image, alpha, estimate_foreground(image, alpha)))


def _given(wishes: JsonObject, keys: tuple[str, ...]) -> JsonObject:
    return {key: wishes[key] for key in keys if key in wishes}
