"""ESPNetV2: the specification's counts part by part, its blocks against functional ones."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError
from kolbench.models.espnetv2 import EESP, Down, ESPNetV2, ESPNetV2Segmenter, Pyramid, Skip, dilations
from tests.conftest import drawn
from tests.helpers.networks import conv_macs, count, shaken


@pytest.mark.parametrize(
    ("scale", "parameters", "macs", "encoder", "pyramids", "skips"),
    [
        (1.0, 224_902, 77_285_300, 207_158, [623, 367, 287, 147], [9_536, 4_944, 1_408]),
        (1.5, 458_102, 137_163_444, 434_886, [751, 367, 287, 147], [14_208, 5_616, 1_408]),
        (2.0, 777_830, 231_161_268, 745_686, [879, 367, 287, 147], [18_880, 9_744, 1_408]),
    ],
)
def test_counts(scale, parameters, macs, encoder, pyramids, skips) -> None:
    with torch.device("meta"):
        network = ESPNetV2(scale)
    assert count(network) == parameters
    assert conv_macs(network, 3, 224) == macs
    assert count(network.encoder) == encoder
    assert [count(part) for part in (*network.pyramids, network.last)] == pyramids
    assert [count(part) for part in network.skips] == skips
    assert [count(part) for part in network.norms] == [192, 144, 96]


@pytest.mark.parametrize(("scale", "parameters"), [(1.5, 468_373), (2.0, 789_253)])
def test_counts_with_21_classes(scale: float, parameters: int) -> None:
    with torch.device("meta"):
        assert count(ESPNetV2(scale, classes=21)) == parameters


def test_dilations() -> None:
    # of kernels 3, 5, 7, 9 those above the reach become 3
    assert [dilations(reach) for reach in (13, 9, 7, 5)] == [
        [1, 2, 3, 4],
        [1, 2, 3, 4],
        [1, 1, 2, 3],
        [1, 1, 1, 2],
    ]
    network = ESPNetV2(1.0)
    used = {
        name: [branch.dilation[0] for branch in module.branches]
        for name, module in network.named_modules()
        if isinstance(module, EESP)
    }
    assert len(used) == 3 + 3 + 7
    assert {name for name, d in used.items() if d == [1, 1, 2, 3]} == {
        f"encoder.level4.{k}" for k in range(7)
    }
    assert {tuple(d) for d in used.values()} == {(1, 2, 3, 4), (1, 1, 2, 3)}


class Parts:
    """Layers by their place in a state dict."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def conv(self, x, name, **options):
        weight = self.state[f"{name}.weight"]
        options.setdefault("padding", weight.shape[-1] // 2)
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), **options)

    def norm(self, x, name):
        mean, var, weight, bias = (
            self.state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias)

    def norm_act(self, x, name, first=0):
        return F.prelu(self.norm(x, f"{name}.{first}"), self.state[f"{name}.{first + 1}.weight"])

    def conv_norm_act(self, x, name, **options):
        return self.norm_act(self.conv(x, f"{name}.0", **options), name, 1)

    def eesp(self, x, name, reach, stride):
        """Sums written out, not accumulated: branch k is the sum of the convolutions 0 to k."""
        reduced = self.conv_norm_act(x, f"{name}project", groups=4)
        each = [
            self.conv(
                reduced, f"{name}branches.{k}", stride=stride, padding=d, dilation=d, groups=reduced.shape[1]
            )
            for k, d in enumerate(reach)
        ]
        y = torch.cat([torch.stack(each[: k + 1]).sum(0) for k in range(4)], 1)
        y = self.conv(self.norm_act(y, f"{name}norm_act"), f"{name}expand.0", groups=4)
        return self.norm(y, f"{name}expand.1")


def lively(module):
    module = shaken(module).double()
    return module, Parts(module.state_dict())


@torch.no_grad()
def test_eesp_against_a_functional_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 11, 14, dtype=torch.float64)
    block, parts = lively(EESP(16, 16, 7))
    y = x + parts.eesp(x, "", (1, 1, 2, 3), 1)
    torch.testing.assert_close(block(x), torch.where(y > 0, y, parts.state["act.weight"].view(-1, 1, 1) * y))
    wider, parts = lively(EESP(16, 32, 9))
    y = parts.eesp(x, "", (1, 2, 3, 4), 1)
    torch.testing.assert_close(wider(x), torch.where(y > 0, y, parts.state["act.weight"].view(-1, 1, 1) * y))


@torch.no_grad()
def test_down_against_a_functional_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 12, 10, dtype=torch.float64)
    small = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    block, parts = lively(Down(16, 48, 11, 3))
    y = torch.cat((F.avg_pool2d(x, 3, 2, 1), parts.eesp(x, "eesp.", (1, 2, 3, 4), 2)), 1)
    reinforcement = parts.conv_norm_act(small, "reinforce.0")
    y = y + parts.norm(parts.conv(reinforcement, "reinforce.1"), "reinforce.2")
    torch.testing.assert_close(block(x, small), F.prelu(y, parts.state["act.weight"]))


def up(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize("last", [False, True])
@torch.no_grad()
def test_pyramid_against_a_functional_one(last: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 13, 72, dtype=torch.float64)
    block, parts = lively(Pyramid(6, 3, 7, last))
    low = parts.conv_norm_act(x, "project")
    # 0.1 of 13 is 2, raised to 5; 0.1 of 72 is 8
    maps = [
        F.adaptive_avg_pool2d(parts.conv(up(low, (26, 144)), "branches.0", groups=3), (13, 72)),
        F.adaptive_avg_pool2d(parts.conv(up(low, (20, 108)), "branches.1", groups=3), (13, 72)),
        parts.conv(low, "branches.2", groups=3),
        up(parts.conv(F.adaptive_avg_pool2d(low, (7, 36)), "branches.3", groups=3), (13, 72)),
        up(parts.conv(F.adaptive_avg_pool2d(low, (5, 8)), "branches.4", groups=3), (13, 72)),
    ]
    joined = parts.norm_act(torch.cat(maps, 1), "norm_act")
    # the five scales of one channel side by side
    shuffled = joined[:, [scale * 3 + channel for channel in range(3) for scale in range(5)]]
    y = parts.conv(parts.conv_norm_act(shuffled, "merge", groups=3), "expand")
    torch.testing.assert_close(block(x), y if last else parts.norm_act(y, "end"))


@torch.no_grad()
def test_skip_against_a_functional_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    block, parts = lively(Skip(8, 12))
    gate = 1 / (1 + torch.exp(-torch.einsum("bchw,oc->bo", x / 30, parts.state["gate.weight"][:, :, 0, 0])))
    expected = parts.conv_norm_act(x, "convolve", groups=math.gcd(8, 12)) * gate[:, :, None, None]
    torch.testing.assert_close(block(x), expected)


@torch.no_grad()
def test_levels_meet_their_skips_and_pictures() -> None:
    torch.manual_seed(0)
    network = shaken(ESPNetV2(1.0, channels_in=4))
    image = torch.randn(2, 4, 64, 96)
    pictures = []
    for level in (2, 3, 4):
        getattr(network.encoder, f"down{level}").register_forward_pre_hook(
            lambda _m, given: pictures.append(given[1])
        )
    levels = network.encoder(image)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (32, 32, 48),
        (64, 16, 24),
        (128, 8, 12),
        (256, 4, 6),
    ]
    expected = F.avg_pool2d(image, 3, 2, 1)
    for picture in pictures:
        expected = F.avg_pool2d(expected, 3, 2, 1)
        assert torch.equal(picture, expected)
    y = levels[3]
    for k, level in enumerate(levels[2::-1]):
        y = network.norms[k](up(network.pyramids[k](y), level.shape[-2:]) + network.skips[k](level))
    logits = up(network.last(y), (64, 96))
    torch.testing.assert_close(network.forward_train(image), logits)
    probability = network(image)
    assert probability.shape == (2, 1, 64, 96)
    torch.testing.assert_close(probability[:, 0], logits.softmax(1)[:, 1])


def test_cross_entropy_and_gradients() -> None:
    torch.manual_seed(0)
    segmenter = ESPNetV2Segmenter(64, scale=1)
    batch = drawn(64)
    segmenter.losses(batch)["ce"].backward()
    unreached = [n for n, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()]
    # the released code's slopes that nothing uses
    assert unreached == [f"network.encoder.down{level}.eesp.act.weight" for level in (2, 3, 4)]
    with torch.no_grad():
        alpha = segmenter.eval().predict(batch["image"]).alpha
        likelihood = torch.where(batch["mask"] == 1, alpha, 1 - alpha)
        expected = -likelihood.log().mean().item()
        assert segmenter.losses(batch)["ce"].item() == pytest.approx(expected, rel=1e-5)


def test_an_unknown_scale_is_named() -> None:
    with pytest.raises(ConfigError, match=r"model\.scale=0\.5 .*1\.0, 1\.5, 2\.0"):
        ESPNetV2Segmenter(64, scale=0.5)
