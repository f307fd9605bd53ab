"""The pieces that make a training repeatable: sampler, seeds, atomic files, store."""

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kolbench.data import augment
from kolbench.data.dataset import EpochSampler, seed_for
from kolbench.errors import ConfigError
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


def test_augmentation_depends_on_its_seed_and_leaves_the_global_generator_alone():
    transform = augment.build({"horizontal": 0.5, "vertical": 0.5, "crop": 0.7}, (32, 48))
    image = torch.arange(3 * 32 * 48).reshape(3, 32, 48).to(torch.uint8)
    masks = (image[:2] > 100).to(torch.uint8)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = [augment.apply(transform, image, masks, seed) for seed in range(12)]
    assert torch.equal(before, torch.random.get_rng_state())
    again = [augment.apply(transform, image, masks, seed) for seed in range(12)]
    for (image_a, masks_a), (image_b, masks_b) in zip(first, again, strict=True):
        assert image_a.shape == (3, 16, 32)
        assert torch.equal(image_a, image_b)
        assert torch.equal(masks_a, masks_b)
        # the mask moved with its picture
        assert torch.equal(masks_a, (image_a[:2] > 100).to(torch.uint8))
    assert len({image_a.numpy().tobytes() for image_a, _ in first}) > 4


def test_augmentation_refuses_what_it_does_not_know():
    with pytest.raises(ConfigError, match="flip"):
        augment.build({"flip": 0.5}, (8, 8))
    with pytest.raises(ConfigError, match="crop in"):
        augment.build({"crop": 0.0}, (8, 8))


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
