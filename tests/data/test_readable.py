"""data.on_error=skip: what is left where pictures cannot be read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from kolbench.data.config import DataConfig
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.readable import ReadableSource
from kolbench.data.sources.folder import FolderSource
from kolbench.errors import ConfigError, DataError
from tests.data.test_clip_frames import sparse
from tests.helpers.data import NO_LIMIT, data_config

HEIGHT, WIDTH = 24, 32


def folder(root: Path, count: int, bad: tuple[int, ...] = (), full: tuple[int, ...] = ()) -> Path:
    """Pictures 00, 01 and so on; bad ones are web pages, full ones foreground everywhere."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number in range(count):
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
        mask[:, : 0 if number in full else 1 + number % 9] = 0
        cv2.imwrite(str(root / "images" / f"{number:02d}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{number:02d}.png"), mask)
    for number in bad:
        (root / "images" / f"{number:02d}.png").write_bytes(b"<html>")
    return root


def names_of(source) -> list[str]:
    return list(source.names)


def test_what_cannot_be_read_is_left_out_and_the_rest_is_the_same(tmp_path):
    root = folder(tmp_path, 8, bad=(0, 5))
    (root / "test.txt").write_text("05\n06\n07\n")
    whole = FolderSource(root)
    source = ReadableSource(whole)
    assert names_of(source) == ["01", "02", "03", "04", "06", "07"]
    assert list(source.skipped) == ["00", "05"]
    assert "00.png" in source.skipped["00"]
    for row, name in enumerate(source.names):
        expected = whole.read(whole.names.index(name))
        assert np.array_equal(source.read(row).image, expected.image)
        assert np.array_equal(source.read(row).mask, expected.mask)
    assert [source.names[row] for row in source.given_splits["test"]] == ["06", "07"]
    assert sorted(source.known_hashes) == list(range(6))
    line = source.describe()[-1]
    assert line.startswith("data.on_error=skip: left out, as they cannot be used, 2 of 8 images:\n  ")
    assert line.count("web page") == 2


def test_of_a_good_source_nothing_changes(tmp_path):
    whole = FolderSource(folder(tmp_path, 4))
    source = ReadableSource(whole)
    assert names_of(source) == names_of(whole)
    assert source.fingerprint() == whole.fingerprint()
    assert source.describe() == whole.describe()
    assert source.files(2) == whole.files(2)


def test_which_pictures_are_left_out_is_part_of_the_fingerprint(tmp_path):
    found = set()
    for bad in ((1,), (2,), ()):
        root = folder(tmp_path / str(bad), 4, bad)
        found.add(ReadableSource(FolderSource(root)).fingerprint())
    assert len(found) == 3


def test_all_bad_or_all_that_is_left_full_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"None of 3 images can be used:\n  .*00\.png"):
        ReadableSource(FolderSource(folder(tmp_path / "bad", 3, bad=(0, 1, 2))))
    root = folder(tmp_path / "full", 3, bad=(0,), full=(1, 2))
    with pytest.raises(DataError, match="All 2 masks are foreground everywhere"):
        ReadableSource(FolderSource(root))


def test_the_splits_are_of_what_is_left(tmp_path):
    root = folder(tmp_path, 12, bad=(3,))
    data = SegmentationDataModule(ReadableSource(FolderSource(root)), 0, 1, [], data_config(), NO_LIMIT)
    chosen = sorted(name for rows in data.rows.values() for name in (data.source.names[row] for row in rows))
    assert chosen == [f"{number:02d}" for number in range(12) if number != 3]
    # every picture has been read already
    assert data.verify() == ["no near-duplicates across splits"]


def test_a_list_of_which_nothing_is_left_is_named(tmp_path):
    root = folder(tmp_path, 6, bad=(2, 3))
    for split, names in (("train", "00\n01"), ("val", "02\n03"), ("test", "04\n05")):
        (root / f"{split}.txt").write_text(names)
    source = ReadableSource(FolderSource(root))
    with pytest.raises(DataError, match=r"val\.txt is .* empty, or data\.on_error=skip left out all of them"):
        SegmentationDataModule(source, 0, 1, [], data_config(), NO_LIMIT)


def test_frames_without_truth_are_left_out_one_by_one(tmp_path):
    whole = sparse(tmp_path)
    half = np.tile(np.repeat(np.array([0, 255], np.uint8), 10), (12, 1))
    cv2.imwrite(str(tmp_path / "d" / "masks" / "0.png"), half)
    (tmp_path / "a" / "images" / "3.jpg").write_bytes(b"no image")
    (tmp_path / "b" / "images" / "6.jpg").write_bytes(b"no image")
    assert "b/6" in whole.names
    source = ReadableSource(whole)
    assert names_of(source) == [name for name in whole.names if name != "b/6"]
    known = {whole.names[row]: list(names) for row, names in whole.unscored.items()}
    # frames before a frame that is left out go with it
    del known["b/6"]
    known["a/6"].remove("a/3")
    assert {source.names[row]: list(names) for row, names in source.unscored.items()} == known
    assert list(source.skipped) == ["b/6", "a/3"]
    assert np.array_equal(source.read_unscored("a/2"), whole.read_unscored("a/2"))


def test_there_are_two_choices():
    with pytest.raises(ConfigError, match=r"data\.on_error=go .*stop.*skip"):
        DataConfig(on_error="go")
