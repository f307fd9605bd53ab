from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.davis import DavisSource
from kolbench.errors import ConfigError, DataError
from kolbench.io import images
from tests.helpers.data import NO_LIMIT, data_config

SIZE = 32
# the first colours of DAVIS's palette
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
CLIPS = {"bear": 4, "camel": 3, "dance": 5, "surf": 2}


def ids(*objects: int) -> np.ndarray:
    """A square of 6 x 6 px for each object, side by side."""
    labels = np.zeros((SIZE, SIZE), np.uint8)
    for place, value in enumerate(objects):
        labels[10:16, 2 + 8 * place : 8 + 8 * place] = value
    return labels


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def put(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        images.write_jpeg(path, array)
    else:
        images.write_png(path, array)


def put_palette(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    image.putpalette(PALETTE)
    image.save(path)


def simple(root: Path) -> Path:
    for number, (clip, length) in enumerate(CLIPS.items()):
        for step in range(length):
            put(root / clip / "images" / f"{step:05d}.jpg", picture(10 * number + step))
            put(root / clip / "masks" / f"{step:05d}.png", ids(255))
    return root


def original(root: Path, resolution: str = "480p", palette: bool = False) -> Path:
    for number, (clip, length) in enumerate(CLIPS.items()):
        for step in range(length):
            put(root / "JPEGImages" / resolution / clip / f"{step:05d}.jpg", picture(10 * number + step))
            path = root / "Annotations" / resolution / clip / f"{step:05d}.png"
            if palette:
                put_palette(path, ids(1, 2, 3) if clip == "dance" else ids(1))
            else:
                put(path, ids(255))
    return root


def lists(root: Path, folder: str, frames: bool = False, **splits: tuple[str, ...]) -> None:
    target = root / "ImageSets" / folder
    target.mkdir(parents=True)
    for split, clips in splits.items():
        lines = [
            f"/JPEGImages/480p/{clip}/{step:05d}.jpg /Annotations/480p/{clip}/{step:05d}.png "
            for clip in clips
            for step in range(CLIPS.get(clip, 1))
        ]
        (target / f"{split}.txt").write_text("\n".join(lines if frames else clips) + "\n")


def clips_of(source: DavisSource) -> dict[str, set[str | None]]:
    assert source.given_splits is not None
    return {split: {source.groups[row] for row in rows} for split, rows in source.given_splits.items()}


@pytest.mark.parametrize("layout", [simple, original])
def test_both_layouts_give_the_same_frames(tmp_path, layout):
    source = DavisSource(layout(tmp_path))
    expected = [f"{clip}/{step:05d}" for clip, length in CLIPS.items() for step in range(length)]
    assert source.names == expected
    assert source.groups == [name.partition("/")[0] for name in expected]
    assert source.given_splits is None
    read = source.read(4)
    assert np.array_equal(read.mask, ids(1))
    assert read.instances is None
    assert "14 frames with masks of 4 clips" in source.describe()[0]
    assert source.fingerprint() == DavisSource(tmp_path).fingerprint()
    data = SegmentationDataModule(source, 0, 2, [], data_config(allow_duplicates=True), NO_LIMIT)
    homes = [{source.groups[row] for row in rows} for rows in data.rows.values()]
    assert sorted(clip for home in homes for clip in home) == sorted(CLIPS)


def test_frames_without_partner_are_reported(tmp_path):
    root = simple(tmp_path)
    put(root / "bear" / "images" / "00099.jpg", picture(1))
    put(root / "surf" / "masks" / "00098.png", ids(255))
    (root / "notes").mkdir()
    source = DavisSource(root)
    assert len(source) == 14
    told = "\n".join(source.describe())
    assert "1 images without a partner are left out: bear/00099" in told
    assert "1 masks without a partner are left out: surf/00098" in told


def test_lists_beside_simple_clips_are_read(tmp_path):
    root = simple(tmp_path)
    (root / "train.txt").write_text("bear/00000\nbear/00001\n")
    (root / "val.txt").write_text("camel/00002\n")
    (root / "test.txt").write_text("surf/00001\n")
    source = DavisSource(root)
    assert source.given_splits == {"train": [0, 1], "val": [6], "test": [13]}


def test_lists_beside_simple_clips_name_clips(tmp_path):
    root = simple(tmp_path)
    put(root / "bear" / "images" / "00099.jpg", picture(1))
    (root / "train.txt").write_text("dance\nbear/\n")
    (root / "val.txt").write_text("camel/00000\ncamel/00002.jpg\n", encoding="utf-8-sig")
    (root / "test.txt").write_text("surf\r\n")
    (root / "groups.csv").write_text("stem,group,tag\nbear,zoo,fur\ncamel,zoo\ndance/00001,floor\n")
    source = DavisSource(root)
    # a frame without mask is left out wherever its clip stands
    train = [*range(7, 12), *range(4)]
    assert source.given_splits == {"train": train, "val": [4, 6], "test": [12, 13]}
    assert source.groups == [*["zoo"] * 7, None, "floor", *[None] * 5]
    assert source.tags == [*["fur"] * 4, *[""] * 10]
    assert any("1 images stand in no split" in line for line in source.describe())


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (
            "bear\ndanse\n",
            "surf\n",
            r"train\.txt, line 2: there is no clip or image danse\. Did you mean dance\?",
        ),
        ("bear/0001\n", "surf\n", r"no clip or image bear/0001\. Did you mean bear/00001\?"),
        ("bear\n", "surf\nbear\n", r"test\.txt, line 2: bear stands already in .*train\.txt, line 1"),
        ("bear/00002\nbear\n", "surf\n", r"train\.txt, line 2: bear stands already in .*train\.txt, line 1"),
        ("bear\nwolf\n", "surf\n", r"train\.txt, line 2: wolf has no masks"),
        ("bear\nwolf/00000\n", "surf\n", r"train\.txt, line 2: wolf/00000 has no mask\."),
    ],
)
def test_wrong_lists_of_clips_name_file_and_line(tmp_path, train, test, words):
    root = simple(tmp_path)
    put(root / "wolf" / "images" / "00000.jpg", picture(1))
    (root / "wolf" / "masks").mkdir()
    (root / "train.txt").write_text(train)
    (root / "test.txt").write_text(test)
    with pytest.raises(DataError, match=words):
        DavisSource(root)


@pytest.mark.parametrize(("folder", "frames"), [("2016", False), ("480p", True), ("2017", False)])
def test_davis_lists_give_test_and_validation_is_drawn_by_clip(tmp_path, folder, frames):
    root = original(tmp_path)
    lists(root, folder, frames, train=("bear", "camel", "dance"), val=("surf",))
    source = DavisSource(root)
    clips = clips_of(source)
    assert clips["test"] == {"surf"}
    assert len(clips["val"]) == 1
    assert clips["train"] | clips["val"] == {"bear", "camel", "dance"}
    assert source.given_splits is not None
    assert sorted(row for rows in source.given_splits.values() for row in rows) == list(range(14))
    assert DavisSource(root).given_splits == source.given_splits
    (drawn,) = clips["val"]
    assert any(f"val.txt is the test set; {drawn} of train.txt drawn" in line for line in source.describe())


def test_which_list_counts(tmp_path):
    root = original(tmp_path / "DAVIS")
    lists(root, "2016", train=("bear", "camel"), val=("surf", "horse"))
    assert clips_of(DavisSource(tmp_path))["test"] == {"surf"}
    assert any("1 clips are not here: horse" in line for line in DavisSource(tmp_path).describe())
    lists(root, "2017", train=("surf", "camel"), val=("bear",))
    assert clips_of(DavisSource(root))["test"] == {"bear"}
    assert clips_of(DavisSource(root, image_set=2016))["test"] == {"surf"}
    with pytest.raises(ConfigError, match=r"data\.image_set=2018: .* in 2016, 2017"):
        DavisSource(root, image_set="2018")
    (root / "ImageSets" / "2017" / "val.txt").write_text("bear\nsurf\n")
    with pytest.raises(DataError, match=r"train\.txt and val\.txt both name surf"):
        DavisSource(root)
    (root / "ImageSets" / "2017" / "val.txt").write_text("horse\n")
    source = DavisSource(root)
    assert source.given_splits is None
    assert any("is not used" in line for line in source.describe())


def test_palette_ids_are_instances_and_all_of_them_foreground(tmp_path):
    source = DavisSource(original(tmp_path, palette=True))
    assert "objects are numbered" in source.describe()[0]
    read = source.read(source.names.index("dance/00001"))
    assert np.array_equal(read.instances, ids(1, 2, 3))
    assert np.array_equal(read.mask, ids(1, 1, 1))
    lone = source.read(0)
    assert np.array_equal(lone.instances, ids(1))
    assert np.array_equal(lone.mask, ids(1))


def test_a_black_and_white_mask_among_palettes_is_one_object(tmp_path):
    root = original(tmp_path, palette=True)
    put(root / "Annotations" / "480p" / "bear" / "00002.png", ids(255))
    assert np.array_equal(DavisSource(root).read(2).instances, ids(1))
    # class numbers in grey count like those of a palette
    put(root / "Annotations" / "480p" / "bear" / "00003.png", ids(2, 5))
    assert np.array_equal(DavisSource(root).read(3).instances, ids(2, 5))


def test_chosen_objects_alone_are_foreground(tmp_path):
    root = original(tmp_path, palette=True)
    source = DavisSource(root, objects={"dance": [3, 1]})
    read = source.read(source.names.index("dance/00000"))
    assert np.array_equal(read.instances, ids(1, 0, 3))
    assert np.array_equal(read.mask, ids(1, 0, 1))
    assert np.array_equal(source.read(0).mask, ids(1))
    assert "dance: only the objects 1, 3 are foreground" in source.describe()
    prints = {DavisSource(root, objects=o).fingerprint() for o in ("all", {"dance": 1}, {"dance": [1, 3]})}
    assert len(prints) == 3
    with pytest.raises(ConfigError, match=r"no clip danse\. Did you mean dance\?"):
        DavisSource(root, objects={"danse": [1]})
    with pytest.raises(ConfigError, match=r"data\.objects=person is neither all nor"):
        DavisSource(root, objects="person")
    with pytest.raises(ConfigError, match="whole numbers"):
        DavisSource(root, objects={"dance": ["a"]})  # type: ignore[list-item]  # what a user may write
    plain = DavisSource(simple(tmp_path / "plain"), objects={"bear": [1]})
    with pytest.raises(DataError, match="does not number its objects"):
        plain.read(0)


def test_resolutions(tmp_path):
    root = original(tmp_path, "1080p")
    assert len(DavisSource(root)) == 14
    put(root / "JPEGImages" / "Full-Resolution" / "bear" / "00000.jpg", picture(0))
    put(root / "Annotations" / "Full-Resolution" / "bear" / "00000.png", ids(255))
    with pytest.raises(DataError, match=r"1080p, Full-Resolution in both .*data\.resolution"):
        DavisSource(root)
    assert len(DavisSource(root, resolution="Full-Resolution")) == 1
    with pytest.raises(ConfigError, match=r"data\.resolution=480p: .* has 1080p, Full-Resolution"):
        DavisSource(root, resolution="480p")
    original(root)
    put(root / "JPEGImages" / "480p" / "surf" / "00002.jpg", picture(0))
    put(root / "Annotations" / "480p" / "surf" / "00002.png", ids(255))
    assert len(DavisSource(root)) == 15


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "bear").mkdir()
    with pytest.raises(DataError, match=r"CLIP/images/ and CLIP/masks/.*JPEGImages.*It holds bear/"):
        DavisSource(tmp_path)
    for choice in ({"resolution": "480p"}, {"image_set": 2016}):
        with pytest.raises(ConfigError, match=r"are for DAVIS's own layout, but .* has no JPEGImages/"):
            DavisSource(tmp_path, **choice)
    put(tmp_path / "bear" / "images" / "00000.jpg", picture(0))
    put(tmp_path / "bear" / "masks" / "0.png", ids(255))
    with pytest.raises(DataError, match=r"none of 1 frames has a mask of the same clip and name \(1 masks\)"):
        DavisSource(tmp_path)
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(DataError, match=r"has JPEGImages/ but no Annotations/"):
        DavisSource(tmp_path)


def test_instances_reach_the_batches(tmp_path):
    root = original(tmp_path, palette=True)
    lists(root, "2017", train=("bear", "camel", "surf"), val=("dance",))
    data = SegmentationDataModule(DavisSource(root), 0, 2, [], data_config(allow_duplicates=True), NO_LIMIT)
    batch = next(iter(data.evaluation_dataloaders()["test"]))
    assert np.array_equal(batch["instances"][0, 0].numpy(), ids(1, 2, 3))
    data.cache_samples(lambda height, width: (SIZE, SIZE))
    assert np.array_equal(next(iter(data.train_dataloader()))["instances"][0, 0].numpy(), ids(1))


def test_davis_person(shared):
    source = DavisSource(shared / "data" / "davis_person")
    data = SegmentationDataModule(source, 0, 2, [], data_config(allow_duplicates=True), NO_LIMIT)
    lines = data.describe()
    assert "1042 frames with masks of 15 clips" in lines[0]
    assert "masks read so far: 0/255 (20)" in lines[1]
    split = "496 train / 229 val / 317 test images, disjoint by file list and by group (8 / 3 / 4 groups)"
    assert lines[2] == split
    clips = clips_of(source)
    assert clips["val"] == {"bmx-trees", "horsejump-high", "soapbox"}
    assert {"kite-surf", "kite-walk"} <= clips["train"]
    read = source.read(1041)
    assert source.names[1041] == "swing/00059"
    assert read.image.shape == (360, 640, 3)
    assert read.instances is None
    assert 0 < read.mask.mean() < 0.5


def test_frames_of_a_clip_stand_in_time_whatever_their_names(tmp_path):
    for clip in ("walk", "run"):
        for number in (10, 9, 2):
            put(tmp_path / clip / "images" / f"frame{number}.jpg", picture(number))
            put(tmp_path / clip / "masks" / f"frame{number}.png", ids(255))
    source = DavisSource(tmp_path)
    assert source.names == [f"{clip}/frame{n}" for clip in ("run", "walk") for n in (2, 9, 10)]
    assert source.clips == ["run"] * 3 + ["walk"] * 3
