"""SINet: its counts, an implementation of its own from the released names, its feeding and its edge loss."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import kolbench
from kolbench.data import splits
from kolbench.data.sources.folder import FolderSource
from kolbench.models.checkpoints.read import read_state_dict
from kolbench.models.components.blocks import channel_shuffle
from kolbench.models.losses.portrait import band_cross_entropy, edge_band
from kolbench.models.sinet import SINet, SINetSegmenter
from tests.conftest import drawn
from tests.helpers.networks import conv_macs, count, shaken

# released names of the squeeze modules with a pool: (module, branch) -> factor
POOLED = {
    ("level3.2", "d2"): 2,
    ("level3.3", "d1"): 2,
    ("level3.3", "d2"): 4,
    ("level3.6", "d1"): 2,
    ("level3.6", "d2"): 4,
    ("level3.7", "d2"): 2,
}


def test_counts() -> None:
    with torch.device("meta"):
        network, four = SINet(), SINet(channels_in=4)
    assert count(network) == 86_910
    assert count(network.encoder) == 86_764
    assert count(four) == 86_910 + 12 * 9
    # 63.87 M in the specification
    assert conv_macs(network, 3, 224) == 63_866_208


def functional_sinet(state: dict[str, Tensor], image: Tensor) -> Tensor:
    """Logits of pictures with channels blue, green, red, from the specification and the names alone."""

    def conv(x, name, **options):
        weight = state[name + ".weight"]
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, **options)

    def norm(x, name):
        mean, var, weight, bias = (
            state[f"{name}.{key}"].view(-1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-3).sqrt() * weight + bias

    def prelu(x, name):
        slope = state[name + ".weight"].view(-1, *[1] * (x.ndim - 2))
        return torch.where(x > 0, x, slope * x)

    def up(x, factor):
        return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=True)

    def down(x, name):
        x = conv(x, f"{name}.conv.0", stride=2, groups=x.shape[1])
        scale = x.mean((2, 3))
        for k in range(0, 4, 2):
            if f"{name}.conv.1.dense.{k}.weight" in state:
                dense = f"{name}.conv.1.dense.{k}"
                scale = scale @ state[f"{dense}.weight"].T + state[f"{dense}.bias"]
                scale = prelu(scale, f"{name}.conv.1.dense.{k + 1}")
        x = conv(x * scale[..., None, None], f"{name}.conv.2")
        return prelu(norm(x, f"{name}.bn"), f"{name}.act")

    def branch(x, name, pool):
        y = F.avg_pool2d(x, pool)
        y = norm(conv(y, f"{name}.conv.0", groups=y.shape[1]), f"{name}.conv.1")
        y = conv(prelu(y, f"{name}.act_conv1x1.0"), f"{name}.act_conv1x1.1")
        return norm(up(y, pool), f"{name}.bn")

    def squeeze(x, name):
        y = conv(x, f"encoder.{name}.c1.conv", groups=2)
        half = y.shape[1] // 2
        y = torch.stack((y[:, :half], y[:, half:]), 2).flatten(1, 2)
        y = torch.cat([branch(y, f"encoder.{name}.{d}", POOLED.get((name, d), 1)) for d in ("d1", "d2")], 1)
        if not name.endswith(".0"):
            y = y + x
        return prelu(norm(y, f"encoder.{name}.BR.bn"), f"encoder.{name}.BR.act")

    def joined(a, b, name):
        return prelu(norm(torch.cat((a, b), 1), f"encoder.{name}.bn"), f"encoder.{name}.act")

    x = conv(image, "encoder.level1.conv", stride=2)
    x = prelu(norm(x, "encoder.level1.bn"), "encoder.level1.act")
    entry2 = down(x, "encoder.level2_0")
    level2 = squeeze(squeeze(entry2, "level2.0"), "level2.1")
    entry3 = down(joined(entry2, level2, "BR2"), "encoder.level3_0")
    level3 = entry3
    for k in range(8):
        level3 = squeeze(level3, f"level3.{k}")
    coarse = norm(up(conv(joined(entry3, level3, "BR3"), "encoder.classifier.conv"), 2), "bn_3")
    p = 1 / (1 + (coarse[:, :1] - coarse[:, 1:]).exp())
    gate = torch.minimum(p, 1 - p)
    fine = prelu(norm(conv(level2, "level2_C.conv"), "level2_C.bn"), "level2_C.act")
    return conv(up(norm(up(fine * gate + coarse, 2), "bn_2"), 2), "classifier.1")


@torch.no_grad()
def test_the_whole_network_against_a_functional_one() -> None:
    torch.manual_seed(0)
    network = shaken(SINet()).double()
    image = torch.randn(2, 3, 32, 96, dtype=torch.float64)
    expected = functional_sinet(network.state_dict(), image.flip(1))
    assert expected.shape == (2, 2, 32, 96)
    torch.testing.assert_close(network.forward_train(image), expected)
    probability = network(image)
    torch.testing.assert_close(probability[:, 0], expected.softmax(1)[:, 1].float())
    assert 0 <= probability.min() < probability.max() <= 1


@torch.no_grad()
def test_the_released_weights_and_their_feeding(shared) -> None:
    segmenter = SINetSegmenter(224).eval()
    state = read_state_dict(shared / "weights" / "SINet.pth")
    assert segmenter.load_weights(state) == []
    image = torch.randint(0, 256, (1, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([102.89, 111.25, 126.91]), torch.tensor([62.93, 62.82, 66.36])
    fed = (image.flip(1) - mean.view(3, 1, 1)) / std.view(3, 1, 1) / 255
    expected = functional_sinet(state, fed).softmax(1)[:, 1:]
    torch.testing.assert_close(segmenter.predict(image / 255).alpha, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_fourth_channel_is_not_moved() -> None:
    torch.manual_seed(0)
    network = shaken(SINet(channels_in=4))
    image = torch.randn(1, 4, 32, 64)
    moved = image[:, [2, 1, 0, 3]]
    torch.testing.assert_close(
        network.forward_train(image), functional_sinet(network.state_dict(), moved), atol=1e-4, rtol=1e-4
    )


def test_channel_shuffle_by_hand() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert channel_shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert channel_shuffle(x, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_boundary_band_by_hand() -> None:
    mask = torch.zeros(1, 1, 3, 9)
    mask[..., 5:] = 1
    # dilated by one pixel it starts at 4, eroded at 6; the picture's border is no boundary
    assert edge_band(mask, 2)[0, 0].tolist() == [[0, 0, 0, 0, 1, 1, 0, 0, 0]] * 3


def test_losses_by_hand() -> None:
    mask = torch.zeros(2, 1, 40, 40)
    mask[0, ..., 20:] = 1
    # wrong by 2 everywhere, and by 3 at two pixels outside of the first picture's band (columns 13 to 26)
    right = torch.cat((1 - mask, mask), 1)
    logits = -2 * right
    logits[0, :, 0, [2, 30]] *= 1.5
    each, far = math.log1p(math.exp(2)), math.log1p(math.exp(3))
    assert band_cross_entropy(logits, mask, 14).item() == pytest.approx(each, rel=1e-6)
    logits[1] = 100
    assert band_cross_entropy(logits, mask, 14).item() == pytest.approx(each, rel=1e-6)
    logits[0, :, 5, 13] *= 1.5
    assert band_cross_entropy(logits, mask, 14).item() == pytest.approx(each + (far - each) / 560, rel=1e-6)
    assert band_cross_entropy(logits[1:], mask[1:], 14).item() == 0


def test_segmenter_losses_and_gradients() -> None:
    torch.manual_seed(0)
    segmenter = SINetSegmenter(64)
    batch = drawn(64)
    terms = segmenter.losses(batch)
    assert list(terms) == ["ce", "edge"]
    logits = segmenter.eval().network.forward_train(segmenter.input_spec.normalise(batch["image"]))
    p = logits.softmax(1)[:, 1:]
    likelihood = torch.where(batch["mask"] == 1, p, 1 - p)
    band = edge_band(batch["mask"], 14) == 1
    again = segmenter.losses(batch)
    torch.testing.assert_close(again["ce"], -likelihood.log().mean())
    torch.testing.assert_close(again["edge"], -likelihood[band].log().mean() / 2)
    torch.stack(list(terms.values())).sum().backward()
    assert [n for n, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.slow
def test_the_released_weights_score_as_the_specification_measured(shared: Path) -> None:
    source = FolderSource(shared / "data" / "street_kol")
    segmenter = kolbench.load("sinet", weights=shared / "weights" / "SINet.pth", size=224)
    overlaps, recalls = [], []
    for row in splits.make_splits(source, "auto", 0).test:
        sample = source.read(row)
        found, truth = segmenter.segment(sample.image) > 0.5, sample.mask > 0
        overlaps.append((found & truth).sum() / (found | truth).sum())
        if sample.product is not None and sample.product.any():
            recalls.append(found[sample.product > 0].mean())
    assert np.mean(overlaps) == pytest.approx(0.626, abs=0.005)
    assert np.mean(recalls) == pytest.approx(0.648, abs=0.005)
