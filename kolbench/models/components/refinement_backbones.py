"""Backbones of the refinement network: six input channels, output stride 8, two skips."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.checkpoints.pretrained import state_as_chosen
from kolbench.models.checkpoints.read import load_state_strict
from kolbench.models.components import resnet
from kolbench.models.components.mobilenet import MobileNetV2Features, imagenet_state, renamed

RESNETS = ("resnet50", "resnet18")
MOBILENET = "mobilenet_v2"
BACKBONES = (*RESNETS, MOBILENET)
INPUT_CHANNELS = 6


class Features(NamedTuple):
    """Maps of a backbone: (B, C, H/8, W/8), (B, C, H/2, W/2) before its norm, (B, C, H/4, W/4)."""

    deep: Tensor
    half: Tensor
    quarter: Tensor


class ResNetFeatures(resnet.ResNetBody):
    """A ResNet whose last two stages are dilated instead of strided (hkchengrex/CascadePSP, extractors.py).

    The first block of either stage keeps dilation 1, as the released weights were trained, so that of the
    fourth stage differs from torchvision's `replace_stride_with_dilation`.

    Args:
        name: `resnet50` or `resnet18`.

    Attributes:
        channels: of the three maps.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.conv1 = with_six_channels(self.conv1)
        for stage, dilation in ((self.layer3, 2), (self.layer4, 4)):
            unstride(stage[0])
            dilate(stage[1:], dilation)
        self.channels = (self.deepest, self.conv1.out_channels, self.deepest // 8)

    def forward(self, x: Tensor) -> Features:
        """(B, 6, H, W), H and W multiples of 8 -> the three maps."""
        half = self.conv1(x)
        quarter = self.layer1(self.maxpool(self.relu(self.bn1(half))))
        return Features(self.layer4(self.layer3(self.layer2(quarter))), half, quarter)

    def start_from_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Takes torchvision's tensors; the classifier is left out, the three new input channels are zero."""
        load_state_strict(self, widened(resnet.without_classifier(state), "conv1.weight"))

    def imagenet_state(self, source: str) -> dict[str, Tensor]:
        """Tensors of `imagenet` or a file, see `state_as_chosen`."""
        return state_as_chosen(resnet.WEIGHTS[self.name], source)


class MobileNetFeatures(MobileNetV2Features):
    """MobileNetV2 without its last 1x1, its last two strides replaced by dilation.

    A block that loses its stride keeps the spacing of its samples, and those after it are dilated, so
    ImageNet weights see what they were trained on. The skips are chosen as a ResNet's: the first convolution
    before its norm (32 channels) and the last map at a quarter (24).

    Attributes:
        channels: of the three maps.
    """

    channels = (320, 32, 24)

    def __init__(self) -> None:
        super().__init__(tail=320)
        stem = self.features[0]
        assert isinstance(stem, nn.Sequential)
        assert isinstance(stem[0], nn.Conv2d)
        stem[0] = with_six_channels(stem[0])
        for index in (7, 14):
            unstride(self.features[index])
        dilate(self.features[8:15], 2)
        dilate(self.features[15:], 4)

    def forward(self, x: Tensor) -> Features:
        """(B, 6, H, W), H and W multiples of 8 -> the three maps."""
        stem = self.features[0]
        assert isinstance(stem, nn.Sequential)
        half = stem[0](x)
        quarter = self.features[1:4](stem[2](stem[1](half)))
        return Features(self.features[4:](quarter), half, quarter)

    def start_from_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Takes torchvision's tensors, or MODNet's; the three new input channels are zero."""
        taken = renamed(self.state_dict(), state, len(self.features), "mobilenet_v2")
        load_state_strict(self, widened(taken, "features.0.0.weight"))

    def imagenet_state(self, source: str) -> dict[str, Tensor]:
        """Tensors of `imagenet` or a file, see `state_as_chosen`."""
        return imagenet_state(source)


Backbone = ResNetFeatures | MobileNetFeatures


def build(name: str) -> Backbone:
    """One of BACKBONES with random weights.

    Raises:
        ConfigError: there is no such backbone.
    """
    require_choice("backbone", name, BACKBONES)
    return MobileNetFeatures() if name == MOBILENET else ResNetFeatures(name)


def with_six_channels(conv: nn.Conv2d) -> nn.Conv2d:
    """A first convolution like the given one for image and masks, initialised as ResNet's are."""
    wider = nn.Conv2d(
        INPUT_CHANNELS,
        conv.out_channels,
        kernel_size=(conv.kernel_size[0], conv.kernel_size[1]),
        stride=(conv.stride[0], conv.stride[1]),
        padding=conv.kernel_size[0] // 2,
        bias=False,
    )
    nn.init.kaiming_normal_(wider.weight, mode="fan_out", nonlinearity="relu")
    return wider


def widened(state: Mapping[str, Tensor], first: str) -> dict[str, Tensor]:
    """The tensors with that of the first convolution enlarged by input channels of zero."""
    if first not in state:
        return dict(state)
    weight = state[first]
    missing = INPUT_CHANNELS - weight.shape[1]
    zeros = weight.new_zeros(weight.shape[0], missing, *weight.shape[2:])
    return {**state, first: torch.cat((weight, zeros), 1)}


def unstride(block: nn.Module) -> None:
    """Takes the stride of every convolution of a block away."""
    for conv in _convolutions(block):
        conv.stride = (1, 1)


def dilate(blocks: Iterable[nn.Module], dilation: int) -> None:
    """Dilates every 3x3 convolution of the blocks, its padding too, so that sizes stay."""
    for block in blocks:
        for conv in _convolutions(block):
            if conv.kernel_size == (3, 3):
                conv.dilation = conv.padding = (dilation, dilation)


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]
