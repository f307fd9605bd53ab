"""Backbones with four maps: those of torchvision's own networks, and their weights."""

import pytest
import torch
import torchvision

from kolbench.errors import ConfigError, WeightsError
from kolbench.models.components.pyramid_backbones import MobileNetPyramid, build


@pytest.mark.parametrize(("name", "last"), [("resnet18", 320), ("mobilenet_v2", 320), ("mobilenet_v2", 1280)])
def test_maps_are_torchvisions_own(name, last, tmp_path):
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "own.pth")
    backbone = build(name, last).eval()
    backbone.load_imagenet(str(tmp_path / "own.pth"))
    image = torch.randn(1, 3, 61, 83)
    with torch.no_grad():
        found = backbone(image)
        if name == "resnet18":
            x = network.maxpool(network.relu(network.bn1(network.conv1(image))))
            stages = [network.layer1, network.layer2, network.layer3, network.layer4]
        else:
            x, bounds = image, (0, 4, 7, 14, 19 if last == 1280 else 18)
            stages = [network.features[bounds[i] : bounds[i + 1]] for i in range(4)]
        for stage, ours, channels in zip(stages, found, backbone.channels, strict=True):
            x = stage(x)
            torch.testing.assert_close(ours, x)
            assert x.shape[1] == channels
    assert [tuple(level.shape[-2:]) for level in found] == [(16, 21), (8, 11), (4, 6), (2, 3)]


def test_weights_of_another_network_are_refused_by_the_key_that_named_them(tmp_path):
    with torch.device("meta"):
        network = MobileNetPyramid()
    torch.save({"features.0.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"model\.sem_weights=\S+ holds 1 tensors"):
        network.load_imagenet(str(tmp_path / "other.pth"), "model.sem_weights")
    with torch.device("meta"):
        resnet = build("resnet18")
    with pytest.raises(WeightsError, match="does not fit ResNetPyramid"):
        resnet.load_imagenet(str(tmp_path / "other.pth"))


def test_wrong_choices_are_named():
    with pytest.raises(ConfigError, match=r"Did you mean model\.sem_extractor=resnet18"):
        build("resnet19", key="model.sem_extractor")
    with pytest.raises(ConfigError, match=r"model\.mobilenet_last=640 is neither 320 nor 1280"):
        build("mobilenet_v2", 640)
