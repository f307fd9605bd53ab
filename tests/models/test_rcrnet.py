"""RCRNet: golden counts of every variant, exact merging, and what its parts do."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import ConfigError
from kolbench.inference.export.graph import network_of
from kolbench.inference.folding import folded
from kolbench.models.components.portrait_decoder import doubling
from kolbench.models.components.rcr import RCR, MergedRCR, deployed
from kolbench.models.losses import portrait
from kolbench.models.rcrnet import VARIANTS, RCRNet, RCRNetSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from tests.helpers.networks import conv_macs

# variant -> parameters, multiply-accumulates of convolutions, the same once deployed (rcrnet.md, section 5)
GOLDEN = {
    "dagger": (615_752, 159_480_888, 605_284, 156_776_088),
    "double_dagger": (623_520, 180_691_224, 609_528, 177_302_776),
    "diamond": (619_082, 191_091_896, 608_426, 187_985_688),
    "star": (789_410, 220_103_032, 772_430, 216_285_736),
}


class AllMaps(nn.Module):
    """The network with its training-only head in one map, so that folding sees all of it."""

    def __init__(self, network: RCRNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4, H, W)."""
        return torch.cat(self.network.forward_train(image), 1)


def lively(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in evaluation mode, with random statistics and affine parts in its batch norms."""
    torch.manual_seed(seed)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 2)
    return module.eval()


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def merged(network: RCRNet) -> nn.Module:
    return folded(AllMaps(deployed(network)), torch.zeros(1, network.channels_in, 64, 64))


@pytest.mark.parametrize("variant", VARIANTS)
def test_counts_are_those_of_the_specification(variant: str) -> None:
    network = RCRNet(variant, channels_in=4).eval()
    training, macs, at_inference, fewer_macs = GOLDEN[variant]
    assert parameters(network) == training
    assert conv_macs(network, 4, 224, "forward_train") == macs
    small = merged(network)
    assert parameters(small) == at_inference
    assert conv_macs(small, 4, 224) == fewer_macs


def test_counts_of_the_knobs() -> None:
    without_e6 = merged(RCRNet("star", 4, extra_hidden=0).eval())
    assert (parameters(without_e6), conv_macs(without_e6, 4, 224)) == (612_670, 208_512_376)
    plain = merged(RCRNet("star", 3).eval())
    assert (parameters(plain), conv_macs(plain, 3, 224)) == (772_286, 214_479_400)
    # the specification rounds these
    for variant, millions, mmacs in (("double_dagger", 0.538, 188.1), ("star", 0.701, 227.1)):
        other = merged(RCRNet(variant, 4, decoder="rcr_b").eval())
        assert parameters(other) / 1e6 == pytest.approx(millions, abs=1e-3)
        assert conv_macs(other, 4, 224) / 1e6 == pytest.approx(mmacs, abs=0.05)
    # 8 more weights for each channel of each module
    with torch.device("meta"):
        wide, narrow = (RCRNet("star", 4, branch2_kernel=kernel) for kernel in (3, 1))
        assert parameters(wide) - parameters(narrow) == 24_192


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("activated", [True, False])
def test_a_merged_module_is_the_same_function(kernel: int, activated: bool) -> None:
    module = lively(RCR(5, 12, activated, kernel))
    x = torch.randn(2, 5, 9, 13)
    small = module.merged()
    assert isinstance(small, MergedRCR)
    torch.testing.assert_close(small(x), module(x), rtol=1e-5, atol=1e-5)
    # by hand: the middle of the kernel holds both branches and the identity
    wide, narrow = (
        branch[0].weight * (branch[1].weight / (branch[1].running_var + 1e-5).sqrt())[:, None, None, None]
        for branch in (module.wide, module.narrow)
    )
    middle = wide[:, 0, 1, 1] + narrow[:, 0, kernel // 2, kernel // 2] + 1
    torch.testing.assert_close(small.deep.weight[:, 0, 1, 1], middle)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("variant", ["star", "dagger"])
def test_a_deployed_network_is_the_same_function(variant: str, kernel: int) -> None:
    network = lively(RCRNet(variant, branch2_kernel=kernel))
    before = copy.deepcopy(network.state_dict())
    image = torch.rand(1, 3, 64, 96)
    small = deployed(network)
    assert not any(isinstance(layer, RCR) for layer in small.modules())
    with torch.no_grad():
        torch.testing.assert_close(small(image), network(image), rtol=0, atol=1e-5)
        again = deployed(small)
        assert torch.equal(again(image), small(image))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_network_in_training_is_not_deployed() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        deployed(RCRNet("dagger"))
    with pytest.raises(ValueError, match="training mode"):
        RCR(3, 4).merged()


@pytest.mark.parametrize("layer", [doubling(3, groups=3), doubling(3, "deconv")], ids=["depthwise", "dense"])
def test_transposed_convolutions_begin_bilinear(layer: nn.Module) -> None:
    x = torch.rand(1, 3, 7, 9)
    near = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    # at the border interpolation repeats the outermost pixels, and a convolution sees zeros
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(layer(x)[inside], near[inside])


def test_the_bypass_reaches_the_edges_and_the_alpha() -> None:
    network = lively(RCRNet("star"))
    assert network.bypass is not None
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = network.forward_train(image)
        torch.testing.assert_close(network(image), maps.logits.softmax(1)[:, 1:])
        network.bypass[1].narrow[1].bias += 1
        changed = network.forward_train(image)
    assert not torch.allclose(maps.logits, changed.logits)
    assert not torch.allclose(maps.edge, changed.edge)


def test_losses_are_those_of_the_mask_and_its_edges() -> None:
    segmenter = RCRNetSegmenter(64, variant="dagger", edge_weight=0.5)
    lively(segmenter)
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 20:50, 10:40] = 1
    image = torch.rand(2, 3, 64, 64)
    batch: Any = {"image": image, "mask": mask}
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        found = segmenter.losses(batch)
        maps = segmenter.network.forward_train((image - mean) / std)
    expected = F.cross_entropy(maps.logits, mask[:, 0].long())
    assert found["mask"].item() == pytest.approx(expected.item(), rel=1e-5)
    edge = portrait.focal_loss(maps.edge, portrait.edge_band(mask))
    assert found["edge"].item() == pytest.approx(0.5 * edge.item(), rel=1e-5)
    assert set(found) == {"mask", "edge"}


def test_two_views_are_learnt_and_made_alike() -> None:
    segmenter = RCRNetSegmenter(64, variant="dagger", consistency_weight=2)
    lively(segmenter)
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 20:50, 10:40] = 1
    image, clean = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    alone: Any = [{"image": view, "mask": mask} for view in (image, clean)]
    both: Any = {"image": image, "clean": clean, "mask": mask}
    with torch.no_grad():
        altered, other = (segmenter.losses(batch) for batch in alone)
        found = segmenter.losses(both)
        logits = [
            segmenter.network.forward_train(segmenter.input_spec.normalise(view)).logits
            for view in (image, clean)
        ]
    assert found["mask"].item() == pytest.approx((altered["mask"] + other["mask"]).item(), rel=1e-5)
    assert found["edge"].item() == pytest.approx(altered["edge"].item(), rel=1e-5)
    expected = 2 * portrait.consistency_loss(*logits)
    # 2e-6 from logits that nearly agree, which another layout of memory rounds otherwise
    assert found["consistency"].item() == pytest.approx(expected.item(), rel=1e-3)


def test_what_is_put_to_work_is_merged() -> None:
    segmenter = RCRNetSegmenter(64)
    lively(segmenter)
    image = torch.rand(1, 3, 64, 64)
    graph = network_of(segmenter).graph
    assert not any(isinstance(layer, RCR) for layer in graph.modules())
    with torch.no_grad():
        torch.testing.assert_close(graph(image), segmenter.predict(image).alpha, rtol=0, atol=1e-5)
    assert any(isinstance(layer, RCR) for layer in segmenter.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "stars"}, "model.variant=stars"),
        ({"branch2_kernel": 5}, "branch2_kernel=5 is neither 1 nor 3"),
        ({"decoder": "unet"}, "model.decoder=unet"),
        ({"upsample": "nearest"}, "model.upsample=nearest"),
        ({"edge_weight": -1}, "edge_weight"),
        ({"temperature": 0}, "temperature above 0"),
        ({"size": 100}, "size=100"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RCRNetSegmenter(**{"size": 64, **options})
