"""Corruptions by hand-worked values and independent implementations; what is corrupted, and what is not."""

import io
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from kolbench.config.schema import CORRUPTIONS
from kolbench.data import corruptions
from kolbench.data.clip_flow import ClipFlow
from kolbench.data.clip_references import ReferenceOptions
from kolbench.data.corrupted import CorruptedSource
from kolbench.data.corruptions import Corruption
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.flow import FlowOptions
from kolbench.data.sources.base import Source
from kolbench.data.sources.synthetic import SyntheticSource
from kolbench.errors import ConfigError
from kolbench.io import images
from kolbench.types import Sample
from tests.helpers.data import NO_LIMIT, data_config

SEVERITIES = range(1, 6)


@pytest.fixture(scope="module")
def source():
    return SyntheticSource(0, 96, {"train": 2, "val": 2, "test": 2})


@pytest.fixture(scope="module")
def sample(source):
    return source.read(0)


def image_of(kind, severity, sample, name="a", seed=0):
    return Corruption(kind, severity, seed).of(sample, name).image


def test_dark_halves_and_rounds():
    image = np.array([[[0, 1, 3], [100, 201, 255]]], np.uint8)
    # 0.5, 1.5, 100.5 and 127.5 go to the even number
    assert corruptions.dark(image, 0.5).tolist() == [[[0, 0, 2], [50, 100, 128]]]
    assert corruptions.DARK_FACTOR[1] == 0.5
    assert (corruptions.dark(image, 1) == image).all()


@pytest.mark.parametrize("std", corruptions.NOISE_STD[:4])
def test_noise_has_its_mean_and_deviation(std):
    grey = np.full((200, 200, 3), 128, np.uint8)
    off = corruptions.noise(grey, std, np.random.default_rng(0)).astype(np.float64) - 128
    assert off.mean() == pytest.approx(0, abs=4 * std / np.sqrt(off.size))
    # rounding adds 1/12 to the variance; at 35 nearly nothing is cut
    assert off.std() == pytest.approx(np.hypot(std, np.sqrt(1 / 12)), rel=0.01)
    channels = off.reshape(-1, 3).T
    assert np.abs(np.corrcoef(channels) - np.eye(3)).max() < 0.03


def test_noise_is_cut_at_both_ends():
    edges = np.zeros((50, 50, 3), np.uint8)
    edges[25:] = 255
    noisy = corruptions.noise(edges, 20, np.random.default_rng(0)).astype(int)
    # half of what is drawn would leave the range
    assert (noisy[:25] == 0).mean() == pytest.approx(0.5, abs=0.03)
    assert (noisy[25:] == 255).mean() == pytest.approx(0.5, abs=0.03)


def test_blur_of_a_point_is_a_gaussian_that_scales_with_the_picture():
    for side, sigma in ((512, 3.0), (256, 6.0), (1024, 1.5)):
        image = np.zeros((side, side + 20, 3), np.uint8)
        image[side // 2, side // 2 - 40 : side // 2 + 41] = 255
        column = corruptions.blur(image, sigma)[:, side // 2, 0].astype(float)
        at = np.arange(side) - side // 2
        expected = 255 * np.exp(-(at**2) / (2 * 9)) / (3 * np.sqrt(2 * np.pi))
        assert np.abs(column - expected).max() < 1


def test_jpeg_is_that_of_another_library(sample):
    buffer = io.BytesIO()
    Image.fromarray(sample.image).save(buffer, "JPEG", quality=25, subsampling="4:2:0")
    other = np.asarray(Image.open(buffer)).astype(int)
    assert np.abs(corruptions.jpeg(sample.image, 25) - other).mean() < 1
    assert np.abs(sample.image - other).mean() > 2


def test_jpeg_halves_chroma():
    # columns of red and of green in turn: their colour is lost, their lightness stays
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, ::2, 0], image[:, 1::2, 1] = 200, 200
    shown = corruptions.jpeg(image, 95).astype(int)
    assert np.ptp(shown[8:24, 8:24, 0] - shown[8:24, 8:24, 1]) < 20
    assert np.ptp(shown[8:24, 8:24].sum(-1)) > 100


def test_resize_averages_blocks():
    image = np.zeros((40, 40, 3), np.uint8)
    image[::2] = 200
    # shrunk to a half, every pair of lines is their mean
    assert (corruptions.resize(image, 0.5) == 100).all()
    assert corruptions.resize(image[:7, :9], 0.15).shape == (7, 9, 3)


def test_social_shrinks_only_what_is_larger(monkeypatch):
    encoded = []

    def encode(image, quality):
        encoded.append((*image.shape, quality))
        return image

    monkeypatch.setattr(corruptions, "jpeg", encode)
    for shape in ((1080, 1920), (1920, 1080), (300, 500)):
        assert corruptions.social(np.zeros((*shape, 3), np.uint8), 540, 50).shape == (*shape, 3)
    assert encoded == [(540, 960, 3, 50), (960, 540, 3, 50), (300, 500, 3, 50)]


def test_social_sharpens_edges_mildly():
    image = np.full((64, 64, 3), 60, np.uint8)
    image[:, 32:] = 180
    shown = corruptions.social(image, 540, 95)[32].astype(float).mean(-1)
    # 30 % of what a Gaussian of 1 px takes from a step of 120: 120 (1 - Phi(0.5)), at pixel centres
    assert shown[32] - 180 == pytest.approx(0.3 * 120 * 0.3085, abs=2.5)
    assert shown[31] - 60 == pytest.approx(-0.3 * 120 * 0.3085, abs=2.5)
    assert shown[16] == pytest.approx(60, abs=1)


@pytest.mark.parametrize("kind", [kind for kind in CORRUPTIONS if kind != "crop"])
def test_each_severity_is_worse_than_the_one_before_and_the_truth_stays(sample, kind):
    full = sample._replace(image=cv2.resize(sample.image, (800, 640), interpolation=cv2.INTER_CUBIC))
    images = [image_of(kind, severity, full) for severity in SEVERITIES]
    errors = [np.abs(image.astype(int) - full.image).mean() for image in images]
    assert all(low < high for low, high in pairwise([0, *errors])), errors
    assert {(image.shape, image.dtype) for image in images} == {((640, 800, 3), np.dtype(np.uint8))}
    corrupted = Corruption(kind, 5, 0).of(full, "a")
    assert all(after is before for after, before in zip(corrupted[1:], full[1:], strict=True))


def test_crop_cuts_the_picture_and_all_truths_alike():
    y, x = (plane.astype(np.uint8) for plane in np.mgrid[:100, :60])
    given = Sample(np.stack([y, x, y], -1), y, x, (y / 255).astype(np.float32), instances=x)
    for severity, share in zip(SEVERITIES, corruptions.CROP_SHARE, strict=True):
        cut = Corruption("crop", severity, 0).of(given, "a")
        assert cut.image.shape == (round(100 * share), round(60 * share), 3)
        down, right = (np.arange(length) for length in cut.mask.shape)
        assert (cut.image[..., 0] == cut.image[0, 0, 0] + down[:, None]).all()
        assert (cut.image[..., 1] == cut.image[0, 0, 1] + right).all()
        for truth, plane in ((cut.mask, 0), (cut.product, 1), (cut.instances, 1)):
            assert np.array_equal(truth, cut.image[..., plane])
        assert cut.matte is not None
        assert np.array_equal(cut.matte, (cut.image[..., 0] / 255).astype(np.float32))
        assert cut.foreground is None


def test_windows_lie_in_each_other_and_reach_all_of_the_picture():
    made = [
        [
            corruptions.window((200, 100), share, np.random.default_rng(seed))
            for share in corruptions.CROP_SHARE
        ]
        for seed in range(200)
    ]
    for windows in made:
        for outer, inner in pairwise(windows):
            assert outer.top <= inner.top
            assert inner.top + inner.height <= outer.top + outer.height
            assert outer.left <= inner.left
            assert inner.left + inner.width <= outer.left + outer.width
    tops = [windows[-1].top for windows in made]
    assert min(tops) < 5
    assert max(tops) > 95
    assert np.mean(tops) == pytest.approx(50, abs=7)
    assert corruptions.window((1, 1), 0.5, np.random.default_rng(0)) == (0, 0, 1, 1)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_what_is_drawn_follows_from_seed_and_name_alone(sample, kind):
    drawn = kind in ("noise", "crop")
    first = image_of(kind, 3, sample)
    image_of(kind, 3, sample, "b")
    np.random.seed(1)  # noqa: NPY002 - nobody may depend on it
    assert np.array_equal(first, image_of(kind, 3, sample))
    assert np.array_equal(first, image_of(kind, 3, sample, "b")) == (not drawn)
    assert np.array_equal(first, image_of(kind, 3, sample, seed=1)) == (not drawn)


def test_unknown_kinds_and_severities_are_refused():
    with pytest.raises(ConfigError, match="Did you mean corrupt=noise"):
        Corruption("nois", 1, 0)
    for severity in (0, 6, 2.5, True):
        with pytest.raises(ConfigError, match=r"severity=.* is not a whole number from 1 to 5"):
            Corruption("noise", severity, 0)


def test_only_test_pictures_are_corrupted(source):
    corruption = Corruption("dark", 2, 0)
    clean, dark = (
        SegmentationDataModule(source, 0, 1, [], data_config(), NO_LIMIT, corruption=given)
        for given in (None, corruption)
    )
    before, after = (data.evaluation_dataloaders() for data in (clean, dark))
    for split, is_dark in (("val", False), ("test", True)):
        for one, other in zip(before[split], after[split], strict=True):
            assert one["name"] == other["name"]
            assert (one["mask"] == other["mask"]).all()
            expected = (one["image"] * 255 * 0.5).round() / 255 if is_dark else one["image"]
            assert other["image"].sub(expected).abs().max() < 1e-6
    for one, other in zip(clean.val_dataloader(), dark.val_dataloader(), strict=True):
        assert (one["image"] == other["image"]).all()
    assert (dark.test_batch(0)["image"] == next(iter(after["test"]))["image"]).all()
    assert (clean.mean_mask() == dark.mean_mask()).all()
    # a training is the same one
    assert clean.fingerprint() == dark.fingerprint()
    (said,) = set(dark.describe()) - set(clean.describe())
    assert said.startswith("corrupt=dark severity=2: the test images are corrupted")
    assert "validation images, which choose the threshold, stay as they are" in said


def test_workers_and_order_change_nothing(source):
    corruption = Corruption("noise", 3, 0)
    images = []
    for config in (data_config(), data_config(workers=2)):
        data = SegmentationDataModule(source, 0, 1, [], config, NO_LIMIT, corruption=corruption)
        images.append({item["name"][0]: item["image"] for item in data.evaluation_dataloaders()["test"]})
    backwards = {source.names[row]: CorruptedSource(source, corruption).read(row).image for row in (5, 4)}
    assert images[0].keys() == images[1].keys() == backwards.keys()
    for name, image in images[0].items():
        assert (image == images[1][name]).all()
        assert ((image[0] * 255).round().permute(1, 2, 0).numpy() == backwards[name]).all()


class Clips(Source):
    """Frames t0, t1, t2 of a clip to test on, t1 without a truth; a texture that moves by 3 px."""

    def __init__(self):
        super().__init__(
            ["x0", "v0", "t0", "t2"],
            clips=["x", "v", "t", "t"],
            given_splits={"train": [0], "val": [1], "test": [2, 3]},
        )
        self.unscored = {3: ["t1"]}

    def read(self, index):
        image = self.read_unscored(self.names[index])
        return Sample(image, (image[..., 0] > 128).astype(np.uint8))

    def read_unscored(self, name):
        texture = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8)).astype(np.uint8), (64, 48))
        return np.repeat(np.roll(texture, 3 * int(name[1]), 1)[..., None], 3, 2)

    def fingerprint(self):
        return "clips"

    def describe(self):
        return []


def test_all_frames_of_a_clip_are_corrupted_references_and_flow_too(tmp_path):
    source = Clips()
    options, flow = ReferenceOptions("even", 3), ClipFlow(source, FlowOptions(), tmp_path)
    data = SegmentationDataModule(
        *(source, 0, 1, [], data_config(split="files"), NO_LIMIT),
        flow=flow,
        scored_with=options,
        corruption=Corruption("crop", 5, 0),
    )
    loaders = data.evaluation_dataloaders(remembers=True)
    first, between, last = loaders["test"]
    assert [item["name"] for item in (first, between, last)] == [["t0"], ["t1"], ["t2"]]
    # one window for the clip, in which frames still move by 3 px
    for earlier, later in ((first, between), (between, last)):
        assert earlier["image"].shape == (1, 3, 24, 32)
        assert (earlier["image"][..., :-3] == later["image"][..., 3:]).all()
    together = [item["image"][0] for item in (first, between, last)]
    assert all((one == other).all() for one, other in zip(last["reference"][0], together, strict=True))
    # flow was found in the window: the still frame of validation has its own, of all of the picture
    assert first["flow"].shape == (1, 3, 24, 32)
    assert next(iter(loaders["val"]))["flow"].shape == (1, 3, 48, 64)
    kept = {path.stem: images.read_rgb(path).shape for path in tmp_path.rglob("*.png")}
    assert kept == {"v0": (48, 64, 3), "t0": (24, 32, 3), "t1": (24, 32, 3), "t2": (24, 32, 3)}
    assert len(list(tmp_path.iterdir())) == 2
