"""K-Means on the pixels of one picture (TikTok report: K = 6, 8 and 10, pixels replaced by centroids)."""

from functools import partial
from typing import Any

from kolbench.models.classic.cluster_selection import Selection, select
from kolbench.models.classic.lloyd import KMeansOptions, cluster
from kolbench.models.classic.picture_segmenter import ClusterSegmenter
from kolbench.types import PictureResult, UInt8Array


class KMeansSegmenter(ClusterSegmenter):
    """Segments by K-Means.

    Args:
        variant, rule, clean, oracle: see Selection.
        options: the fields of KMeansOptions.

    Raises:
        ConfigError: a value is out of range.
    """

    # Any: KMeansOptions checks its own fields
    def __init__(self, variant: str, rule: str, clean: bool, oracle: str, **options: Any) -> None:
        of_clusters, selection = KMeansOptions(**options), Selection(variant, rule, clean, oracle)
        super().__init__(
            partial(segment, options=of_clusters, selection=selection),
            variant,
            partial(cluster, options=of_clusters),
        )


def segment(
    image: UInt8Array, mask: UInt8Array | None = None, *, options: KMeansOptions, selection: Selection
) -> PictureResult:
    """Alpha of a picture by K-Means.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 in {0, 1}; only where the selection's variant is helped by the truth.
        options: of the clustering.
        selection: of the clusters.

    Returns:
        Alpha (H, W) in {0, 1}, with the note of selection.select.
    """
    return select(cluster(image, options), selection, mask)
