"""Backbones that give a map at each of the strides 4, 8, 16 and 32, and their ImageNet weights."""

from typing import NamedTuple

from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights

from kolbench.errors import ConfigError, require_choice
from kolbench.models.checkpoints.pretrained import BACKBONE_KEY, state_as_chosen
from kolbench.models.checkpoints.read import load_state_strict
from kolbench.models.components import resnet
from kolbench.models.components.mobilenet import FULL_TAIL, MobileNetV2Features, renamed

MOBILENET = "mobilenet_v2"
BACKBONES = (*resnet.WEIGHTS, MOBILENET)
MOBILENET_TAPS = (3, 6, 13)
MOBILENET_CHANNELS = (24, 32, 96)
SHORT_TAIL = 320


class Pyramid(NamedTuple):
    """Maps (B, C, h, w) at strides 4, 8, 16 and 32, odd sides rounded up at each halving."""

    at4: Tensor
    at8: Tensor
    at16: Tensor
    at32: Tensor


class ResNetPyramid(resnet.ResNetBody):
    """torchvision's ResNet without its classifier; the maps are those of its four layers.

    Args:
        name: of resnet.WEIGHTS.

    Attributes:
        channels: of the four maps.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        deepest = self.deepest
        self.channels = (deepest // 8, deepest // 4, deepest // 2, deepest)

    def forward(self, image: Tensor) -> Pyramid:
        """(B, 3, H, W), normalised, any size -> the four maps."""
        at4 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(image)))))
        at8 = self.layer2(at4)
        at16 = self.layer3(at8)
        return Pyramid(at4, at8, at16, self.layer4(at16))

    def load_imagenet(self, source: str, key: str = BACKBONE_KEY) -> None:
        """Takes ImageNet tensors in; see `MobileNetPyramid.load_imagenet`."""
        state = state_as_chosen(resnet.WEIGHTS[self.name], source, key)
        load_state_strict(self, resnet.without_classifier(state))


class MobileNetPyramid(MobileNetV2Features):
    """MobileNetV2 without its classifier: features 3, 6 and 13, and the last.

    Args:
        last: channels of the last map: 320 (features 17), or 1280 with the 1x1 behind it (features 18).

    Attributes:
        channels: of the four maps.

    Raises:
        ConfigError: `last` is another number.
    """

    def __init__(self, last: int = SHORT_TAIL) -> None:
        if last not in (SHORT_TAIL, FULL_TAIL):
            raise ConfigError(f"model.mobilenet_last={last} is neither {SHORT_TAIL} nor {FULL_TAIL}.")
        super().__init__(last)
        self.channels = (*MOBILENET_CHANNELS, last)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                # torchvision's own start, where no weights are given
                nn.init.kaiming_normal_(part.weight, mode="fan_out")

    def forward(self, image: Tensor) -> Pyramid:
        """(B, 3, H, W), normalised, any size -> the four maps."""
        maps: list[Tensor] = []
        x = image
        for index, block in enumerate(self.features):
            x = block(x)
            if index in MOBILENET_TAPS:
                maps.append(x)
        at4, at8, at16 = maps
        return Pyramid(at4, at8, at16, x)

    def load_imagenet(self, source: str, key: str = BACKBONE_KEY) -> None:
        """Takes ImageNet tensors in.

        Args:
            source: `imagenet`, torchvision's IMAGENET1K_V1, downloaded once; else a file with its tensors.
            key: what said so, for messages.

        Raises:
            WeightsError: the file cannot be had, read or does not fit.
        """
        state = state_as_chosen(MobileNet_V2_Weights.IMAGENET1K_V1, source, key)
        load_state_strict(self, renamed(self.state_dict(), state, len(self.features), source, key))


PyramidBackbone = ResNetPyramid | MobileNetPyramid


def build(name: str, mobilenet_last: int = SHORT_TAIL, key: str = "model.backbone") -> PyramidBackbone:
    """One of BACKBONES with random weights.

    Args:
        name: of the backbone. mobilenet_last: see MobileNetPyramid. key: what names it, for messages.

    Raises:
        ConfigError: there is no such backbone, or `mobilenet_last` is out of range.
    """
    require_choice(key, name, BACKBONES)
    return MobileNetPyramid(mobilenet_last) if name == MOBILENET else ResNetPyramid(name)
