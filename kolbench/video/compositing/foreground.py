"""The foreground's own colours at soft edges, where a pixel shows both the KOL and what is behind."""

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np

from kolbench.errors import ConfigError, require_choice
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing.planes import strips, thrice

FOREGROUND_METHODS = ("fast", "pymatting", "none")
Region = tuple[slice, slice]

# what 8 bits cannot tell from 0 and from 1 needs no estimate
_SOFT = (0.5 / 255, 254.5 / 255)
# colours are also found this many pixels around the soft edge, so that scaling a cut-out finds no halo
RING = 4
# shorter side of the copy on which local mean colours are taken
_MEANS_SIDE = 128
# sides of the windows of the means there, and the weight in each of the mean before it, first that of all
_WINDOWS = (33, 11, 3)
_WIDER_SHARE = 0.02
# alpha (or 1 - alpha) squared so often is how a pixel counts: to its power of 16 one of alpha 0.8 counts 3 %
_SQUARED = 4
_RIDGE = 0.2
# pixels above which pymatting works on a smaller copy
_PYMATTING_PIXELS = 400_000

# frame (h, w, 3) uint8, alpha (h, w), the part that is wanted, scale -> colours of the part in [0, 255]
Estimator = Callable[[UInt8Array, Float32Array, Region, int], Float32Array]


def estimate_foreground(
    frame: UInt8Array, alpha: Float32Array, method: str = "fast", within: Region | None = None
) -> Float32Array:
    """Colours F of the composition frame = alpha F + (1 - alpha) B, where alpha is soft.

    `fast` takes local means of the colours of pixels that are surely foreground, and surely background, and
    splits what they leave unexplained between both: the idea of Forte (ICIP 2021), with sharper weights, on a
    small copy, and with a ridge in its last equation. `pymatting` is the multi-level estimation of
    Germer et al. (ICPR 2020). `none` takes the frame's colours as they are.

    Args:
        frame: (H, W, 3) uint8 RGB. alpha: (H, W) float32 in [0, 1]. method: one of FOREGROUND_METHODS.
        within: the rows and columns that are wanted, all by default.

    Returns:
        (H, W, 3) float32 levels in [0, 255], or of the part within: F where 8 bits tell alpha from 0 and 1,
        and four pixels around; exactly the frame's colours where alpha is 1, and everywhere else.

    Raises:
        ConfigError: no such choice, or pymatting is not installed.
    """
    estimator = require_foreground_method(method)
    part = within or (slice(0, alpha.shape[0]), slice(0, alpha.shape[1]))
    colours = frame[part].astype(np.float32)
    soft = np.asarray(cv2.inRange(alpha[part], _SOFT[0], _SOFT[1]), np.uint8)
    if estimator is None or not soft.any():
        return colours
    ring = np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)
    wanted = np.asarray(cv2.dilate(soft, ring), np.uint8)
    wanted[alpha[part] > _SOFT[1]] = 0
    scale = max(1, round(min(alpha.shape) / _MEANS_SIDE))
    around = _around(soft, part, max(RING, scale * (_WINDOWS[0] // 2)))
    own = _around(wanted, (slice(0, wanted.shape[0]), slice(0, wanted.shape[1])), 0)
    inside = _moved(own, part[0].start - around[0].start, part[1].start - around[1].start)
    found = estimator(frame[around], alpha[around], inside, scale)
    cv2.copyTo(found, wanted[own], colours[own])
    return colours


def require_foreground_method(method: str) -> Estimator | None:
    """Makes a method ready, before the first frame; pymatting compiles itself at its first import.

    Raises:
        ConfigError: no such choice, or pymatting is not installed.
    """
    require_choice("foreground", method, FOREGROUND_METHODS)
    if method == "none":
        return None
    return _from_means if method == "fast" else partial(_from_pymatting, *_imported_pymatting())


def _around(mask: UInt8Array, part: Region, margin: int) -> Region:
    """Rows and columns of the frame that hold all of a mask of its part, and a margin."""
    left, top, width, height = cv2.boundingRect(mask)
    top, left = top + part[0].start, left + part[1].start
    return (
        slice(max(0, top - margin), top + height + margin),
        slice(max(0, left - margin), left + width + margin),
    )


def _moved(part: Region, down: int, right: int) -> Region:
    rows, columns = part
    return slice(rows.start + down, rows.stop + down), slice(columns.start + right, columns.stop + right)


def _explained(
    colours: Any, alpha: Float32Array, foreground: Float32Array, background: Float32Array
) -> Float32Array:
    """(h, w, 3) foreground nearest to an estimate that, with the background, composes the colours seen.

    The F that minimises |I - alpha F - (1 - alpha) B|^2 + ridge (|F - F0|^2 + |B - B0|^2); the ridge falls to
    0 as alpha nears 1, where F is I.
    """
    found = np.empty(foreground.shape, np.float32)
    for rows in strips(found):
        opacity = alpha[rows]
        rest = 1 - opacity
        share = opacity / (opacity * opacity + rest * rest + np.float32(_RIDGE) * rest)
        # what the colours hold beyond alpha foreground + (1 - alpha) background
        composed = foreground[rows] - background[rows]
        composed *= thrice(opacity)
        composed += background[rows]
        beyond = np.subtract(colours[rows], composed, out=composed)
        beyond *= thrice(share)
        beyond += foreground[rows]
        np.clip(beyond, 0, 255, out=found[rows])
    return found


def _from_means(frame: UInt8Array, alpha: Float32Array, inside: Region, scale: int) -> Float32Array:
    """Foreground of the part inside, from mean colours of what is surely fore- and background."""
    size = alpha.shape[::-1]
    step = max(1, scale // 3)
    working = (-(-size[0] // step), -(-size[1] // step))
    small = cv2.resize(frame, working, interpolation=cv2.INTER_AREA)
    matte = cv2.resize(alpha, working, interpolation=cv2.INTER_AREA)
    foreground, background = (
        np.asarray(cv2.resize(_local_mean(small, a, scale // step), size)[inside], np.float32)
        for a in (matte, 1 - matte)
    )
    return _explained(frame[inside], alpha[inside], foreground, background)


def _local_mean(frame: Any, alpha: Any, scale: int) -> Float32Array:
    """Mean colours (h / scale, w / scale, 3) around each pixel, of pixels of the highest alpha."""
    height, width = alpha.shape
    small = (-(-width // scale), -(-height // scale))
    weight = alpha / alpha.max()
    for _ in range(_SQUARED):
        weight *= weight
    weighted = cv2.multiply(frame, thrice(weight), dtype=cv2.CV_32F)
    weighted = cv2.resize(weighted, small, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    mean: Any = np.array(cv2.mean(weighted)[:3], np.float32) / max(cv2.mean(weight)[0], 1e-6)
    for side in _WINDOWS:
        # where a window holds little that is sure, the wider mean speaks
        sums = cv2.blur(weighted, (side, side)) + np.float32(_WIDER_SHARE) * mean
        weights = cv2.blur(weight, (side, side)) + np.float32(_WIDER_SHARE)
        mean = cv2.divide(sums, thrice(weights))
    return np.asarray(mean, np.float32)


def _from_pymatting(
    numba: Any, estimate: Any, frame: UInt8Array, alpha: Float32Array, inside: Region, scale: int
) -> Float32Array:
    """Foreground of the part inside; large pictures are estimated on a smaller copy."""
    del scale
    # its loops are short: waiting for each other takes threads longer than the work
    numba.set_num_threads(1)
    height, width = alpha.shape
    shrink = (_PYMATTING_PIXELS / (height * width)) ** 0.5
    if shrink >= 1:
        whole: Float32Array = estimate(frame.astype(np.float32) / 255, alpha)[inside]
        return (whole * 255).astype(np.float32)
    small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    found = estimate(
        cv2.resize(frame, small, interpolation=cv2.INTER_AREA).astype(np.float32) / 255,
        cv2.resize(alpha, small, interpolation=cv2.INTER_AREA),
        return_background=True,
    )
    foreground, background = (
        (cv2.resize(f, (width, height))[inside] * 255).astype(np.float32) for f in found
    )
    return _explained(frame[inside], alpha[inside], foreground, background)


def _imported_pymatting() -> tuple[Any, Any]:
    """numba and pymatting's function."""
    try:
        import numba
        from pymatting import estimate_foreground_ml
    except ImportError:
        raise ConfigError(
            "foreground=pymatting needs the package pymatting, which is not installed: pip install "
            "'kolbench[matting]', or use foreground=fast, which needs nothing."
        ) from None
    return numba, estimate_foreground_ml
