"""STDC-Seg: counts of the specification, its blocks written out anew, its training heads."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kolbench.config import compose
from kolbench.errors import ConfigError
from kolbench.models.components.light import FeatureFusion
from kolbench.models.losses.stdc import detail_target
from kolbench.models.stdc import (
    STDC,
    TRAINING_HEADS,
    AttentionRefinement,
    ContextPath,
    STDCModule,
    STDCSegmenter,
)
from tests.helpers.networks import batch_for, conv_macs, count, normed, shaken, unreached


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def applied(layers, x, stride=1, groups=1):
    """A convolution, its norm, and ReLU where there is one."""
    conv, norm, *relu = layers
    y = normed(
        F.conv2d(x, conv.weight, stride=stride, padding=conv.weight.shape[-1] // 2, groups=groups), norm
    )
    return y.clamp(min=0) if relu else y


@pytest.mark.parametrize(
    ("variant", "inference", "backbone"), [("1", 8_270_752, 5.318e6), ("2", 12_301_216, 9.349e6)]
)
def test_parameters(variant, inference, backbone):
    with torch.device("meta"):
        network, wide = STDC(variant), STDC(variant, channels_in=4)
    heads = {name: count(network.get_submodule(name)) for name in TRAINING_HEADS}
    assert heads == {"aux8": 73_984, "aux16": 73_984, "detail": 147_648}
    assert count(network) - sum(heads.values()) == inference
    assert count(wide) == count(network) + 9 * 32
    parts = (network.stem, network.stage8, network.stage16, network.stage32)
    assert sum(count(part) for part in parts) == pytest.approx(backbone, abs=500)


@pytest.mark.parametrize(
    ("variant", "published", "exact"), [("1", 1610.6e6, 1_610_620_416), ("2", 2241.6e6, 2_241_633_792)]
)
def test_multiply_accumulates_without_training_heads(variant, published, exact):
    with torch.device("meta"):
        found = conv_macs(STDC(variant), 3, 224)
    assert found == pytest.approx(published, rel=0.005)
    assert found == exact


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_module_written_out(stride):
    module = shaken(STDCModule(6, 16, stride))
    x = torch.randn(1, 6, 9, 12)
    first = applied(module.block1, x)
    second_reads = applied(module.down, first, stride=2, groups=8) if stride == 2 else first
    second = applied(module.block2, second_reads)
    third = applied(module.block3, second)
    fourth = applied(module.block4, third)
    if stride == 2:
        padded = F.pad(first, (1, 1, 1, 1))
        shifted = [padded[..., y : y + 9 : 2, x : x + 12 : 2] for y in range(3) for x in range(3)]
        first = sum(shifted) / 9
    out = module(x)
    assert [part.shape[1] for part in (first, second, third, fourth)] == [8, 4, 2, 2]
    torch.testing.assert_close(out, torch.cat((first, second, third, fourth), 1))


@torch.no_grad()
def test_context_path_written_out():
    path = shaken(ContextPath())
    at8, at16, at32 = torch.randn(1, 256, 8, 12), torch.randn(1, 512, 4, 6), torch.randn(1, 1024, 2, 3)

    def refined(block: AttentionRefinement, x):
        y = applied(block.conv, x)
        return y * applied(block.gate[1], y.mean((2, 3), keepdim=True)).sigmoid()

    def doubled(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    whole = applied(path.mean[1], at32.mean((2, 3), keepdim=True))
    up16 = applied(path.head32, doubled(refined(path.refine32, at32) + whole))
    up8 = applied(path.head16, doubled(refined(path.refine16, at16) + up16))
    found8, found16 = path(at8, at16, at32)
    torch.testing.assert_close(found16, up16, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found8, up8, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_fusion_written_out():
    fusion = shaken(FeatureFusion(256 + 128, 256))
    stage, context = torch.randn(1, 256, 4, 6), torch.randn(1, 128, 4, 6)
    y = applied(fusion.mix, torch.cat((stage, context), 1))
    squeezed = y.mean((2, 3)) @ fusion.gate[1].weight[:, :, 0, 0].T
    gate = (squeezed.clamp(min=0) @ fusion.gate[3].weight[:, :, 0, 0].T).sigmoid()
    assert squeezed.shape == (1, 64)
    torch.testing.assert_close(fusion(stage, context), y * (1 + gate[:, :, None, None]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_shapes_range_and_which_features_the_heads_read():
    network = shaken(STDC())
    image = torch.randn(2, 3, 64, 160)
    maps, probability = network.forward_train(image), network(image)
    assert [value.shape[1] for value in maps] == [2, 2, 2, 1]
    assert {tuple(value.shape[2:]) for value in maps} == {(64, 160)}
    torch.testing.assert_close(probability, (maps.logits[:, 1:] - maps.logits[:, :1]).sigmoid())
    assert 0 < probability.min() < probability.max() < 1
    sizes = {}
    for name in ("head", *TRAINING_HEADS):
        network.get_submodule(name).register_forward_pre_hook(
            lambda _m, given, name=name: sizes.__setitem__(name, tuple(given[0].shape[1:]))
        )
    network.forward_train(image)
    assert sizes == {
        "head": (256, 8, 20),
        "aux8": (128, 8, 20),
        "aux16": (128, 4, 10),
        "detail": (256, 8, 20),
    }
    # corners are kept where maps are enlarged
    logits = network.detail(network.stage8(network.stem(image)))
    torch.testing.assert_close(maps.detail[..., ::63, ::159], logits[..., ::7, ::19])


def test_prediction_runs_no_training_head():
    network = STDC().eval()
    for name in TRAINING_HEADS:
        setattr(network, name, nn.Identity())
    with torch.no_grad():
        assert network(torch.rand(1, 3, 32, 32)).shape == (1, 1, 32, 32)


def test_checkpoints_may_lack_the_training_heads():
    segmenter = STDCSegmenter(64)
    state = {n: v for n, v in segmenter.network.state_dict().items() if n.split(".")[0] not in TRAINING_HEADS}
    with pytest.warns(UserWarning, match="aux8, aux16, detail"):
        assert segmenter.load_weights(state) == list(TRAINING_HEADS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert segmenter.load_weights(segmenter.network.state_dict()) == []


def test_losses_and_gradients():
    segmenter = STDCSegmenter(64)
    batch = batch_for(segmenter)
    terms = segmenter.eval().losses(batch)
    assert list(terms) == ["ce", "aux8", "aux16", "detail_bce", "detail_dice"]
    with torch.no_grad():
        maps = segmenter.network.forward_train(segmenter.input_spec.normalise(batch["image"]))
    p, t = maps.detail.sigmoid(), detail_target(batch["mask"])
    expected = -(t * p.log() + (1 - t) * (1 - p).log()).mean()
    assert terms["detail_bce"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert unreached(segmenter, batch) == []


def test_settings():
    with torch.device("meta"):
        for variant, blocks in ((1, 2), (2, 5)):
            built = compose.build_segmenter(compose.model_config("stdc", "smoke", variant=variant))
            assert len(built.network.stage16) == blocks
        with pytest.raises(ConfigError, match=r"model\.variant=3 .* 1, 2"):
            STDCSegmenter(64, 3)
