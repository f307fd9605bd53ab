"""The deepest map of a frozen ImageNet network, which losses compare with."""

import torch
from torch import Tensor

from kolbench.models.components import pyramid_backbones
from kolbench.models.components.mobilenet import FULL_TAIL

# extractor -> channels of its deepest map
CHANNELS = {"resnet18": 512, pyramid_backbones.MOBILENET: FULL_TAIL}
KEY = "model.sem_weights"


class FrozenFeatures:
    """ResNet-18's layer4 or MobileNetV2's features 18, in evaluation mode and without gradients.

    No module, so that no checkpoint holds its weights and no optimiser sees them; they are read when they are
    first needed, so that prediction never asks for them.

    Args:
        name: of CHANNELS.
        source: `imagenet`, or a file with torchvision's tensors.
    """

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.channels = CHANNELS[name]
        self._network: pyramid_backbones.PyramidBackbone | None = None

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) with ImageNet's mean and deviation -> (B, channels, H/32, W/32), rounded up.

        Raises:
            WeightsError: the file cannot be had, read or does not fit.
        """
        network = self._network or self._loaded()
        self._network = network.to(image.device)
        maps: pyramid_backbones.Pyramid = self._network(image)
        return maps.at32

    def _loaded(self) -> pyramid_backbones.PyramidBackbone:
        with torch.random.fork_rng(devices=[]):  # its random start must not move what is drawn after it
            network = pyramid_backbones.build(self.name, FULL_TAIL)
        network.load_imagenet(self.source, KEY)
        return network.eval().requires_grad_(False)
