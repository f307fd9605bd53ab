"""Other frames of its clip that a frame is scored with."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from kolbench.data.clip_frames import Frame, whole_clips
from kolbench.data.clip_references import ClipReferences, ReferenceOptions
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.base import Source
from kolbench.engine.evaluation import evaluate
from kolbench.errors import ConfigError
from kolbench.segmenter import Segmenter
from kolbench.types import EVAL_PROTOCOLS, REFERENCE, Prediction, Sample
from tests.helpers.data import NO_LIMIT, data_config

NAMES = ["p0", "c0", "c1", "c2", "c3", "c4", "v0", "t0", "t1", "d0", "d1", "d2"]
CLIPS = [name[0].replace("p", "") for name in NAMES]
SPLITS = {"train": [0], "val": [6], "test": [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]}
# before the second and third frame of d
UNSCORED = {10: ["d0+1", "d0+2"], 11: ["d1+1"]}


def level(name):
    """A grey of its own for each frame: 20 times its row, 3 more for a frame without truth after it."""
    own, _, more = name.partition("+")
    return 20 * NAMES.index(own) + 3 * int(more or 0)


class Greys(Source):
    """Frames of one grey; large: t1 is twice the size of the others."""

    def __init__(self, large=False):
        self.large = large
        super().__init__(NAMES, given_splits=SPLITS, clips=CLIPS)
        self.unscored = UNSCORED

    def read(self, index):
        size = (12, 16) if self.large and NAMES[index] == "t1" else (6, 8)
        mask = np.zeros(size, np.uint8)
        mask[:, : size[1] // 2] = 1
        return Sample(np.full((*size, 3), level(NAMES[index]), np.uint8), mask)

    def read_unscored(self, name):
        return np.full((6, 8, 3), level(name), np.uint8)

    def fingerprint(self):
        return "greys"

    def describe(self):
        return []


def references(sampling, count, seed=0):
    return ClipReferences(Greys(), ReferenceOptions(sampling, count), seed)


def names(chosen):
    return [frame.name for frame in chosen]


def test_clips_hold_their_frames_without_truth_in_time():
    found = whole_clips(NAMES, CLIPS, UNSCORED)
    assert list(found) == ["c", "v", "t", "d"]
    assert names(found["d"]) == ["d0", "d0+1", "d0+2", "d1", "d1+1", "d2"]
    assert found["d"][:2] == [Frame("d0", 9), Frame("d0+1", None)]


@pytest.mark.parametrize(
    ("clip", "count", "found"),
    [
        ("c", 3, ["c0", "c2", "c4"]),
        # 0, 1.33, 2.67, 4
        ("c", 4, ["c0", "c1", "c3", "c4"]),
        ("c", 1, ["c0"]),
        ("c", 5, ["c0", "c1", "c2", "c3", "c4"]),
        # shorter than asked for
        ("t", 5, ["t0", "t1"]),
        # 0, 2.5 (to the even one), 5
        ("d", 3, ["d0", "d0+2", "d2"]),
    ],
)
def test_even_ones_are_spread_over_the_whole_clip_and_alike_for_its_frames(clip, count, found):
    chosen = references("even", count)
    assert names(chosen.chosen(clip, f"{clip}0")) == found
    assert names(chosen.chosen(clip, f"{clip}1")) == found


def test_random_ones_follow_from_seed_clip_and_frame_and_none_comes_twice():
    chosen = references("random", 3)
    drawn = {name: names(chosen.chosen("c", name)) for name in NAMES[1:6]}
    assert drawn == {name: names(references("random", 3).chosen("c", name)) for name in NAMES[1:6]}
    assert drawn != {name: names(references("random", 3, 1).chosen("c", name)) for name in NAMES[1:6]}
    assert all(len(set(found)) == 3 for found in drawn.values())
    assert len({tuple(found) for found in drawn.values()}) > 1
    # each of five frames is among three with odds 3/5, the frame itself too
    counts = Counter(
        name for seed in range(200) for name in names(references("random", 3, seed).chosen("c", "c2"))
    )
    assert sorted(counts) == NAMES[1:6]
    assert all(90 < count < 150 for count in counts.values())
    assert sorted(names(references("random", 5).chosen("t", "t0"))) == ["t0", "t1"]


def test_pictures_of_references_have_the_size_of_the_frame():
    chosen = ClipReferences(Greys(large=True), ReferenceOptions("even", 2), 0)
    found = chosen.of("t", "t0", (6, 8))
    assert found.shape == (2, 3, 6, 8)
    assert (255 * found).round().unique().tolist() == [level("t0"), level("t1")]
    assert chosen.of("t", "t1", (12, 16)).shape == (2, 3, 12, 16)


class MeanOfReferences(Segmenter):
    """Alpha is the mean of the references."""

    input_keys = ("image", REFERENCE)

    def predict(self, *inputs):
        image, others = inputs
        return Prediction(others.mean((1, 2, 3, 4)).expand(*image[:, :1].shape[-3:])[None])


def module(sampling="even", count=3, protocol="native"):
    return SegmentationDataModule(
        Greys(),
        0,
        1,
        [],
        data_config(),
        NO_LIMIT,
        eval_protocol=protocol,
        scored_with=ReferenceOptions(sampling, count),
    )


def test_scoring_gives_each_frame_its_references_and_a_picture_itself(tmp_path):
    data = module()
    loader = data.evaluation_dataloaders()["test"]
    counted = evaluate(MeanOfReferences(), {"test": loader}, torch.device("cpu"), tmp_path / "run")["test"]
    found = {
        name: int(np.flatnonzero(fg)[0]) for name, fg in zip(counted.names, counted.counts.fg, strict=True)
    }
    means = {
        "c": (level("c0") + level("c2") + level("c4")) / 3,
        "t": (level("t0") + level("t1")) / 2,
        "d": (level("d0") + level("d0+2") + level("d2")) / 3,
    }
    assert found == {name: round(means[name[0]]) for name in counted.names}
    assert data.test_batch(0)[REFERENCE].shape == (1, 3, 3, 6, 8)
    # frames without truth have them too, where methods are given those
    whole = list(data.evaluation_dataloaders(remembers=True)["test"])
    assert [batch["name"][0] for batch in whole if "unscored" in batch] == ["d0+1", "d0+2", "d1+1"]
    assert all(batch[REFERENCE].shape[1] == (2 if batch["clip"] == ["t"] else 3) for batch in whole)


def test_a_picture_of_no_clip_is_its_own_reference():
    source = Greys()
    source.given_splits = {"train": [1], "val": [6], "test": [0]}
    data = SegmentationDataModule(
        source, 0, 1, [], data_config(), NO_LIMIT, scored_with=ReferenceOptions("random", 3)
    )
    batch: Any = data.test_batch(0)
    assert torch.equal(batch[REFERENCE], batch["image"][:, None])


def test_a_training_gives_them_in_validation_where_the_method_reads_them():
    data = module()
    assert REFERENCE in next(iter(data.val_dataloader()))
    data.adapt(Segmenter())
    assert REFERENCE not in next(iter(data.val_dataloader()))
    data.adapt(MeanOfReferences())
    assert REFERENCE in next(iter(data.val_dataloader()))


def test_references_are_seen_as_the_protocol_has_pictures():
    square = module(protocol=EVAL_PROTOCOLS[1]).test_batch(0)
    assert square[REFERENCE].shape[-2:] == square["image"].shape[-2:] != (6, 8)


def test_options_are_those_of_the_method():
    assert ReferenceOptions.of_model({}) is None
    assert ReferenceOptions.of_model({"reference_sampling": "past", "references": 5}) is None
    even = {"reference_sampling": "even", "references": 5}
    assert ReferenceOptions.of_model(even) == ReferenceOptions("even", 5)
    for wrong in ({"reference_sampling": "future"}, {**even, "references": 0}):
        with pytest.raises(ConfigError, match=r"model\.reference"):
            ReferenceOptions.of_model(wrong)
