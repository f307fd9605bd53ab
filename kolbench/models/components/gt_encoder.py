"""The ground-truth encoder of intermediate supervision (Qin et al., ECCV 2022; RSUDISNet, eq. 8 and 9)."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from kolbench.models.checkpoints.read import load_state_strict
from kolbench.models.components.blocks import RSU, halve, resize_to
from kolbench.models.losses import bce
from kolbench.segmenter import Segmenter
from kolbench.types import Batch, Prediction


class GTMaps(NamedTuple):
    """What the encoder makes of an alpha of H x W; keys `8`, `7`, `6` name the RSU, finest first.

    logits: (B, 1, H, W) each, the alpha again. features: (B, C, h, w) at H, H/2 and H/4, after the RSU's sum.
    """

    logits: dict[str, Tensor]
    features: dict[str, Tensor]


class GTEncoder(nn.Module):
    """RSU8_2, RSU7_4 and RSU6_4 with a pooling between: the twins of RSUDISNet's fusion blocks.

    Args:
        mid: channels inside the RSUs; 32 (688,899 parameters) or 16 (272,451).
        channels: of each feature map, the same as the network's.
    """

    def __init__(self, mid: int = 32, channels: int = 64) -> None:
        super().__init__()
        self.rsu8_2 = RSU(8, 1, mid, channels)
        self.rsu7_4 = RSU(7, channels, mid, channels)
        self.rsu6_4 = RSU(6, channels, mid, channels)
        self.side8 = nn.Conv2d(channels, 1, 3, padding=1)
        self.side7 = nn.Conv2d(channels, 1, 3, padding=1)
        self.side6 = nn.Conv2d(channels, 1, 3, padding=1)

    def features(self, alpha: Tensor) -> dict[str, Tensor]:
        """(B, 1, H, W) in [0, 1], not normalised -> the three feature maps."""
        f8 = self.rsu8_2(alpha)
        f7 = self.rsu7_4(halve(f8))
        return {"8": f8, "7": f7, "6": self.rsu6_4(halve(f7))}

    def forward(self, alpha: Tensor) -> GTMaps:
        """(B, 1, H, W) in [0, 1] -> logits and feature maps."""
        features = self.features(alpha)
        sides = {"8": self.side8, "7": self.side7, "6": self.side6}
        logits = {level: resize_to(side(features[level]), alpha.shape[-2:]) for level, side in sides.items()}
        return GTMaps(logits, features)


class GTEncoderSegmenter(Segmenter):
    """Trains the encoder to give back the alpha it reads: RSUDISNet's pretraining, never a compared method.

    Args:
        network: the encoder itself, not a copy.
    """

    input_keys = ("alpha",)

    def __init__(self, network: GTEncoder) -> None:
        super().__init__()
        self.network = network

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 1, H, W) true alpha -> the finest map at the same size; aux holds the other two."""
        logits = self.network(inputs[0]).logits
        probabilities = {level: value.float().sigmoid() for level, value in logits.items()}
        return Prediction(probabilities["8"], {f"side{level}": probabilities[level] for level in ("7", "6")})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`bce_8`, `bce_7`, `bce_6` (eq. 8); pixels of 0.5 keep each above their share times ln 2."""
        logits = self.network(batch["alpha"]).logits
        terms = bce.deep_supervision(list(logits.values()), batch["alpha"])
        return {f"bce_{level}": term for level, term in zip(logits, terms, strict=True)}

    def inference_network(self) -> nn.Module:
        """The encoder."""
        return self.network

    def load_weights(self, state: Mapping[str, Tensor]) -> list[str]:
        """Loads an encoder of ours, strictly; there is no official one."""
        return load_state_strict(self.network, state)
