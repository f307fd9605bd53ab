"""PortraitNet: counts of the specification, its decoder written out anew, its edge head."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import mobilenet_v2

from kolbench.config import compose
from kolbench.data import augment
from kolbench.data.transforms import MajorityFilter
from kolbench.errors import ConfigError, WeightsError
from kolbench.models.components.portrait_decoder import DBlock
from kolbench.models.losses.portrait import edge_band
from kolbench.models.portraitnet import PortraitNet, PortraitNetSegmenter
from kolbench.tasks.evaluation import augmentation_of
from tests.helpers.networks import batch_for, conv_macs, count, leaves, normed, settled, shaken, unreached


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 2_080_904),
        ({"edge": False}, 2_080_760),
        ({"channels_in": 4}, 2_081_192),
        ({"upsample": "bilinear"}, 2_080_904 - 178_176),
    ],
)
def test_parameters(options, parameters):
    with torch.device("meta"):
        assert count(PortraitNet(**options)) == parameters


def test_parameters_of_the_parts():
    with torch.device("meta"):
        network = PortraitNet()
    assert count(network.stages) == 1_812_800
    assert count(network.blocks) + count(network.ups) + count(network.pred) + count(network.edge) == 268_104
    assert count(network.ups) == 178_176


@pytest.mark.parametrize(
    ("method", "channels", "published", "exact"),
    [
        ("forward_train", 3, 325.1e6, 325_110_688),
        ("forward_train", 4, 328.7e6, 328_723_360),
        ("forward", 3, 317.9e6, 317_885_344),
    ],
)
def test_multiply_accumulates(method, channels, published, exact):
    with torch.device("meta"):
        found = conv_macs(PortraitNet(channels_in=channels), channels, 224, method)
    assert found == pytest.approx(published, rel=0.005)
    assert found == exact


@pytest.mark.parametrize("channels_out", [4, 6])
@torch.no_grad()
def test_d_block_written_out(channels_out):
    block = shaken(DBlock(4, channels_out))
    x = torch.randn(1, 4, 6, 7)
    deep1, norm1, _, point1, norm2, _, deep2, norm3, _, point2, norm4 = leaves(block.main)
    y = normed(F.conv2d(x, deep1.weight, padding=1, groups=4), norm1).clamp(min=0)
    y = normed(F.conv2d(y, point1.weight), norm2).clamp(min=0)
    y = normed(F.conv2d(y, deep2.weight, padding=1, groups=channels_out), norm3).clamp(min=0)
    y = normed(F.conv2d(y, point2.weight), norm4)
    side = x if channels_out == 4 else normed(F.conv2d(x, block.side[0].weight), block.side[1])
    torch.testing.assert_close(block(x), (y + side).clamp(min=0))


@pytest.mark.parametrize("upsample", ["deconv", "bilinear"])
@torch.no_grad()
def test_decoder_adds_the_skips_of_1_16_1_8_and_1_4(upsample):
    network = shaken(PortraitNet(upsample))
    image = torch.randn(1, 3, 64, 96)
    maps = [image]
    for stage in network.stages:
        maps.append(stage(maps[-1]))
    at2, at4, at8, at16, at32 = maps[2], maps[3], maps[4], maps[6], maps[8]
    assert [tuple(m.shape[1:]) for m in (at2, at4, at8, at16, at32)] == [
        (16, 32, 48),
        (24, 16, 24),
        (32, 8, 12),
        (96, 4, 6),
        (320, 2, 3),
    ]
    y = at32
    for level, skip in enumerate((at16, at8, at4, None, None)):
        y = network.ups[level](network.blocks[level](y))
        y = y if skip is None else y + skip
    found = network.forward_train(image)
    assert network.edge is not None
    torch.testing.assert_close(found.logits, network.pred(y))
    torch.testing.assert_close(found.edge_logits, network.edge(y))


@torch.no_grad()
def test_transposed_convolutions_start_as_bilinear_interpolation():
    network = PortraitNet()
    for up, channels in zip(network.ups, (96, 32, 24, 16, 8), strict=True):
        x = torch.randn(1, channels, 5, 6)
        expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        found = up(x)
        assert found.shape == expected.shape
        # outside the frame a transposed convolution sees 0, interpolation the border
        torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_convolutions_are_he_normal():
    widest = PortraitNet().stages[7][0].layers[2][0].weight
    assert widest.shape == (320, 960, 1, 1)
    assert widest.std().item() == pytest.approx((2 / 960) ** 0.5, rel=0.02)


@pytest.mark.parametrize("options", [{}, {"upsample": "bilinear", "edge": False}])
@torch.no_grad()
def test_shape_and_range(options):
    image = torch.randn(2, 3, 64, 160)
    network = settled(PortraitNet(**options), image)
    probability, maps = network(image), network.forward_train(image)
    assert maps.logits.shape == (2, 2, 64, 160)
    torch.testing.assert_close(probability, (maps.logits[:, 1:] - maps.logits[:, :1]).sigmoid())
    assert 0 < probability.min() < probability.max() < 1
    with pytest.raises(ConfigError, match="multiples of 32"):
        network(image[..., :48])


@pytest.mark.parametrize("options", [{}, {"upsample": "bilinear"}, {"edge": False}])
def test_losses_and_gradients(options):
    torch.manual_seed(0)
    segmenter = PortraitNetSegmenter(64, **options)
    batch = batch_for(segmenter)
    settled(segmenter.network, segmenter.input_spec.normalise(batch["image"]))
    terms = segmenter.losses(batch)
    assert list(terms) == (["mask"] if "edge" in options else ["mask", "edge"])
    if "edge" in terms:
        with torch.no_grad():
            maps = segmenter.network.forward_train(segmenter.input_spec.normalise(batch["image"]))
        p = maps.edge_logits.double().softmax(1)[:, 1:]
        p = torch.where(edge_band(batch["mask"]) > 0, p, 1 - p)
        expected = 0.1 * ((1 - p) ** 2 * -p.log()).mean()
        assert terms["edge"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert unreached(segmenter, batch) == []


def test_two_views_are_learnt_and_made_alike():
    segmenter = PortraitNetSegmenter(64, consistency_weight=3)
    batch = batch_for(segmenter)
    clean = torch.rand_like(batch["image"])
    settled(segmenter.network, segmenter.input_spec.normalise(batch["image"]))
    segmenter.eval()
    with torch.no_grad():
        altered, other = segmenter.losses(batch), segmenter.losses({**batch, "image": clean})
        found = segmenter.losses({**batch, "clean": clean})
        logits = [
            segmenter.network.forward_train(segmenter.input_spec.normalise(view)).logits
            for view in (batch["image"], clean)
        ]
    assert list(found) == ["mask", "edge", "consistency"]
    assert found["mask"].item() == pytest.approx((altered["mask"] + other["mask"]).item(), rel=1e-5)
    assert found["edge"].item() == pytest.approx(altered["edge"].item(), rel=1e-5)
    pupil, teacher = (view.double().softmax(1) for view in logits)
    divergence = (teacher * (teacher / pupil).log()).mean()
    assert found["consistency"].item() == pytest.approx(3 * divergence.item(), rel=1e-3)


@pytest.mark.parametrize("recipe", ["official", "paper"])
def test_recipes_keep_a_clean_view_of_a_smoothed_truth(recipe):
    steps = augmentation_of(compose.model_config("portraitnet", "smoke", recipe=recipe))
    image = torch.randint(0, 256, (3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    masks = torch.zeros(2, 64, 64, dtype=torch.uint8)
    masks[:, 16:48, 20:50] = 1
    # specks that a majority of 25 pixels takes away
    masks[0, ::7, ::7] = 1
    transform = augment.composed(steps, None)
    changed = 0
    for seed in range(6):
        layers, moved = augment.apply(transform, image, masks, seed)
        changed += not torch.equal(layers["clean"], layers["image"])
        _, twice = augment.apply(MajorityFilter(5), layers["image"], moved, 0)
        # it was smoothed before: little is left to do
        assert (twice != moved).float().mean() < 0.004
        assert 0 < moved[0].float().mean() < 1
    assert changed > 2


def mobilenet_with_relu():
    """torchvision's MobileNetV2 with ReLU in place of ReLU6."""
    theirs = shaken(mobilenet_v2(weights=None))
    for module in theirs.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.ReLU())
    return theirs


@torch.no_grad()
def test_the_encoder_takes_mobilenets_weights_but_for_the_1x1_that_it_lacks(tmp_path):
    theirs = mobilenet_with_relu()
    torch.save(theirs.state_dict(), tmp_path / "mobilenet.pth")
    torch.manual_seed(5)
    fresh = PortraitNetSegmenter(64).network
    torch.manual_seed(5)
    segmenter = PortraitNetSegmenter(64, backbone_weights=str(tmp_path / "mobilenet.pth"))
    (said,) = segmenter.beginning
    assert "306 of the encoder's 312 tensors" in said
    assert "all but those of stages.1.0.layers.0" in said
    stages = segmenter.network.eval().stages
    untouched = stages[1][0].layers[0]
    for name, tensor in untouched.state_dict().items():
        assert torch.equal(tensor, fresh.stages[1][0].layers[0].state_dict()[name])
    for name, tensor in segmenter.network.blocks.state_dict().items():
        assert torch.equal(tensor, fresh.blocks.state_dict()[name])
    # without that layer both are the same function
    stages[1][0].layers[0] = nn.Identity()
    image = torch.randn(1, 3, 64, 96)
    found = image
    for stage in stages:
        found = stage(found)
    torch.testing.assert_close(found, theirs.features[:18](image))


def test_the_weights_of_a_prior_begin_as_they_would(tmp_path):
    theirs = mobilenet_with_relu()
    torch.save(theirs.state_dict(), tmp_path / "mobilenet.pth")
    torch.manual_seed(5)
    fresh = PortraitNetSegmenter(64, prior=True).network.stages[0][0].weight
    torch.manual_seed(5)
    segmenter = PortraitNetSegmenter(64, prior=True, backbone_weights=str(tmp_path / "mobilenet.pth"))
    found = segmenter.network.stages[0][0].weight
    assert torch.equal(found[:, :3], theirs.features[0][0].weight)
    assert torch.equal(found[:, 3:], fresh[:, 3:])


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save({"features.0.0.weight": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"holds 1 tensors named features.*, a MobileNetV2 has 306"):
        PortraitNetSegmenter(64, backbone_weights=str(tmp_path / "other.pth"))


def test_pictures_are_fed_as_in_the_released_code():
    with torch.device("meta"):
        spec = PortraitNetSegmenter(64).input_spec
    levels = torch.tensor([10.0, 100.0, 250.0])
    fed = spec.normalise((levels / 255).view(1, 3, 1, 1)).flatten()
    expected = [(10 - 123.68) * 0.017, (100 - 116.78) * 0.017, (250 - 103.94) * 0.017]
    assert fed.tolist() == pytest.approx(expected, abs=1e-5)


def test_checkpoints_may_lack_the_edge_head():
    segmenter = PortraitNetSegmenter(64)
    state = {n: v for n, v in segmenter.network.state_dict().items() if not n.startswith("edge.")}
    with pytest.warns(UserWarning, match="lacks edge"):
        assert segmenter.load_weights(state) == ["edge"]
    assert PortraitNetSegmenter(64, edge=False).load_weights(state) == []


def test_settings():
    with torch.device("meta"):
        options = {"upsample": "bilinear", "edge": False}
        built = compose.build_segmenter(compose.model_config("portraitnet", "smoke", **options))
        assert count(built.network) == 2_080_760 - 178_176
        with pytest.raises(ConfigError, match=r"model\.upsample=nearest .* deconv, bilinear"):
            PortraitNetSegmenter(64, upsample="nearest")
