"""CascadePSP's test-time steps: the authors' package, and cases worked out by hand."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import ConfigError
from kolbench.models.components.refinement import RefinementMaps, RefinementNetwork
from kolbench.refiners import cascadepsp
from kolbench.refiners.cascadepsp import CascadePSP, is_worth_a_look, shrunk, windows
from tests.helpers.refinement import MISSING, official_pair

OFFICIAL = {"size_rule": "official", "upscale_small": True, "resize_back": "pip"}


class Recorded(RefinementNetwork):
    """A network that keeps the size of each call, whether s8 came with it, and gives back what it is told."""

    def __init__(self, logits: float = 0.0) -> None:
        super().__init__("mobilenet_v2", 0.25)
        self.logits = logits
        self.calls: list[tuple[tuple[int, ...], bool]] = []

    def forward(
        self, image: Tensor, mask: Tensor, inter_s8: Tensor | None = None, inter_s4: Tensor | None = None
    ) -> RefinementMaps:
        self.calls.append((tuple(mask.shape[-2:]), inter_s8 is not None))
        # the global step keeps the mask, crops change it
        out = torch.full_like(mask, self.logits) if inter_s8 is not None else mask * 10
        return RefinementMaps(out, None, None, None, out, out)


class AsPackage(nn.Module):
    """Our network under the package's interface, so that its steps are compared without its 68 million."""

    def __init__(self, network: RefinementNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        maps = self.network(*inputs)
        return {
            "pred_224": maps.out_224.sigmoid(),
            "pred_28_3": maps.out_28_3.sigmoid(),
            "pred_56_2": maps.out_56_2.sigmoid(),
        }


@pytest.fixture(scope="module")
def small() -> RefinementNetwork:
    """Random weights whose results lie on both sides of 0.5."""
    torch.manual_seed(3)
    network = RefinementNetwork("mobilenet_v2", 0.25).eval()
    nn.init.normal_(network.final_21.weight, std=2.0)
    return network


@pytest.fixture
def package() -> ModuleType:
    found: ModuleType = pytest.importorskip("segmentation_refinement.main", reason=MISSING)
    return found


def disc(height: int, width: int, share: float = 0.35) -> tuple[Tensor, Tensor]:
    """A bright disc on noise, in 8-bit levels: image (1, 3, H, W) in [0, 1], alpha (1, 1, H, W) in {0, 1}."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (share * min(height, width)) ** 2
    levels = generator.integers(0, 100, (height, width, 3)) + 120 * inside[..., None]
    image = torch.from_numpy(levels.astype(np.float32) / 255).permute(2, 0, 1)[None]
    return image, torch.from_numpy(inside)[None, None].float()


def refined_by_package(
    package: ModuleType, model: nn.Module, image: Tensor, alpha: Tensor, **how: Any
) -> Any:
    """Levels that the package's `refine` gives, with a network of ours in the place of its file."""
    refiner = package.Refiner.__new__(package.Refiner)
    made = package.transforms.Compose
    to_tensor, normalise = package.transforms.ToTensor(), package.transforms.Normalize
    refiner.model, refiner.device = model, "cpu"
    refiner.im_transform = made([to_tensor, normalise([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    refiner.seg_transform = made([to_tensor, normalise([0.5], [0.5])])
    picture = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return refiner.refine(picture, (alpha[0, 0] * 255).byte().numpy(), **how)


@pytest.mark.parametrize("size", [(120, 90), (50, 70), (96, 96)])
@pytest.mark.parametrize("mode", ["fast", "full"])
def test_steps_are_the_packages(
    small: RefinementNetwork, package: ModuleType, mode: str, size: tuple[int, int]
) -> None:
    image, alpha = disc(*size)
    levels = refined_by_package(package, AsPackage(small), image, alpha, fast=mode == "fast", L=96)
    ours = CascadePSP(small, mode=mode, longest=96, **OFFICIAL)(image, alpha)[0, 0].numpy()
    # the package cuts its levels off; where ours lies at a level's border, rounding decides
    assert np.abs(ours * 255 - 0.5 - levels).max() <= 0.5 + 255e-4
    assert np.ptp(levels) > 20


def test_local_steps_differ_by_rounding_only(small: RefinementNetwork, package: ModuleType) -> None:
    image, alpha = disc(130, 60)
    with torch.no_grad():
        theirs = package.process_high_res_im(
            AsPackage(small), cascadepsp.FEED.normalise(image), alpha * 2 - 1, L=100
        )
    ours = CascadePSP(small, mode="full", longest=100, **OFFICIAL)(image, alpha)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_the_released_network_refines_as_the_package_does(package: ModuleType) -> None:
    theirs, ours = official_pair()
    image, alpha = disc(70, 54)
    levels = refined_by_package(package, theirs, image, alpha, fast=True, L=66)
    found = CascadePSP(ours, mode="fast", longest=66, **OFFICIAL)(image, alpha)[0, 0].numpy()
    assert np.abs(found * 255 - 0.5 - levels).max() <= 0.5 + 255e-4


# L = 100: a step of 100 / 2 - 32 = 18; 130 long: 0, 18, then 36, 54, ... are shifted back to 30
def test_crops_start_a_step_apart_and_stay_inside() -> None:
    rows = sorted({(window.rows.start, window.rows.stop) for window in windows(130, 80, 100)})
    assert rows == [(0, 100), (18, 118), (30, 130)]
    assert {(window.columns.start, window.columns.stop) for window in windows(130, 80, 100)} == {(0, 80)}
    assert len(list(windows(130, 80, 100))) == 3


# 16 pixels of margin are left out, at the picture's border none
def test_margins_are_not_taken_except_at_the_border() -> None:
    taken = [(window.taken_rows.start, window.taken_rows.stop) for window in windows(130, 80, 100)]
    assert taken == [(0, 84), (34, 102), (46, 130)]
    (alone,) = windows(60, 50, 100)
    assert (alone.taken_rows, alone.taken_columns) == (slice(0, 60), slice(0, 50))


@pytest.mark.parametrize("side", [66, 90, 97])
def test_every_pixel_is_taken_at_least_once(side: int) -> None:
    visits = np.zeros((151, 120), int)
    for window in windows(151, 120, side):
        visits[window.taken_rows, window.taken_columns] += 1
    assert visits.min() >= 1


@pytest.mark.parametrize(
    ("foreground", "looked"), [(9, False), (10, True), (90, True), (91, False), (0, False)]
)
def test_crops_with_hardly_any_edge_are_skipped(foreground: int, looked: bool) -> None:
    assert is_worth_a_look((torch.arange(100) < foreground).view(1, 1, 10, 10)) is looked


def test_skipped_crops_keep_the_binary_result_of_the_whole_picture() -> None:
    alpha = torch.zeros(1, 1, 100, 200)
    alpha[..., :88] = 1
    network = Recorded(logits=0.0)
    refined = CascadePSP(network, longest=100)(torch.zeros(1, 3, 100, 200), alpha)
    assert network.calls[0] == ((50, 100), False)
    # starts 0, 18, 36, 54, 72, 90, 100: shares of foreground 0.88, 0.70, 0.52, 0.34, 0.16, then 0
    assert network.calls[1:] == [((100, 100), True)] * 5
    # the last crop that counts takes columns 88 to 156
    assert refined[..., :156].unique().tolist() == [0.5]
    assert refined[..., 156:].unique().tolist() == [0.0]


def test_a_picture_without_foreground_is_never_shown_to_the_network() -> None:
    network = Recorded()
    alpha = torch.full((2, 1, 40, 30), 0.49)
    alpha[1] = 0.5
    refined = CascadePSP(network, longest=66)(torch.rand(2, 3, 40, 30), alpha)
    assert network.calls == [((40, 30), False)]
    assert refined[0].max() == 0
    assert refined[1].min() > 0.99


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        # a third of 700: 233.33
        ((700, 300), {"longest": 100}, (100, 43)),
        ((300, 700), {"longest": 100}, (43, 100)),
        # 100 / 700 * 300 = 42.857
        ((700, 300), {"longest": 100, "size_rule": "official"}, (100, 42)),
        # in floating point 900 / 1129 * 1129 lies below 900
        ((1129, 1), {"size_rule": "official"}, (899, 1)),
        ((1007, 1000), {}, (900, 894)),
        ((5000, 2), {"longest": 66}, (66, 1)),
        ((50, 20), {"longest": 100}, (50, 20)),
        ((50, 20), {"longest": 100, "upscale_small": True}, (100, 40)),
        ((100, 90), {"longest": 100}, (100, 90)),
    ],
)
def test_the_whole_picture_is_seen_at_a_bounded_size(
    size: tuple[int, int], options: dict[str, Any], expected: tuple[int, int]
) -> None:
    refiner = CascadePSP(Recorded(), **options)
    assert refiner.global_size(*size) == expected


@pytest.mark.parametrize(
    ("mode", "size", "calls"),
    [("auto", (66, 40), 1), ("auto", (67, 40), 3), ("fast", (200, 200), 1), ("full", (40, 40), 2)],
)
def test_auto_looks_at_crops_of_pictures_that_are_larger(
    mode: str, size: tuple[int, int], calls: int
) -> None:
    network = Recorded()
    alpha = torch.zeros(1, 1, *size)
    alpha[..., : size[1] // 2] = 1
    CascadePSP(network, mode=mode, longest=66)(torch.rand(1, 3, *size), alpha)
    assert len(network.calls) == calls
    assert all(max(shape) <= 66 for shape, _ in network.calls)


# the same in both versions where corners are no matter; only the rows at the border tell them apart
def test_the_result_is_brought_back_as_the_repository_or_the_package_does() -> None:
    image, alpha = torch.rand(1, 3, 132, 132), torch.zeros(1, 1, 132, 132)
    alpha[..., 40:, :] = 1
    small = (10 * (F.interpolate(alpha, (66, 66), mode="area") * 2 - 1)).sigmoid()
    for name, corners in (("repo", False), ("pip", True)):
        refiner = CascadePSP(Recorded(), mode="fast", longest=66, resize_back=name)
        expected = F.interpolate(small, (132, 132), mode="bilinear", align_corners=corners)
        torch.testing.assert_close(refiner(image, alpha), expected)


def test_shrinking_in_strips_is_area_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascadepsp, "STRIP", 7)
    levels = torch.randint(0, 256, (1, 3, 53, 41), dtype=torch.uint8)
    expected = F.interpolate(levels.float() / 255, (17, 12), mode="area")
    torch.testing.assert_close(shrunk(levels, (17, 12)), expected)


def test_levels_and_floats_are_the_same_picture(small: RefinementNetwork) -> None:
    image, alpha = disc(104, 70)
    levels = (image * 255).round().byte()
    refiner = CascadePSP(small, longest=96)
    torch.testing.assert_close(refiner(levels, alpha), refiner(image, alpha), atol=1e-5, rtol=0)


def test_neither_order_nor_company_matters(small: RefinementNetwork) -> None:
    pictures = [disc(104, 40, share) for share in (0.2, 0.3, 0.4)]
    images, alphas = (torch.cat(parts) for parts in zip(*pictures, strict=True))
    refiner = CascadePSP(small, longest=96)
    together = refiner(images, alphas)
    turned = refiner(images.flip(0), alphas.flip(0)).flip(0)
    assert torch.equal(together, turned)
    assert torch.equal(together[1:2], refiner(*pictures[1]))
    assert together.dtype == torch.float32
    assert 0 <= together.min() <= together.max() <= 1


def test_a_large_call_is_announced_once_and_a_small_one_never(
    small: RefinementNetwork, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # brought to 96 x 65, so padded to 104 x 72
    image, alpha = disc(104, 70)
    refiner = CascadePSP(small, longest=96)
    refiner(image, alpha)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(cascadepsp, "ANNOUNCED", 1e6)
    monkeypatch.setattr(cascadepsp, "PROBE", 16)
    monkeypatch.setattr(cascadepsp, "WARM_UP", 8)
    refiner(image, alpha)
    refiner(image, alpha)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("CascadePSP: a call at 104x72 px takes about 0.0 GB of memory and")
    assert "this image of 104x70 px takes 1 call and at most 2 of crops" in line


# two copies of 271 MB, and 520 + 17.4 * 259 bytes for each of 904 x 904 pixels
def test_the_released_network_at_900_is_expected_to_take_almost_5_gb() -> None:
    with torch.device("meta"):
        network = RefinementNetwork()
    assert round(cascadepsp.expected_bytes(network, 904 * 904) / 1e9, 1) == 4.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"longest": 65}, "refiner.longest=65 is not a whole number from 66 to 8192"),
        ({"upscale_small": "no"}, "refiner.upscale_small=no is not true or false"),
        ({"mode": "fats"}, "Did you mean refiner.mode=fast"),
        ({"size_rule": "round"}, "refiner.size_rule=round is not a choice; it is one of exact, official"),
        ({"resize_back": "torch"}, "refiner.resize_back=torch is not a choice; it is one of repo, pip"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CascadePSP(Recorded(), **options)
