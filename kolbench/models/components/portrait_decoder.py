"""PortraitNet's decoder blocks, which RCRNet's variants with that decoder share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.models.components.rcr import bilinear_kernel, conv_norm, depthwise


class DBlock(nn.Module):
    """Two depthwise separable convolutions beside a shortcut, and a ReLU after their sum."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *depthwise(channels_in),
            nn.ReLU(),
            *conv_norm(channels_in, channels_out),
            nn.ReLU(),
            *depthwise(channels_out),
            nn.ReLU(),
            *conv_norm(channels_out, channels_out),
        )
        self.shortcut = nn.Identity() if channels_in == channels_out else conv_norm(channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W), at least 0."""
        return F.relu(self.main(x) + self.shortcut(x))


def dense_doubled(channels: int) -> nn.ConvTranspose2d:
    """A transposed convolution between all channels that begins as bilinear enlargement of each by 2.

    The released code fills every pair of channels alike, so that each begins as the sum of all.
    """
    layer = nn.ConvTranspose2d(channels, channels, 4, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = bilinear_kernel()
    return layer
