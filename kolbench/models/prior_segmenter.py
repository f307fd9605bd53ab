"""What networks share that may be given the alpha of the frame before."""

from collections.abc import Sequence

from torch import Tensor

from kolbench.errors import TrainingError
from kolbench.models.network_segmenter import Network, NetworkSegmenter
from kolbench.preprocessing import InputSpec, with_prior
from kolbench.types import Batch, Prediction, State


class PriorSegmenter(NetworkSegmenter[Network]):
    """Predicts alpha with one network that takes, where asked to, the alpha before as a fourth channel.

    The prior is the foreground's probability of the frame before at the network's input size, not
    normalised; at a clip's beginning and for single pictures it is 0 (RCRNet, section 4.2.2).

    Args:
        input_spec, network, training_heads: see NetworkSegmenter; with a prior the network takes 4 channels.
        prior: whether it is given one.
    """

    def __init__(
        self, input_spec: InputSpec, network: Network, training_heads: Sequence[str], prior: bool
    ) -> None:
        super().__init__(input_spec, network, training_heads)
        self.stateful = prior

    def predict(self, *inputs: Tensor, state: State | None = None) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; aux is empty. state: the prior, (B, 1, h, w)."""
        if not self.stateful:
            return super().predict(*inputs)
        image = inputs[0]
        alpha = self.network(with_prior(self.input_spec.preprocess(image), state[0] if state else None))
        return Prediction(self.input_spec.postprocess(alpha, *image.shape[-2:]), state=(alpha,))

    def training_input(self, batch: Batch, image: Tensor) -> Tensor:
        """What the network is given of a training batch: its pictures, normalised, and their priors.

        Args:
            batch: holds `prior` (N, 1, h, w) where the recipe's `augment` makes it (PriorFromMask).
            image: (k N, 3, h, w) in [0, 1], k views of the batch one behind the other.

        Returns:
            (k N, 3, h, w), or (k N, 4, h, w) with a prior.

        Raises:
            TrainingError: the network wants a prior, and the batch has none.
        """
        given = self.input_spec.normalise(image)
        if not self.stateful:
            return given
        prior = batch.get("prior")
        if prior is None:
            raise TrainingError(
                "model.prior=true learns from made-up priors, but the recipe's augment list makes none; add "
                "{_target_: kolbench.data.prior.PriorFromMask} behind all steps that move pixels."
            )
        return with_prior(given, prior.repeat(len(image) // len(prior), 1, 1, 1))
