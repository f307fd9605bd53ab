"""Portions of processes: parts of batches that joined are the batches of one process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolbench.data import portions
from kolbench.data.dataset import EpochSampler
from kolbench.data.steps import StepSampler, Stream
from kolbench.errors import ConfigError


@given(size=st.integers(4, 30), batch=st.sampled_from([2, 4]), epoch=st.integers(0, 3))
def test_parts_of_batches_are_those_of_one_process(size, batch, epoch):
    def drawn():
        sampler = EpochSampler(size, seed=5)
        sampler.set_epoch(epoch)
        return sampler

    parts = []
    for number in (0, 1):
        shared = portions.SharedBatches(EpochSampler(size, seed=5), batch, number, 2)
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
        list(portions.SharedSteps(StepSampler(("image", "video"), streams, "video", 2), number, 2))
        for number in (0, 1)
    ]
    whole = list(StepSampler(("image", "video"), streams, "video", 2))
    assert [(kind, first + second) for (kind, first), (_, second) in zip(*parts, strict=True)] == whole


@pytest.mark.parametrize(("batch", "count"), [(3, 2), (1, 2), (4, 8)])
def test_batches_that_cannot_be_shared_are_refused(batch, count):
    says = rf"{count} processes cannot share batches of {batch} equally; let it be a multiple of {count}\."
    with pytest.raises(ConfigError, match=says):
        portions.part_of(batch, count, "batches")


@pytest.mark.parametrize(("count", "batch", "size"), [(10, 4, 2), (10, 4, 3), (7, 1, 3)])
def test_rows_are_shared_in_whole_batches_where_there_are_enough(count, batch, size):
    parts = [portions.Portion(number, size).of_rows(count, batch) for number in range(size)]
    assert sorted(row for part in parts for row in part) == list(range(count))
    if count >= batch * size:
        owners = {row: number for number, part in enumerate(parts) for row in part}
        for start in range(0, count, batch):
            assert len({owners[row] for row in range(start, min(start + batch, count))}) == 1
    else:
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
