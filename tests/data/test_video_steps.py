"""Training batches of frames of clips, each with the first frame of its clip."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from kolbench.data.clip_frames import first_frames
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.base import Source
from kolbench.data.transforms import ScaleAndShift
from kolbench.segmenter import Segmenter
from kolbench.types import IMAGE_STEP, VIDEO_STEP, Sample
from tests.helpers.data import NO_LIMIT, data_config

SIZE = 32
NAMES = ["a0", "b0", "a1", "b1", "a2", "v0", "t0"]
SPLITS = {"train": [0, 1, 2, 3, 4], "val": [5], "test": [6]}


class Ramps(Source):
    """Red is the row, green the column, blue the number; the mask is all but the left half."""

    def __init__(self, names=NAMES, clips=True, given=SPLITS):
        super().__init__(names, given_splits=given, clips=[name[0] for name in names] if clips else None)

    def read(self, index):
        y, x = np.mgrid[:SIZE, :SIZE]
        image = np.stack([7 * y, 7 * x, np.full_like(x, 20 * index)], axis=-1).astype(np.uint8)
        return Sample(image, (x >= SIZE // 2).astype(np.uint8))

    def fingerprint(self):
        return f"ramps {self.names}"

    def describe(self):
        return []


class Video(Segmenter):
    """Has video steps."""

    training_steps = (IMAGE_STEP, VIDEO_STEP, VIDEO_STEP)


def batches(data, method, epoch=0):
    data.adapt(method)
    data.cache_samples(lambda height, width: (SIZE, SIZE))
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def module(steps=(), source=None, **more):
    return SegmentationDataModule(source or Ramps(), 0, 2, list(steps), data_config(), NO_LIMIT, **more)


def number(pictures):
    return [round(255 * float(blue.max()) / 20) for blue in pictures[:, 2]]


def test_the_first_frame_of_each_clip_is_that_of_the_pictures_given():
    clips = ["a", "b", "a", "", "b"]
    assert first_frames([4, 2, 3, 0], clips) == [0, 3, 2, 3]
    assert first_frames([0, 1, 2, 4], clips) == [0, 1, 0, 1]


def test_each_frame_comes_with_the_first_of_its_clip():
    seen = {}
    for batch in batches(module(), Video()):
        seen |= dict(zip(batch["name"], number(batch["reference"]), strict=True))
        assert number(batch["image"]) == [NAMES.index(name) for name in batch["name"]]
        assert batch["reference_mask"].shape == (2, 1, SIZE, SIZE)
    assert len(seen) == 4
    assert all(first == {"a": 0, "b": 1}[name[0]] for name, first in seen.items())


@pytest.mark.parametrize(
    "steps",
    [
        [v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)],
        [v2.RandomResizedCrop((SIZE, SIZE), scale=(0.3, 0.6)), v2.RandomHorizontalFlip(0.5)],
        [ScaleAndShift(), v2.ColorJitter(brightness=0.3)],
    ],
)
def test_one_draw_moves_frame_reference_and_both_masks(steps):
    moved = set()
    for epoch in range(3):
        for batch in batches(module(steps), Video(), epoch):
            # red and green say where a pixel came from
            assert torch.equal(batch["image"][:, :2], batch["reference"][:, :2])
            assert torch.equal(batch["mask"], batch["reference_mask"])
            moved |= {float(red[0, 0]) for red in batch["image"][:, 0]}
    assert len(moved) > 1


def test_the_frame_itself_is_drawn_as_without_a_reference():
    flips = [v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)]
    for video, single in zip(
        batches(module(flips), Video()), batches(module(flips), Segmenter()), strict=True
    ):
        assert video.keys() - single.keys() == {"reference", "reference_mask"}
        assert all(
            torch.equal(video[key], single[key])
            if isinstance(single[key], torch.Tensor)
            else video[key] == single[key]
            for key in single
        )


def test_pictures_of_no_clip_have_none_and_a_subset_takes_no_frame_from_outside():
    assert all("reference" not in batch for batch in batches(module(source=Ramps(clips=False)), Video()))
    given = {**SPLITS, "train": [1, 2, 3, 4]}
    found = [
        n for batch in batches(module(source=Ramps(given=given)), Video()) for n in number(batch["reference"])
    ]
    assert set(found) == {1, 2}
