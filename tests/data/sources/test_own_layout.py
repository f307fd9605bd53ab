"""A data layout is one Python file and one YAML, which may stand outside of the package."""

import csv
import json

import numpy as np
import pytest

from tests.helpers.commands import kolbench

LAYOUT = '''
"""`data=stacks`: NAME.npz files, each with an image and its mask."""

import hashlib
from pathlib import Path

import numpy as np

from kolbench.data import listing
from kolbench.data.sources.base import Source
from kolbench.types import Sample


class StacksSource(Source):
    """Reads VIDEO_NUMBER.npz, each with arrays `image` and `mask`."""

    def __init__(self, root: str) -> None:
        self.files = sorted(listing.require_folder(root).glob("*.npz"))
        names = [path.stem for path in self.files]
        super().__init__(names, groups=[name.partition("_")[0] for name in names])

    def read(self, index: int) -> Sample:
        with np.load(self.files[index]) as arrays:
            return Sample(arrays["image"], arrays["mask"])

    def fingerprint(self) -> str:
        return hashlib.sha256(b"".join(path.read_bytes() for path in self.files)).hexdigest()

    def describe(self) -> list[str]:
        return [f"{len(self)} stacks"]
'''
YAML = """
defaults: [_base]
name: stacks
root: ???
source:
  _target_: own_stacks.StacksSource
  root: ${data.root}
"""
# rows of 40 that the person covers, of 30 columns; the product is not labelled
HEIGHTS = {"walk": 20, "sit": 10, "jump": 30}


@pytest.fixture
def own(tmp_path):
    """A folder with the layout, its YAML below conf/, and a set of six pictures of three videos."""
    (tmp_path / "own_stacks.py").write_text(LAYOUT)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "stacks.yaml").write_text(YAML)
    (tmp_path / "set").mkdir()
    random = np.random.default_rng(0)
    for video, height in HEIGHTS.items():
        for number in range(2):
            mask = np.zeros((40, 40), np.uint8)
            mask[:height, 5:35] = 1
            image = random.integers(0, 256, (40, 40, 3), np.uint8)
            np.savez(tmp_path / "set" / f"{video}_{number}.npz", image=image, mask=mask)
    return tmp_path


def test_a_layout_of_ones_own_is_scored(own):
    words = ["experiment=allfg", "budget=smoke", "data=stacks", "data.root=set"]
    told = kolbench("--config-dir", "conf", *words, cwd=own).stdout
    assert "6 stacks" in told
    assert "2 train / 2 val / 2 test images, disjoint by group (1 / 1 / 1 groups)" in told
    (folder,) = own.glob("runs/allfg/*/")
    with (folder / "scores.csv").open(newline="") as file:
        scored = [row for row in csv.DictReader(file) if row["split"] == "test"]
    videos = {row["name"].partition("_")[0] for row in scored}
    assert len(scored) == 2
    # everything is foreground: IoU is the share of the frame that the person covers
    (height,) = (HEIGHTS[video] for video in videos)
    assert json.loads((folder / "run.json").read_text())["scores"]["iou"] == height * 30 / 1600
