"""State that a method carries from frame to frame of a clip, and never further."""

import json
import weakref

import numpy as np
import pytest
import torch

from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.dataset import EvaluationSet, clips_in_time, collate
from kolbench.data.sources.base import Source
from kolbench.engine.callbacks.clip_scores import ClipScoreCallback
from kolbench.engine.evaluation import evaluate
from kolbench.errors import DataError
from kolbench.inference.apply.pipeline import _in_shots, _with_cuts
from kolbench.inference.predictor import Predictor
from kolbench.runs import clips
from kolbench.segmenter import Clip, Segmenter
from kolbench.tasks.overview import overlays
from kolbench.types import Prediction, Sample
from kolbench.video.frame import Frame
from kolbench.video.temporal.cuts import Shots
from tests.helpers.clips import two_views
from tests.helpers.data import NO_LIMIT, data_config
from tests.helpers.sources import NamesOnly
from tests.helpers.stateful import Counter

FRAME = np.zeros((4, 6, 3), np.uint8)


class Clips(Source):
    """Pictures of one level, their number; the clip is the letter that a name begins with, "" for x."""

    def __init__(self, names):
        super().__init__(names, clips=["" if name[0] == "x" else name[0] for name in names])

    def read(self, index):
        return Sample(FRAME + np.uint8(index), np.zeros(FRAME.shape[:2], np.uint8))

    def fingerprint(self):
        return ""

    def describe(self):
        return []


class Plain(Segmenter):
    """Alpha 0.25; takes no state."""

    def predict(self, *inputs):
        return Prediction(torch.full((1, 1, *inputs[0].shape[-2:]), 0.25))


def counts(segment, frames=3):
    return [round(10 * float(segment(FRAME).max())) for _ in range(frames)]


def test_a_clip_hands_the_state_on_and_a_picture_has_none():
    method = Counter().train()
    assert counts(method.segment) == [0, 0, 0]
    first, second = Clip(method), Clip(method)
    assert counts(first.segment) == [0, 1, 2]
    assert counts(second.segment, 2) == [0, 1]
    assert counts(first.segment, 1) == [3]
    assert method.training
    assert Clip(Plain()).segment(FRAME).max() == 0.25


def loaded(names, rows, workers):
    return torch.utils.data.DataLoader(
        EvaluationSet(Clips(names), rows), batch_size=1, num_workers=workers, collate_fn=collate
    )


def levels_of(method, *loaders):
    """Name -> tenths of alpha of one evaluation."""
    scored = evaluate(method, {str(i): each for i, each in enumerate(loaders)}, torch.device("cpu"))
    return [
        {
            name: round(10 * int(np.flatnonzero(bg)[0]) / 255)
            for name, bg in zip(p.names, p.counts.bg, strict=True)
        }
        for p in scored.values()
    ]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_evaluation_walks_each_clip_in_time_whatever_the_order_of_the_rows(workers):
    names = ["a0", "b0", "a1", "x0", "b1", "a2", "x1"]
    expected = {"a0": 0, "a1": 1, "a2": 2, "b0": 0, "b1": 1, "x0": 0, "x1": 0}
    for rows in ([0, 1, 2, 3, 4, 5, 6], [5, 6, 4, 1, 3, 2, 0]):
        (found,) = levels_of(Counter(), loaded(names, rows, workers))
        assert found == expected


def test_a_clip_alone_equals_the_same_clip_among_others():
    names = ["a0", "a1", "b0", "b1", "b2"]
    (together,) = levels_of(Counter(), loaded(names, range(5), 0))
    (alone,) = levels_of(Counter(), loaded(names, [2, 3, 4], 0))
    assert alone == {name: together[name] for name in alone}


def test_a_clip_that_ends_one_loader_begins_anew_in_the_next_and_in_the_next_evaluation():
    method = Counter()
    expected = [{"a0": 0, "a1": 1}, {"a1": 0}]
    for _ in range(2):
        assert levels_of(method, loaded(["a0", "a1"], [0, 1], 0), loaded(["a0", "a1"], [1], 0)) == expected


def test_the_flicker_of_each_clip_is_kept_and_pictures_of_none_have_none(tmp_path):
    loader = loaded(["a0", "a1", "x0", "b0", "a2"], range(5), 0)
    evaluate(Counter(), {"test": loader}, torch.device("cpu"), tmp_path)
    found = json.loads((tmp_path / "clips.json").read_text())
    # alphas 0, 0.1, 0.2 of truths that stay empty; one frame of b
    assert found.keys() == {"a", "b"}
    assert found["a"]["pictures"] == ["a0", "a1", "a2"]
    assert found["a"]["flicker"] == pytest.approx(0.1)
    assert found["a"]["true_flicker"] == 0
    frames = clips.read_frames(tmp_path)
    assert {clip: list(rows["name"]) for clip, rows in frames.items()} == {
        clip: found[clip]["pictures"] for clip in "ab"
    }
    # nothing is foreground in either; the first frame of b is not compared with the last of a
    assert list(frames["a"]["j"]) == list(frames["a"]["f"]) == [1, 1, 1]
    assert list(frames["a"]["dtssd"]) == pytest.approx([np.nan, 10, 10], nan_ok=True)
    assert list(frames["b"]["flicker_mad"]) == pytest.approx([np.nan], nan_ok=True)
    # no edge, and in b no pair
    assert found["a"]["border_flicker"] is None
    assert found["b"].pop("pictures") == ["b0"]
    assert set(found["b"].values()) == {None}
    evaluate(Counter(), {"test": loaded(["x0"], [0], 0)}, torch.device("cpu"), tmp_path / "none")
    assert not list((tmp_path / "none").glob("clips.*"))
    assert clips.read(tmp_path / "none") == {}


def test_a_true_alpha_is_what_changes_are_compared_with(tmp_path):
    callback = ClipScoreCallback(tmp_path, 0)
    levels = torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.25, 1.0]])[:, None, None]
    batch = {"clip": ["a", "a"], "name": ["a0", "a1"], "mask": (levels >= 0.5).float(), "matte": levels}
    callback.on_test_batch_end(None, None, {"alpha": levels}, batch, 0)
    callback.on_test_end(None, None)
    (frames,) = clips.read_frames(tmp_path).values()
    # pixels whose truth is between 0 and 1 are there, and alpha changes as they do
    assert list(frames["messddt"]) == pytest.approx([np.nan, 0], nan_ok=True)
    assert list(frames["dtssd"]) == pytest.approx([np.nan, 0], nan_ok=True)
    assert json.loads((tmp_path / "clips.json").read_text())["a"]["true_flicker"] == pytest.approx(0.25 / 3)


def test_no_more_than_two_frames_of_a_clip_are_kept(tmp_path):
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    class Watching(Plain):
        def predict(self, *inputs):
            nonlocal most
            made = torch.full((1, 1, *inputs[0].shape[-2:]), 0.25)
            alive.append(weakref.ref(made.untyped_storage()))
            most = max(most, sum(ref() is not None for ref in alive))
            return Prediction(made)

    names = [f"a{number}" for number in range(30)]
    evaluate(Watching(), {"test": loaded(names, range(30), 0)}, torch.device("cpu"), tmp_path)
    assert len(clips.read_frames(tmp_path)["a"]) == 30
    assert most <= 3


def test_frames_stand_together_in_time_and_all_else_where_it_was():
    of = ["", "a", "b", "a", "", "b"]
    assert clips_in_time([5, 4, 3, 2, 1, 0], of) == [2, 5, 4, 1, 3, 0]
    assert clips_in_time([4, 0], of) == [4, 0]


def test_pictures_of_interleaved_clips_are_drawn_as_themselves(tmp_path):
    names = ["a0", "b0", "a1", "b1"]
    data = SegmentationDataModule(Clips(names), 0, 1, [], data_config(split="test"), NO_LIMIT)
    loaders = {"test": data.evaluation_dataloaders()["test"]}
    counted = evaluate(Counter(), loaders, torch.device("cpu"), tmp_path)["test"]
    assert counted.names == ["a0", "a1", "b0", "b1"]
    found = overlays(data, counted, tmp_path / "alphas", 0.5)
    shown = {overlay.name: int(overlay.image[0, 0, 0]) for overlay in found}
    assert shown == {name: number for number, name in enumerate(names)}


def test_one_clip_for_each_picture_is_asked_for():
    with pytest.raises(DataError, match="NamesOnly: 2 names but 1 clips; give one for each name"):
        NamesOnly(["one", "two"], clips=["a"])


def test_a_cut_and_a_seek_reset_the_state_of_a_video_and_so_does_the_next_video():
    predictor = Predictor(Counter()).for_clip()
    one, two = two_views()
    seen = [(one, 0.0), (one, 0.1), (two, 0.2), (two, 0.3), (two, 0.1), (two, 0.2)]
    video = [Frame(image, 0, seconds) for image, seconds in seen]
    for _ in range(2):
        found = list(predictor.each(_in_shots(_with_cuts(video, Shots()), predictor)))
        assert [is_cut for (_, is_cut), _, _ in found] == [False, False, True, False, True, False]
        assert [round(10 * float(np.max(alpha))) for _, _, alpha in found] == [0, 1, 0, 1, 0, 1]
    # pictures of the same command are no frames
    assert counts(Predictor(Counter())) == [0, 0, 0]
