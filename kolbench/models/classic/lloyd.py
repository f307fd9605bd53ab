"""Clusters of a picture's pixels by Lloyd's iterations, for K-Means and for Mean Shift's pyramid."""

from dataclasses import dataclass

import cv2
import numpy as np

from kolbench.errors import require_between, require_choice, require_whole
from kolbench.models.classic import features
from kolbench.models.classic.regions import Clusters, clusters_of
from kolbench.types import Float32Array, UInt8Array

# a centre that moves by less than one unit of Lab is at rest
_EPSILON = 1.0


@dataclass(frozen=True)
class KMeansOptions:
    """Options of K-Means.

    k: clusters asked for, 2..10. space, pos_weight: see features.pixel_features. attempts: starts, of which
    the most compact result is kept. iterations: at most so many of Lloyd's in each attempt. size: short
    side in pixels of the copy whose pixels are clustered; every pixel of the picture is then given to the
    nearest centre. seed: combined with the picture's content.

    Raises:
        ConfigError: a value is out of range.
    """

    k: int = 8
    space: str = "lab"
    pos_weight: float = 1.0
    attempts: int = 3
    iterations: int = 20
    size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        require_whole("model.k", self.k, 2, 10)
        require_choice("model.space", self.space, features.SPACES)
        require_between("model.pos_weight", self.pos_weight, 0, 2)
        require_whole("model.attempts", self.attempts, 1, 100)
        require_whole("model.iterations", self.iterations, 1, 1000)
        require_whole("model.size", self.size, 16, 4096)
        require_whole("model.seed", self.seed, 0, 2**31 - 1)


def cluster(image: UInt8Array, options: KMeansOptions) -> Clusters:
    """The clusters of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        options: of the clustering.

    Returns:
        At most `options.k` clusters: fewer where the picture has fewer distinct points.
    """
    small = features.shrunk(image, options.size / min(image.shape[:2]))
    points = features.pixel_features(small, options.space, options.pos_weight)
    centres = centroids(points, options, features.picture_seed(image, options.seed))
    full = points if small is image else features.pixel_features(image, options.space, options.pos_weight)
    return clusters_of(image, features.nearest(full, centres).reshape(image.shape[:2]))


def centroids(points: Float32Array, options: KMeansOptions, seed: int) -> Float32Array:
    """Centres of (d, N) points by Lloyd's iterations from k-means++ starts: (K, d), K <= options.k."""
    distinct = np.unique(points[:, :: max(1, points.shape[1] // 4096)], axis=1)
    if distinct.shape[1] <= options.k:
        distinct = np.unique(points, axis=1)
    if distinct.shape[1] <= options.k:
        return np.ascontiguousarray(distinct.T)
    # OpenCV has one generator per thread, of which every call takes a part
    cv2.setRNGSeed(seed)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, options.iterations, _EPSILON)
    rows = np.ascontiguousarray(points.T)
    labels = np.empty((len(rows), 1), np.int32)
    _, _, centres = cv2.kmeans(rows, options.k, labels, criteria, options.attempts, cv2.KMEANS_PP_CENTERS)
    return np.asarray(centres, np.float32)
