"""Images side by side: what each run of a suite makes of the same test images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from kolbench.config.compose import build_segmenter, load_yaml, located
from kolbench.config.fields import build, require_mapping
from kolbench.config.groups import ModelConfig
from kolbench.config.old_names import current_target
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.io import progress
from kolbench.io.arrays import as_arrays
from kolbench.io.images import write_png
from kolbench.io.masks import read_alpha
from kolbench.models.checkpoints.run import BEST_IN_RUN, load_into
from kolbench.runs.run_folder import CONFIG
from kolbench.segmenter import Segmenter
from kolbench.tasks import evaluation
from kolbench.tasks.scoring import PicturesConfig
from kolbench.tracking.lettering import GREY, PAPER, Text, line, shortened, width_of
from kolbench.types import Batch, UInt8Array

# one picture's batch -> (H, W, 3) uint8
Draw = Callable[[Batch], UInt8Array]
PICTURES = 4
WIDTH = 240
HEADING = 26
FONT_SIZE = 14
NAME_SIZE = 12
PADDING = 4
ORIGINAL = "image"


def write_panels(panels: Mapping[str, Sequence[str]], runs: Mapping[str, Path], folder: Path) -> list[Path]:
    """One PNG per panel: a row for each of the first test pictures, a column for each run.

    Args:
        panels: file name -> names of runs.
        runs: name -> finished run folder.
        folder: where the PNGs go.

    Returns:
        The files; panels of which no run is finished are left out.
    """
    written = []
    for panel, names in panels.items():
        there = {name: runs[name] for name in names if name in runs}
        if there:
            path = folder / f"{panel}.png"
            write_png(path, _panel(there))
            written.append(path)
    return written


def _panel(runs: Mapping[str, Path]) -> UInt8Array:
    settings = load_yaml(next(iter(runs.values())) / CONFIG)
    data = evaluation.open_data(build(PicturesConfig, settings), torch.device("cpu"))
    batches = [data.test_batch(number) for number in range(min(PICTURES, len(data.rows["test"])))]
    columns = {ORIGINAL: [as_arrays(batch["image"])[0] for batch in batches]}
    with progress.bar("drawing panels", len(runs)) as advance:
        for name, folder in runs.items():
            draw = _drawn_alpha(folder) if _is_seen_in_alpha(folder) else _drawn_by_method(folder, data)
            columns[name] = [draw(batch) for batch in batches]
            advance(1)
    return side_by_side(columns, [batch["name"][0] for batch in batches])


def _is_seen_in_alpha(folder: Path) -> bool:
    """Whether a run's method has no picture of its own, and its alphas are kept."""
    method = located(current_target(_model(folder).target))
    return method.visualize is Segmenter.visualize and (folder / "alphas").is_dir()


def _drawn_alpha(folder: Path) -> Draw:
    """What a run gave, refined where it was: the foreground on black, soft edges soft."""

    def draw(batch: Batch) -> UInt8Array:
        levels, white = read_alpha(folder / "alphas" / f"{batch['name'][0]}.png")
        image = as_arrays(batch["image"])[0]
        shown: UInt8Array = np.rint(image * (levels / white)[..., None]).astype(np.uint8)
        return shown

    return draw


def _drawn_by_method(folder: Path, data: SegmentationDataModule) -> Draw:
    """What explains a method's alpha, such as its clusters."""
    segmenter = _segmenter(folder, data)

    def draw(batch: Batch) -> UInt8Array:
        entries: Mapping[str, Any] = batch
        return segmenter.visualize(*(entries[key] for key in segmenter.input_keys))

    return draw


def _model(folder: Path) -> ModelConfig:
    return ModelConfig.from_mapping(require_mapping("model", load_yaml(folder / CONFIG)["model"]))


def _segmenter(folder: Path, data: SegmentationDataModule) -> Segmenter:
    segmenter: Segmenter = build_segmenter(_model(folder).without_backbone())
    if not (folder / BEST_IN_RUN).is_file():
        return evaluation.ready(segmenter, data).eval()
    load_into(segmenter, folder)
    return segmenter.eval()


def side_by_side(columns: Mapping[str, Sequence[UInt8Array]], names: Sequence[str]) -> UInt8Array:
    """Columns of images under their headings, each image 240 px wide above its name.

    Args:
        columns: heading -> an image for each of `names`, all columns' of the same sizes.

    Returns:
        (H, 240 N, 3) uint8.
    """
    width = WIDTH * len(columns)
    rows = [np.concatenate([_heading(heading) for heading in columns], axis=1)]
    for number, name in enumerate(names):
        rows.append(np.concatenate([_scaled(images[number]) for images in columns.values()], axis=1))
        rows.append(line([Text(name, NAME_SIZE, GREY)], width))
    return np.concatenate(rows)


def _heading(words: str) -> UInt8Array:
    """The words in the middle of a column, shortened where they are too long."""
    heading = np.full((HEADING, WIDTH, 3), PAPER, np.uint8)
    text = shortened(Text(words, FONT_SIZE, bold=True), WIDTH - 2 * PADDING)
    drawn = line([text], width_of(text))
    top, left = (HEADING - drawn.shape[0]) // 2, (WIDTH - drawn.shape[1]) // 2
    heading[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return heading


def _scaled(image: UInt8Array) -> UInt8Array:
    size = (WIDTH, max(1, round(image.shape[0] * WIDTH / image.shape[1])))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
