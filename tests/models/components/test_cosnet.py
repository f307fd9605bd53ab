"""COSNet's network: golden counts, maps and co-attention of the specification, and its knobs."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kolbench.engine.cost import count_macs
from kolbench.errors import ConfigError
from kolbench.models.components.cosnet import TRAINING_HEADS, COSNet, COSNetOptions
from tests.helpers.networks import count
from tests.helpers.pdnet import fill_by_name, noise

OFFICIAL = COSNetOptions(stride_in="1x1")


class Pair(nn.Module):
    """Two frames of the same size, both segmented; or one by features that are kept."""

    def __init__(self, network: COSNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.forward_pair(image, image.clone()).target

    def encoded(self, image: Tensor) -> Tensor:
        return self.network.encode(image)

    def kept(self, image: Tensor) -> Tensor:
        own = self.network.encode(image)
        return self.network.segment(own, [torch.ones_like(own)], image.shape[-2:], "prediction")


def on_meta(options: COSNetOptions) -> COSNet:
    with torch.device("meta"):
        return COSNet(options).eval()


def macs(network: COSNet, size: tuple[int, int], conv_only: bool, method: str = "forward") -> int:
    return count_macs(Pair(network), torch.empty(1, 3, *size, device="meta"), conv_only, method)


# backbone, light -> all parameters, those of inference, the body's, ASPP's (video_rivals.md, A2)
COUNTS = [
    ("resnet101", False, 81_242_436, 80_061_762, 42_500_160, 36_315_393),
    ("resnet50", False, 62_250_308, 61_069_634, 23_508_032, 36_315_393),
    ("resnet18", False, 27_112_260, 25_931_586, 11_176_512, 13_508_865),
    ("mobilenet_v2", False, 14_896_644, 13_715_970, 1_811_712, 10_658_049),
    ("resnet18", True, 14_423_876, 14_128_450, 11_176_512, 2_640_129),
    ("mobilenet_v2", True, 4_346_372, 4_050_946, 1_811_712, 1_927_425),
]


@pytest.mark.parametrize(("backbone", "light", "total", "inference", "body", "aspp"), COUNTS)
def test_golden_counts_of_every_backbone(backbone, light, total, inference, body, aspp):
    options = COSNetOptions(backbone, stride_in="1x1")
    network = on_meta(options.light() if light else options)
    heads = sum(count(network.get_submodule(name)) for name in TRAINING_HEADS)
    encoder = network.encoder
    assert (count(network), count(network) - heads) == (total, inference)
    found_body = count(encoder) - count(encoder.layer5) - count(encoder.main_classifier)
    assert (found_body, count(encoder.layer5)) == (body, aspp)


def test_golden_counts_of_the_official_parts():
    network = on_meta(OFFICIAL)
    layers = [count(getattr(network.encoder, f"layer{number}")) for number in range(1, 5)]
    assert layers == [215_808, 1_219_584, 26_090_496, 14_964_736]
    assert (count(network.linear_e), count(network.gate)) == (65_536, 256)
    assert (count(network.conv1), count(network.bn1), count(network.main_classifier1)) == (
        1_179_648,
        512,
        257,
    )
    assert len(network.state_dict()) == 687
    learned = sum(each.numel() for each in network.parameters() if each.requires_grad)
    assert learned == 81_234_756


# convolutions of a pair and of one frame at 473 px, products of the co-attention, in GMACs to three digits
MACS = [
    ("resnet101", False, 573.092, 10.189),
    ("resnet50", False, 436.724, 10.189),
    ("resnet18", False, 188.320, 10.189),
    ("mobilenet_v2", False, 97.463, 10.189),
    ("resnet18", True, 105.152, 5.036),
    ("mobilenet_v2", True, 29.159, 5.036),
]


@pytest.mark.parametrize(("backbone", "light", "convolutions", "products"), MACS)
def test_golden_operations_of_a_pair(backbone, light, convolutions, products):
    options = COSNetOptions(backbone, stride_in="1x1")
    network = on_meta(options.light() if light else options)
    found = macs(network, (473, 473), True)
    # the encoder's own classifier counts on one frame, in the official row on both
    frames = 2 if backbone == "resnet101" else 1
    assert round((found + frames * 60 * 60 * network.options.width) / 1e9, 3) == convolutions
    assert round((macs(network, (473, 473), False) - found) / 1e9, 3) == products


def test_golden_operations_to_the_last_digit():
    official = on_meta(OFFICIAL)
    pair = macs(official, (473, 473), True)
    assert pair + 2 * 3600 * 256 == 573_091_972_480
    assert macs(official, (473, 473), False) - pair == 10_189_209_600
    small = on_meta(COSNetOptions("mobilenet_v2").light())
    convolutions = macs(small, (192, 192), True)
    assert convolutions + 24 * 24 * 128 == 4_668_041_216
    assert macs(small, (192, 192), False) - convolutions == 136_839_168
    one = macs(official, (473, 473), True, "encoded") + 3600 * 256
    assert round(one / 1e9, 3) == 282.297


def attending(width: int, weight: list[list[float]]) -> COSNet:
    network = COSNet(COSNetOptions("mobilenet_v2", aspp_depth=4, width=width)).double().eval()
    with torch.no_grad():
        network.linear_e.weight.copy_(torch.tensor(weight))
    return network


E = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 1]], dtype=torch.float64).reshape(1, 2, 2, 2)
Q = torch.tensor([[2.0, 0, 1, 0], [0, 1, 1, 0]], dtype=torch.float64).reshape(1, 2, 2, 2)
ZE = [[1.445107, 1.648962, 0.75, 1.865652], [0.307110, 0.290858, 0.5, 0.124130]]
ZQ = [[0.880797, 0.5, 0.731059, 0.5], [0.982014, 0.731059, 0.952574, 0.5]]
GATED = [[1.094396, 1.311669, 0.421632, 1.587446], [0.232578, 0.231363, 0.281088, 0.105620]]


@torch.no_grad()
def test_golden_co_attention():
    network = attending(2, [[1, 2], [0, 1]])
    of_target, of_reference = network.co_attention(E, Q)
    assert of_target.flatten(2)[0].tolist() == [pytest.approx(row, abs=1e-6) for row in ZE]
    assert of_reference.flatten(2)[0].tolist() == [pytest.approx(row, abs=1e-6) for row in ZQ]
    torch.testing.assert_close(network.found(E, Q), of_target, rtol=0, atol=1e-12)
    network.gate.weight.copy_(torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1))
    gated = network._gated(of_target)
    assert gated.flatten(2)[0].tolist() == [pytest.approx(row, abs=1e-6) for row in GATED]


@torch.no_grad()
def test_co_attention_of_special_maps():
    nothing = attending(2, [[0, 0], [0, 0]])
    of_target, of_reference = nothing.co_attention(E, Q)
    assert of_target.flatten(2)[0].T.tolist() == [pytest.approx([0.75, 0.5])] * 4
    assert of_reference.flatten(2)[0].T.tolist() == [pytest.approx([0.5, 0.5])] * 4
    symmetric = attending(2, [[1, 2], [2, -1]])
    both = symmetric.co_attention(E, E)
    torch.testing.assert_close(*both)
    constant = torch.full_like(Q, 3.0)
    torch.testing.assert_close(symmetric.found(E, constant), constant)


@pytest.fixture(scope="module")
def golden() -> COSNet:
    """ResNet-101 in float64 with the specification's tensors."""
    network = on_meta(OFFICIAL).to_empty(device="cpu").double()
    fill_by_name(network, 0.75)
    with torch.no_grad():
        network.encoder.layer5.prelu.weight.fill_(0.25)
    return network.eval()


def described(x: Tensor) -> list[float]:
    """Mean, deviation as numpy gives it, and three values of a map at 96 px."""
    values = np.asarray(x[0, 0])
    return [float(values.mean()), float(values.std()), *(float(values[i, i]) for i in (0, 48, 95))]


@torch.no_grad()
def test_golden_maps(golden):
    target, reference = noise(1, 96, 96), noise(2, 96, 96)
    own, other = golden.encode(target), golden.encode(reference)
    assert own.shape == (1, 256, 13, 13)
    assert [float(own.mean()), float(other.mean())] == pytest.approx([0.232050, 0.234494], abs=2e-6)
    pair = golden.forward_pair(target, reference)
    expected = {
        "target": [0.534958, 0.044733, 0.502546, 0.529771, 0.641819],
        "reference": [0.466635, 0.030896, 0.527926, 0.455214, 0.472052],
        "encoder": [0.347076, 0.046722, 0.339544, 0.271532, 0.435869],
        "alone": [0.530062, 0.045731, 0.500705, 0.523101, 0.641537],
    }
    found = {
        "target": pair.target.sigmoid(),
        "reference": pair.reference.sigmoid(),
        "encoder": golden.forward_single(reference).sigmoid(),
        "alone": golden(target),
    }
    for name, values in expected.items():
        assert described(found[name]) == pytest.approx(values, abs=2e-6), name
    # features that are kept give what the pair gives
    for fusion in ("prediction", "summary", "group"):
        kept = golden.segment(own, [other], (96, 96), fusion)
        torch.testing.assert_close(kept, found["target"], rtol=0, atol=1e-12)


@torch.no_grad()
def test_several_references():
    torch.manual_seed(0)
    network = COSNet(COSNetOptions("mobilenet_v2").light()).eval()
    own, *others = (network.encode(torch.randn(1, 3, 64, 64)) for _ in range(3))
    each = [network.segment(own, [other], (64, 64), "prediction") for other in others]
    torch.testing.assert_close(network.segment(own, others, (64, 64), "prediction"), (each[0] + each[1]) / 2)
    # the same frame twice is searched as once, and counts as once
    for fusion in ("summary", "group"):
        twice = network.segment(own, [others[0], others[0]], (64, 64), fusion)
        torch.testing.assert_close(twice, each[0])


@pytest.mark.parametrize("size", [(64, 64), (61, 83)])
@torch.no_grad()
def test_any_size_is_segmented(size):
    network = COSNet(COSNetOptions("mobilenet_v2").light()).eval()
    assert network(torch.randn(1, 3, *size)).shape == (1, 1, *size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vgg"}, "model.backbone=vgg is not a choice"),
        ({"aspp_rates": (1, 2)}, r"model.aspp_rates=\[1, 2\] must be three"),
        ({"width": 0}, "model.width=0 is not a whole number"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        COSNetOptions(**changes)
