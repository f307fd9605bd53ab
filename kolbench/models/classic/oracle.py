"""What the true mask gives away to the helped variants: the best clusters, a box, a trimap."""

from typing import Any, NamedTuple

import numpy as np

from kolbench.io.masks import near_edge
from kolbench.models.classic.features import Int32Array
from kolbench.models.classic.regions import Bools
from kolbench.types import UInt8Array

CHOICES = ("union", "majority")
BOX_MARGIN = 3
TRIMAP_RADIUS = 7
# the short side for which margin and radius are meant; they scale with the picture
SIDE = 256


class Box(NamedTuple):
    """Pixels left <= x < right, top <= y < bottom."""

    left: int
    top: int
    right: int
    bottom: int

    def inside(self) -> tuple[slice, slice]:
        """The rows and columns of an array that lie in the box."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def best_union(labels: Int32Array, count: int, mask: UInt8Array) -> Bools:
    """The clusters whose union has the highest IoU with the truth.

    Adding a cluster raises an IoU exactly where its ratio of foreground to background pixels exceeds that
    IoU, so the best union is a prefix of the clusters in falling order of their foreground share.

    Args:
        labels: (H, W) int32 in 0..count-1, every cluster with a pixel.
        count: clusters.
        mask: (H, W) uint8 in {0, 1}.

    Returns:
        (count,) bool; no cluster where the truth is empty.
    """
    sizes, inside = _shares(labels, count, mask)
    order = np.argsort(-inside / sizes, kind="stable")
    hits = inside[order].cumsum()
    ious = hits / (inside.sum() + (sizes - inside)[order].cumsum())
    chosen = np.zeros(count, np.bool_)
    if hits[-1]:
        chosen[order[: int(ious.argmax()) + 1]] = True
    return chosen


def majority(labels: Int32Array, count: int, mask: UInt8Array) -> Bools:
    """The clusters more than half of whose pixels are foreground: the highest accuracy among unions.

    Arguments and result as `best_union`.
    """
    sizes, inside = _shares(labels, count, mask)
    mostly: Bools = 2 * inside > sizes
    return mostly


def _shares(labels: Int32Array, count: int, mask: UInt8Array) -> tuple[Any, Any]:
    """Pixels of each cluster, and those of them that are foreground."""
    return np.bincount(labels.ravel(), minlength=count), np.bincount(labels[mask > 0], minlength=count)


def true_box(mask: UInt8Array) -> Box | None:
    """What a person would draw around the object: its bounding box and 3 px more, cut at the frame.

    Args:
        mask: (H, W) uint8 in {0, 1}. The 3 px are meant for a short side of 256 px and scale with it.

    Returns:
        None where the mask is empty: nobody draws a box around nothing.
    """
    if not mask.any():
        return None
    margin = round(BOX_MARGIN * min(mask.shape) / SIDE)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return Box(
        max(0, int(columns[0]) - margin),
        max(0, int(rows[0]) - margin),
        min(width, int(columns[-1]) + 1 + margin),
        min(height, int(rows[-1]) + 1 + margin),
    )


def true_trimap(mask: UInt8Array) -> UInt8Array:
    """The truth with 7 px of doubt to each side of its edge.

    Args:
        mask: (H, W) uint8 in {0, 1}. The 7 px are meant for a short side of 256 px and scale with it.

    Returns:
        (H, W) uint8: 0 background, 1 foreground, 2 unknown. A frame that cuts the object makes no edge.
    """
    radius = max(1, round(TRIMAP_RADIUS * min(mask.shape) / SIDE))
    return np.where(near_edge(mask, radius), 2, mask).astype(np.uint8)
