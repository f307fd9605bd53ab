"""Frames of clips that have no truth: given to methods that remember, scored by nobody."""

import json

import numpy as np
import pytest
import torch

from kolbench.data.checking import checked_hashes
from kolbench.data.clip_frames import unscored_after, unscored_before
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.davis import DavisSource
from kolbench.engine.evaluation import evaluate
from kolbench.errors import DataError
from kolbench.runs import clips
from tests.helpers.data import NO_LIMIT, data_config
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.stateful import Counter

MASK = np.full((HEIGHT, WIDTH), 255, np.uint8)


def sparse(root, lists=True):
    """Clips of twelve frames, of which 1, 6 and 11 have a mask, and a clip d where all three have one."""
    for clip in "abcd":
        for step in range(12 if clip != "d" else 3):
            put(root / clip / "images" / f"{step}.jpg", picture(100 * ord(clip) + step))
        for step in (1, 6, 11) if clip != "d" else range(3):
            put(root / clip / "masks" / f"{step}.png", MASK)
    if lists:
        for split, named in (("train", "a"), ("val", "b"), ("test", "c\nd")):
            (root / f"{split}.txt").write_text(named)
    return DavisSource(root)


def module(source):
    return SegmentationDataModule(source, 0, 1, [], data_config(), NO_LIMIT)


def test_frames_without_truth_stand_before_the_next_frame_of_their_clip_in_time():
    names, of = ["a/2", "a/10", "b/1"], ["a", "a", "b"]
    others = {"a/11": "a", "a/9": "a", "a/1": "a", "b/0": "b", "c/0": "c", "a/3": "a"}
    assert unscored_before(names, of, others) == {0: ["a/1"], 1: ["a/3", "a/9"], 2: ["b/0"]}


def test_the_next_frame_without_truth_behind_a_clips_last_truth_is_known():
    names, of = ["a/2", "a/10", "b/1", "c/1"], ["a", "a", "b", "c"]
    others = {"a/12": "a", "a/11": "a", "a/9": "a", "b/0": "b", "c/2": "c", "d/0": "d"}
    assert unscored_after(names, of, others) == {1: "a/11", 3: "c/2"}


def test_the_reader_knows_it_and_it_counts_in_the_fingerprint(tmp_path):
    before = sparse(tmp_path)
    assert before.unscored_after == {}
    digests = {before.fingerprint()}
    for seed in (1, 2):
        put(tmp_path / "a" / "images" / "12.jpg", picture(seed))
        with_one = DavisSource(tmp_path)
        assert with_one.unscored_after == {2: "a/12"}
        digests.add(with_one.fingerprint())
    assert len(digests) == 3
    # nobody else is given it
    assert with_one.unscored == before.unscored


def test_the_reader_lists_them_and_they_count_in_the_fingerprint(tmp_path):
    source = sparse(tmp_path)
    assert [source.names[row] for row in source.unscored] == [f"{c}/{n}" for c in "abc" for n in (1, 6, 11)]
    assert source.unscored[1] == ["a/2", "a/3", "a/4", "a/5"]
    assert np.array_equal(source.read_unscored("a/2").shape, (HEIGHT, WIDTH, 3))
    assert any("27 frames without a mask are seen by methods that rem" in line for line in source.describe())
    before = source.fingerprint()
    put(tmp_path / "a" / "images" / "3.jpg", picture(7))
    assert DavisSource(tmp_path).fingerprint() != before
    (tmp_path / "a" / "images" / "3.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 39 images cannot be used:\n.*a/images/3\.jpg"):
        checked_hashes(source, "")


def test_only_methods_that_remember_see_them_and_nobody_scores_them(tmp_path):
    data = module(sparse(tmp_path / "data"))
    assert len(data.evaluation_dataloaders()["test"]) == 6
    loader = data.evaluation_dataloaders(remembers=True)["test"]
    assert [batch["name"][0] for batch in loader] == [
        *[f"c/{step}" for step in range(12)],
        *[f"d/{step}" for step in range(3)],
    ]
    assert ["mask" in batch for batch in loader] == ["unscored" not in batch for batch in loader]
    run = tmp_path / "run"
    counted = evaluate(Counter(), {"test": loader}, torch.device("cpu"), run)["test"]
    # a tenth for each frame before it, as the method counts
    levels = [int(np.flatnonzero(fg)[0]) for fg in counted.counts.fg]
    scored = ["c/1", "c/6", "c/11", "d/0", "d/1", "d/2"]
    assert counted.names == scored
    assert [round(10 * level / 255) for level in levels] == [1, 6, 10, 0, 1, 2]
    for part in ("alphas", "truths", "thumbs"):
        kept = sorted(p.relative_to(run / part).with_suffix("").as_posix() for p in (run / part).rglob("*.*"))
        assert kept == sorted(scored)
    frames = clips.read_frames(run)
    assert {clip: list(rows["name"]) for clip, rows in frames.items()} == {"c": scored[:3], "d": scored[3:]}
    # alphas 0.1, 0.6 and 1 of the frames that all methods have
    assert json.loads((run / "clips.json").read_text())["c"]["flicker"] == pytest.approx(0.45)


def test_a_training_is_validated_on_them_alike(tmp_path):
    data = module(sparse(tmp_path))
    assert len(data.val_dataloader()) == 3
    data.adapt(Counter())
    assert len(data.val_dataloader()) == 12
    # what is drawn of the test pictures is counted without them
    assert data.test_batch(1)["name"] == ["c/6"]
