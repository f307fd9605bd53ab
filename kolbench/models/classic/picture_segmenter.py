"""The classic methods behind the common contract: pure functions of one picture, no weights."""

from collections.abc import Callable

import torch
from torch import Tensor

from kolbench.io.arrays import as_arrays
from kolbench.models.classic.regions import Clusters, replaced_by_centroids
from kolbench.segmenter import Segmenter
from kolbench.types import PictureResult, Prediction, UInt8Array

# variant -> what of the truth it is given
ACCESS_OF_VARIANT = {"auto": "none", "box": "box", "oracle": "mask"}


class PictureSegmenter(Segmenter):
    """Runs a method that works on arrays, picture by picture.

    Args:
        function: picklable; image (H, W, 3) uint8 and, where the variant is helped, mask (H, W) uint8 in
            {0, 1} -> PictureResult.
        variant: `auto` reads the image only; `box` and `oracle` read the mask too and stand in blocks of
            their own.
    """

    def __init__(self, function: Callable[..., PictureResult], variant: str) -> None:
        super().__init__()
        self.function = function
        self.truth_access = ACCESS_OF_VARIANT[variant]
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
        """Gives the function itself; its alpha comes with notes."""
        return self.function


class ClusterSegmenter(PictureSegmenter):
    """Runs a method that clusters the pixels, then says which clusters are foreground.

    Args:
        function, variant: see PictureSegmenter.
        cluster: the first half of `function`, for people to look at.
    """

    def __init__(
        self,
        function: Callable[..., PictureResult],
        variant: str,
        cluster: Callable[[UInt8Array], Clusters],
    ) -> None:
        super().__init__(function, variant)
        self.cluster = cluster

    def visualize(self, *inputs: Tensor) -> UInt8Array:
        """Draws each pixel in the mean colour of its cluster."""
        return replaced_by_centroids(self.cluster(as_arrays(inputs[0])[0]))
