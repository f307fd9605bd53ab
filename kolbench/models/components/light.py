"""Building blocks of light networks: convolutions with batch norm, separable ones, inverted residuals."""

import torch
from torch import Tensor, nn


def conv_bn(
    channels_in: int,
    channels_out: int,
    kernel: int = 1,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """Convolution without bias, batch norm and, unless `relu` is off, ReLU.

    Maps (B, channels_in, H, W) to (B, channels_out, H / stride, W / stride), odd sides rounded up.
    """
    padding = dilation * (kernel // 2)
    layers: list[nn.Module] = [
        nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding, dilation=dilation, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels_out),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def depthwise(
    channels: int, stride: int = 1, dilation: int = 1, kernel: int = 3, relu: bool = True
) -> nn.Sequential:
    """As `conv_bn`, each channel by itself."""
    return conv_bn(channels, channels, kernel, stride, dilation, groups=channels, relu=relu)


def separable(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3 with batch norm and no ReLU between, then 1x1 with batch norm and ReLU (ContextNet).

    Maps (B, channels_in, H, W) to (B, channels_out, H / stride, W / stride), odd sides rounded up.
    """
    return nn.Sequential(depthwise(channels_in, stride, relu=False), conv_bn(channels_in, channels_out))


class InvertedResidual(nn.Module):
    """MobileNetV2's block with ReLU: widening 1x1, depthwise 3x3, 1x1 without activation.

    Unlike torchvision's it keeps the first 1x1 at an expansion of 1. The input is added where the shape
    stays the same.

    Args:
        channels_in, channels_out, stride: of the block.
        expansion: the inner maps have `expansion * channels_in` channels.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * channels_in
        self.adds_input = stride == 1 and channels_in == channels_out
        self.layers = nn.Sequential(
            conv_bn(channels_in, inner), depthwise(inner, stride), conv_bn(inner, channels_out, relu=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride), odd sides rounded up."""
        out: Tensor = self.layers(x)
        return x + out if self.adds_input else out


def inverted_residuals(
    channels_in: int, channels_out: int, repetitions: int, stride: int, expansion: int
) -> nn.Sequential:
    """A stage of inverted residuals; the first has the stride and changes the width."""
    first = InvertedResidual(channels_in, channels_out, stride, expansion)
    others = [InvertedResidual(channels_out, channels_out, 1, expansion) for _ in range(repetitions - 1)]
    return nn.Sequential(first, *others)


def norm_prelu(channels: int, eps: float = 1e-5) -> nn.Sequential:
    """Batch norm, and PReLU with a slope for each channel."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps), nn.PReLU(channels))


def conv_norm_prelu(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1, eps: float = 1e-5
) -> nn.Sequential:
    """Convolution without bias, padded to keep its size at stride 1, and `norm_prelu`."""
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, *norm_prelu(channels_out, eps))


class FeatureFusion(nn.Module):
    """Mixes two maps (BiSeNet); a gate made from all channel means adds a share of the mix.

    Args:
        channels_in: of both maps together. channels: of the mix. reduction: of the gate's inner channels.
    """

    def __init__(self, channels_in: int, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.mix = conv_bn(channels_in, channels)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduction, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // reduction, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two maps of one size h x w -> (B, channels, h, w), at least 0."""
        y = self.mix(torch.cat((a, b), 1))
        out: Tensor = y + y * self.gate(y)
        return out
