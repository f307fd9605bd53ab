"""Optical flow between frames: golden colours and motions, shots, and what is kept of a source's clips."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from kolbench.data import augment
from kolbench.data.clip_flow import ClipFlow
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.flow import FlowOptions, ShotFlow, drawn, motion, small_grey
from kolbench.data.sources.base import Source
from kolbench.segmenter import Segmenter
from kolbench.types import Sample
from tests.helpers.data import NO_LIMIT, data_config

ROW = np.array([[(1, 0), (0, 1), (-1, 0), (0, -1), (0, 0), (0.5, 0.5), (-0.25, 0.1)]], np.float32)
COLOURS = [
    [255, 0, 0],
    [255, 229, 0],
    [0, 209, 255],
    [88, 0, 255],
    [255, 255, 255],
    [255, 155, 74],
    [186, 255, 233],
]
HEIGHT, WIDTH = 128, 160


@pytest.mark.parametrize("factor", [1, 10])
def test_golden_colours(factor):
    assert drawn(factor * ROW, FlowOptions())[0].tolist() == COLOURS


def test_a_floor_keeps_small_motions_pale():
    pale = drawn(ROW / 100, FlowOptions(floor=0.5))
    assert pale.min() >= 249
    assert drawn(ROW / 100, FlowOptions())[0].tolist() == COLOURS


def test_vectors_are_shares_of_the_largest():
    found = drawn(np.array([[(2, 0), (0, -4)]], np.float32), FlowOptions(form="uv"))
    assert found[0].tolist() == [[191, 128, 127], [128, 0, 255]]


def textured() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def test_golden_motions():
    still = textured()
    for shift, axis, expected in ((3, 1, (3, 0)), (2, 0, (0, 2))):
        found = motion(still, np.roll(still, shift, axis))
        assert np.median(found, axis=(0, 1)) == pytest.approx(expected, abs=0.01)
    assert not motion(still, still).any()
    assert not motion(still[:8], still[:8]).any()


def test_frames_are_made_small_by_their_shorter_side():
    assert small_grey(np.zeros((100, 300, 3), np.uint8), 50).shape == (50, 150)
    assert small_grey(np.zeros((20, 30, 3), np.uint8), 50).shape == (20, 30)


def frame(shift: int) -> np.ndarray:
    return np.repeat(np.roll(textured(), shift, 1)[..., None], 3, 2)


def test_the_last_frame_of_a_shot_moves_as_the_one_before_turned_round():
    shot, options = ShotFlow(FlowOptions()), FlowOptions()
    assert shot.push(frame(0)) is None
    pictures = [shot.push(frame(3)), shot.push(frame(6)), shot.end()]
    flows = [motion(small_grey(frame(a), 256), small_grey(frame(a + 3), 256)) for a in (0, 3)]
    for found, flow in zip(pictures, [*flows, -flows[1]], strict=True):
        assert np.array_equal(found, drawn(flow, options))
    # a shot of one frame
    assert shot.push(frame(0)) is None
    assert (shot.end() == 255).all()


class Clips(Source):
    """Frames a0 to a3 move by 3 px each, a1 has no truth; p is of no clip; b0 is alone in its clip."""

    def __init__(self):
        self.reads = 0
        names = ["a/0", "a/2", "a/3", "b/0", "p"]
        splits = {"train": [0, 1, 2], "val": [3], "test": [4]}
        super().__init__(names, clips=["a", "a", "a", "b", ""], given_splits=splits)
        self.unscored = {1: ["a/1"]}

    def read(self, index):
        self.reads += 1
        number = int(self.names[index][-1]) if "/" in self.names[index] else 0
        return Sample(frame(3 * number), (textured() > 128).astype(np.uint8))

    def read_unscored(self, name):
        return frame(3 * int(name[-1]))

    def fingerprint(self):
        return "clips"

    def describe(self):
        return []


def test_flow_is_found_once_for_whole_clips(tmp_path):
    source = Clips()
    found = ClipFlow(source, FlowOptions(), tmp_path)
    found.prepare([0, 4])
    read = source.reads
    assert read == 3
    ClipFlow(source, FlowOptions(), tmp_path).prepare([1, 2])
    assert source.reads == read
    # other options are other pictures
    ClipFlow(source, FlowOptions(size=64), tmp_path).prepare([0])
    assert source.reads == 2 * read
    flow = motion(small_grey(frame(0), 256), small_grey(frame(3), 256))
    picture = torch.from_numpy(drawn(flow, FlowOptions())).permute(2, 0, 1)
    assert torch.equal(found.of(0, (HEIGHT, WIDTH)), picture)
    assert found.of_unscored("a/1", (64, 80)).shape == (3, 64, 80)
    assert (found.of(4, (20, 30)) == 255).all()
    assert not list(tmp_path.rglob("*.partial"))


def test_the_frame_behind_the_last_truth_is_a_neighbour(tmp_path):
    source = Clips()
    source.unscored_after = {2: "a/4"}
    found = ClipFlow(source, FlowOptions(), tmp_path)
    found.prepare([0])
    flow = motion(small_grey(frame(9), 256), small_grey(frame(12), 256))
    picture = torch.from_numpy(drawn(flow, FlowOptions())).permute(2, 0, 1)
    assert torch.equal(found.of(2, (HEIGHT, WIDTH)), picture)


class Moving(Segmenter):
    input_keys = ("image", "flow")


def test_loaders_give_flow_that_moves_with_its_picture(tmp_path):
    source = Clips()
    flow = ClipFlow(source, FlowOptions(), tmp_path)
    steps = [v2.RandomHorizontalFlip(1), v2.ColorJitter(0.9)]
    data = SegmentationDataModule(source, 0, 3, steps, data_config(), NO_LIMIT, flow=flow)
    data.adapt(Moving())
    data.cache_samples(lambda height, width: (HEIGHT, WIDTH))
    (batch,) = data.train_dataloader()
    for name, found in zip(batch["name"], batch["flow"], strict=True):
        expected = flow.of(source.names.index(name), (HEIGHT, WIDTH)).float() / 255
        torch.testing.assert_close(found, expected.flip(2))
    assert not torch.equal(batch["flow"][0], torch.ones_like(batch["flow"][0]))
    loaders = data.evaluation_dataloaders()
    assert (next(iter(loaders["test"]))["flow"] == 1).all()
    assert next(iter(loaders["val"]))["flow"].shape == (1, 3, HEIGHT, WIDTH)


def test_one_test_picture_has_its_flow_without_the_loaders(tmp_path):
    source = Clips()
    source.given_splits = {"train": [3], "val": [4], "test": [0, 1, 2]}
    flow = ClipFlow(source, FlowOptions(), tmp_path)
    data = SegmentationDataModule(source, 0, 1, [], data_config(), NO_LIMIT, flow=flow)
    assert torch.equal(data.test_batch(1)["flow"][0], flow.of(1, (HEIGHT, WIDTH)) / 255)


def test_where_a_flow_picture_ends_nothing_moves():
    grey = torch.zeros(3, 40, 40, dtype=torch.uint8)
    mask = torch.zeros(1, 40, 40, dtype=torch.uint8)
    turn = v2.RandomAffine(degrees=(45, 45))
    layers, _ = augment.apply(turn, grey, mask, 0, flow=torch.full((3, 40, 40), 10, dtype=torch.uint8))
    assert layers["flow"][:, 0, 0].tolist() == [255, 255, 255]
    assert layers["flow"][:, 20, 20].tolist() == [10, 10, 10]
    assert layers["image"][:, 0, 0].tolist() == [0, 0, 0]
