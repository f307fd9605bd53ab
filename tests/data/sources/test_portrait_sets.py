"""Layouts of portrait sets, each from a tiny tree like the published one."""

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data import paired, splits
from kolbench.data.sources.eg1800 import EG1800Source
from kolbench.data.sources.p3m10k import P3M10kSource
from kolbench.data.sources.pphumanseg14k import PPHumanSeg14kSource
from kolbench.errors import ConfigError, DataError
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.tasks import configured


def mask(level=255):
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[2:8, 3:9] = level
    return levels


def eg1800(root, count=20, lists=True):
    for number in range(count):
        put(root / "EG1800" / "Images" / f"{number:05d}.jpg", picture(number))
        put(root / "EG1800" / "Labels" / f"{number:05d}.png", mask())
    if lists:
        write_list(root / "eg1800_train.txt", [f"{n:05d}.jpg" for n in range(count - 4)])
        write_list(root / "eg1800_test.txt", [f"{n:05d}" for n in range(count - 4, count)])
    return root


def write_list(path, lines):
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("below", ["", "EG1800"])
def test_eg1800_by_its_lists(tmp_path, below):
    source = EG1800Source(eg1800(tmp_path) / below)
    given = source.given_splits
    assert given is not None
    assert {split: len(rows) for split, rows in given.items()} == {"train": 14, "val": 2, "test": 4}
    assert [source.names[row] for row in given["test"]] == ["00016", "00017", "00018", "00019"]
    made = splits.make_splits(source, "auto", 0)
    splits.assert_disjoint(made, source.names, source.groups, by_group=True)
    sample = source.read(3)
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(sample.mask, mask(1))
    assert "20 images with masks" in source.describe()[0]
    assert EG1800Source(tmp_path / below).given_splits == given


def test_eg1800_without_lists_is_dealt_in_the_papers_proportions(tmp_path):
    source = EG1800Source(eg1800(tmp_path, 40, lists=False))
    made = splits.make_splits(source, "auto", 0)
    # 1,309 of 1,579 are for training and validation, a tenth of them for validation
    assert (len(made.train), len(made.val), len(made.test)) == (30, 3, 7)


def test_what_is_wrong_with_eg1800_is_named(tmp_path):
    root = eg1800(tmp_path)
    write_list(root / "eg1800_train.txt", ["00000.jpg", "00099.jpg"])
    with pytest.raises(DataError, match=r"eg1800_train.txt, line 2: there is no image 00099.jpg"):
        EG1800Source(root)
    write_list(root / "eg1800_train.txt", ["00000.jpg", "", "00000"])
    with pytest.raises(DataError, match="line 3: 00000 stands there twice"):
        EG1800Source(root)
    (root / "eg1800_train.txt").unlink()
    with pytest.raises(DataError, match=r"eg1800_train\.txt is missing"):
        EG1800Source(root)
    (root / "EG1800" / "Labels").rename(root / "EG1800" / "labels")
    with pytest.raises(
        DataError, match=r"no folder Labels/, which data=eg1800 needs\. It holds Images, labels"
    ):
        EG1800Source(root)


def p3m10k(root):
    for number in range(20):
        put(root / "train" / "blurred_image" / f"p_{number}.jpg", picture(number))
        put(root / "train" / "mask" / f"p_{number}.png", mask(200))
    for test_set, images in (("P3M-500-P", "blurred_image"), ("P3M-500-NP", "original_image")):
        for number in range(3):
            folder = root / "validation" / test_set
            put(folder / images / f"p_{number}.jpg", picture(100 + number))
            put(folder / "mask" / f"p_{number}.png", mask(127))
            put(folder / "trimap" / f"p_{number}.png", mask(128))
    return root


@pytest.mark.parametrize("test_set", ["P3M-500-P", "P3M-500-NP"])
def test_p3m10k_with_either_test_set(tmp_path, test_set):
    source = P3M10kSource(p3m10k(tmp_path), test_set)
    given = source.given_splits
    assert given is not None
    assert {split: len(rows) for split, rows in given.items()} == {"train": 19, "val": 1, "test": 3}
    assert {source.names[row] for row in given["test"]} == {
        f"validation/{test_set}/p_{number}" for number in range(3)
    }
    # 200 of 255 is foreground, 127 is not
    assert np.array_equal(source.read(given["train"][0]).mask, mask(1))
    assert not source.read(given["test"][0]).mask.any()
    assert "masks are alpha mattes: one half and more is foreground" in source.describe()


def test_a_matte_is_cut_at_one_half(tmp_path):
    levels = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    matte = paired.read_matte(put(tmp_path / "a.png", levels))
    assert paired.halved(matte)[0].tolist() == [0] * 128 + [1] * 128


def test_mattes_of_p3m10k_count_unless_told_otherwise(tmp_path):
    root = p3m10k(tmp_path)
    found = {truth: P3M10kSource(root, truth=truth) for truth in ("auto", "alpha", "binary")}
    assert [source.truth for source in found.values()] == ["alpha", "alpha", "binary"]
    row = found["auto"].given_splits["train"][0]
    assert np.allclose(found["auto"].read(row).matte, mask(200) / 255, atol=1e-7, rtol=0)
    assert found["binary"].read(row).matte is None
    assert np.array_equal(found["binary"].read(row).mask, found["alpha"].read(row).mask)
    assert found["auto"].fingerprint() == found["binary"].fingerprint()
    assert any("matting scores are possible" in line for line in found["auto"].describe())


def test_what_is_wrong_with_p3m10k_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.test_set=P3M-500"):
        P3M10kSource(tmp_path, "P3M-500")
    with pytest.raises(DataError, match="no folder train/blurred_image/, which data=p3m10k needs"):
        P3M10kSource(tmp_path)


def pphumanseg14k(root):
    for split, clips in (("train", ("meet/a", "meet/b", "meet/c")), ("val", ("meet/d",))):
        lines = []
        for clip in clips:
            for frame in range(4):
                put(root / "images" / clip / f"{frame:04d}.jpg", picture(frame))
                put(root / "annotations" / clip / f"{frame:04d}.png", mask(38))
                lines.append(f"images/{clip}/{frame:04d}.jpg annotations/{clip}/{frame:04d}.png")
        write_list(root / f"{split}_new.txt", lines)
    return root


def test_pphumanseg14k_is_split_by_clip(tmp_path):
    source = PPHumanSeg14kSource(pphumanseg14k(tmp_path))
    given = source.given_splits
    assert given is not None
    assert {split: len(rows) for split, rows in given.items()} == {"train": 8, "val": 4, "test": 4}
    clips = {split: {source.groups[row] for row in rows} for split, rows in given.items()}
    assert clips["test"] == {"meet/d"}
    assert clips["train"] | clips["val"] == {"meet/a", "meet/b", "meet/c"}
    assert not clips["train"] & clips["val"]
    assert np.array_equal(source.read(0).mask, mask(1))


def test_pphumanseg14k_has_its_frames_in_time_and_says_what_level_its_masks_have(tmp_path):
    lines = []
    for frame in (10, 9, 2):
        image, truth = f"images/meet/{frame:04d}.jpg", f"annotations/{frame}.png"
        put(tmp_path / image, picture(frame))
        put(tmp_path / truth, mask(38))
        lines.append(f"{image} {truth}")
    write_list(tmp_path / "train_new.txt", lines)
    write_list(tmp_path / "val_new.txt", [])
    source = PPHumanSeg14kSource(tmp_path)
    assert [name[-8:] for name in source.names] == ["0002.jpg", "0009.jpg", "0010.jpg"]
    assert source.clips == ["meet"] * 3
    told = source.describe()
    assert "mask levels in 3 masks read so far: 0/38 (3)" in told
    assert any("38 is taken as foreground" in line for line in told)


def test_what_is_wrong_with_pphumanseg14k_is_named(tmp_path):
    root = pphumanseg14k(tmp_path)
    gone = root / "annotations" / "meet" / "b" / "0001.png"
    gone.unlink()
    with pytest.raises(DataError, match=rf"train_new.txt names files that are missing: {gone}"):
        PPHumanSeg14kSource(root)
    text = (root / "val_new.txt").read_text()
    (root / "val_new.txt").write_text(text.splitlines()[0].split()[0])
    put(gone, mask(38))
    with pytest.raises(DataError, match=r"val_new.txt, line 1: `images/meet/d/0000.jpg` is not an image and"):
        PPHumanSeg14kSource(root)
    (root / "train_new.txt").write_text((root / "train_new.txt").read_text() + text)
    (root / "val_new.txt").write_text(text)
    with pytest.raises(DataError, match="both lists name"):
        PPHumanSeg14kSource(root)
    (root / "val_new.txt").unlink()
    with pytest.raises(DataError, match=r"has no val_new\.txt"):
        PPHumanSeg14kSource(root)


def test_pictures_for_validation_are_whole_clips_and_the_same_everywhere():
    names = [f"{clip}/{frame}" for clip in "abcdefghij" for frame in range(5)]
    clips = {name: name[0] for name in names}
    chosen = paired.drawn(names, 0.25, clips)
    assert len(chosen) == 15
    assert len({clips[name] for name in chosen}) == 3
    assert chosen == paired.drawn(names[::-1], 0.25, clips)
    assert len(paired.drawn(names, 0.1)) == 5


@pytest.mark.parametrize(
    ("name", "make", "kind"),
    [
        ("eg1800", eg1800, EG1800Source),
        ("p3m10k", p3m10k, P3M10kSource),
        ("pphumanseg14k", pphumanseg14k, PPHumanSeg14kSource),
    ],
)
def test_each_has_its_yaml(tmp_path, name, make, kind):
    config = configured("experiment=ellipse", f"data={name}", f"data.root={make(tmp_path)}")
    assert isinstance(instantiate(config.data.source), kind)
