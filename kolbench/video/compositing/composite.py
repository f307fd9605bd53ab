"""Putting an ad, or anything else, behind the KOL.

All mixing is done on the encoded (sRGB) levels, not in linear light: there the mattes that networks learn
from are defined (frame = alpha F + (1 - alpha) B), and there editors blend by default. The same alpha in
linear light would make every soft edge brighter than the frame that it was estimated from.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from kolbench.errors import require_between
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing.ad import Ad, Placed, Placement, place
from kolbench.video.compositing.foreground import Region, estimate_foreground, require_foreground_method
from kolbench.video.compositing.light import LightMatch
from kolbench.video.compositing.planes import strips, thrice
from kolbench.video.frame import Frame


def behind(
    frame: UInt8Array,
    alpha: Float32Array,
    layer: UInt8Array | Float32Array,
    coverage: Float32Array,
    opacity: float = 1.0,
    foreground: Float32Array | None = None,
) -> UInt8Array:
    """The frame with a layer between the KOL and what was behind her.

    With k = opacity * coverage, and the true background B of frame = alpha F + (1 - alpha) B, the result
    alpha F + (1 - alpha) ((1 - k) B + k layer) is frame + k (alpha F + (1 - alpha) layer - frame): B itself
    is not needed. Where k is 0, and where alpha is 1 (there F is the frame), the frame comes out unchanged.

    Args:
        frame: (H, W, 3) uint8 RGB. alpha: (H, W) float32 in [0, 1]. layer: (H, W, 3) levels in [0, 255].
        coverage: (H, W) float32 in [0, 1]. opacity: in [0, 1]. foreground: F as of
            colours.estimate_foreground, (H, W, 3) float32; None = the frame's colours as they are.

    Returns:
        (H, W, 3) uint8.
    """
    out = np.empty_like(frame)
    for rows in strips(frame):
        seen = frame[rows].astype(np.float32)
        new = layer[rows].astype(np.float32)
        own = seen if foreground is None else foreground[rows]
        mixed = (own - new) * thrice(alpha[rows])
        mixed += new
        mixed -= seen
        mixed *= thrice(coverage[rows] * np.float32(opacity))
        mixed += seen
        out[rows] = rounded(mixed)
    return out


def rounded(levels: Float32Array) -> UInt8Array:
    """Levels in [0, 255] up to rounding errors -> uint8; overwrites them."""
    levels += 0.5
    return levels.astype(np.uint8)


@dataclass(frozen=True)
class Look:
    """How an ad is blended into the scene.

    Attributes:
        opacity: of the ad, in [0, 1].
        blur: standard deviation of a Gaussian blur of the ad and of its edges, as a share of the frame's
            shorter side, in [0, 0.2]: for backgrounds out of focus.
        light: in [0, 1], how far the ad's light and colours are matched to those of the background where it
            stands; see light.LightMatch.
        light_seconds: time constant with which that follows the scene, above 0.

    Raises:
        ConfigError: an option is out of range.
    """

    opacity: float = 1.0
    blur: float = 0.0
    light: float = 0.0
    light_seconds: float = 1.0

    def __post_init__(self) -> None:
        require_between("look.opacity", self.opacity, 0, 1)
        require_between("look.blur", self.blur, 0, 0.2)
        require_between("look.light", self.light, 0, 1)
        require_between("look.light_seconds", self.light_seconds, 1e-3, 1e6)


class Composited(NamedTuple):
    """image: (H, W, 3) uint8. ad_alpha: (H, W) float32 in [0, 1], coverage times opacity; do not write."""

    image: UInt8Array
    ad_alpha: Float32Array


class _Standing(NamedTuple):
    """An ad's present picture in place, what it was made from, and the part of the frame that it touches."""

    source: UInt8Array
    placed: Placed
    ad_alpha: Float32Array
    touched: Region


class AdBehind:
    """Puts an ad behind the KOL, frame by frame; a picture of the ad is warped once as long as it shows.

    Args:
        ad: closed by whoever made it.
        foreground_method: how the colours at soft edges are found, one of foreground.FOREGROUND_METHODS.

    Raises:
        ConfigError: `foreground_method` is no choice, or needs a package that is not installed.
    """

    def __init__(
        self, ad: Ad, placement: Placement, look: Look | None = None, foreground_method: str = "fast"
    ) -> None:
        require_foreground_method(foreground_method)
        self._ad = ad
        self._placement = placement
        self._look = look or Look()
        self._foreground_method = foreground_method
        self._light = LightMatch(self._look.light, self._look.light_seconds)
        self._standing: _Standing | None = None

    def __call__(self, frame: Frame, alpha: Float32Array) -> Composited:
        """The frame with the ad, and where the ad is.

        Args:
            alpha: (H, W) float32 in [0, 1], of the frame's size.

        Raises:
            ConfigError: the ad's place lies outside the frame.
        """
        standing = self._placed(self._ad.at(frame.seconds), alpha.shape)
        part = standing.touched
        matte, coverage = alpha[part], standing.placed.coverage[part]
        image = frame.image.copy()
        if not coverage.size:
            return Composited(image, standing.ad_alpha)
        own = estimate_foreground(frame.image, alpha, self._foreground_method, part)
        layer = self._light(image[part], matte, standing.placed.layer[part], coverage, frame.seconds)
        image[part] = behind(image[part], matte, layer, coverage, self._look.opacity, own)
        return Composited(image, standing.ad_alpha)

    def cut(self) -> None:
        """Forgets the light of the scene that ended."""
        self._light.cut()

    def _placed(self, picture: UInt8Array, size: Any) -> _Standing:
        held = self._standing
        if held is not None and held.source is picture and held.ad_alpha.shape == size:
            return held
        placed = softened(place(picture, size, self._placement), self._look.blur)
        ad_alpha = placed.coverage * np.float32(self._look.opacity)
        self._standing = _Standing(picture, placed, ad_alpha, _touched(placed.coverage))
        return self._standing


def softened(placed: Placed, blur: float) -> Placed:
    """An ad and its edges out of focus.

    Args:
        blur: standard deviation as a share of the frame's shorter side.
    """
    if blur == 0:
        return placed
    deviation = blur * min(placed.coverage.shape)
    part = _touched(placed.coverage, math.ceil(4 * deviation))
    covered = placed.coverage[part]
    spread = blurred(np.dstack([placed.layer[part] * thrice(covered), covered]), deviation)
    layer, coverage = np.zeros_like(placed.layer), np.zeros_like(placed.coverage)
    coverage[part] = np.clip(spread[..., 3], 0, 1)
    layer[part] = np.clip(spread[..., :3] / np.maximum(spread[..., 3:], 1e-4) + 0.5, 0, 255)
    return Placed(layer, coverage)


def _touched(coverage: Float32Array, margin: int = 0) -> Region:
    """Rows and columns of the frame that hold all of the ad, and a margin."""
    left, top, width, height = cv2.boundingRect((coverage > 0).astype(np.uint8))
    rows = slice(max(0, top - margin), top + height + margin)
    return rows, slice(max(0, left - margin), left + width + margin)


def blurred(planes: Float32Array, deviation: float) -> Float32Array:
    """Gaussian blur of (H, W, C) float32 by a standard deviation in pixels; wide ones on a smaller copy."""
    return enlarged(blurred_small(planes, deviation), planes.shape[0], planes.shape[1])


def blurred_small(planes: Float32Array, deviation: float) -> Float32Array:
    """The same, still as the smaller copy: (h, w, C), or (H, W, C) where the deviation is below 6 px."""
    height, width = planes.shape[:2]
    step = max(1, int(deviation / 3))
    small = (-(-width // step), -(-height // step))
    averaged = cv2.resize(planes, small, interpolation=cv2.INTER_AREA) if step > 1 else planes
    # averaging and interpolating blur by a quarter of the squared step as well
    rest = deviation / step if step == 1 else math.sqrt((deviation / step) ** 2 - 0.25)
    spread = cv2.GaussianBlur(averaged, (0, 0), max(rest, 1e-3), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(spread, np.float32)


def enlarged(planes: Float32Array, height: int, width: int) -> Float32Array:
    """(h, w, C) float32 -> (height, width, C), bilinear."""
    if planes.shape[:2] == (height, width):
        return planes
    return np.asarray(cv2.resize(planes, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
