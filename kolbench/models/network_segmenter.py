"""What all methods made of one network share: subclasses add a constructor and their losses."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from torch import Tensor, nn

from kolbench.models.checkpoints.read import load_state_strict
from kolbench.preprocessing import InputSpec
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction

Network = TypeVar("Network", bound=nn.Module)


class NetworkSegmenter(Segmenter, Generic[Network]):
    """Predicts alpha with one network: preprocesses the picture and brings the map back to its size.

    A method of one's own is a subclass with a constructor that calls this one, and `losses`; it overrides
    `predict` where more than an alpha is wanted.

    Args:
        input_spec: how the network wants pictures, in training too.
        network: `forward` maps preprocessed pictures (B, 3, h, w) to probabilities (B, 1, h, w); its weights
            are counted, saved and exported.
        training_heads: names of its sub-modules that only training needs; checkpoints may lack them.
    """

    def __init__(self, input_spec: InputSpec, network: Network, training_heads: Sequence[str] = ()) -> None:
        super().__init__()
        self.input_spec = input_spec
        self.network = network
        self.training_heads = tuple(training_heads)

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; aux is empty."""
        image = inputs[0]
        alpha = self.network(self.input_spec.preprocess(image))
        return Prediction(self.input_spec.postprocess(alpha, *image.shape[-2:]))

    def training_input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in pixels of training pictures where the typical picture has the given size."""
        return self.input_spec.input_size(height, width)

    def inference_network(self) -> nn.Module:
        """The network, with the heads that only training needs."""
        return self.network

    def load_weights(self, state: Mapping[str, Tensor]) -> list[str]:
        """Loads named tensors into the network, strictly but for `training_heads`.

        Returns:
            Those of `training_heads` that `state` lacks; they keep their present weights.

        Raises:
            WeightsError: a tensor is missing, unknown or of another shape.
        """
        return load_state_strict(self.network, state, self.training_heads)
