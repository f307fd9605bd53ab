"""The shared datamodule: the same pictures whatever the cache, the workers or the moment."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from kolbench import preprocessing
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.dataset import resize_sample
from kolbench.data.perturb import RoughFromMask
from kolbench.data.sources.base import Source
from kolbench.data.sources.folder import FolderSource
from kolbench.data.sources.synthetic import SyntheticSource
from kolbench.data.transforms import RandomCropShare
from kolbench.errors import ConfigError, DataError
from kolbench.io.images import write_png
from kolbench.types import Sample
from tests.helpers.data import NO_LIMIT, data_config

SCENES = {"train": 6, "val": 2, "test": 3}


def make(source=None, limit=NO_LIMIT, **changes):
    source = source or SyntheticSource(0, 64, SCENES)
    flips = [v2.RandomVerticalFlip(0.5), v2.RandomHorizontalFlip(0.5)]
    return SegmentationDataModule(source, 7, 2, flips, data_config(**changes), limit)


def training_batches(data, epoch=0, size=(64, 64)):
    data.cache_samples(lambda height, width: size)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(first, second):
    return all(
        torch.equal(a[key], b[key]) if isinstance(a[key], torch.Tensor) else a[key] == b[key]
        for a, b in zip(first, second, strict=True)
        for key in a
    )


@pytest.mark.parametrize("changes", [{"cache": "disk"}, {"workers": 2}])
def test_cache_and_workers_never_change_a_batch(changes):
    assert same(training_batches(make()), training_batches(make(**changes)))


def test_epochs_differ_and_repeat():
    data = make()
    first, second = training_batches(data, 0), training_batches(data, 1)
    assert not same(first, second)
    assert same(first, training_batches(make(), 0))


def test_a_training_batch_holds_what_types_promise():
    batch = training_batches(make())[0]
    assert batch["image"].shape == (2, 3, 64, 64)
    assert 0 <= batch["image"].min() < batch["image"].max() <= 1
    assert set(batch["mask"].unique().tolist()) == {0, 1}
    assert set(batch["alpha"].unique().tolist()) == {0, 0.5, 1}
    assert set(batch["transition"].unique().tolist()) == {0, 1}
    assert batch["semantic"].shape == (2, 1, 4, 4)
    # the band of 0.5 lies inside the transition region, and alpha agrees with the mask elsewhere
    assert (batch["transition"][batch["alpha"] == 0.5] == 1).all()
    known = batch["alpha"] != 0.5
    assert torch.equal(batch["alpha"][known], batch["mask"][known])
    # what is held belongs to the KOL
    assert (batch["mask"][batch["product"] == 1] == 1).all()


class OnePicture(Source):
    """A source of one picture, shown in every split."""

    def __init__(self, picture):
        super().__init__(["a", "b", "c"], given_splits={"train": [0], "val": [1], "test": [2]})
        self.picture = picture

    def read(self, index):
        return self.picture

    def fingerprint(self):
        return ""

    def describe(self):
        return []


def two_persons(height=32, width=32):
    """Person 1 at the upper left, 7 x 5 px; person 2 below, of 4 x 9 px, touching the right border."""
    instances = np.zeros((height, width), np.uint8)
    instances[2:9, 3:8] = 1
    instances[20:24, width - 9 :] = 2
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Sample(image, (instances > 0).astype(np.uint8), instances=instances)


@pytest.mark.parametrize(
    ("flips", "corner"),
    [
        ([v2.RandomHorizontalFlip(1.0)], {1: (2, 24), 2: (20, 0)}),
        ([v2.RandomVerticalFlip(1.0)], {1: (23, 3), 2: (8, 23)}),
        ([v2.RandomVerticalFlip(1.0), v2.RandomHorizontalFlip(1.0)], {1: (23, 24), 2: (8, 0)}),
        ([], {1: (2, 3), 2: (20, 23)}),
    ],
)
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_instances_follow_flips(flips, corner, cache):
    source = OnePicture(two_persons())
    data = SegmentationDataModule(source, 0, 1, flips, data_config(cache=cache), NO_LIMIT)
    (batch,) = training_batches(data, size=(32, 32))
    expected = np.zeros((32, 32), np.uint8)
    for person, (height, width) in {1: (7, 5), 2: (4, 9)}.items():
        top, left = corner[person]
        expected[top : top + height, left : left + width] = person
    assert batch["instances"].dtype == torch.uint8
    assert batch["instances"].shape == (1, 1, 32, 32)
    assert np.array_equal(batch["instances"][0, 0].numpy(), expected)
    assert np.array_equal(batch["mask"][0, 0].numpy(), expected > 0)
    assert not batch["product"].any()


class OneMatte(OnePicture):
    """The same with a true alpha."""

    truth = "alpha"


def halves(height=32, width=32):
    """An alpha that rises from 0 to 1 over the columns 8 to 24."""
    row = np.clip((np.arange(width) - 8) / 16, 0, 1).astype(np.float32)
    matte = np.tile(row, (height, 1))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Sample(image, (matte >= 0.5).astype(np.uint8), matte=matte)


def with_alpha(picture, flips=(), **changes):
    return SegmentationDataModule(OneMatte(picture), 0, 1, list(flips), data_config(), NO_LIMIT, **changes)


def test_an_evaluation_batch_has_the_true_alpha_where_it_is_the_truth():
    picture = halves()
    data = with_alpha(picture)
    assert data.truth == "alpha"
    for loader in (data.val_dataloader(), *data.test_dataloader()):
        (batch,) = loader
        assert batch["matte"].shape == (1, 1, 32, 32)
        assert batch["matte"].dtype == torch.float32
        assert np.array_equal(batch["matte"][0, 0].numpy(), picture.matte)
        assert torch.equal(batch["mask"], (batch["matte"] >= 0.5).float())
    # known to the source, but not its truth
    plain = SegmentationDataModule(OnePicture(picture), 0, 1, [], data_config(), NO_LIMIT)
    assert plain.truth == "binary"
    assert all("matte" not in batch for loader in plain.test_dataloader() for batch in loader)


def test_a_square_of_another_protocol_has_no_true_alpha():
    data = with_alpha(halves(), eval_protocol="portraitnet")
    assert data.truth == "binary"
    assert all("matte" not in batch for loader in data.test_dataloader() for batch in loader)


def test_a_training_learns_the_true_alpha():
    picture = halves()
    (batch,) = training_batches(with_alpha(picture), size=(32, 32))
    levels = np.round(picture.matte * 255) / 255
    assert np.allclose(batch["alpha"][0, 0].numpy(), levels, atol=1e-6, rtol=0)
    # 15 soft columns, wider than the region of 2 px around the edge of the mask
    assert np.array_equal(batch["transition"][0, 0].numpy(), (levels > 0) & (levels < 1))
    assert np.array_equal(batch["mask"][0, 0].numpy(), picture.mask)
    assert torch.equal(batch["matte"], batch["alpha"])
    (plain,) = training_batches(
        SegmentationDataModule(OnePicture(picture), 0, 1, [], data_config(), NO_LIMIT), size=(32, 32)
    )
    assert set(plain["alpha"].unique().tolist()) == {0, 0.5, 1}
    assert "matte" not in plain


def test_image_mask_and_alpha_are_moved_alike():
    picture = halves(64, 64)
    # the red channel is the alpha, so that both must stay the same
    picture.image[..., 0] = np.round(255 * picture.matte)
    steps = [RandomCropShare(0.75), v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)]
    seen = set()
    for epoch in range(6):
        (batch,) = training_batches(with_alpha(picture, steps), epoch)
        assert batch["alpha"].shape == (1, 1, 48, 48)
        assert torch.allclose(batch["alpha"], batch["image"][:, :1], atol=1e-6, rtol=0)
        assert torch.equal(batch["mask"], (batch["alpha"] >= 0.5).float())
        seen.add(float(batch["alpha"].mean()))
    assert len(seen) > 2


def test_a_true_alpha_is_resized_like_a_picture_and_persons_stay_apart():
    picture = two_persons(64, 64)
    matte = picture.mask.astype(np.float32)
    _, masks = resize_sample(picture._replace(matte=matte), (32, 32), colours=False, matte=True)
    assert masks.shape == (4, 32, 32)
    assert set(np.unique(masks[2])) == {0, 1, 2}
    expected = preprocessing.resize(torch.from_numpy(255 * matte)[None, None], (32, 32)).round()
    assert np.array_equal(masks[3], expected[0, 0].numpy())
    assert len(np.unique(masks[3])) > 2
    data = with_alpha(picture._replace(matte=matte))
    (batch,) = training_batches(data, size=(64, 64))
    assert np.array_equal(batch["instances"][0, 0].numpy(), picture.instances)
    assert np.array_equal(batch["alpha"][0, 0].numpy(), matte)


def test_alphas_of_scenes_are_their_truth_where_they_are_asked_for():
    asked = make(SyntheticSource(0, 64, SCENES, truth="alpha"))
    usual = make(SyntheticSource(0, 64, SCENES))
    assert (asked.truth, usual.truth) == ("alpha", "binary")
    assert asked.fingerprint() == usual.fingerprint()
    (first, *_), (second, *_) = asked.test_dataloader()[-1], usual.test_dataloader()[-1]
    assert set(first) - set(second) == {"matte"}
    assert torch.equal(first["mask"], second["mask"])
    assert torch.equal(first["mask"], (first["matte"] >= 0.5).float())


def test_instances_follow_resizing_and_crops():
    picture = two_persons(90, 120)
    picture.instances[30:60, 30:70] = 1
    picture = picture._replace(mask=(picture.instances > 0).astype(np.uint8))
    steps = [RandomCropShare(0.75), v2.RandomHorizontalFlip(0.5)]
    data = SegmentationDataModule(OnePicture(picture), 0, 1, steps, data_config(), NO_LIMIT)
    seen = set()
    for epoch in range(12):
        (batch,) = training_batches(data, epoch)
        assert batch["instances"].shape == (1, 1, 48, 48)
        assert torch.equal(batch["instances"] > 0, batch["mask"] == 1)
        seen |= set(batch["instances"].unique().tolist())
    assert seen == {0, 1, 2}
    (evaluated,) = data.evaluation_dataloaders()["test"]
    assert np.array_equal(evaluated["instances"][0, 0].numpy(), picture.instances)
    assert evaluated["instances"].dtype == torch.uint8


def test_instances_are_those_of_the_source_or_absent(tmp_path):
    data = make()
    assert all("instances" in batch for batch in training_batches(data))
    for batch, index in zip(data.val_dataloader(), data.rows["val"], strict=True):
        assert np.array_equal(batch["instances"][0, 0].numpy(), data.source.read(index).instances)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    write_folder(tmp_path, {name: np.full((32, 32, 3), 9 * k, np.uint8) for k, name in enumerate("abcdef")})
    plain = make(FolderSource(tmp_path))
    batches = [*training_batches(plain), *plain.val_dataloader(), *plain.evaluation_dataloaders()["test"]]
    assert not any("instances" in batch for batch in batches)


def test_instances_change_nothing_else_in_a_batch():
    """The same random flips and crops, whether a source knows instances or not."""
    picture = two_persons(90, 120)
    steps = [RandomCropShare(0.75), v2.RandomVerticalFlip(0.5)]
    for epoch in range(4):
        knows, knows_not = (
            training_batches(
                SegmentationDataModule(OnePicture(p), 3, 1, steps, data_config(), NO_LIMIT),
                epoch,
            )[0]
            for p in (picture, picture._replace(instances=None))
        )
        assert set(knows) - set(knows_not) == {"instances"}
        assert same([knows_not], [knows])


def test_true_colours_compose_the_picture():
    batch = training_batches(make(colours=True))[0]
    assert batch["foreground"].shape == batch["background"].shape == (2, 3, 64, 64)
    outside = (batch["alpha"] == 0).expand(-1, 3, -1, -1)
    clean = (batch["image"] - batch["background"])[outside].abs().mean()
    mixed = (batch["image"] - batch["foreground"])[outside].abs().mean()
    assert clean < mixed


def test_evaluation_pictures_keep_their_own_size_and_order():
    data = make()
    batches = list(data.evaluation_dataloaders()["test"])
    assert [batch["name"] for batch in batches] == [[f"scene_{2_000_000 + i}"] for i in range(3)]
    for batch, index in zip(batches, (8, 9, 10), strict=True):
        picture = data.source.read(index)
        assert np.array_equal((batch["image"][0].permute(1, 2, 0) * 255).round().numpy(), picture.image)
        assert np.array_equal(batch["mask"][0, 0].numpy(), picture.mask)
        assert batch["tags"][0]


def test_a_trainer_is_given_a_loader_for_each_split_that_is_scored():
    for protocol, counts in (("test", [2, 3]), ("all", [2, 3, 11])):
        data = make(protocol=protocol)
        assert [len(loader) for loader in data.test_dataloader()] == counts
        assert [len(rows) for rows in data.evaluated_rows().values()] == counts


def test_limits_keep_the_first_pictures_of_a_split():
    data = make(limit={"train": 4, "val": 1, "test": None})
    assert {name: len(rows) for name, rows in data.rows.items()} == {"train": 4, "val": 1, "test": 3}


def test_the_fingerprint_knows_pictures_and_split():
    assert make().fingerprint() == make(cache="disk").fingerprint()
    assert make().fingerprint() != make(SyntheticSource(1, 64, SCENES)).fingerprint()
    assert make().fingerprint() != make(limit={"train": 4, "val": None, "test": None}).fingerprint()


def test_training_pictures_are_what_inference_sees():
    """Training pictures are resized as InputSpec.encode does it, up to 8-bit rounding."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (90, 120, 3), np.uint8)
    picture = Sample(image, np.zeros((90, 120), np.uint8))
    colours, _ = resize_sample(picture, (64, 64), colours=False)
    seen = preprocessing.resize(torch.from_numpy(image).permute(2, 0, 1)[None].float(), (64, 64))[0]
    assert (torch.from_numpy(colours).float() - seen).abs().max() <= 0.5 + 1e-3


def write_folder(root, images):
    for name, image in images.items():
        write_png(root / "images" / f"{name}.png", image)
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[10:30, 10:30] = 255
        write_png(root / "masks" / f"{name}.png", mask)


@pytest.mark.parametrize("size", [None, (64, 64), (96, 32)])
def test_the_mean_mask_is_that_of_the_training_masks_whatever_size_is_trained_at(tmp_path, size):
    """A 256 px mask of its upper row (half a row at 128 px) and one of 128x384 px, its left half."""
    upper, left = np.zeros((256, 256), np.uint8), np.zeros((128, 384), np.uint8)
    upper[0], left[:, :192] = 255, 255
    masks = {
        "a": upper,
        "b": left,
        "c": np.full((32, 32), 255, np.uint8),
        "d": np.full((8, 8), 255, np.uint8),
    }
    for name, mask in masks.items():
        for kind, array in (("images", np.zeros((*mask.shape, 3), np.uint8)), ("masks", mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            write_png(tmp_path / kind / f"{name}.png", array)
    for split, names in (("train", "a\nb\n"), ("val", "c\n"), ("test", "d\n")):
        (tmp_path / f"{split}.txt").write_text(names)
    data = make(FolderSource(tmp_path))
    if size is not None:
        data.cache_samples(lambda height, width: size)
    expected = torch.zeros(1, 1, 128, 128)
    expected[..., :64] = 0.5
    expected[..., 0, :] += 0.25
    found = data.mean_mask()
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_mean_mask_is_of_what_is_scored(tmp_path):
    """One mask of 400x200 px, its right half; in a square its upper and lower quarter are background."""
    for number, split in enumerate(("train", "val", "test")):
        mask = np.zeros((200, 400), np.uint8)
        mask[:, 200:] = 255
        picture = np.full((200, 400, 3), 60 * number, np.uint8)
        for kind, array in (("images", picture), ("masks", mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            write_png(tmp_path / kind / f"{split}.png", array)
        (tmp_path / f"{split}.txt").write_text(f"{split}\n")
    native = make(FolderSource(tmp_path)).mean_mask()[0, 0]
    source = FolderSource(tmp_path)
    scored = SegmentationDataModule(source, 7, 2, [], data_config(), NO_LIMIT, eval_protocol="portraitnet")
    square = scored.mean_mask()[0, 0]
    assert native.mean(0)[[10, 120]].tolist() == [0, 1]
    assert native.mean(1)[[2, 64]].tolist() == [0.5, 0.5]
    assert square.mean(1)[[2, 64, 125]] == pytest.approx([0, 0.5, 0], abs=0.01)


@pytest.fixture
def twins(tmp_path):
    """Ten scenes, one of them twice under another name; the copies stand in train and test."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    source = SyntheticSource(3, 64, {"train": 10, "val": 1, "test": 1})
    images = {f"p{index}": source.read(index).image for index in range(10)}
    images["copy"] = np.clip(images["p0"].astype(int) + 3, 0, 255).astype(np.uint8)
    write_folder(tmp_path, images)
    (tmp_path / "train.txt").write_text("\n".join(f"p{i}" for i in range(8)))
    (tmp_path / "val.txt").write_text("p8\n")
    (tmp_path / "test.txt").write_text("p9\ncopy\n")
    return tmp_path


def test_near_duplicates_across_splits_are_refused_unless_allowed(twins):
    with pytest.raises(DataError, match=r"data\.allow_duplicates=true") as caught:
        make(FolderSource(twins)).verify()
    assert "p0" in str(caught.value)
    assert "copy" in str(caught.value)
    lines = make(FolderSource(twins), allow_duplicates=True).verify()
    assert any("1" in line for line in lines)


def test_bad_pictures_are_listed_together_before_training(twins):
    (twins / "images" / "p1.png").write_bytes(b"")
    (twins / "images" / "p2.png").write_bytes((twins / "images" / "p3.png").read_bytes()[:200])
    with pytest.raises(DataError) as caught:
        make(FolderSource(twins)).verify()
    assert "p1.png" in str(caught.value)
    assert "p2.png" in str(caught.value)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"data\.cache=ram"):
        make(cache="ram")
    with pytest.raises(ConfigError, match=r"data\.workers=many"):
        make(workers="many")


def test_a_subset_is_trained_on_and_an_epoch_may_have_any_length():
    source = SyntheticSource(0, 64, SCENES)
    data = SegmentationDataModule(
        source, 7, 2, [], data_config(train_pictures=3, train_draw=1), NO_LIMIT, epoch_pictures=8
    )
    assert len(data.rows["train"]) == len(data.splits.train) == 3
    assert data.describe()[-1] == "data.train_pictures: 3 images are trained on"
    batches = training_batches(data)
    names = [name for batch in batches for name in batch["name"]]
    assert len(names) == 8
    # each as often as any other, but for the last round
    assert sorted(names.count(name) for name in set(names)) == [2, 3, 3]
    assert data.fingerprint() != make(source).fingerprint()


def test_folds_are_said_and_wrong_ones_refused():
    data = make(SyntheticSource(0, 64, {"train": 8, "val": 2, "test": 2}), folds=4, fold=1)
    assert "6 train / 3 val / 3 test images, fold 1 of 4" in data.describe()[-1]
    assert data.describe()[-1].endswith("; the lists beside the images play no part")
    with pytest.raises(ConfigError, match=r"data\.split=files and data\.folds=4 are two ways to split"):
        make(SyntheticSource(0, 64, {"train": 8, "val": 2, "test": 2}), folds=4, split="files")
    for wrong in ({"folds": 2}, {"folds": 3, "fold": 3}, {"fold": 1}):
        with pytest.raises(ConfigError, match=r"data\.fold="):
            data_config(**wrong)


def test_made_entries_follow_from_the_pictures_name_alone():
    source = SyntheticSource(0, 64, SCENES)
    made, plain, squares = (
        SegmentationDataModule(source, seed, 2, [], data_config(), NO_LIMIT, **options)
        for seed, options in (
            (7, {"entries": RoughFromMask()}),
            (7, {}),
            (8, {"entries": RoughFromMask(), "eval_protocol": "portraitnet"}),
        )
    )
    batches = [*made.val_dataloader(), *made.evaluation_dataloaders()["test"]]
    again = [*made.val_dataloader(), *(made.test_batch(number) for number in range(3))]
    assert same(batches, again)
    for batch, bare in zip(
        batches, [*plain.val_dataloader(), *plain.evaluation_dataloaders()["test"]], strict=True
    ):
        assert "rough" not in bare
        assert same([bare], [batch])
        rough, mask = batch["rough"], batch["mask"]
        assert rough.dtype == torch.float32
        assert rough.shape == mask.shape
        assert set(rough.unique().tolist()) == {0, 1}
        assert 0.4 < float((rough * mask).sum() / torch.maximum(rough, mask).sum()) < 1
    # every picture has a draw of its own
    assert len({batch["rough"].numpy().tobytes() for batch in batches}) == 5
    # a training is validated on pictures at their own size, whatever the protocol
    assert squares.test_batch(0)["rough"].shape == (1, 1, 224, 224)
    assert same(squares.val_dataloader(), made.val_dataloader())
