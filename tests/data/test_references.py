"""Which other frame of its clip a frame is trained with."""

from collections import Counter

import pytest
import torch
from torchvision.transforms import v2

from kolbench.data.clip_frames import clip_mates, random_frame
from kolbench.data.references import FirstFrames, RandomFrames, Reference
from kolbench.segmenter import Segmenter
from kolbench.types import RANDOM_REFERENCE, VIDEO_STEP
from tests.data.test_video_steps import NAMES, batches, module, number

CLIPS = ["a", "b", "a", "", "b", "a"]


class AnyFrame(Segmenter):
    """Is trained with any other frame of the clip."""

    training_steps = (VIDEO_STEP,)
    training_reference = RANDOM_REFERENCE


def test_mates_are_the_frames_of_the_same_clip_among_the_pictures_given():
    assert clip_mates([0, 5, 1, 3], CLIPS) == [[0, 1], [0, 1], [2], [3]]
    # in time, however the pictures are ordered
    assert clip_mates([5, 2, 0], CLIPS) == [[2, 1, 0]] * 3


@pytest.mark.parametrize(
    ("draw", "found"),
    [
        (1, 20),
        (2, 30),
        # the frame itself, and again: 3 = 0 mod 3, then 3 // 3 = 1; 0 stays
        (3, 20),
        (0, 10),
    ],
)
def test_a_frame_is_drawn_once_more_where_it_is_the_frame_itself(draw, found):
    assert random_frame([10, 20, 30], 10, draw) == found


def test_the_first_frame_goes_through_the_changes_of_the_frame():
    chosen = FirstFrames([0, 2, 5, 1], CLIPS)
    assert [chosen.of(7, row) for row in range(4)] == [*[Reference(0, None)] * 3, Reference(3, None)]


def test_any_frame_follows_from_seed_round_and_row_alone():
    rows = [0, 2, 5, 1, 3]
    chosen = RandomFrames(rows, CLIPS, 3)
    drawn = [[chosen.of(turn, row) for row in range(5)] for turn in range(200)]
    again = RandomFrames(rows, CLIPS, 3)
    assert drawn[5] == [again.of(5, row) for row in range(5)]
    assert drawn[5] != [RandomFrames(rows, CLIPS, 4).of(5, row) for row in range(5)]
    # a clip of three: itself once in nine, the others alike
    found = Counter(each[0].row for each in drawn)
    assert set(found) == {0, 1, 2}
    assert found[0] < 50 < min(found[1], found[2])
    # alone among the pictures, and of no clip
    assert {each[3].row for each in drawn} == {3}
    assert {each[4].row for each in drawn} == {4}
    # changes of its own, drawn anew each time
    assert len({each[0].draw for each in drawn}) == 200


def test_batches_hold_any_frame_of_the_clip_and_repeat():
    seen = Counter()
    for epoch in range(8):
        first = batches(module(), AnyFrame(), epoch)
        for one, other in zip(first, batches(module(), AnyFrame(), epoch), strict=True):
            assert torch.equal(one["reference"], other["reference"])
        for batch in first:
            pairs = zip(batch["name"], number(batch["reference"]), strict=True)
            seen.update((name, NAMES[row]) for name, row in pairs)
    assert all(name[0] == other[0] for name, other in seen)
    assert {other for name, other in seen if name == "a1"} >= {"a0", "a2"}
    assert {other for name, other in seen if name == "b0"} >= {"b1"}


def test_the_frame_and_its_reference_are_changed_each_by_itself():
    steps = [v2.RandomHorizontalFlip(0.5)]
    found = set()
    for epoch in range(6):
        for batch in batches(module(steps), AnyFrame(), epoch):
            # green says where a column came from, and the mask goes with it
            flipped = [batch[key][:, 1, 0, 0] > 0 for key in ("image", "reference")]
            for key, turned in zip(("mask", "reference_mask"), flipped, strict=True):
                assert torch.equal(batch[key][:, 0, 0, 0] > 0, turned)
            found |= set(zip(*(turned.tolist() for turned in flipped), strict=True))
    assert found == {(one, other) for one in (False, True) for other in (False, True)}
