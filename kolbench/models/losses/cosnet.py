"""The loss of COSNet's three maps (carrierlxk/COSNet)."""

from dataclasses import dataclass

from torch import Tensor

from kolbench.errors import ConfigError, require_choice
from kolbench.models.losses.pdnet import WEIGHTED, balanced_cross_entropy, weighted_cross_entropy


@dataclass(frozen=True)
class COSNetLossOptions:
    """What is minimised; the defaults are the released code's.

    Attributes:
        wbce: `cosnet`: cross-entropy times N / n, pixels over those of the foreground; or `balanced`, see
            `balanced_cross_entropy`, which the paper says.
        wbce_cap: the largest weight of `cosnet`; None = none.
        l1_weight: of the mean absolute error beside the cross-entropy.
        encoder_weight: of the encoder's own classifier, on single pictures.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
    """

    wbce: str = "cosnet"
    wbce_cap: float | None = 1000.0
    l1_weight: float = 0.8
    encoder_weight: float = 0.1

    def __post_init__(self) -> None:
        require_choice("model.wbce", self.wbce, WEIGHTED)
        for name in ("l1_weight", "encoder_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"model.{name}={getattr(self, name)} must be at least 0.")
        if self.wbce_cap is not None and self.wbce_cap <= 0:
            raise ConfigError(f"model.wbce_cap={self.wbce_cap} must be above 0, or null for none.")


def map_error(logits: Tensor, target: Tensor, options: COSNetLossOptions) -> Tensor:
    """E: weighted cross-entropy and `l1_weight` times the mean absolute error, over the whole batch.

    Args:
        logits: (B, 1, H, W) float, before the sigmoid. target: (B, 1, H, W) float in [0, 1].

    Returns:
        Scalar.
    """
    entropy = (
        weighted_cross_entropy(logits, target, options.wbce_cap, added=0.0)
        if options.wbce == "cosnet"
        else balanced_cross_entropy(logits, target)
    )
    return entropy + options.l1_weight * (logits.sigmoid() - target).abs().mean()
