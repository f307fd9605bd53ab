"""K-Means, Mean Shift and GrabCut behind the common contract: pure functions of one picture, no weights."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kolbench.io.arrays import as_arrays
from kolbench.models.classic import grabcut, kmeans, meanshift
from kolbench.models.classic.grabcut import GrabCutOptions
from kolbench.models.classic.kmeans import KMeansOptions
from kolbench.models.classic.meanshift import MeanShiftOptions
from kolbench.models.classic.regions import Clusters, replaced_by_centroids
from kolbench.models.classic.selection import Selection
from kolbench.segmenter import Segmenter
from kolbench.types import PictureResult, Prediction, UInt8Array

AIDS = {"auto": "none", "box": "box", "oracle": "mask"}


class PictureSegmenter(Segmenter):
    """A method that works on arrays, picture by picture.

    Args:
        function: picklable; image (H, W, 3) uint8 and, where the variant is helped, mask (H, W) uint8 in
            {0, 1} -> PictureResult.
        variant: `auto` reads the image only; `box` and `oracle` read the mask too and stand in blocks of
            their own.
    """

    def __init__(self, function: Callable[..., PictureResult], variant: str) -> None:
        super().__init__()
        self.function = function
        self.truth_access = AIDS[variant]
        self.input_keys = ("image",) if variant == "auto" else ("image", "mask")

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1], and (B, 1, H, W) where the mask is read -> alpha.

        aux holds the notes of each picture, by name: (B, 1, 1, 1) float32, 1 where it happened.
        """
        device = inputs[0].device
        pictures = zip(*(as_arrays(entry) for entry in inputs), strict=True)
        results = [self.function(*picture) for picture in pictures]
        alpha = torch.stack([torch.from_numpy(result.alpha) for result in results])[:, None]
        aux = {
            name: torch.tensor([result.notes[name] for result in results], device=device).view(-1, 1, 1, 1)
            for name in results[0].notes
        }
        return Prediction(alpha.to(device), aux)

    def array_function(self) -> Callable[..., PictureResult]:
        """The function itself; its alpha comes with notes."""
        return self.function


class ClusterSegmenter(PictureSegmenter):
    """A method that clusters the pixels, then says which clusters are foreground."""

    cluster: Callable[[UInt8Array], Clusters]

    def visualize(self, *inputs: Tensor) -> UInt8Array:
        """Each pixel in the mean colour of its cluster."""
        return replaced_by_centroids(self.cluster(as_arrays(inputs[0])[0]))


class KMeansSegmenter(ClusterSegmenter):
    """K-Means.

    Args:
        variant, rule, clean, oracle: see Selection.
        knobs: see KMeansOptions.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, variant: str, rule: str, clean: bool, oracle: str, **knobs: Any) -> None:
        options, selection = KMeansOptions(**knobs), Selection(variant, rule, clean, oracle)
        super().__init__(partial(kmeans.segment, options=options, selection=selection), variant)
        self.cluster = partial(kmeans.cluster, options=options)


class MeanShiftSegmenter(ClusterSegmenter):
    """Mean Shift.

    Args:
        variant, rule, clean, oracle: see Selection.
        knobs: see MeanShiftOptions.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, variant: str, rule: str, clean: bool, oracle: str, **knobs: Any) -> None:
        options, selection = MeanShiftOptions(**knobs), Selection(variant, rule, clean, oracle)
        super().__init__(partial(meanshift.segment, options=options, selection=selection), variant)
        self.cluster = partial(meanshift.cluster, options=options)


class GrabCutSegmenter(PictureSegmenter):
    """GrabCut.

    Args:
        variant: see GrabCutOptions.
        knobs: the others of GrabCutOptions.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, variant: str, **knobs: Any) -> None:
        super().__init__(partial(grabcut.segment, options=GrabCutOptions(variant, **knobs)), variant)
