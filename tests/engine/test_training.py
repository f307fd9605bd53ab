"""The pieces that make a training repeatable: sampler, seeds, atomic files, store."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolbench.data.dataset import EpochSampler, seed_for
from kolbench.io import files


@given(size=st.integers(1, 40), count=st.integers(1, 100), epochs=st.integers(1, 4))
def test_sampler_walks_one_stream_of_shuffled_rounds(size, count, epochs):
    sampler = EpochSampler(size, seed=3, count=count)
    drawn = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        drawn += list(sampler)
    assert len(drawn) == epochs * count
    assert [round_number for round_number, _ in drawn] == [p // size for p in range(epochs * count)]
    full_rounds = len(drawn) // size
    for number in range(full_rounds):
        rows = [row for round_number, row in drawn if round_number == number]
        assert sorted(rows) == list(range(size))


def test_sampler_order_depends_on_seed_and_epoch_only():
    def order(seed, epoch):
        sampler = EpochSampler(20, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert [row for _, row in order(1, 2)] != [row for _, row in order(2, 2)]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half(partial):
        partial.write_text("ne")
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(path, half)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_seed_for_tells_all_its_parts_apart():
    assert seed_for(1, "a") == seed_for(1, "a")
    assert len({seed_for(1, "a"), seed_for("1", "a"), seed_for(1, "b"), seed_for(1, "a", 0)}) == 4
