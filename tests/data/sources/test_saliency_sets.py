"""Layouts of salient-object sets, each from a tiny tree like the published one."""

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data import checking, splits
from kolbench.data.sources.duts import DUTSSource
from kolbench.data.sources.saliency_test_set import SaliencyTestSet
from kolbench.errors import DataError
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.tasks import configured

SETS = {
    "ecssd": ("images", "ground_truth_mask"),
    "dut_omron": ("DUT-OMRON-image", "pixelwiseGT-new-PNG"),
}


def antialiased():
    """A square of 6 x 6 px with one column at 30 % and one at 70 %, as DUTS has them."""
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[2:8, 3:9] = 255
    levels[2:8, 2], levels[2:8, 9] = 77, 179
    return levels


def cut():
    return (antialiased() >= 128).astype(np.uint8)


def duts(root, parts=("TR", "TE")):
    for part, count in (("TR", 20), ("TE", 3)):
        for number in range(count if part in parts else 0):
            folder = root / f"DUTS-{part}"
            put(folder / f"DUTS-{part}-Image" / f"n_{number}.jpg", picture(number))
            put(folder / f"DUTS-{part}-Mask" / f"n_{number}.png", antialiased())
    return root


def only_tested(root, data):
    images, masks = SETS[data]
    for number in range(4):
        put(root / images / f"{number:04d}.jpg", picture(number))
        put(root / masks / f"{number:04d}.png", antialiased())
    return SaliencyTestSet(root, data, images, masks)


def test_duts_trains_on_tr_and_tests_on_te(tmp_path):
    source = DUTSSource(duts(tmp_path))
    made = splits.make_splits(source, "auto", 0)
    assert [len(rows) for _, rows in made] == [19, 1, 3]
    assert [source.names[row] for row in made.test] == [f"DUTS-TE/n_{number}" for number in range(3)]
    # the same name stands in both parts
    assert source.names[made.train[0]].startswith("DUTS-TR/n_")
    sample = source.read(made.test[0])
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(sample.mask, cut())
    assert sample.matte is None
    assert source.test_sets == ("duts_te",)


def test_duts_te_alone_is_scored_whole(tmp_path):
    source = DUTSSource(duts(tmp_path, ["TE"]))
    made = splits.make_splits(source, "auto", 0)
    assert (made.train, made.val, made.test) == ([], [], [0, 1, 2])
    assert splits.tests_only(source)
    assert splits.lists_tests_alone(source)
    assert splits.describe(made, source, "auto") == "all 3 images are test images"


def test_duts_tr_alone_is_split_like_a_folder(tmp_path):
    source = DUTSSource(duts(tmp_path, ["TR"]))
    assert source.given_splits is None
    assert source.test_sets == ("duts_tr",)
    made = splits.make_splits(source, "auto", 0)
    assert [len(rows) for _, rows in made] == [16, 2, 2]


def test_what_is_wrong_with_duts_is_named(tmp_path):
    (tmp_path / "DUTS").mkdir()
    with pytest.raises(
        DataError, match=r"neither DUTS-TR/ nor DUTS-TE/, of which data=duts needs one\. It holds DUTS\."
    ):
        DUTSSource(tmp_path)
    duts(tmp_path, ["TE"])
    (tmp_path / "DUTS-TE" / "DUTS-TE-Mask").rename(tmp_path / "DUTS-TE" / "masks")
    with pytest.raises(DataError, match="no folder DUTS-TE/DUTS-TE-Mask/, which data=duts needs"):
        DUTSSource(tmp_path)


@pytest.mark.parametrize("data", SETS)
def test_sets_that_are_only_tested_on(tmp_path, data):
    source = only_tested(tmp_path, data)
    made = splits.make_splits(source, "auto", 0)
    assert (made.train, made.val, made.test) == ([], [], [0, 1, 2, 3])
    assert source.names == ["0000", "0001", "0002", "0003"]
    assert source.test_sets == (data,)
    assert np.array_equal(source.read(2).mask, cut())
    with pytest.raises(DataError, match=f"no folder gt/, which data={data} needs"):
        SaliencyTestSet(tmp_path, data, SETS[data][0], "gt")


def test_all_bad_pictures_of_a_set_are_named_at_once(tmp_path):
    source = only_tested(tmp_path, "ecssd")
    put(tmp_path / "ground_truth_mask" / "0001.png", antialiased()[:, 1:])
    (tmp_path / "images" / "0003.jpg").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"2 of 4 images cannot be used:\n.*0001\.jpg is 20x12[\s\S]*0003\.jpg"
    ):
        checking.checked_hashes(source, "")


@pytest.mark.parametrize(
    ("name", "kind"), [("duts", DUTSSource), ("ecssd", SaliencyTestSet), ("dut_omron", SaliencyTestSet)]
)
def test_each_has_its_yaml(tmp_path, name, kind):
    if name == "duts":
        duts(tmp_path)
    else:
        only_tested(tmp_path, name)
    config = configured("experiment=ellipse", f"data={name}", f"data.root={tmp_path}")
    assert isinstance(instantiate(config.data.source), kind)
