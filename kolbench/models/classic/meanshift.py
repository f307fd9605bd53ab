"""Mean Shift on the pixels of a picture (Comaniciu and Meer, PAMI 24, 2002), exact or by OpenCV's pyramid."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from sklearn.cluster import MeanShift, estimate_bandwidth, get_bin_seeds

from kolbench.errors import require_between, require_choice, require_whole
from kolbench.models.classic import features, lloyd
from kolbench.models.classic.cluster_selection import Selection, select
from kolbench.models.classic.features import Int32Array
from kolbench.models.classic.lloyd import KMeansOptions
from kolbench.models.classic.picture_segmenter import ClusterSegmenter
from kolbench.models.classic.regions import Clusters, clusters_of
from kolbench.types import Float32Array, PictureResult, UInt8Array

METHODS = ("sklearn", "pyramid")
LABELS = ("kmeans", "components")
_MIN_BIN = 5
_SAMPLES = 500
# about the smallest visible difference in Lab; an estimate may be 0, in a picture of one colour
_MIN_BANDWIDTH = 1.0
_PYRAMID_LEVELS = 1


@dataclass(frozen=True)
class MeanShiftOptions:
    """Options of Mean Shift.

    method: `sklearn` seeks the modes of the pixels of a small copy and gives every pixel of the picture to
    the nearest; `pyramid` smooths a copy by cv2.pyrMeanShiftFiltering and labels what is smooth.
    space, pos_weight: see features.pixel_features. seed: combined with the picture's content.

    sklearn: bandwidth, in the features' unit, or None to estimate it from `quantile` of the distances
    between 500 pixels; max_side: longer side of the copy, in pixels.

    pyramid: sp and sr, the radii of the window in pixels of the copy and in RGB levels; size: short side of
    the copy; labels: `kmeans`, with k, space and pos_weight, or `components`, connected where neighbours
    differ by at most `tolerance` RGB levels in every channel.

    Raises:
        ConfigError: a value is out of range.
    """

    method: str = "sklearn"
    space: str = "lab"
    pos_weight: float = 1.0
    bandwidth: float | None = None
    quantile: float = 0.05
    max_side: int = 128
    sp: float = 10
    sr: float = 20
    size: int = 256
    labels: str = "components"
    k: int = 8
    tolerance: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        require_choice("model.method", self.method, METHODS)
        require_choice("model.space", self.space, features.SPACES)
        require_between("model.pos_weight", self.pos_weight, 0, 2)
        if self.bandwidth is not None:
            require_between("model.bandwidth", self.bandwidth, _MIN_BANDWIDTH, 200)
        require_between("model.quantile", self.quantile, 0.01, 1)
        require_whole("model.max_side", self.max_side, 16, 1024)
        require_between("model.sp", self.sp, 1, 100)
        require_between("model.sr", self.sr, 1, 255)
        require_whole("model.size", self.size, 16, 4096)
        require_choice("model.labels", self.labels, LABELS)
        require_whole("model.k", self.k, 2, 10)
        require_whole("model.tolerance", self.tolerance, 0, 255)
        require_whole("model.seed", self.seed, 0, 2**31 - 1)


class MeanShiftSegmenter(ClusterSegmenter):
    """Segments by Mean Shift.

    Args:
        variant, rule, clean, oracle: see Selection.
        options: the fields of MeanShiftOptions.

    Raises:
        ConfigError: a value is out of range.
    """

    # Any: MeanShiftOptions checks its own fields
    def __init__(self, variant: str, rule: str, clean: bool, oracle: str, **options: Any) -> None:
        of_clusters, selection = MeanShiftOptions(**options), Selection(variant, rule, clean, oracle)
        super().__init__(
            partial(segment, options=of_clusters, selection=selection),
            variant,
            partial(cluster, options=of_clusters),
        )


def cluster(image: UInt8Array, options: MeanShiftOptions) -> Clusters:
    """The clusters of a picture (H, W, 3) uint8 RGB; their number follows from the picture."""
    by = _by_modes if options.method == "sklearn" else _by_pyramid
    return clusters_of(image, by(image, options))


def _by_modes(image: UInt8Array, options: MeanShiftOptions) -> Int32Array:
    small = features.shrunk(image, options.max_side / max(image.shape[:2]))
    points = features.pixel_features(small, options.space, options.pos_weight)
    centres = modes(points.T, options, features.picture_seed(image, options.seed))
    full = features.pixel_features(image, options.space, options.pos_weight)
    return features.nearest(full, centres).reshape(image.shape[:2])


def modes(points: Float32Array, options: MeanShiftOptions, seed: int) -> Float32Array:
    """Where the density of (N, d) points peaks: (K, d) float32, the densest first."""
    bandwidth = options.bandwidth
    if bandwidth is None:
        samples = min(_SAMPLES, len(points))
        found = estimate_bandwidth(points, quantile=options.quantile, n_samples=samples, random_state=seed)
        bandwidth = max(_MIN_BANDWIDTH, float(found))
    bins = get_bin_seeds(points, bandwidth, _MIN_BIN)
    # a tiny picture may have no bin so full; a bin's middle may reach no pixel, but a pixel reaches itself
    starts = np.vstack([bins if len(bins) else points, points[:1]])
    shift = MeanShift(bandwidth=bandwidth, seeds=starts).fit(points)
    return np.asarray(shift.cluster_centers_, np.float32)


def _by_pyramid(image: UInt8Array, options: MeanShiftOptions) -> Int32Array:
    small = features.shrunk(image, options.size / min(image.shape[:2]))
    smooth: Any = cv2.pyrMeanShiftFiltering(small, options.sp, options.sr, maxLevel=_PYRAMID_LEVELS)
    if options.labels == "components":
        labels = like_coloured_components(smooth, options.tolerance)
    else:
        of_kmeans = KMeansOptions(
            options.k, options.space, options.pos_weight, size=options.size, seed=options.seed
        )
        labels = lloyd.cluster(smooth, of_kmeans).labels
    height, width = image.shape[:2]
    return np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.int32)


def like_coloured_components(image: UInt8Array, tolerance: int) -> Int32Array:
    """Regions within which one can walk, in steps to the 4 neighbours, without a jump of colour.

    Args:
        image: (H, W, 3) uint8.
        tolerance: levels by which neighbours may differ in each channel.

    Returns:
        (H, W) int32 >= 0.
    """
    height, width = image.shape[:2]
    signed = image.astype(np.int16)
    # a grid with pixels at even places and, between them, the doors that are open
    grid = np.zeros((2 * height - 1, 2 * width - 1), np.uint8)
    grid[::2, ::2] = 1
    grid[::2, 1::2] = (np.abs(np.diff(signed, axis=1)) <= tolerance).all(axis=2)
    grid[1::2, ::2] = (np.abs(np.diff(signed, axis=0)) <= tolerance).all(axis=2)
    found: tuple[int, Any] = cv2.connectedComponents(grid, connectivity=4)
    return np.asarray(found[1][::2, ::2] - 1, np.int32)


def segment(
    image: UInt8Array, mask: UInt8Array | None = None, *, options: MeanShiftOptions, selection: Selection
) -> PictureResult:
    """Alpha of a picture by Mean Shift; arguments and result as kmeans.segment."""
    return select(cluster(image, options), selection, mask)
