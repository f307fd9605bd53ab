"""Pixels as points: colour and position; the seed of a picture; the nearest of some centres."""

import hashlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.types import Float32Array, UInt8Array

Int32Array = npt.NDArray[np.int32]

SPACES = ("lab", "rgb")
# L runs from 0 to 100; RGB and position are brought to the same scale
_SCALE = 100
_CHUNK = 1 << 14


def picture_seed(image: UInt8Array, seed: int) -> int:
    """A seed in [0, 2^31) that depends on the picture's own pixels and on `seed`, on nothing else.

    Args:
        image: (H, W, 3) uint8.
        seed: of the method.
    """
    hasher = hashlib.blake2b(f"{seed} {image.shape}".encode(), digest_size=4)
    hasher.update(image.tobytes())
    return int.from_bytes(hasher.digest(), "big") >> 1


def shrunk(image: UInt8Array, scale: float) -> UInt8Array:
    """The picture (H, W, 3) made smaller by a factor, each pixel the mean of its area; never larger."""
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def pixel_features(image: UInt8Array, space: str, pos_weight: float) -> Float32Array:
    """Each pixel as a point whose Euclidean distances are compared.

    Args:
        image: (H, W, 3) uint8 RGB.
        space: `lab`, CIE L*a*b* with L in 0..100, or `rgb`, each channel in 0..100.
        pos_weight: position is appended as pos_weight * 100 x / W and pos_weight * 100 y / H; 0 = only
            colour.

    Returns:
        (d, H * W) float32, row by row of the picture; d = 3, or 5 with position.
    """
    levels = image.astype(np.float32) / np.float32(255)
    colour: Any = cv2.cvtColor(levels, cv2.COLOR_RGB2LAB) if space == "lab" else levels * _SCALE
    height, width = image.shape[:2]
    planes = [colour[..., channel].ravel() for channel in range(3)]
    if pos_weight:
        y, x = np.indices((height, width), np.float32)
        planes += [(pos_weight * _SCALE / width) * x.ravel(), (pos_weight * _SCALE / height) * y.ravel()]
    return np.stack(planes).astype(np.float32, copy=False)


def nearest(points: Float32Array, centres: Float32Array) -> Int32Array:
    """The centre that is nearest to each point, the first of equally near ones.

    Args:
        points: (d, N) float32.
        centres: (K, d) float32.

    Returns:
        (N,) int32 in 0..K-1.
    """
    labels = np.empty(points.shape[1], np.int32)
    # chunks that stay in the cache; sums in a fixed order, whatever the number of threads
    for start in range(0, points.shape[1], _CHUNK):
        chunk = points[:, start : start + _CHUNK]
        distances = np.zeros((len(centres), chunk.shape[1]), np.float32)
        for axis, plane in enumerate(chunk):
            distances += np.square(plane - centres[:, axis, None])
        labels[start : start + _CHUNK] = distances.argmin(axis=0)
    return labels
