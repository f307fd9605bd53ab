"""From clusters to a mask without a look at the truth, and back to a picture of centroids."""

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.models.classic.features import Int32Array
from kolbench.types import UInt8Array

RULES = ("border", "centre", "both")
# fitted to nothing, and frozen: these make the automatic variants automatic
BORDER_SHARE = 0.05
CENTRE = (0.5, 0.55)
SIGMA = (0.2, 0.3)
CLEAN_SIDE = 256
OPEN_RADIUS = 2
CLOSE_RADIUS = 4

Bools = npt.NDArray[np.bool_]


class Clusters(NamedTuple):
    """A picture cut into K clusters, none of them empty.

    labels: (H, W) int32 in 0..K-1. centres: (K, 3) uint8 RGB, the mean colour of each cluster's pixels.
    """

    labels: Int32Array
    centres: UInt8Array


def clusters_of(image: UInt8Array, labels: Int32Array) -> Clusters:
    """Clusters of a picture (H, W, 3) uint8 from labels (H, W) >= 0; labels that nobody has are left out."""
    used, renumbered = np.unique(labels, return_inverse=True)
    compact: Int32Array = renumbered.reshape(labels.shape).astype(np.int32)
    sizes = np.bincount(compact.ravel(), minlength=len(used))
    sums = [np.bincount(compact.ravel(), image[..., channel].ravel(), len(used)) for channel in range(3)]
    return Clusters(compact, np.rint(np.stack(sums, axis=1) / sizes[:, None]).astype(np.uint8))


def replaced_by_centroids(clusters: Clusters) -> UInt8Array:
    """(H, W, 3) uint8 RGB: each pixel in the mean colour of its cluster, as the TikTok report shows it."""
    return clusters.centres[clusters.labels]


def chosen_by_rule(
    labels: Int32Array, count: int, rule: str, band: Bools, weight: npt.NDArray[np.float64]
) -> Bools:
    """Which clusters are foreground, by where they lie.

    Args:
        labels: (H, W) int32 in 0..count-1.
        count: clusters; one that has no pixel is background.
        rule: `border`: its share of the band is below its share of the picture; `centre`: its mean weight
            is above the picture's; `both`: both are so.
        band: (H, W) bool, where background is expected; see `border_band`.
        weight: (H, W) >= 0, how much a pixel is expected to be foreground; see `centre_weight`.

    Returns:
        (count,) bool.
    """
    chosen = np.ones(count, np.bool_)
    if rule in ("border", "both"):
        chosen &= _avoids(band, labels, count)
    if rule in ("centre", "both"):
        chosen &= _keeps_to(weight, labels, count)
    return chosen


def _avoids(band: Bools, labels: Int32Array, count: int) -> Bools:
    sizes = np.bincount(labels.ravel(), minlength=count)
    in_band = np.bincount(labels[band], minlength=count)
    below: Bools = in_band * labels.size < sizes * int(band.sum())
    return below


def _keeps_to(weight: npt.NDArray[np.float64], labels: Int32Array, count: int) -> Bools:
    sizes = np.bincount(labels.ravel(), minlength=count)
    sums = np.bincount(labels.ravel(), weight.ravel(), minlength=count)
    # one sum of the same parts: a single cluster is exactly the picture, never above it
    above: Bools = sums * labels.size > sums.sum() * sizes
    return above


def border_band(height: int, width: int) -> Bools:
    """(H, W) bool: 5 % of the width, at least 1 px, at the top, left and right; the bottom cuts people."""
    px = max(1, round(BORDER_SHARE * width))
    band = np.ones((height, width), np.bool_)
    band[px:, px : max(px, width - px)] = False
    return band


def centre_weight(height: int, width: int) -> npt.NDArray[np.float64]:
    """(H, W) in (0, 1]: a Gaussian of the frame's own proportions, its peak a little below the middle."""
    u = (np.arange(width) + 0.5) / width
    v = (np.arange(height) + 0.5) / height
    across = np.exp(-(((u - CENTRE[0]) / SIGMA[0]) ** 2) / 2)
    down = np.exp(-(((v - CENTRE[1]) / SIGMA[1]) ** 2) / 2)
    return np.asarray(down[:, None] * across[None, :])


def cleaned(mask: UInt8Array) -> UInt8Array:
    """The largest 8-connected component after opening with 5x5 and closing with 9x9 squares.

    Args:
        mask: (H, W) uint8 in {0, 1}. The squares are meant for a short side of 256 px and scale with it.

    Returns:
        (H, W) uint8 in {0, 1}; empty where opening leaves nothing.
    """
    scale = min(mask.shape) / CLEAN_SIDE
    opened: Any = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _square(round(OPEN_RADIUS * scale)))
    closed: Any = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, _square(round(CLOSE_RADIUS * scale)))
    return largest_component(closed)


def largest_component(mask: UInt8Array) -> UInt8Array:
    """The largest 8-connected component of a mask (H, W) uint8 in {0, 1}; an empty mask stays empty."""
    found: tuple[int, Any] = cv2.connectedComponents(mask, connectivity=8)
    count, components = found
    if count < 2:
        return mask
    areas = np.bincount(components.ravel(), minlength=count)
    largest: UInt8Array = (components == 1 + int(areas[1:].argmax())).astype(np.uint8)
    return largest


def _square(radius: int) -> UInt8Array:
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
