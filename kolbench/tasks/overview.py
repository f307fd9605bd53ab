"""Test images to look at: chosen by rule, never by hand."""

from pathlib import Path

import numpy as np
from PIL import Image

from kolbench.data.datamodule import SegmentationDataModule
from kolbench.metrics import scores
from kolbench.metrics.counts import ImageCounts
from kolbench.runs.method_names import shown_name
from kolbench.tracking.overlay import Heading, Overlay
from kolbench.types import Float64Array

PICTURES = 6


def spread(values: Float64Array, count: int = PICTURES) -> list[int]:
    """Indices of the worst, the best, and evenly spaced ranks between them, worst first."""
    order = np.argsort(values, kind="stable")
    ranks = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [int(order[rank]) for rank in ranks]


def heading_of(method: str, beside: str, shown: int, test: ImageCounts, threshold: float) -> Heading:
    """What an overview says above its images.

    Args:
        method: its key. beside: what else tells the run apart. shown: how many images there are of `test`.
    """
    iou = scores.image_scores(test.counts, threshold)["iou"]
    count = len(iou)
    mean = f"; mean of all {count}: {iou.mean():.3f}" if count > 2 else ""
    return Heading(
        shown_name(method),
        beside if shown_name(method) == method else f"{method} · {beside}",
        (
            f"{_chosen(shown, count)}. IoU of the foreground, alpha cut at threshold {threshold:.2f}{mean}.",
            "Left: image with the outline of the ground truth. Right: prediction, errors coloured.",
        ),
    )


def _chosen(shown: int, count: int) -> str:
    """Which images these are."""
    if count == 1:
        return "The test image"
    if shown == count:
        return f"{'Both' if count == 2 else f'All {count}'} test images, from worst to best"
    return f"{shown} of {count} test images at evenly spaced ranks, from worst to best"


def overlays(
    data: SegmentationDataModule, test: ImageCounts, alphas: Path, threshold: float
) -> list[Overlay]:
    """The test images at evenly spaced ranks of foreground IoU, with ground truth and prediction."""
    iou = scores.image_scores(test.counts, threshold)["iou"]
    numbers = {data.source.names[index]: number for number, index in enumerate(data.evaluated_rows()["test"])}
    cutoff = scores.cutoff_level(threshold)
    found = []
    for row in spread(iou):
        name = test.names[row]
        picture = data.test_picture(numbers[name])
        level = np.asarray(Image.open(alphas / f"{name}.png"), np.uint8)
        found.append(
            Overlay(
                name=name,
                image=picture.image,
                truth=picture.mask,
                prediction=(level > cutoff).astype(np.uint8),
                alpha=(level / 255).astype(np.float32),
                iou=float(iou[row]),
            )
        )
    return found
