"""`data.still`: pictures beside clips, from the command line's words."""

import cv2
import numpy as np
import pytest
import torch

from kolbench.config.compose import data_group
from kolbench.data.sources.folder import FolderSource
from kolbench.errors import ConfigError
from kolbench.runs.fingerprint import training_settings
from kolbench.tasks.evaluation import open_data
from kolbench.tasks.fit import _check
from tests.data.test_clip_frames import sparse
from tests.helpers.data_files import folder
from tests.helpers.tasks import composed, configured

NAMES = [f"s{number}" for number in range(4)]


def test_it_is_read_by_the_layout_that_it_names(tmp_path):
    clips, pictures = tmp_path / "clips", folder(tmp_path / "pictures", NAMES)
    sparse(clips)
    words = ("experiment=pdnet", "budget=smoke", "data=davis", f"data.root={clips}")
    asked = f"data.still={{source:folder,root:{pictures}}}"
    data = open_data(configured(*words, asked), torch.device("cpu"))
    assert isinstance(data.still, FolderSource)
    assert [data.still.names[row] for row in data.still_rows] == NAMES
    assert open_data(configured(*words), torch.device("cpu")).still is None
    # where they lie does not count
    moved = f"data.still={{source:folder,root:{tmp_path}}}"
    settings = [
        training_settings(composed(*words, word), "cpu", data.fingerprint()) for word in (asked, moved)
    ]
    assert settings[0] == settings[1]
    assert np.array_equal(data.still.read(0).mask.shape, (12, 20))


def test_what_cannot_be_read_of_it_is_left_out_too(tmp_path):
    clips, pictures = tmp_path / "clips", folder(tmp_path / "pictures", NAMES)
    sparse(clips)
    # not all masks of clips may be full
    cv2.imwrite(str(clips / "d" / "masks" / "0.png"), np.tile(np.uint8([0, 255]), (12, 10)))
    (pictures / "images" / "s2.png").write_bytes(b"<html>")
    words = ("experiment=pdnet", "budget=smoke", "data=davis", f"data.root={clips}", "data.on_error=skip")
    asked = f"data.still={{source:folder,root:{pictures}}}"
    data = open_data(configured(*words, asked, "data.allow_duplicates=true"), torch.device("cpu"))
    assert data.still is not None
    assert [data.still.names[row] for row in data.still_rows] == ["s0", "s1", "s3"]
    assert any("on_error=skip: left out" in line and "s2.png" in line for line in data.describe())
    assert data.verify()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"source": "foldr", "root": "x"},
            r"data\.still\.source=foldr is no data set; .*Did you mean folder\?",
        ),
        ({"source": "folder", "rot": "x"}, r"data\.still of folder has no option rot\. Did you mean root\?"),
        ({"source": "folder"}, r"data\.still: data\.still\.root has no value"),
        ({"root": "x"}, r"data\.still\.source=None is no data set"),
    ],
)
def test_what_is_wrong_with_it_is_named(values, words):
    with pytest.raises(ConfigError, match=words):
        data_group("data.still", values)


def test_a_method_of_one_kind_of_batches_refuses_it():
    config = configured("experiment=modnet", "budget=smoke", "data.still={source:folder,root:x}")
    with pytest.raises(ConfigError, match=r"data\.still= is for methods .*; modnet learns from one kind"):
        _check(config)
    with pytest.raises(ConfigError, match=r"data\.still"):
        configured("experiment=modnet", "data.still=folder")
