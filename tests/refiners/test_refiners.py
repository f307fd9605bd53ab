"""Refiners against slow, direct implementations, and on pictures whose answer is known."""

import inspect

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf

from kolbench.config import compose
from kolbench.errors import ConfigError
from kolbench.io.arrays import as_arrays
from kolbench.refiners.grabcut import GrabCutRefiner, cut_labels
from kolbench.refiners.guided import GuidedFilter, box_mean, luma, rows_of
from kolbench.refiners.none import Unrefined

REFINERS = [Unrefined(), GuidedFilter(), GuidedFilter(guide="grey", subsample=1), GrabCutRefiner()]


def windows(height, width, radius):
    for y in range(height):
        for x in range(width):
            rows = slice(max(0, y - radius), y + radius + 1)
            yield y, x, (rows, slice(max(0, x - radius), x + radius + 1))


def direct_mean(values, radius):
    """(H, W) -> means over the part of each window that lies inside, by loops in float64."""
    out = np.zeros_like(values, np.float64)
    height, width = values.shape
    for y, x, window in windows(height, width, radius):
        out[y, x] = values[window].mean()
    return out


def direct_guided(guide, alpha, radius, epsilon):
    """Ridge regression of alpha on the colours (H, W, C) of every window, averaged over a pixel's windows."""
    height, width, channels = guide.shape
    coefficients = np.zeros((height, width, channels + 1))
    for y, x, window in windows(height, width, radius):
        colours, target = guide[window].reshape(-1, channels), alpha[window].ravel()
        centred = colours - colours.mean(0)
        gram = centred.T @ centred / len(centred) + epsilon * np.eye(channels)
        slope = np.linalg.inv(gram) @ (centred.T @ (target - target.mean())) / len(centred)
        coefficients[y, x] = [*slope, target.mean() - slope @ colours.mean(0)]
    averaged = np.stack([direct_mean(c, radius) for c in np.moveaxis(coefficients, 2, 0)], axis=2)
    return np.clip((averaged[..., :-1] * guide).sum(2) + averaged[..., -1], 0, 1)


def scene(height, width, seed=0):
    """A bright disc on a dark ground, both noisy: image (1, 3, H, W), true alpha (1, 1, H, W) in {0, 1}."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3) ** 2
    colours = np.where(disc[..., None], (0.8, 0.6, 0.3), (0.1, 0.2, 0.4))
    image = np.clip(colours + generator.normal(0, 0.02, (height, width, 3)), 0, 1).astype(np.float32)
    return torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(disc)[None, None].float()


def blurred(alpha, sigma):
    return torch.from_numpy(cv2.GaussianBlur(alpha[0, 0].numpy(), (0, 0), sigma))[None, None]


def eroded(alpha, radius):
    square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return torch.from_numpy(cv2.erode(alpha[0, 0].numpy(), square))[None, None]


def error(alpha, truth):
    return float((alpha - truth).abs().mean())


@pytest.mark.parametrize("radius", [1, 3, 12])
def test_means_are_exact_at_the_frame(radius):
    values = np.random.default_rng(0).random((9, 14))
    expected = torch.from_numpy(direct_mean(values, radius))
    torch.testing.assert_close(box_mean(torch.from_numpy(values)[None, None], radius)[0, 0], expected)


@pytest.mark.parametrize("guide", ["rgb", "grey"])
@pytest.mark.parametrize("epsilon", [1e-4, 1e-2])
def test_the_exact_filter_agrees_with_a_regression_in_every_window(guide, epsilon):
    image, truth = scene(24, 31)
    alpha = (blurred(truth, 2) + 0.1 * torch.rand(1, 1, 24, 31)).clamp(0, 1)
    # 0.125 of 24 pixels = 3
    refined = GuidedFilter(radius=0.125, epsilon=epsilon, subsample=1, guide=guide)(image, alpha)
    seen = image if guide == "rgb" else luma(image)
    colours = seen[0].permute(1, 2, 0).double().numpy()
    expected = direct_guided(colours, alpha[0, 0].double().numpy(), 3, epsilon)
    assert np.abs(refined[0, 0].numpy() - expected).max() < 1e-5


def test_strips_are_rows_of_the_bilinear_enlargement():
    maps = torch.rand(3, 11, 17, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(maps[None], (143, 250), mode="bilinear", align_corners=False)[0]
    for top, bottom in ((0, 5), (5, 120), (120, 143)):
        torch.testing.assert_close(rows_of(maps, 143, 250, top, bottom), whole[:, top:bottom])


# without contrast the slope is 0 and the offset the mean of a window, averaged once more
def test_without_contrast_alpha_is_averaged_twice():
    alpha = torch.rand(1, 1, 20, 26, generator=torch.Generator().manual_seed(0))
    refined = GuidedFilter(radius=0.1, subsample=1)(torch.full((1, 3, 20, 26), 0.3), alpha)
    expected = direct_mean(direct_mean(alpha[0, 0].numpy(), 2), 2)
    assert np.abs(refined[0, 0].numpy() - expected).max() < 1e-5


def test_an_alpha_that_is_linear_in_the_colours_stays():
    image = torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))
    alpha = (0.2 + 0.5 * image[:, :1] - 0.1 * image[:, 1:2] + 0.3 * image[:, 2:]).clamp(0, 1)
    refined = GuidedFilter(radius=0.1, epsilon=1e-7, subsample=1)(image, alpha)
    torch.testing.assert_close(refined, alpha, atol=1e-4, rtol=0)


@pytest.mark.parametrize("guide", ["rgb", "grey"])
@pytest.mark.parametrize("subsample", [1, 4])
def test_a_blurred_edge_finds_the_pictures_edge(guide, subsample):
    image, truth = scene(160, 200)
    alpha = blurred(truth, 3)
    refined = GuidedFilter(radius=0.05, subsample=subsample, guide=guide)(image, alpha)
    # averaging keeps the sum of alpha, so what it sharpens shows in the squares
    assert (refined - truth).square().mean() < 0.45 * (alpha - truth).square().mean()
    at_edge = (eroded(truth, 2) == 0) & (eroded(1 - truth, 2) == 0)
    assert error(refined[at_edge], truth[at_edge]) < 0.55 * error(alpha[at_edge], truth[at_edge])


def test_subsampling_changes_little_where_all_is_smooth():
    generator = np.random.default_rng(0)
    maps = cv2.GaussianBlur(generator.random((160, 200, 4)).astype(np.float32), (0, 0), 6)
    maps = (maps - maps.min((0, 1))) / np.ptp(maps, (0, 1))
    image, alpha = torch.from_numpy(maps).permute(2, 0, 1)[None].split((3, 1), dim=1)
    exact = GuidedFilter(radius=0.1, subsample=1)(image, alpha)
    fast = GuidedFilter(radius=0.1, subsample=2)(image, alpha)
    assert 0 < error(fast, exact) < error(exact, alpha) / 20
    # half a pixel between the coefficients and the picture would show
    assert error(fast, exact) < error(exact, exact.roll(1, dims=3)) / 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (33, 47)])
@pytest.mark.parametrize("refiner", REFINERS, ids=lambda r: type(r).__name__)
def test_any_size_is_kept_and_nothing_is_written_into(refiner, height, width):
    image, alpha = torch.rand(1, 3, height, width), torch.rand(1, 1, height, width)
    before = image.clone(), alpha.clone()
    refined = refiner(image, alpha)
    assert refined.shape == alpha.shape
    assert refined.dtype == torch.float32
    assert refined.min() >= 0
    assert refined.max() <= 1
    assert torch.equal(image, before[0])
    assert torch.equal(alpha, before[1])


@pytest.mark.parametrize("refiner", REFINERS, ids=lambda r: type(r).__name__)
def test_a_batch_is_its_pictures_in_any_order(refiner):
    pictures = [scene(60, 80, seed) for seed in range(3)]
    images = torch.cat([image for image, _ in pictures])
    alphas = torch.cat([blurred(eroded(truth, 2), 2) for _, truth in pictures])
    together = refiner(images, alphas)
    cv2.setRNGSeed(7)
    for index in (2, 0, 1):
        alone = refiner(images[index : index + 1], alphas[index : index + 1])
        assert torch.equal(alone[0], together[index])


@pytest.mark.parametrize(
    ("refiner", "tolerance"),
    [
        (Unrefined(), 0),
        (GrabCutRefiner(), 0),
        (GuidedFilter(), 1e-4),
        (GuidedFilter(guide="grey"), 1e-4),
        # three strips each of the picture and of its coefficients, whose windows reach far beyond a strip
        (GuidedFilter(radius=0.1, subsample=1), 1e-4),
        (GuidedFilter(radius=0.3, subsample=7), 1e-4),
    ],
)
def test_a_picture_alone_is_refined_as_in_a_batch(refiner, tolerance):
    noisy, truth = scene(300, 389)
    (image,) = as_arrays(noisy)
    alpha = blurred(truth, 3)
    before = image.copy(), alpha.clone()
    alone = refiner.refine_picture(image, alpha[0, 0].numpy())
    batch = refiner(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255, alpha)
    assert alone.dtype == np.float32
    assert np.abs(alone - batch[0, 0].numpy()).max() <= tolerance
    assert np.array_equal(image, before[0])
    assert torch.equal(alpha, before[1])


@pytest.mark.parametrize("size", [48, 384])
def test_grabcut_recovers_an_object_from_an_eroded_alpha(size):
    image, truth = scene(96, 120)
    alpha = eroded(truth, 4)
    refined = GrabCutRefiner(band=0.06, size=size)(image, alpha)
    assert error(alpha, truth) > 0.07
    # the disc's edge is 2 pi 32 pixels long; at half the size it is known to one pixel
    assert error(refined, truth) < (0.001 if size == 384 else 2 * np.pi * 32 / truth.numel())


def test_grabcut_keeps_alpha_away_from_the_edge():
    image, truth = scene(96, 120)
    alpha = 0.03 + 0.93 * truth
    refined = GrabCutRefiner(band=0.05)(image, alpha)
    edge = (eroded(truth, 5) == 0) & (eroded(1 - truth, 5) == 0)
    assert torch.equal(refined[~edge], alpha[~edge])
    assert set(refined[edge].tolist()) == {0.0, 1.0}
    assert torch.equal(refined[edge], truth[edge])


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_grabcut_keeps_an_alpha_without_both_classes(level):
    image, _ = scene(48, 48)
    alpha = torch.full((1, 1, 48, 48), level)
    assert torch.equal(GrabCutRefiner()(image, alpha), alpha)


def test_grabcut_keeps_an_alpha_that_is_sure_of_nothing():
    image, truth = scene(48, 48)
    alpha = 0.7 * truth
    assert torch.equal(GrabCutRefiner()(image, alpha), alpha)


def test_grabcut_starts_from_the_picture_alone():
    generator = np.random.default_rng(0)
    patches = generator.integers(0, 256, (8, 8, 3), np.uint8)
    image = cv2.resize(patches, (80, 80), interpolation=cv2.INTER_CUBIC)
    labels = np.full((80, 80), cv2.GC_PR_BGD, np.uint8)
    labels[40:] = cv2.GC_PR_FGD
    labels[:20], labels[-20:] = cv2.GC_BGD, cv2.GC_FGD

    def unseeded(seed):
        cut = labels.copy()
        cv2.setRNGSeed(seed)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(image, cut, (0, 0, 0, 0), *models, 1, cv2.GC_INIT_WITH_MASK)
        return cut

    # on a picture without clear colours the start decides
    assert len({unseeded(seed).tobytes() for seed in range(5)}) > 1
    found = set()
    for seed in range(5):
        cv2.setRNGSeed(seed)
        cut = cut_labels(image, labels, 1)
        assert cut is not None
        found.add(cut.tobytes())
    assert len(found) == 1


def test_what_opencv_refuses_is_no_cut():
    labels = np.zeros((8, 8), np.uint8)
    labels[2:6, 2:6] = cv2.GC_FGD
    assert cut_labels(np.zeros((8, 8, 4), np.uint8), labels, 1) is None
    found = cut_labels(np.zeros((8, 8, 3), np.uint8), labels, 1)
    assert np.array_equal(found, labels == cv2.GC_FGD)


@pytest.mark.parametrize(
    ("refiner", "options", "key"),
    [
        (GuidedFilter, {"radius": 0}, "radius"),
        (GuidedFilter, {"radius": 8}, "radius"),
        (GuidedFilter, {"epsilon": 0}, "epsilon"),
        (GuidedFilter, {"subsample": 0}, "subsample"),
        (GuidedFilter, {"guide": "gray"}, "guide=gray .*Did you mean refiner.guide=grey"),
        (GrabCutRefiner, {"low": 0.9, "high": 0.9}, "low"),
        (GrabCutRefiner, {"high": 1.1}, "high"),
        (GrabCutRefiner, {"band": 0.5}, "band"),
        (GrabCutRefiner, {"iterations": 0}, "iterations"),
        (GrabCutRefiner, {"size": 8}, "size"),
    ],
)
def test_options_out_of_range_are_named(refiner, options, key):
    with pytest.raises(ConfigError, match=rf"refiner\.{key}"):
        refiner(**options)


@pytest.mark.parametrize(
    "path", sorted((compose.conf_dir() / "refiner").glob("*.yaml")), ids=lambda p: p.stem
)
def test_yaml_and_code_have_the_same_defaults(path):
    loaded = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(loaded, dict)
    assert loaded.pop("name") == path.stem
    known = inspect.signature(compose.located(loaded.pop("_target_"))).parameters
    mandatory = {name for name, parameter in known.items() if parameter.default is parameter.empty}
    assert {name for name, value in loaded.items() if value == "???"} == mandatory
    assert loaded == {name: "???" if name in mandatory else known[name].default for name in known}
