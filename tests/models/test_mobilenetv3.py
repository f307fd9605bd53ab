"""MobileNetV3 with Lite R-ASPP: counts of the specification, and torchvision's own network beside it."""

import pytest
import torch
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.mobilenetv3 import mobilenet_v3_small
from torchvision.models.segmentation import LRASPP

from kolbench.models.mobilenetv3 import MobileNetV3, MobileNetV3Segmenter
from tests.helpers.networks import batch_for, conv_macs, count, shaken, unreached


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_parameters():
    with torch.device("meta"):
        assert count(MobileNetV3()) == 512_996
        # 3x3 to 16 channels
        assert count(MobileNetV3(channels_in=4)) == 512_996 + 9 * 16


def test_multiply_accumulates():
    with torch.device("meta"):
        found = conv_macs(MobileNetV3(), 3, 224)
    assert found == pytest.approx(66.0e6, rel=0.005)
    assert found == 65_972_640


@torch.no_grad()
def test_it_is_torchvisions_network():
    ours = shaken(MobileNetV3())
    blocks = mobilenet_v3_small(weights=None, dilated=True, reduced_tail=True).features
    taps = IntermediateLayerGetter(blocks, {"2": "low", str(len(blocks) - 1): "high"})
    theirs = LRASPP(taps, 24, 288, num_classes=2).eval()
    renamed = {"features": "backbone", "head": "classifier"}
    state = {}
    for name, value in ours.state_dict().items():
        part, _, rest = name.partition(".")
        state[f"{renamed[part]}.{rest}"] = value
    theirs.load_state_dict(state)
    image = torch.randn(1, 3, 64, 160)
    torch.testing.assert_close(ours.forward_train(image), theirs(image)["out"])
    shapes = {name: tuple(value.shape[1:]) for name, value in taps(image).items()}
    assert shapes == {"low": (24, 8, 20), "high": (288, 4, 10)}


@torch.no_grad()
def test_shape_and_range():
    network = shaken(MobileNetV3())
    image = torch.randn(2, 3, 64, 160)
    probability, logits = network(image), network.forward_train(image)
    assert logits.shape == (2, 2, 64, 160)
    torch.testing.assert_close(probability, (logits[:, 1:] - logits[:, :1]).sigmoid())
    assert 0 < probability.min() < probability.max() < 1


def test_gradients_reach_every_parameter():
    segmenter = MobileNetV3Segmenter(64)
    assert unreached(segmenter, batch_for(segmenter)) == []


@torch.no_grad()
def test_a_fourth_channel_is_seen():
    network = shaken(MobileNetV3(channels_in=4))
    image = torch.randn(1, 4, 64, 64)
    other = image.clone()
    other[:, 3] = 0
    assert not torch.allclose(network(image), network(other))
    # as wide as torchvision's initialisation: fan out of a 3x3 convolution to 16 channels
    assert network.features[0][0].weight.std().item() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.2)
