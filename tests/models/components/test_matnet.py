"""MATNet's network: golden counts, maps and parts of the specification, and its knobs."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kolbench.engine.cost import count_macs
from kolbench.errors import ConfigError
from kolbench.models.components.matnet import (
    MATNet,
    MATNetOptions,
    MotionAttentiveTransition,
    ScaleSensitiveAttention,
    without_unused,
)
from tests.helpers.networks import count
from tests.helpers.pdnet import fill_by_name, noise


class Moving(nn.Module):
    """A frame with a flow picture of the same size."""

    def __init__(self, network: MATNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image, image.clone())


def on_meta(options: MATNetOptions) -> MATNet:
    with torch.device("meta"):
        return MATNet(options).eval()


# backbone, light -> all parameters, two bodies, transitions 3 to 5, attentions 2 to 5, boundary heads 2 to 5,
# decoder with the fused boundary (video_rivals.md, B2)
RESNET18 = (
    [2_322, 8_738, 33_858],
    [2_244, 8_532, 33_396, 132_276],
    [111_169, 185_153, 333_121, 629_057],
)
MOBILE = ([594, 1_746, 13_482], [884, 1_156, 4_876, 51_972], [64_929, 74_177, 148_161, 407_105])
LARGE = (
    [33_858, 133_250, 528_642],
    [33_396, 132_276, 526_644, 2_101_812],
    [333_121, 629_057, 1_220_929, 2_404_673],
)
COUNTS = [
    ("resnet101", False, 119_241_216, 85_000_320, *LARGE, 26_163_238),
    ("resnet50", False, 81_256_960, 47_016_064, *LARGE, 26_163_238),
    ("resnet18", False, 37_265_760, 22_353_024, *RESNET18, 13_432_870),
    ("mobilenet_v2", False, 16_070_240, 3_623_424, *MOBILE, 11_677_734),
    ("resnet18", True, 28_255_584, 22_353_024, *RESNET18, 4_422_694),
    ("mobilenet_v2", True, 7_937_632, 3_623_424, *MOBILE, 3_545_126),
]


def of(part: nn.Module, *names: str) -> list[int]:
    return [count(part.get_submodule(name)) for name in names]


@pytest.mark.parametrize(
    ("backbone", "light", "total", "bodies", "transitions", "attentions", "boundaries", "decoder"), COUNTS
)
def test_golden_counts(backbone, light, total, bodies, transitions, attentions, boundaries, decoder):
    options = MATNetOptions(backbone)
    network = on_meta(options.light() if light else options)
    encoder, rest = network.encoder, network.decoder
    assert count(network) == total
    assert of(encoder, *(f"coa_res{k}" for k in (3, 4, 5))) == transitions
    assert of(encoder, *(f"gated_res{k}" for k in (2, 3, 4, 5))) == attentions
    assert of(rest, *(f"bdry{k}" for k in (2, 3, 4, 5))) == boundaries
    assert count(encoder) - sum(transitions) - sum(attentions) == bodies
    assert count(rest) - sum(boundaries) == decoder


def test_golden_counts_of_the_official_decoder():
    decoder = on_meta(MATNetOptions()).decoder
    assert of(decoder, "GC", "RF4", "RF3", "RF2") == [15_602_176, 3_672_320, 3_016_960, 2_689_280]
    assert sum(of(decoder, "convG1", "convG2")) == 1_180_160
    assert of(decoder, "pred2", "concat") == [2_305, 37]


# convolutions and matrix products at 473 px, in GMACs to three digits
MACS = [
    ("resnet101", False, 137.909, 40.211),
    ("resnet50", False, 103.817, 40.211),
    ("resnet18", False, 66.770, 10.052),
    ("mobilenet_v2", False, 49.749, 3.099),
    ("resnet18", True, 31.938, 10.052),
    ("mobilenet_v2", True, 15.748, 3.099),
]


def macs(options: MATNetOptions, side: int) -> tuple[int, int]:
    network, image = Moving(on_meta(options)), torch.empty(1, 3, side, side, device="meta")
    convolutions = count_macs(network, image, conv_only=True)
    return convolutions, count_macs(network, image, conv_only=False) - convolutions


@pytest.mark.parametrize(("backbone", "light", "convolutions", "products"), MACS)
def test_golden_operations(backbone, light, convolutions, products):
    options = MATNetOptions(backbone)
    found = macs(options.light() if light else options, 473)
    # the fused boundary, which only training needs, counts too
    assert round((found[0] + 473 * 473 * 36) / 1e9, 3) == convolutions
    assert round(found[1] / 1e9, 3) == products


def test_golden_operations_to_the_last_digit():
    convolutions, products = macs(MATNetOptions("mobilenet_v2").light(), 192)
    assert (convolutions + 192 * 192 * 36, products) == (2_548_021_428, 79_398_788)


@pytest.fixture(scope="module")
def golden() -> MATNet:
    """ResNet-101 in float64 with the specification's tensors."""
    network = on_meta(MATNetOptions()).to_empty(device="cpu").double()
    fill_by_name(network, 0.75)
    return network.eval()


def described(x: Tensor, *places: int) -> list[float]:
    """Mean, deviation as numpy gives it, and values on the diagonal."""
    values = np.asarray(x[0, 0])
    return [float(values.mean()), float(values.std()), *(float(values[i, i]) for i in places)]


@torch.no_grad()
def test_golden_maps(golden):
    image, flow = noise(1, 96, 96), noise(2, 96, 96)
    deepest = golden.encoder(image, flow)[-1]
    assert deepest.shape == (1, 4096, 3, 3)
    assert float(deepest.mean()) == pytest.approx(1.720629, abs=2e-6)
    maps = golden.forward_train(image, flow)
    expected = {
        "mask": [0.076226, 0.152497, 0.503965, 0.009127, 0.007854],
        "fused": [0.365761, 0.101166, 0.451557, 0.243132, 0.481413],
        "b2": [0.410939, 0.033059, 0.515833, 0.406456, 0.437082],
        "b5": [0.564850, 0.079298, 0.509084, 0.443462, 0.571485],
    }
    found = {"mask": maps.mask, "fused": maps.fused, "b2": maps.boundaries[0], "b5": maps.boundaries[3]}
    for name, values in expected.items():
        assert described(found[name].sigmoid(), 0, 48, 95) == pytest.approx(values, abs=2e-6), name
    torch.testing.assert_close(golden(image, flow), maps.mask.sigmoid(), rtol=0, atol=1e-12)


def grid(function, *sizes: int) -> Tensor:
    return torch.from_numpy(np.fromfunction(function, sizes, dtype=np.float64))


def filled(module: nn.Module, **tensors: Tensor) -> None:
    with torch.no_grad():
        for name, tensor in tensors.items():
            own = module.get_parameter(name.replace("__", "."))
            own.copy_(tensor.reshape(own.shape))


APPEARANCE = grid(lambda c, i, j: np.abs(np.sin(0.3 * c + 0.5 * i + 0.7 * j)), 32, 3, 4)[None]
MOTION = grid(lambda c, i, j: np.abs(np.cos(0.2 * c + 0.4 * i - 0.6 * j)), 32, 3, 4)[None]


def transition(rounds: int = 5) -> MotionAttentiveTransition:
    module = MotionAttentiveTransition(32, MATNetOptions(mat_rounds=rounds))
    # two inner channels, as the specification's example has
    module.proja, module.projb = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 2, 1)
    module.double()
    filled(
        module,
        proja__weight=grid(lambda o, c: np.sin(1 + 0.7 * o + 0.3 * c) / 2, 2, 32),
        proja__bias=torch.tensor([0.3, -0.2]),
        projb__weight=grid(lambda o, c: np.cos(1 + 0.5 * o + 0.2 * c) / 2, 2, 32),
        projb__bias=torch.tensor([-0.4, 0.5]),
        proj1__weight=grid(lambda c: np.sin(0.9 * c), 32),
        proj1__bias=torch.zeros(1),
        proj2__weight=grid(lambda c: np.cos(0.8 * c), 32),
        proj2__bias=torch.zeros(1),
    )
    return module


@torch.no_grad()
def test_golden_transition():
    module = transition()
    weights = module.proj1(APPEARANCE).flatten().softmax(0).reshape(3, 4)
    assert [float(weights[0, 1]), float(weights[2, 1])] == pytest.approx([0.021739, 0.241814], abs=1e-6)
    moved = module.proj2(MOTION).flatten().softmax(0).reshape(3, 4)
    assert float(moved[0, 0]) == pytest.approx(0.018243, abs=1e-6)
    _, found = module.transition(APPEARANCE, MOTION)
    first = [float(found.mean()), float(found[0, 0, 0, 0]), float(found[0, 31, 2, 3])]
    assert first == pytest.approx([-0.167087, -0.239106, -0.238192], abs=1e-6)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(1, 3, 4, dtype=torch.float64))
    seen, moved = module(APPEARANCE, MOTION)
    values = [float(seen.mean()), float(seen.std()), float(seen[0, 5, 1, 2])]
    assert values == pytest.approx([0.481748, 0.300399, 0.016094], abs=1e-6)
    values = [float(moved.mean()), float(moved.std()), float(moved[0, 5, 1, 2])]
    assert values == pytest.approx([0.776056, 0.504315, 1.793833], abs=1e-6)


@torch.no_grad()
def test_one_round_adds_to_the_maps_themselves():
    module = transition(rounds=1)
    asked, found = module.transition(APPEARANCE, MOTION)
    seen, moved = module(APPEARANCE, MOTION)
    torch.testing.assert_close(seen, (found + APPEARANCE).relu())
    torch.testing.assert_close(moved, (asked + MOTION).relu())
    module.relu_after = False
    assert (module(APPEARANCE, MOTION)[0] < 0).any()


@torch.no_grad()
def test_golden_attention():
    module = ScaleSensitiveAttention(32, MATNetOptions())
    module.excitation_1 = nn.Sequential(nn.Linear(32, 2))
    module.excitation_2 = nn.Sequential(nn.Linear(2, 32))
    module.global_attention = nn.Sequential(nn.Linear(2, 1))
    module.double().eval()
    filled(
        module,
        excitation_1__0__weight=grid(lambda k, c: np.sin(0.5 * k + 0.4 * c), 2, 32),
        excitation_1__0__bias=torch.tensor([0.1, 0.2]),
        excitation_2__0__weight=grid(lambda c, k: np.cos(0.3 * c + 0.6 * k), 32, 2),
        excitation_2__0__bias=grid(lambda c: 0.1 * np.sin(c), 32),
        global_attention__0__weight=torch.tensor([0.5, -0.3]),
        global_attention__0__bias=torch.tensor([0.2]),
        spatial__conv__weight=grid(lambda y, x: np.sin(0.3 * y + 0.5 * x) / 5, 7, 7),
    )
    hidden = module.excitation_1(APPEARANCE.mean((2, 3))).relu()
    assert hidden[0].tolist() == pytest.approx([0.070188, 0.358272], abs=1e-6)
    assert float(module.global_attention(hidden).sigmoid()) == pytest.approx(0.531860, abs=1e-6)
    found = module(APPEARANCE)
    values = [float(found.mean()), float(found.std()), float(found[0, 31, 2, 3])]
    assert values == pytest.approx([0.742228, 0.370124, 0.204824], abs=1e-6)


def test_what_released_files_hold_for_nothing_is_left_out():
    own = {"encoder.coa_res3.proja.weight": torch.ones(1), "decoder.RF2.pdc.block1.conv.bias": torch.ones(1)}
    unused = {
        name: torch.ones(1)
        for name in (
            "encoder.coa_res5.bottolneck1.weight",
            "decoder.RF3.convFS1.bias",
            "decoder.pred4.weight",
        )
    }
    assert without_unused({**own, **unused}) == own


@pytest.mark.parametrize("options", [MATNetOptions("mobilenet_v2").light(), MATNetOptions("resnet18", 32)])
@pytest.mark.parametrize("size", [(64, 64), (61, 83)])
@torch.no_grad()
def test_any_size_is_segmented(options, size):
    network = MATNet(options).eval()
    assert network(torch.randn(2, 3, *size), torch.randn(2, 3, *size)).shape == (2, 1, *size)


def test_knobs_change_what_they_say():
    three = on_meta(MATNetOptions("mobilenet_v2", 64, pdc="3-5-7"))
    dilations = [three.decoder.get_submodule(f"RF4.pdc.block{k}.conv").dilation for k in (1, 2, 3)]
    assert dilations == [(3, 3), (5, 5), (7, 7)]
    assert not MATNetOptions("mobilenet_v2").relu_after
    assert MATNetOptions("resnet18").relu_after
    torch.manual_seed(0)
    x = torch.randn(1, 32, 5, 5)
    free, bounded = (
        ScaleSensitiveAttention(32, MATNetOptions(ssa_spatial=kind)) for kind in ("none", "sigmoid")
    )
    bounded.load_state_dict(free.state_dict())
    assert not torch.equal(free.eval()(x), bounded.eval()(x))


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_both_bodies_start_from_imagenet(backbone, tmp_path):
    import torchvision

    torch.manual_seed(1)
    given = getattr(torchvision.models, backbone)(weights=None)
    torch.save(given.state_dict(), tmp_path / "weights.pth")
    network = MATNet(MATNetOptions(backbone, 32))
    network.load_backbone(str(tmp_path / "weights.pth"))
    last = given.layer4[1].conv2 if backbone == "resnet18" else given.features[17].conv[2]
    name = "res5_{}.1.conv2" if backbone == "resnet18" else "res5_{}.17.conv.6"
    for stream in (1, 2):
        assert torch.equal(network.encoder.get_submodule(name.format(stream)).weight, last.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vgg"}, "model.backbone=vgg is not a choice"),
        ({"width": 30}, "model.width=30 is no multiple of 4"),
        ({"pdc": "357"}, "model.pdc=357 is not a choice"),
        ({"mat_rounds": 0}, "model.mat_rounds=0"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        MATNetOptions(**changes)
