import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from kolbench.data import listing
from kolbench.data.sources.folder import FolderSource
from kolbench.errors import DataError
from tests.helpers.data_files import folder, picture, put


def test_hidden_files_of_other_systems_are_no_pictures(tmp_path):
    root = folder(tmp_path, ["a"])
    (root / "images" / "._a.png").write_bytes(b"\x00\x05\x16\x07")
    (root / "images" / ".thumbs").mkdir()
    put(root / "images" / ".thumbs" / "a.jpg", picture())
    assert FolderSource(root).names == ["a"]


def test_composed_and_decomposed_names_are_one(tmp_path):
    root = folder(tmp_path, [unicodedata.normalize("NFD", "é")])
    (root / "images" / (unicodedata.normalize("NFD", "é") + ".png")).rename(root / "images" / "é.png")
    (root / "train.txt").write_text("é\n", encoding="utf-8")
    source = FolderSource(root)
    assert source.names == [unicodedata.normalize("NFC", "é")]
    assert source.given_splits == {"train": [0], "val": [], "test": []}


def test_split_files(tmp_path):
    root = folder(tmp_path, ["a", "b", "V/c", "d", "e"])
    (root / "train.txt").write_text("b\n\nimages/a.png\n", encoding="utf-8-sig")
    (root / "val.txt").write_text("V\\c\r\n")
    (root / "test.txt").write_text("d.png")
    source = FolderSource(root)
    assert source.names == ["V/c", "a", "b", "d", "e"]
    assert source.given_splits == {"train": [2, 1], "val": [0], "test": [3]}
    assert any("1 images stand in no split" in line for line in source.describe())


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        ("a\nhat_1\n", "b\n", r"train\.txt, line 2: there is no image hat_1\. Did you mean hat_01\?"),
        ("a\n", "b\n\na\n", r"val\.txt, line 3: a stands already in .*train\.txt, line 1"),
        ("a\na\n", "b\n", r"train\.txt, line 2: a stands already"),
        ("a\nmaskless\n", "b\n", r"train\.txt, line 2: maskless has no mask"),
    ],
)
def test_wrong_split_files_name_file_and_line(tmp_path, train, val, words):
    root = folder(tmp_path, ["a", "b", "hat_01"])
    put(root / "images" / "maskless.png", picture())
    (root / "train.txt").write_text(train)
    (root / "val.txt").write_text(val)
    with pytest.raises(DataError, match=words):
        FolderSource(root)


def test_groups_csv_gives_groups_and_tags_and_overrules_folders(tmp_path):
    root = folder(tmp_path, ["a", "b", "V/c", "d"])
    (root / "groups.csv").write_text("stem,group,tag\na,clip 1,bag\nb,clip 1\nV/c,,\n")
    source = FolderSource(root)
    assert source.names == ["V/c", "a", "b", "d"]
    assert source.groups == [None, "clip 1", "clip 1", None]
    assert source.tags == ["", "bag", "", ""]
    (root / "groups.csv").write_text("a,clip\nq,clip\n")
    with pytest.raises(DataError, match=r"groups\.csv, line 2: there is no image q"):
        FolderSource(root)
    (root / "groups.csv").write_text("a,b,c,d\n")
    with pytest.raises(DataError, match=r"line 1: 4 columns"):
        FolderSource(root)


def test_folders_called_train_val_test_are_the_split_and_not_groups(tmp_path):
    root = folder(tmp_path, ["train/V1/a", "train/V1/b", "val/V2/a", "test/a"])
    source = FolderSource(root)
    assert source.names == ["test/a", "train/V1/a", "train/V1/b", "val/V2/a"]
    assert source.given_splits == {"train": [1, 2], "val": [3], "test": [0]}
    assert source.groups == [None, "V1", "V1", "V2"]


@pytest.mark.parametrize("suffix", ["bmp", "ppm", "tif"])
def test_one_pixel_in_the_middle_of_a_large_picture_changes_the_fingerprint(tmp_path, suffix):
    array = picture(3, 300, 400)
    for kind, content in (("images", array), ("masks", np.ones((300, 400), np.uint8))):
        (tmp_path / kind).mkdir()
        Image.fromarray(content).save(tmp_path / kind / f"a.{suffix if kind == 'images' else 'png'}")
    path = tmp_path / "images" / f"a.{suffix}"
    before, size = FolderSource(tmp_path).fingerprint(), path.stat().st_size
    array[150, 200] ^= 255
    Image.fromarray(array).save(path)
    assert path.stat().st_size == size > 4 * listing.BLOCK_BYTES
    assert FolderSource(tmp_path).fingerprint() != before


def test_labels_are_hashed_whole_and_pictures_above_64_mib_at_both_ends(tmp_path, monkeypatch):
    assert listing.WHOLE_BYTES == 64 * 2**20
    monkeypatch.setattr(listing, "WHOLE_BYTES", 2**20)
    path = tmp_path / "big"
    for size, whole, seen in (
        (listing.WHOLE_BYTES, False, True),
        (listing.WHOLE_BYTES + 1, False, False),
        (listing.WHOLE_BYTES + 1, True, True),
    ):
        path.write_bytes(b"")
        os.truncate(path, size)
        before = listing.digest([("a", path, whole)])
        for place, changes in ((size // 2, seen), (0, True), (size - 1, True)):
            with path.open("r+b") as handle:
                handle.seek(place)
                handle.write(b"x")
            assert (listing.digest([("a", path, whole)]) != before) == changes
            before = listing.digest([("a", path, whole)])


def test_videos_are_known_again_by_both_ends(tmp_path):
    path = tmp_path / "big"
    content = bytearray(5 * listing.BLOCK_BYTES)
    path.write_bytes(content)
    whole, ends = (listing.content_digest(path, flag) for flag in (True, False))
    content[len(content) // 2] = 1
    path.write_bytes(content)
    assert listing.content_digest(path, True) != whole
    assert listing.content_digest(path, False) == ends
    content[-1] = 1
    path.write_bytes(content)
    assert listing.content_digest(path, False) != ends


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    """As where clips lie on another disk, or two clips share their masks."""
    root = folder(tmp_path / "set", ["V1/a"])
    elsewhere = folder(tmp_path / "disk", ["b", "deep/c"])
    for kind in ("images", "masks"):
        (root / kind / "V2").symlink_to(elsewhere / kind, target_is_directory=True)
        (root / kind / "V1" / "loop").symlink_to(root / kind, target_is_directory=True)
        (root / kind / "V1" / "itself").symlink_to(root / kind / "V1" / "itself")
        (elsewhere / kind / "deep" / "up").symlink_to(elsewhere / kind, target_is_directory=True)
        (root / kind / "gone").symlink_to(tmp_path / "nowhere", target_is_directory=True)
    put(root / "images" / "V3" / "b.png", picture(8))
    (root / "masks" / "V3").symlink_to(elsewhere / "masks", target_is_directory=True)
    source = FolderSource(root)
    assert source.names == ["V1/a", "V2/b", "V2/deep/c", "V3/b"]
    assert source.groups == ["V1", "V2", "V2/deep", "V3"]
    assert np.array_equal(source.read(2).image, picture(1))
    assert source.read(3).mask.sum() == 36


def test_folders_that_link_to_each_other_end(tmp_path):
    root = folder(tmp_path, ["V1/a", "V2/b"])
    (root / "images" / "V1" / "x").symlink_to(root / "images" / "V2", target_is_directory=True)
    (root / "images" / "V2" / "y").symlink_to(root / "images" / "V1", target_is_directory=True)
    names = listing.pictures_below(root / "images")
    assert sorted(names) == ["V1/a", "V1/x/b", "V2/b", "V2/y/a"]
