"""The TikTok report's U-Net: Bhattiprolu's simple Keras U-Net with 16 to 256 filters and no batch norm."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.models.losses import bce
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import InputSpec
from kolbench.types import Batch, Prediction

# Keras's Dropout rates of blocks c1 to c5 and c6 to c9
DROPOUT_DOWN = (0.1, 0.1, 0.2, 0.2, 0.3)
DROPOUT_UP = (0.2, 0.2, 0.1, 0.1)
BOTTOM = len(DROPOUT_DOWN)
# standard deviation of a unit normal cut at two standard deviations; Keras divides by it
TRUNCATED_STD = 0.87962566103423978


class ConvBlock(nn.Module):
    """Convolution 3x3, ReLU, dropout of single elements, convolution 3x3, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W), at least 0."""
        return F.relu(self.conv2(self.dropout(F.relu(self.conv1(x)))))


class UNet(nn.Module):
    """Five blocks down (c1 to c5), four up (u6 and c6 to u9 and c9), as in the table of the public script.

    Args:
        filters: channels of c1, doubled at every level: 16 in the report, 64 in Ronneberger et al. 2015
            (31,031,745 parameters here).
        channels_in: 3 for RGB; 1 gives 1,940,817 parameters.
    """

    def __init__(self, filters: int = 16, channels_in: int = 3) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(BOTTOM)]
        for number, width in enumerate(widths, start=1):
            entry = channels_in if number == 1 else width // 2
            self.add_module(f"c{number}", ConvBlock(entry, width, DROPOUT_DOWN[number - 1]))
        for number, width in enumerate(reversed(widths[:-1]), start=BOTTOM + 1):
            self.add_module(f"u{number}", nn.ConvTranspose2d(2 * width, width, 2, stride=2))
            self.add_module(f"c{number}", ConvBlock(2 * width, width, DROPOUT_UP[number - BOTTOM - 1]))
        self.out = nn.Conv2d(filters, 1, 1)
        self.apply(_init_like_keras)

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W) in [0, 1], H and W multiples of 16 -> (B, 1, H, W) probability."""
        return self.forward_train(image).float().sigmoid()

    def forward_train(self, image: Tensor) -> Tensor:
        """As `forward`, but logits."""
        skips = [self._run("c1", image)]
        for number in range(2, BOTTOM + 1):
            skips.append(self._run(f"c{number}", F.max_pool2d(skips[-1], 2)))
        y = skips.pop()
        for number in range(BOTTOM + 1, 2 * BOTTOM):
            up = self._run(f"u{number}", y)
            y = self._run(f"c{number}", torch.cat((up, skips.pop()), 1))
        logits: Tensor = self.out(y)
        return logits

    def _run(self, name: str, x: Tensor) -> Tensor:
        out: Tensor = getattr(self, name)(x)
        return out


class UNetSegmenter(NetworkSegmenter[UNet]):
    """The report's U-Net: pictures in [0, 1], stretched to a square, cross-entropy on the binary mask.

    Args:
        size: side of the input in pixels, a multiple of 16; the report names none.
        filters: channels of the first block, see UNet.

    Raises:
        ConfigError: a size that is no multiple of 16.
    """

    def __init__(self, size: int, filters: int = 16) -> None:
        super().__init__(
            InputSpec(size, multiple=16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), UNet(filters)
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`bce`: cross-entropy on the binary mask."""
        logits = self.network.forward_train(self.input_spec.normalise(batch["image"]))
        return {"bce": bce.binary_cross_entropy(logits, batch["mask"])}

    def validation_loss(self, prediction: Prediction, batch: Batch) -> Tensor:
        """Cross-entropy of alpha at the picture's own size; the report keeps the epoch of its minimum."""
        return bce.probability_cross_entropy(prediction.alpha, batch["mask"])


def he_normal_(weight: Tensor) -> None:
    """Fills (out, in, k, k) as Keras's `he_normal`: cut at two sigma, standard deviation sqrt(2 / fan_in)."""
    sigma = math.sqrt(2 / weight[0].numel()) / TRUNCATED_STD
    nn.init.trunc_normal_(weight, std=sigma, a=-2 * sigma, b=2 * sigma)


def _init_like_keras(module: nn.Module) -> None:
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return
    # the public script asks for he_normal in its 3x3 convolutions only; Keras's default is Glorot uniform
    if module.kernel_size == (3, 3):
        he_normal_(module.weight)
    else:
        nn.init.xavier_uniform_(module.weight)
    assert module.bias is not None
    nn.init.zeros_(module.bias)
