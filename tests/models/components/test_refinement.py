"""CascadePSP's network: golden counts, the released package's results, and what its passes do."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from kolbench.engine.cost import count_macs
from kolbench.errors import ConfigError, WeightsError
from kolbench.models.components.refinement import RefinementMaps, RefinementNetwork, padded, padded_size
from tests.helpers.refinement import official_pair

SMALL = ("mobilenet_v2", 0.25)


class OnPicture(nn.Module):
    """The network on a picture and any mask."""

    def __init__(self, network: RefinementNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.network(image, image[:, :1]).out_224
        return out


@pytest.fixture(scope="module")
def small() -> RefinementNetwork:
    torch.manual_seed(0)
    return RefinementNetwork(*SMALL).eval()


def inputs(height: int, width: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(batch, 3, height, width, generator=generator)
    return image, torch.rand(batch, 1, height, width, generator=generator).round() * 2 - 1


@pytest.mark.parametrize(
    ("backbone", "width", "parameters", "tensors", "macs"),
    [
        ("resnet50", 1.0, 67_683_433, 426, 213_818_816_000),
        ("resnet18", 0.25, 14_029_481, 228, 40_302_425_600),
        ("mobilenet_v2", 0.25, 3_706_745, 414, 15_626_230_016),
    ],
)
def test_golden_counts_of_every_backbone(
    backbone: str, width: float, parameters: int, tensors: int, macs: int
) -> None:
    with torch.device("meta"):
        network = RefinementNetwork(backbone, width)
        image = torch.empty(1, 3, 224, 224)
    counted = (
        sum(parameter.numel() for parameter in network.parameters()),
        len(network.state_dict()),
        count_macs(OnPicture(network), image, conv_only=True),
    )
    assert counted == (parameters, tensors, macs)


def test_the_released_package_has_the_same_keys_and_results() -> None:
    theirs, ours = official_pair()
    image, mask = inputs(40, 32)
    s8 = inputs(40, 32)[1] * 0.5
    with torch.no_grad():
        for given in ((), (s8,), (s8, -s8)):
            expected = theirs(image, mask, *given)
            maps = ours(image, mask, *given)._asdict()
            assert {name for name, found in maps.items() if found is not None} == {
                name for name in expected if name.startswith("out")
            }
            for name, found in maps.items():
                if found is not None:
                    torch.testing.assert_close(found, expected[name], atol=1e-4, rtol=0)
    # the map is no constant, so the comparison says something
    assert expected["out_224"].std() > 1e-3


@pytest.mark.parametrize(
    ("size", "grown"),
    [((64, 48), (64, 48)), ((64, 50), (72, 56)), ((63, 48), (64, 56)), ((1, 1), (8, 8)), ((9, 15), (16, 16))],
)
def test_if_either_side_is_no_multiple_of_8_both_grow(size: tuple[int, int], grown: tuple[int, int]) -> None:
    assert padded_size(*size) == grown
    x = padded(torch.ones(1, 1, *size), -1.0)
    assert x.shape[-2:] == grown
    assert x[..., : size[0], : size[1]].min() == 1
    assert x.sum() == 2 * size[0] * size[1] - grown[0] * grown[1]


def test_padding_is_the_mean_picture_without_foreground(small: RefinementNetwork) -> None:
    image, mask = inputs(40, 44)
    wide_image, wide_mask = torch.zeros(1, 3, 48, 48), torch.full((1, 1, 48, 48), -1.0)
    wide_image[..., :40, :44], wide_mask[..., :40, :44] = image, mask
    with torch.no_grad():
        found, expected = small(image, mask), small(wide_image, wide_mask)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs[..., :40, :44])


def test_given_maps_replace_the_passes_that_make_them(small: RefinementNetwork) -> None:
    image, mask = inputs(32, 40)
    with torch.no_grad():
        whole: RefinementMaps = small(image, mask)
        assert whole.out_28 is not None
        assert whole.out_28_2 is not None
        assert whole.out_56 is not None
        from_8 = small(image, mask, whole.out_28.tanh())
        both = small(image, mask, whole.out_28_2.tanh(), whole.out_28_2.tanh())
    assert from_8.out_28 is None
    torch.testing.assert_close(from_8.out_224, whole.out_224)
    torch.testing.assert_close(from_8.out_56, whole.out_56)
    assert both.out_56 is None
    assert both.out_28_2 is None
    assert not torch.allclose(both.out_224, whole.out_224)


def test_stride_4_needs_stride_8(small: RefinementNetwork) -> None:
    image, mask = inputs(16, 16)
    with pytest.raises(ValueError, match="inter_s8"):
        small(image, mask, None, mask)


def test_pictures_of_a_batch_do_not_see_each_other(small: RefinementNetwork) -> None:
    image, mask = inputs(32, 24, batch=2)
    with torch.no_grad():
        together = small(image, mask).out_224
        alone = small(image[1:], mask[1:]).out_224
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_imagenet_weights_are_taken_and_masks_start_without_a_say(backbone: str) -> None:
    torch.manual_seed(0)
    pretrained = getattr(torchvision.models, backbone)(weights=None)
    network = RefinementNetwork(backbone, 0.25).eval()
    network.start_from_imagenet(pretrained.state_dict())
    image, mask = inputs(32, 32)
    with torch.no_grad():
        one, other = (network.feats(torch.cat((image, *[m] * 3), 1)) for m in (mask, -mask))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    # the skip at half size is torchvision's own first convolution
    first = next(part for part in pretrained.modules() if isinstance(part, nn.Conv2d))
    torch.testing.assert_close(one.half, first(image), atol=1e-5, rtol=0)


def test_a_dilated_backbone_samples_what_a_strided_one_does() -> None:
    torch.manual_seed(0)
    pretrained = torchvision.models.mobilenet_v2(weights=None).eval()
    network = RefinementNetwork("mobilenet_v2", 0.25).eval()
    network.start_from_imagenet(pretrained.state_dict())
    image = inputs(96, 96)[0]
    with torch.no_grad():
        dense = network.feats(torch.cat((image, image * 0), 1)).deep
        sparse = pretrained.features[:18](image)
    torch.testing.assert_close(dense[..., ::4, ::4], sparse, atol=1e-5, rtol=0)


def test_weights_of_another_backbone_are_refused() -> None:
    with torch.device("meta"):
        network = RefinementNetwork("resnet18", 0.25)
        other = torchvision.models.resnet50().state_dict()
    with pytest.raises(WeightsError, match="does not fit ResNetFeatures"):
        network.start_from_imagenet(other)


@pytest.mark.parametrize(
    ("backbone", "width", "message"),
    [
        ("resnet50", 0.0, r"width=0.0 must lie in \(0, 1\]"),
        ("resnet50", "wide", r"width=wide must lie in \(0, 1\]"),
        ("resnet51", 1.0, "Did you mean backbone=resnet50"),
    ],
)
def test_wrong_settings_are_named(backbone: str, width: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RefinementNetwork(backbone, width)
