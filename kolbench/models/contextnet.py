"""ContextNet (Poudel et al., BMVC 2018): a deep branch on a small picture, a shallow one on the whole."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.components.blocks import resize_to
from kolbench.models.components.light import conv_bn, depthwise, inverted_residuals, separable
from kolbench.models.two_class import TwoClassNetwork, TwoClassSegmenter

# how many times smaller the deep branch's picture is, and the strides of the shallow separable convolutions
PRESETS = {"seed": (1, (1, 1, 1)), "12": (2, (2, 2, 1)), "14": (4, (2, 2, 1))}
ENTRY = 32
# expansion, output channels, repetitions, stride of the first
BOTTLENECKS = ((1, 32, 1, 1), (6, 32, 1, 1), (6, 48, 3, 2), (6, 64, 3, 2), (6, 96, 2, 1), (6, 128, 2, 1))
SHALLOW = (64, 128, 128)
FUSED = 128
FUSION_DILATION = 4
DROPOUT = 0.1


class Fusion(nn.Module):
    """Sums both branches at the shallow one's size, then ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Sequential(
            depthwise(BOTTLENECKS[-1][1], dilation=FUSION_DILATION),
            conv_bn(BOTTLENECKS[-1][1], FUSED, relu=False),
        )
        self.shallow = conv_bn(SHALLOW[-1], FUSED, relu=False)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """(B, 128, h, w) and (B, 128, any, any) -> (B, 128, h, w), at least 0."""
        sides: Tensor = self.shallow(shallow) + self.deep(resize_to(deep, shallow.shape[-2:]))
        return F.relu(sides)


class ContextNet(TwoClassNetwork):
    """Inverted residuals on the reduced picture, separable convolutions on the whole one, and their sum.

    Args:
        preset: `12` and `14` reduce the deep branch's picture by 2 and by 4 (`14` is the form for
            Cityscapes); `seed` reduces nothing and keeps the shallow branch at half size, as the network of
            the RCRNet paper's table does. All have 838,018 parameters.
        channels_in: 3 for RGB.
    """

    def __init__(self, preset: str = "12", channels_in: int = 3) -> None:
        super().__init__()
        self.reduction, strides = PRESETS[preset]
        self.shallow = nn.Sequential(conv_bn(channels_in, ENTRY, 3, 2))
        for widths, stride in zip(pairwise((ENTRY, *SHALLOW)), strides, strict=True):
            self.shallow.append(separable(*widths, stride))
        self.deep = nn.Sequential(conv_bn(channels_in, ENTRY, 3, 2))
        width = ENTRY
        for expansion, channels, repetitions, stride in BOTTLENECKS:
            self.deep.append(inverted_residuals(width, channels, repetitions, stride, expansion))
            width = channels
        self.fusion = Fusion()
        self.head = nn.Sequential(nn.Dropout(DROPOUT), nn.Conv2d(FUSED, 2, 1))

    def forward_train(self, image: Tensor) -> Tensor:
        """As `forward`, but logits (B, 2, H, W), channel 1 the foreground."""
        height, width = image.shape[-2:]
        reduced = resize_to(image, (height // self.reduction, width // self.reduction))
        fused = self.fusion(self.shallow(image), self.deep(reduced))
        return resize_to(self.head(fused), (height, width))


class ContextNetSegmenter(TwoClassSegmenter):
    """ContextNet on pictures normalised as ImageNet's, trained by cross-entropy of the two classes.

    Args:
        size: side of the input in pixels, a multiple of 32; 224 in the RCRNet paper.
        preset: `seed`, `12` or `14`, see ContextNet.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a size that is no multiple of 32.
    """

    def __init__(self, size: int, preset: str | int = "12", resize_mode: str = "stretch") -> None:
        # 12 on a command line is a number
        chosen = require_choice("model.preset", str(preset), PRESETS)
        super().__init__(size, ContextNet(chosen), resize_mode)
