"""Backbones of output stride 8, their last two stages dilated from the first block on (COSNet's code)."""

from typing import Any

from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights

from kolbench.errors import require_choice
from kolbench.models.checkpoints.pretrained import BACKBONE_KEY, state_as_chosen
from kolbench.models.checkpoints.read import load_state_strict
from kolbench.models.components import resnet
from kolbench.models.components.mobilenet import MobileNetV2Features, renamed
from kolbench.models.components.refinement_backbones import dilate, unstride

MOBILENET = "mobilenet_v2"
BACKBONES = (*resnet.WEIGHTS, MOBILENET)
STRIDES_IN = ("1x1", "3x3")


class DilatedResNet(resnet.ResNetBody):
    """A ResNet with dilation 2 and 4 instead of its last two strides, and a pool that rounds sides up.

    Args:
        name: of resnet.WEIGHTS.
        stride_in: the convolution of layer2's first bottleneck that strides: `3x3` as in torchvision, `1x1`
            as in the released code; without a meaning for `resnet18`.
        freeze_shortcut_norms: whether weight and bias of the shortcuts' batch norms are left as they are.

    Attributes:
        channels: of the map.
    """

    def __init__(self, name: str, stride_in: str = "3x3", freeze_shortcut_norms: bool = True) -> None:
        super().__init__(name)
        require_choice("model.stride_in", stride_in, STRIDES_IN)
        self.channels = self.deepest
        self.maxpool = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        first: Any = self.layer2[0]
        if stride_in == "1x1" and hasattr(first, "conv3"):
            first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)
        for layer, dilation in ((self.layer3, 2), (self.layer4, 4)):
            unstride(layer)
            dilate(layer, dilation)
        if freeze_shortcut_norms:
            for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
                begins: Any = layer[0]
                if begins.downsample is not None:
                    begins.downsample[1].requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), any size -> (B, channels, h, w), sides rounded up at each of three halvings."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        found: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return found

    def load_imagenet(self, source: str, key: str = BACKBONE_KEY) -> None:
        """Takes ImageNet tensors in; see `DilatedMobileNet.load_imagenet`."""
        state = state_as_chosen(resnet.WEIGHTS[self.name], source, key)
        load_state_strict(self, resnet.without_classifier(state))


class DilatedMobileNet(MobileNetV2Features):
    """MobileNetV2 up to its 320 channels, with dilation 2 and 4 instead of its last two strides."""

    channels = 320

    def __init__(self) -> None:
        super().__init__(tail=320)
        for index in (7, 14):
            unstride(self.features[index])
        dilate(self.features[7:14], 2)
        dilate(self.features[14:], 4)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), any size -> (B, 320, h, w), sides rounded up at each of three halvings."""
        found: Tensor = self.features(image)
        return found

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


DilatedBackbone = DilatedResNet | DilatedMobileNet


def build(name: str, stride_in: str = "3x3", freeze_shortcut_norms: bool = True) -> DilatedBackbone:
    """One of BACKBONES with random weights.

    Args:
        name: of the backbone. stride_in, freeze_shortcut_norms: of ResNets, see DilatedResNet.

    Raises:
        ConfigError: there is no such backbone or choice.
    """
    require_choice("model.backbone", name, BACKBONES)
    return DilatedMobileNet() if name == MOBILENET else DilatedResNet(name, stride_in, freeze_shortcut_norms)
