"""torchvision's ResNet without its classifier, by its own names, and its ImageNet weights."""

from collections.abc import Mapping

import torchvision
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights, ResNet101_Weights

WEIGHTS = {
    "resnet18": ResNet18_Weights.IMAGENET1K_V1,
    "resnet50": ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": ResNet101_Weights.IMAGENET1K_V1,
}


class ResNetBody(nn.Module):
    """Stem and four layers with random weights; a subclass says what is taken from where.

    Args:
        name: of WEIGHTS.

    Attributes:
        deepest: channels of the last layer.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        network = getattr(torchvision.models, name)(weights=None)
        self.name = name
        self.conv1: nn.Conv2d = network.conv1
        self.bn1: nn.Module = network.bn1
        self.relu: nn.Module = network.relu
        self.maxpool: nn.Module = network.maxpool
        self.layer1: nn.Sequential = network.layer1
        self.layer2: nn.Sequential = network.layer2
        self.layer3: nn.Sequential = network.layer3
        self.layer4: nn.Sequential = network.layer4
        self.deepest = int(network.fc.in_features)


def without_classifier(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's named tensors of a ResNet, those that ResNetBody has."""
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
