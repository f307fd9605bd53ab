"""ContextNet: counts of the specification, and what each branch sees."""

import pytest
import torch
import torch.nn.functional as F

from kolbench.config import compose
from kolbench.errors import ConfigError
from kolbench.models.contextnet import ContextNet, ContextNetSegmenter, Fusion
from tests.helpers.networks import batch_for, conv_macs, count, leaves, normed, shaken, unreached

PRESETS = ("seed", "12", "14")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters(preset):
    with torch.device("meta"):
        assert count(ContextNet(preset)) == 838_018
        # 3x3 to 32 channels in both branches
        assert count(ContextNet(preset, channels_in=4)) == 838_018 + 2 * 9 * 32


@pytest.mark.parametrize(
    ("preset", "published", "exact"),
    [("seed", 1864.6e6, 1_864_565_248), ("12", 332.0e6, 332_020_864), ("14", 132.2e6, 132_190_240)],
)
def test_multiply_accumulates(preset, published, exact):
    with torch.device("meta"):
        found = conv_macs(ContextNet(preset), 3, 224)
    assert found == pytest.approx(published, rel=0.005)
    assert found == exact


@pytest.mark.parametrize(("preset", "shallow", "deep"), [("seed", 112, 28), ("12", 28, 14), ("14", 28, 7)])
def test_sizes_of_the_branches_at_224(preset, shallow, deep):
    with torch.device("meta"):
        network, seen = ContextNet(preset), {}
        for name in ("shallow", "deep"):
            network.get_submodule(name).register_forward_hook(
                lambda _m, _i, out, name=name: seen.__setitem__(name, tuple(out.shape))
            )
        network(torch.empty(2, 3, 224, 224))
    assert seen == {"shallow": (2, 128, shallow, shallow), "deep": (2, 128, deep, deep)}


@torch.no_grad()
def test_the_deep_branch_sees_the_mean_of_2x2_pixels():
    network, seen = ContextNet("12").eval(), []
    network.deep.register_forward_pre_hook(lambda _m, given: seen.append(given[0]))
    image = torch.rand(1, 3, 64, 96)
    network(image)
    torch.testing.assert_close(seen[0], F.avg_pool2d(image, 2))


@torch.no_grad()
def test_fusion_written_out():
    fusion = shaken(Fusion())
    shallow, deep = torch.randn(1, 128, 8, 8), torch.randn(1, 128, 4, 4)
    wide, wide_norm, _, point, point_norm = leaves(fusion.deep)
    large = F.interpolate(deep, (8, 8), mode="bilinear", align_corners=False)
    y = F.conv2d(large, wide.weight, padding=4, dilation=4, groups=128)
    y = normed(F.conv2d(normed(y, wide_norm).clamp(min=0), point.weight), point_norm)
    y = y + normed(F.conv2d(shallow, fusion.shallow[0].weight), fusion.shallow[1])
    torch.testing.assert_close(fusion(shallow, deep), y.clamp(min=0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_shape_and_range(preset):
    network = shaken(ContextNet(preset))
    image = torch.randn(2, 3, 64, 160)
    probability, logits = network(image), network.forward_train(image)
    assert logits.shape == (2, 2, 64, 160)
    torch.testing.assert_close(probability, (logits[:, 1:] - logits[:, :1]).sigmoid())
    assert 0 < probability.min() < probability.max() < 1


@pytest.mark.parametrize("preset", PRESETS)
def test_gradients_reach_every_parameter(preset):
    segmenter = ContextNetSegmenter(64, preset)
    assert unreached(segmenter, batch_for(segmenter)) == []


def test_settings():
    with torch.device("meta"):
        for preset in PRESETS:
            built = compose.build_segmenter(compose.model_config("contextnet", "smoke", preset=preset))
            assert built.network.reduction == {"seed": 1, "12": 2, "14": 4}[preset]
        assert ContextNetSegmenter(64).network.reduction == 2
        assert ContextNetSegmenter(64, 14).network.reduction == 4
        with pytest.raises(ConfigError, match=r"model\.preset=18 .* seed, 12, 14"):
            ContextNetSegmenter(64, 18)
