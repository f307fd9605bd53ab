import csv
from pathlib import Path

import numpy as np
import pytest

from kolbench.data.sources.kol import KolSource
from kolbench.data.sources.labelme import LabelmeSource
from kolbench.errors import DataError
from tests.helpers.data_files import HEIGHT, SQUARE, WIDTH, annotate, folder, picture, put, shape


def prepared(root: Path, names: dict[str, str]) -> Path:
    for number, name in enumerate(names):
        put(root / "images" / f"{name}.png", picture(number))
    with (root / "manifest.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerows(
            [("name", "video", "timestamp_s", "frame"), *((n, v, "0", "0") for n, v in names.items())]
        )
    return root


FRAMES = {"v1/v1_000001": "v1", "v1/v1_000009": "v1", "v2/v2_000003": "v2"}


def test_kol_frames_labelled_with_labelme(tmp_path):
    root = prepared(tmp_path, FRAMES)
    with pytest.raises(DataError, match=r"None of the 3 frames .*Labelme"):
        KolSource(root)
    for name in ("v1/v1_000001", "v2/v2_000003"):
        annotate(root / "images", name, [shape("kol", SQUARE)])
    source = KolSource(root)
    assert source.names == ["v1/v1_000001", "v2/v2_000003"]
    assert source.groups == ["v1", "v2"]
    assert source.read(1).mask.sum() == 36
    assert "2 of 3 frames labelled, in 2 of 2 videos" in source.describe()[0]
    assert source.fingerprint() == LabelmeSource(root / "images").fingerprint()


def test_kol_frames_labelled_by_masks(tmp_path):
    root = prepared(tmp_path, FRAMES)
    put(root / "masks" / "v1" / "v1_000009.png", np.ones((HEIGHT, WIDTH), np.uint8))
    (root / "train.txt").write_text("v1/v1_000009\n")
    source = KolSource(root, {"kol": ["x"]})
    assert (source.names, source.groups) == (["v1/v1_000009"], ["v1"])
    assert source.given_splits == {"train": [0], "val": [], "test": []}
    assert source.read(0).mask.all()


def test_kol_needs_its_manifest(tmp_path):
    folder(tmp_path, ["a"])
    with pytest.raises(DataError, match=r"no manifest\.csv.*data=folder"):
        KolSource(tmp_path)


def test_a_manifest_that_is_no_utf8_is_named(tmp_path):
    """As a spreadsheet saves it in cp1252."""
    root = prepared(tmp_path, FRAMES)
    text = (root / "manifest.csv").read_text(encoding="utf-8").replace("v2,", "café,")
    (root / "manifest.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(
        DataError, match=r"manifest\.csv is not UTF-8 text but .*Windows-1252.*; save it as UTF-8"
    ):
        KolSource(root)
    annotate(root / "images", "v2/v2_000003", [])
    # with the byte order mark and line ends of a spreadsheet's UTF-8
    (root / "manifest.csv").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert KolSource(root).groups == ["café"]
