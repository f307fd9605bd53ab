"""MVPS from a tiny tree like the published one."""

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data import splits
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.mvps import MVPSSource
from kolbench.errors import ConfigError, DataError
from tests.helpers.data import NO_LIMIT, data_config
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.tasks import configured

CLIPS = {"news/a": 3, "news/b": 2, "lecture/a": 4, "interview/c": 2}
TRAIN, TEST = ("news/a", "news/b", "lecture/a"), ("interview/c",)


def mask(level):
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[2:8, 3:9] = level
    return levels


def mvps(root, level=255):
    for number, (clip, length) in enumerate(CLIPS.items()):
        for step in range(0, 5 * length, 5):
            put(root / "Keyframes" / "480p" / clip / f"{step}.jpg", picture(100 * number + step))
            put(root / "Annotations" / "480p" / clip / f"{step}.png", mask(level))
    write_lists(root, TRAIN, TEST)
    return root


def write_lists(root, train, test):
    (root / "ImageSets").mkdir(exist_ok=True)
    (root / "ImageSets" / "train.txt").write_text("\n".join(train) + "\n")
    (root / "ImageSets" / "val.txt").write_text("\n".join(test) + "\n")


@pytest.mark.parametrize("below", ["", "MVPS"])
def test_clips_in_time_with_their_scenarios_and_splits(tmp_path, below):
    mvps(tmp_path / below)
    source = MVPSSource(tmp_path)
    # 5 stands before 10
    assert source.names[2:6] == [f"lecture/a/{step}" for step in (0, 5, 10, 15)]
    assert source.clips == [name.rpartition("/")[0] for name in source.names] == source.groups
    assert source.tags == [name.partition("/")[0] for name in source.names]
    given = source.given_splits
    assert given is not None
    clips = {split: {source.clips[row] for row in rows} for split, rows in given.items()}
    assert clips["test"] == set(TEST)
    assert len(clips["val"]) == 1
    assert clips["train"] | clips["val"] == set(TRAIN)
    assert not clips["train"] & clips["val"]
    assert sorted(row for rows in given.values() for row in rows) == list(range(11))
    assert MVPSSource(tmp_path).given_splits == given
    assert np.array_equal(source.read(0).mask, mask(1))


def test_masks_of_another_maximum_and_clips_of_no_list_are_said(tmp_path):
    root = mvps(tmp_path, level=38)
    write_lists(root, TRAIN[:2], TEST)
    source = MVPSSource(root)
    assert np.array_equal(source.read(0).mask, mask(1))
    told = source.describe()
    assert any("0/38" in line for line in told)
    assert "1 clips stand in no list and are left out: lecture/a" in told


def test_frames_between_the_annotated_ones_are_seen_and_not_scored(tmp_path):
    root = mvps(tmp_path)
    for step in (3, 2, 11):
        put(root / "Keyframes" / "480p" / "news" / "a" / f"{step}.jpg", picture(step))
    source = MVPSSource(root)
    assert source.unscored == {source.names.index("news/a/5"): ["news/a/2", "news/a/3"]}
    told = "\n".join(source.describe())
    assert "2 frames without a mask are seen by methods that remember frames" in told
    # nothing is scored after it
    assert "1 images without a partner are left out: news/a/11" in told


def test_all_that_is_wrong_with_the_lists_is_named_at_once(tmp_path):
    root = mvps(tmp_path)
    put(root / "Keyframes" / "480p" / "news" / "bare" / "0.jpg", picture())
    write_lists(root, ("news/a", "news/bare", "news/a", "lectur/a"), ("news/a", ""))
    with pytest.raises(DataError) as caught:
        MVPSSource(root)
    told = str(caught.value)
    assert "4 lines of the lists are wrong" in told
    assert "train.txt, line 2: there is no clip news/bare with annotated frames" in told
    assert "train.txt, line 3: news/a stands already in" in told
    assert (
        "train.txt, line 4: there is no clip lectur/a with annotated frames. Did you mean lecture/a?" in told
    )
    assert "val.txt, line 1: news/a stands already in" in told


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match=r"no Keyframes/480p/, no Annotations/480p/, no ImageSets/train\.txt"):
        MVPSSource(tmp_path)
    root = mvps(tmp_path)
    put(root / "Keyframes" / "480p" / "a" / "0.jpg", picture())
    with pytest.raises(DataError, match=r"SCENARIO/CLIP/ below .*; not so .*a/0\.jpg"):
        MVPSSource(root)


def test_frames_never_leave_their_clip(tmp_path):
    source = MVPSSource(mvps(tmp_path))
    with pytest.raises(ConfigError, match=r"data\.split=paper deals frames at random, but these .* of clips"):
        splits.make_splits(source, "paper", 0)
    source.groups = [None] * len(source)
    dealt = splits.make_fold(source, 4, 1, 0)
    assert [len({source.clips[row] for row in rows}) for _, rows in dealt] == [2, 1, 1]
    source.given_splits = {"train": [0, 2, 3], "val": [4, 5], "test": [1]}
    data = SegmentationDataModule(source, 0, 2, [], data_config(), NO_LIMIT)
    with pytest.raises(DataError, match=r"2 clips stand in two splits: .*interview/c in train and test"):
        data.describe()


def test_it_has_its_yaml(tmp_path):
    config = configured("experiment=ellipse", "data=mvps", f"data.root={mvps(tmp_path)}")
    assert isinstance(instantiate(config.data.source), MVPSSource)
