"""The plain outputs of a matte: levels, cut-outs, and an overlay that a person can judge."""

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing.composite import behind, rounded
from kolbench.video.compositing.foreground import RING

_TINT = (235, 0, 120)
_TINT_SHARE = 0.5
_EDGE = (255, 255, 255)
# shorter side per pixel of the outline's width
_SIDE_PER_PIXEL = 720


def alpha8(alpha: Float32Array) -> UInt8Array:
    """(H, W) in [0, 1] -> uint8 levels round(255 alpha)."""
    return np.rint(alpha * 255).astype(np.uint8)


def alpha16(alpha: Float32Array) -> npt.NDArray[np.uint16]:
    """(H, W) in [0, 1] -> uint16 levels round(65535 alpha)."""
    return np.rint(alpha * 65535).astype(np.uint16)


def cutout(frame: UInt8Array, alpha: Float32Array, foreground: Float32Array | None = None) -> UInt8Array:
    """The KOL on nothing, straight alpha.

    Pixels further than colours.RING from all that is opaque hold no colour, so the file does not hold what
    was behind; the ring keeps the foreground's colours for players and editors that scale without care.

    Args:
        frame: (H, W, 3) uint8 RGB. alpha: (H, W) float32 in [0, 1].
        foreground: (H, W, 3) float32 levels, as of colours.estimate_foreground; None = the frame's.

    Returns:
        (H, W, 4) uint8 RGBA.
    """
    levels = alpha8(alpha)
    colours = frame if foreground is None else rounded(foreground.copy())
    near = cv2.dilate(levels, np.ones((2 * RING + 1, 2 * RING + 1), np.uint8))
    return np.asarray(cv2.merge([cv2.bitwise_and(colours, colours, mask=near), levels]), np.uint8)


def on_black(frame: UInt8Array, alpha: Float32Array, foreground: Float32Array | None = None) -> UInt8Array:
    """The KOL on black, (H, W, 3) uint8; arguments as of `cutout`."""
    return behind(frame, alpha, np.zeros_like(frame), np.ones_like(alpha), foreground=foreground)


def overlay(frame: UInt8Array, alpha: Float32Array) -> UInt8Array:
    """The frame with what is taken as background tinted, and a line where alpha crosses one half.

    Half-transparent pixels are tinted half, so soft edges, holes and haze are seen.

    Args:
        frame: (H, W, 3) uint8 RGB. alpha: (H, W) float32 in [0, 1].

    Returns:
        (H, W, 3) uint8.
    """
    tint = np.asarray(cv2.merge([np.full(alpha.shape, level, np.uint8) for level in _TINT]), np.uint8)
    shown = behind(frame, alpha, tint, np.ones_like(alpha), _TINT_SHARE)
    solid = (alpha >= 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(min(alpha.shape) / _SIDE_PER_PIXEL))
    return np.asarray(cv2.drawContours(shown, outlines, -1, _EDGE, width, cv2.LINE_AA), np.uint8)
