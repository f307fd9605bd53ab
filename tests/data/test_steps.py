"""Image and video batches in turn, the same at any time."""

import pytest
import torch
from torchvision.transforms import v2

from kolbench.data.steps import ordered
from kolbench.errors import ConfigError, DataError
from kolbench.segmenter import Segmenter
from tests.data.test_video_steps import Ramps, Video, batches, module

STILL = [f"s{number}" for number in range(5)]
FLIPS = (v2.RandomHorizontalFlip(0.5),)


def still(given=None):
    return Ramps(STILL, clips=False, given=given)


def kinds(found):
    return "".join("V" if "reference" in batch else "I" for batch in found)


@pytest.mark.parametrize(("count", "order"), [(1, "IV"), (2, "IVV"), (3, "IVVIV"), (4, "IVVIVV")])
def test_an_epoch_has_n_video_and_half_as_many_image_batches(count, order):
    assert "".join(ordered("IVV", "V", count)) == order
    # MVPS with batches of 4
    assert ordered("IVV", "V", 1683).count("I") == 842


def test_batches_take_turns_and_every_epoch_begins_with_an_image_batch():
    data = module(FLIPS, still=still())
    # five frames of clips in batches of two
    for epoch in range(3):
        found = batches(data, Video(), epoch)
        assert kinds(found) == "IVV"
        assert [batch["name"][0][0] == "s" for batch in found] == [True, False, False]
        assert len(data.train_dataloader()) == 3


def test_all_pictures_of_both_come_by_and_an_epoch_follows_from_its_number():
    found = [batches(module(FLIPS, still=still()), Video(), epoch) for epoch in range(5)]
    names = [name for epoch in found for batch in epoch for name in batch["name"]]
    # ten image and twenty video pictures: each picture twice, each frame four times
    assert {names.count(name) for name in STILL} == {2}
    assert {names.count(name) for name in ("a0", "b0", "a1", "b1", "a2")} == {4}
    # each round has each picture once
    first = [name for epoch in found for batch in epoch for name in batch["name"] if name in STILL][:5]
    assert sorted(first) == STILL
    data = module(FLIPS, still=still())
    for epoch in (3, 1):
        for again, batch in zip(batches(data, Video(), epoch), found[epoch], strict=True):
            assert again["name"] == batch["name"]
            assert torch.equal(again["image"], batch["image"])


@pytest.mark.slow
def test_workers_change_no_batch():
    data, alone = module(FLIPS, still=still()), module(FLIPS, still=still())
    data.workers = 2
    for one, other in zip(batches(data, Video()), batches(alone, Video()), strict=True):
        assert one["name"] == other["name"]
        assert torch.equal(one["image"], other["image"])


def test_without_pictures_of_their_own_there_are_no_image_batches():
    assert kinds(batches(module(), Video())) == "VV"
    assert kinds(batches(module(still=still()), Segmenter())) == "II"


def test_only_pictures_for_training_are_taken():
    data = module(still=still({"train": [4, 2], "val": [0], "test": [1]}))
    found = [name for batch in batches(data, Video()) for name in batch["name"] if name in STILL]
    assert sorted(found) == ["s2", "s4"]
    assert "data.still: 2 images for image steps" in data.describe()
    assert data.fingerprint()["still"] != module(still=still()).fingerprint()["still"]
    assert "still" not in module().fingerprint()
    with pytest.raises(DataError, match=r"data\.still: its lists name no training images"):
        module(still=still({"test": [0]}))


def test_they_need_clips_beside_them_and_must_not_be_test_pictures():
    with pytest.raises(ConfigError, match=r"data\.still= gives .* the training images are of no clip"):
        module(source=Ramps(clips=False), still=still())
    # all ramps look alike
    with pytest.raises(DataError, match=r"near-duplicates across splits: .*data\.still s"):
        module(
            source=Ramps(["a0", "v0", "t0"], given={"train": [0], "val": [1], "test": [2]}), still=still()
        ).verify()
