import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kolbench.data.checking import perceptual_hash
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.tiktok import JUMP_BITS, TiktokSource, cut_clips, find_pair
from kolbench.errors import ConfigError, DataError
from kolbench.io import images
from tests.helpers.data import NO_LIMIT, data_config
from tests.helpers.paths import ON_FOOT

WIDTH, HEIGHT = 36, 64
LENGTHS = (5, 4, 7, 4, 6, 5, 4, 6, 5, 4, 5, 5)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kolbench"


def frame(clip: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """A dancer (one box) that moves before the backdrop of its clip."""
    patches = np.random.default_rng(clip).integers(0, 256, (9, 7, 3), np.uint8)
    image = np.array(Image.fromarray(patches).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:34, 8 + step : 16 + step] = 255
    image[mask > 0] = 90
    return image, mask


def write(folder: Path, lengths=LENGTHS, name="{:05d}") -> Path:
    """Clips of these lengths, numbered through."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    number = 0
    for clip, length in enumerate(lengths):
        for step in range(length):
            image, mask = frame(clip, step)
            images.write_png(folder / "images" / f"{name.format(number)}.png", image)
            images.write_png(folder / "masks" / f"{name.format(number)}.png", mask)
            number += 1
    return folder


def clip_of_each(lengths=LENGTHS) -> list[int]:
    return [clip for clip, length in enumerate(lengths) for _ in range(length)]


def module(source: TiktokSource, limit=NO_LIMIT, **changes) -> SegmentationDataModule:
    return SegmentationDataModule(source, 0, 2, [], data_config(**changes), limit)


@pytest.fixture
def kaggle(tmp_path):
    """As the archive unpacks: a folder in a folder of the same name, and a table beside."""
    name = "segmentation_full_body_tik_tok_2615_img"
    root = tmp_path / "kaggle"
    write(root / name / name)
    (root / "df.csv").write_text(",images,masks\n")
    (root / "__MACOSX" / "images").mkdir(parents=True)
    (root / "__MACOSX" / "masks").mkdir()
    return root


def test_the_archive_is_read_as_it_unpacks(kaggle):
    source = TiktokSource(kaggle)
    assert source.names == [f"{number:05d}" for number in range(sum(LENGTHS))]
    picture = source.read(7)
    image, mask = frame(1, 2)
    assert np.array_equal(picture.image, image)
    assert np.array_equal(picture.mask, mask // 255)
    assert picture.instances is None
    first = source.describe()[0]
    assert "60 images with masks, numbers 0 to 59, in images/ and masks/" in first


@pytest.mark.parametrize("parts", [("Images", "MASKS"), ("image", "mask"), ("train/images", "train/masks")])
def test_the_pair_is_found_by_name_in_any_case(tmp_path, parts):
    (tmp_path / "collages").mkdir()
    for part in parts:
        (tmp_path / part).mkdir(parents=True)
    assert find_pair(tmp_path) == (tmp_path / parts[0], tmp_path / parts[1])


def test_groups_change_exactly_where_the_clip_does(kaggle):
    source = TiktokSource(kaggle)
    starts = np.cumsum([0, *LENGTHS])
    assert source.groups == [f"clip {starts[clip]:05d}" for clip in clip_of_each()]
    assert any(line.startswith("12 clips of 4 to 7 images") for line in source.describe())


def test_no_clip_stands_on_both_sides(kaggle):
    data = module(TiktokSource(kaggle))
    clips = {name: {data.source.groups[row] for row in rows} for name, rows in data.rows.items()}
    assert not clips["train"] & clips["val"]
    assert not (clips["train"] | clips["val"]) & clips["test"]
    # 8/12, 1/12 and 3/12 of 60 pictures, up to the smallest clip
    for rows, wanted in zip(data.rows.values(), (40, 5, 15), strict=True):
        assert abs(len(rows) - wanted) < min(LENGTHS)
    assert sum(map(len, data.rows.values())) == 60
    assert data.verify() == ["no near-duplicates across splits"]


def test_the_reports_split_is_by_frame_with_one_held_out_part(kaggle):
    data = module(TiktokSource(kaggle), split="paper")
    train, val, test = data.rows.values()
    assert (len(train), len(val), len(test)) == (45, 15, 15)
    assert val == test
    assert sorted([*train, *test]) == list(range(60))
    line = next(line for line in data.describe() if line.startswith("45 train"))
    assert line == (
        "45 train / 15 val / 15 test images, at random by image as in the TikTok report (75/25); val and "
        "test are the same images: frames of one video may stand in several splits"
    )
    (warning,) = data.verify()
    assert warning.startswith("warning: ")
    hashes = [perceptual_hash(data.source.read(row).image) for row in range(60)]
    near = sum(int(np.bitwise_count(hashes[i] ^ hashes[j])) <= 4 for i in train for j in test)
    assert f"{near} near-duplicates across splits" in warning
    assert near > 10
    assert module(TiktokSource(kaggle), split="paper", split_seed=1).rows != data.rows


def test_the_protocol_all_gives_each_picture_once(kaggle):
    source = TiktokSource(kaggle)
    assert list(module(source).evaluated_rows()) == ["val", "test"]
    for split in ("auto", "paper"):
        data = module(source, split=split, protocol="all")
        assert any("all 60 images are scored too" in line for line in data.describe())
        assert data.evaluated_rows() == {
            "val": data.rows["val"],
            "test": data.rows["test"],
            "all": list(range(60)),
        }
        batches = list(data.evaluation_dataloaders()["all"])
        assert [batch["name"][0] for batch in batches] == source.names
        assert all(batch["image"].shape == (1, 3, HEIGHT, WIDTH) for batch in batches)
        loaders = data.evaluation_dataloaders()
        assert {name: len(loader) for name, loader in loaders.items()} == {
            name: len(rows) for name, rows in data.evaluated_rows().items()
        }
    limited = module(source, protocol="all", limit={"train": 3, "val": 2, "test": 1})
    assert len(limited.evaluation_dataloaders()["all"]) == 6
    with pytest.raises(ConfigError, match=r"data\.protocol=every"):
        module(source, protocol="every")
    # its name in earlier versions
    assert module(source, protocol="whole").config == module(source, protocol="all").config


def test_the_last_number_in_the_name_decides_pairs_and_order(tmp_path):
    for part, names in (
        ("images", ["v2_frame10", "v2_frame9", "v2_frame011", "cover"]),
        ("masks", ["v2_frame010_mask", "9", "11", "12", "all"]),
    ):
        (tmp_path / part).mkdir()
        for step, name in enumerate(names):
            images.write_png(tmp_path / part / f"{name}.png", frame(0, step)[part == "masks"])
    source = TiktokSource(tmp_path)
    assert source.names == ["v2_frame9", "v2_frame10", "v2_frame011"]
    assert np.array_equal(source.read(1).mask * 255, frame(0, 0)[1])
    told = "\n".join(source.describe())
    assert "1 images without a number in the name are left out: cover" in told
    assert "1 masks without a partner are left out: 12" in told
    assert "1 masks without a number in the name are left out: all" in told


def test_what_cannot_be_used_is_said(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match=r"one pair of sibling folders, images/ and masks/.*holds pictures/"):
        TiktokSource(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"finds none\. It holds images/, pictures/\."):
        TiktokSource(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"\(0 numbered\) has a mask of the same number"):
        TiktokSource(tmp_path)
    (tmp_path / "Mask").mkdir()
    with pytest.raises(DataError, match=r"finds 2: images/ \+ Mask/, images/ \+ masks/"):
        TiktokSource(tmp_path)
    (tmp_path / "Mask").rmdir()
    for name in ("a_1.png", "b_01.png"):
        (tmp_path / "images" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"a_1\.png and .*b_01\.png have the same number 1.*data=folder"):
        TiktokSource(tmp_path)


def test_bad_pictures_are_listed_together(kaggle):
    folder = find_pair(kaggle).images
    (folder / "00003.png").write_bytes(b"<html>")
    images.write_png(folder / "00008.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError) as caught:
        TiktokSource(kaggle)
    text = str(caught.value)
    assert text.startswith("2 of 60 images cannot be used:")
    assert "00003.png" in text
    assert "00008.png is 4x4 px" in text
    assert "data.on_error=skip cannot leave them out" in text


def test_pictures_are_read_once_and_their_hashes_kept(kaggle, own_cache):
    data = module(TiktokSource(kaggle))
    groups = data.source.groups
    (kept,) = own_cache.iterdir()
    moved = kaggle.rename(kaggle.with_name("moved"))
    # the pictures are not there any more, but were all read already
    assert data.verify() == ["no near-duplicates across splits"]
    again = TiktokSource(moved)
    assert again.groups == groups
    assert again.known_hashes is None
    assert module(again).verify() == ["no near-duplicates across splits"]
    for damage in ("", "[1, 2]", '["g"]', "{}"):
        kept.write_text(damage)
        assert TiktokSource(moved).groups == groups
    image, _ = frame(50, 0)
    images.write_png(find_pair(moved).images / "00002.png", image)
    assert len(set(TiktokSource(moved).groups)) == 14
    assert len(list(own_cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_done_without(kaggle, own_cache):
    own_cache.parent.write_text("a file")
    assert len(set(TiktokSource(kaggle).groups)) == 12


def test_files_beside_the_folders_overrule_the_clips(kaggle, own_cache):
    folder = find_pair(kaggle).images.parent
    (folder / "groups.csv").write_text("stem,group\n00000,first\n00001,first\n")
    for split, name in (("train", "00000"), ("val", "00002"), ("test", "00003.png")):
        (folder / f"{split}.txt").write_text(f"{name}\n")
    source = TiktokSource(kaggle)
    assert source.groups == ["first", "first", *[None] * 58]
    assert not own_cache.exists()
    data = module(source)
    assert list(data.rows.values()) == [[0], [2], [3]]
    assert any("57 images stand in no split" in line for line in data.describe())


def test_the_fingerprint_follows_pictures_and_masks(kaggle):
    before = TiktokSource(kaggle).fingerprint()
    shutil.copytree(kaggle, kaggle.with_name("copy"))
    assert TiktokSource(kaggle.with_name("copy")).fingerprint() == before
    images.write_png(find_pair(kaggle).masks / "00000.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    assert TiktokSource(kaggle).fingerprint() != before


def test_clips_by_hand():
    def bits(count: int) -> np.uint64:
        return np.uint64((1 << count) - 1)

    high = np.uint64(0xFFFFFFFF << 32)
    assert cut_clips([bits(0)]).labels == [0]
    # 24 bits are no jump, 25 are
    assert cut_clips([bits(0), bits(24), bits(24)]).labels == [0, 0, 0]
    assert cut_clips([bits(0), bits(25), bits(25)]).labels == [0, 1, 1]
    # the third run comes back to within 4 bits of the first, the fourth does not
    assert cut_clips([bits(0), high, bits(4), high | bits(5)]) == ([0, 1, 0, 3], 1)
    # and within 4 bits of two different runs makes one clip of all
    assert cut_clips([bits(0), high, bits(4), high | bits(4)]) == ([0, 1, 0, 1], 2)


@pytest.mark.slow
def test_real_clips_one_after_the_other(shared, tmp_path):
    """The measurement behind JUMP_BITS: consecutive frames within 16 bits, clips 28 apart."""
    root = shared / "data" / "davis_person"
    clips = [root / clip for clip in ON_FOOT]
    labels: list[str] = []
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for clip in clips:
        for path in sorted((clip / "images").iterdir()):
            number = f"{len(labels):05d}"
            (tmp_path / "images" / f"{number}.jpg").symlink_to(path)
            (tmp_path / "masks" / f"{number}.png").symlink_to(clip / "masks" / f"{path.stem}.png")
            labels.append(clip.name)
    source = TiktokSource(tmp_path)
    assert len(set(source.groups)) == len(set(zip(source.groups, labels, strict=True))) == 8
    assert source.known_hashes is not None
    hashes = np.array([source.known_hashes[row] for row in range(600)])
    distances = np.bitwise_count(hashes[1:] ^ hashes[:-1])
    inside = np.array(labels[1:]) == np.array(labels[:-1])
    assert distances[inside].max() == 16
    assert distances[~inside].min() == 28
    assert 16 < JUMP_BITS < 28
