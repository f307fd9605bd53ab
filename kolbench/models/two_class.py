"""What networks with two output classes share: softmax, cross-entropy, ImageNet's mean and deviation."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.losses.two_class import cross_entropy, foreground_probability
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RESIZE_MODES,
    InputSpec,
    current_resize_mode,
)
from kolbench.types import Batch


class TwoClassNetwork(nn.Module, ABC):
    """Gives the foreground's share of a softmax over two classes; a subclass says how logits are made."""

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W), normalised, H and W multiples of 32 -> (B, 1, H, W) probability."""
        return foreground_probability(self.forward_train(image))

    @abstractmethod
    def forward_train(self, image: Tensor) -> Tensor:
        """As `forward`, but logits (B, 2, H, W), background first."""


class TwoClassSegmenter(NetworkSegmenter[TwoClassNetwork]):
    """Feeds a network with two classes and trains it by their cross-entropy.

    Args:
        size: side of the input in pixels, a multiple of 32.
        network: see TwoClassNetwork.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.
        mean, std: of the input's channels, RGB in [0, 1].

    Raises:
        ConfigError: an unknown resize mode, or a size that is no multiple of 32.
    """

    def __init__(
        self,
        size: int,
        network: TwoClassNetwork,
        resize_mode: str = "stretch",
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        resize_mode = require_choice("model.resize_mode", current_resize_mode(resize_mode), RESIZE_MODES)
        super().__init__(InputSpec(size, resize_mode=resize_mode, mean=mean, std=std), network)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`ce`: cross-entropy of the two classes on the binary mask."""
        return {"ce": cross_entropy(self.logits(batch), batch["mask"])}

    def logits(self, batch: Batch) -> Tensor:
        """(B, 2, H, W) of a training batch's pictures."""
        return self.network.forward_train(self.input_spec.normalise(batch["image"]))
