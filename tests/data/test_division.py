"""Shares of processes: blocks that joined are all, parts of batches that joined are the batches of one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolbench.data import division
from kolbench.data.dataset import EpochSampler
from kolbench.data.steps import StepSampler, Stream
from kolbench.errors import ConfigError


@given(
    clips=st.lists(st.tuples(st.booleans(), st.integers(1, 6)), min_size=1, max_size=12),
    count=st.integers(1, 5),
)
def test_blocks_are_all_items_and_cut_no_clip(clips, count):
    together = [
        f"clip{number}" if whole else "" for number, (whole, size) in enumerate(clips) for _ in range(size)
    ]
    items = list(range(len(together)))
    blocks = [division.block(items, together, number, count) for number in range(count)]
    assert list(itertools.chain(*blocks)) == items
    owners = {item: number for number, block in enumerate(blocks) for item in block}
    for clip in set(together) - {""}:
        assert len({owners[item] for item in items if together[item] == clip}) == 1


def test_blocks_of_single_pictures_differ_by_one():
    sizes = [len(division.block(range(10), [""] * 10, number, 4)) for number in range(4)]
    assert sorted(sizes) == [2, 2, 3, 3]


@given(size=st.integers(4, 30), batch=st.sampled_from([2, 4]), epoch=st.integers(0, 3))
def test_parts_of_batches_are_those_of_one_process(size, batch, epoch):
    def drawn():
        sampler = EpochSampler(size, seed=5)
        sampler.set_epoch(epoch)
        return sampler

    parts = []
    for number in (0, 1):
        shared = division.SharedBatches(EpochSampler(size, seed=5), batch, number, 2)
        shared.set_epoch(epoch)
        parts.append(list(shared))
        assert len(shared) == len(parts[-1])
    half = batch // 2
    steps = [
        [*parts[0][start : start + half], *parts[1][start : start + half]]
        for start in range(0, len(parts[0]), half)
    ]
    whole = list(drawn())
    assert steps == [whole[start : start + batch] for start in range(0, len(whole) - batch + 1, batch)]


def test_parts_of_steps_keep_the_kinds_in_turn():
    streams = {"video": Stream(8, 4, 1), "image": Stream(6, 2, 2)}
    parts = [
        list(division.SharedSteps(StepSampler(("image", "video"), streams, "video", 2), number, 2))
        for number in (0, 1)
    ]
    whole = list(StepSampler(("image", "video"), streams, "video", 2))
    assert [(kind, first + second) for (kind, first), (_, second) in zip(*parts, strict=True)] == whole


@pytest.mark.parametrize(("batch", "count"), [(3, 2), (1, 2), (4, 8)])
def test_batches_that_cannot_be_shared_are_refused(batch, count):
    says = rf"{count} processes cannot share batches of {batch} equally; let it be a multiple of {count}\."
    with pytest.raises(ConfigError, match=says):
        division.share(batch, count, "batches")
