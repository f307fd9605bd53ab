"""PortraitNet's decoder blocks, which RCRNet's variants with that decoder share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.models.components.light import conv_bn, depthwise

# bilinear interpolation to twice the size, along one side
LINEAR = (0.25, 0.75, 0.75, 0.25)


class DBlock(nn.Module):
    """Two separable convolutions, and beside them the input, through a 1x1 where the width changes."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            depthwise(channels_in),
            conv_bn(channels_in, channels_out),
            depthwise(channels_out),
            conv_bn(channels_out, channels_out, relu=False),
        )
        same = channels_in == channels_out
        self.side = nn.Identity() if same else conv_bn(channels_in, channels_out, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W), at least 0."""
        return F.relu(self.main(x) + self.side(x))


def doubling(channels: int, upsample: str = "deconv", groups: int = 1) -> nn.Module:
    """Doubles the size: `bilinear`, or `deconv`, which begins so, each channel by itself, and is trained.

    PortraitNet's released code fills every pair of channels alike, so that each begins as the sum of all.

    Args:
        groups: of the transposed convolution, 1 or as many as channels.
    """
    if upsample == "bilinear":
        return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    layer = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, groups=groups, bias=False)
    own = torch.eye(channels) if groups == 1 else torch.ones(channels, 1)
    layer.weight.data.copy_(own[..., None, None] * bilinear_kernel())
    return layer


def bilinear_kernel() -> Tensor:
    """(4, 4) weights of a transposed convolution of stride 2 that enlarges bilinearly; they sum to 4."""
    line = torch.tensor(LINEAR)
    return torch.outer(line, line)
