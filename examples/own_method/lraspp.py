"""A method of one's own: torchvision's LR-ASPP on MobileNetV3, trained and scored as kolbench's own are.

    cd examples/own_method
    python -m kolbench --config-dir conf model=lraspp

Howard et al., Searching for MobileNetV3, ICCV 2019, section 6.4.
"""

from torch import Tensor, nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from kolbench.models.losses import bce, dice
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from kolbench.types import Batch


class LRASPP(nn.Module):
    """(B, 3, h, w), normalised as for ImageNet -> (B, 1, h, w) probability of the foreground."""

    def __init__(self) -> None:
        super().__init__()
        self.body = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=1)

    def logits(self, image: Tensor) -> Tensor:
        """As `forward`, before the sigmoid."""
        logits: Tensor = self.body(image)["out"]
        return logits

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, 1, h, w) in [0, 1]."""
        return self.logits(image).sigmoid()


class LRASPPSegmenter(NetworkSegmenter[LRASPP]):
    """LR-ASPP, trained by cross-entropy and Dice.

    Args:
        size: side of the network's input in pixels, a multiple of 32.
        dice_weight: weight of the Dice term beside cross-entropy, at least 0.
    """

    def __init__(self, size: int, dice_weight: float = 1.0) -> None:
        super().__init__(InputSpec(size, mean=IMAGENET_MEAN, std=IMAGENET_STD), LRASPP())
        self.dice_weight = dice_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`bce` and `dice`, both against the binary mask."""
        logits = self.network.logits(self.input_spec.normalise(batch["image"]))
        return {
            "bce": bce.binary_cross_entropy(logits, batch["mask"]),
            "dice": self.dice_weight * dice.soft_dice(logits.sigmoid(), batch["mask"].float()),
        }
