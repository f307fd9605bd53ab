"""Alphas of clips that are smoothed before they are scored."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from kolbench.engine.evaluation import evaluate
from kolbench.io import masks
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction
from kolbench.video.temporal.smooth import OneFrameDelay


class Levels(Segmenter):
    """The red channel is the alpha."""

    def predict(self, *inputs: torch.Tensor) -> Prediction:
        return Prediction(inputs[0][:, :1])


def frame(clip: str, name: str, level: int, unscored: bool = False) -> dict[str, object]:
    found: dict[str, object] = {
        "image": torch.full((1, 3, 6, 8), level / 255),
        "name": [name],
        "clip": [clip],
        "group": [clip],
        "tags": [""],
    }
    return {**found, "unscored": [True]} if unscored else {**found, "mask": torch.ones(1, 1, 6, 8)}


def stored(folder: Path, names: Sequence[str]) -> list[int]:
    """The one level of each stored alpha."""
    levels = [np.unique(np.asarray(masks.read_alpha(folder / "alphas" / f"{name}.png")[0])) for name in names]
    assert all(len(level) == 1 for level in levels)
    return [int(level[0]) for level in levels]


def evaluated(folder: Path, frames: list[dict[str, object]], **options: object) -> list[str]:
    scored = evaluate(Levels(), {"test": frames}, torch.device("cpu"), folder, **options)
    return scored["test"].names


def test_what_differs_for_one_frame_is_smoothed_within_its_clip_only(tmp_path: Path) -> None:
    frames = [
        frame("one", "a", 200),
        frame("one", "b", 20),
        frame("one", "c", 210),
        # were clips mixed, this first frame would be an outlier between c and e
        frame("two", "d", 20),
        frame("two", "e", 210),
        frame("", "f", 20),
        frame("", "g", 210),
    ]
    names = evaluated(tmp_path, frames, smoother=OneFrameDelay)
    assert names == list("abcdefg")
    assert stored(tmp_path, names) == [200, 205, 210, 20, 210, 20, 210]


def test_frames_without_truth_are_smoothed_with_the_others_and_not_scored(tmp_path: Path) -> None:
    frames = [frame("one", "a", 200), frame("one", "b", 20), frame("one", "c", 210, unscored=True)]
    assert evaluated(tmp_path, frames, smoother=OneFrameDelay) == ["a", "b"]
    assert stored(tmp_path, ["a", "b"]) == [200, 205]


def test_alphas_are_refined_once_before_they_are_smoothed(tmp_path: Path) -> None:
    def halved(image: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        return alpha / 2

    frames = [frame("one", "a", 200), frame("one", "b", 20), frame("one", "c", 210)]
    names = evaluated(tmp_path, frames, smoother=OneFrameDelay, refiner=halved)
    # of 102.5 the even neighbour
    assert stored(tmp_path, names) == [100, 102, 105]
