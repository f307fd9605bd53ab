"""Test pictures to look at: chosen by rule, never by hand."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from kolbench.data.datamodule import SegmentationDataModule
from kolbench.metrics import scores
from kolbench.metrics.counts import ImageCounts
from kolbench.tracking.overlay import Overlay
from kolbench.types import Float64Array, UInt8Array

PICTURES = 6


def spread(values: Float64Array, count: int = PICTURES) -> list[int]:
    """Indices of the worst, the best, and evenly spaced ranks between them, worst first."""
    order = np.argsort(values, kind="stable")
    ranks = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [int(order[rank]) for rank in ranks]


def contact_sheet(pictures: Sequence[UInt8Array], columns: int = 2, width: int = 640) -> UInt8Array:
    """Pictures of any sizes in rows, each brought to one width; (H, W, 3) uint8."""
    scaled = [cv2.resize(p, (width, max(1, round(p.shape[0] * width / p.shape[1])))) for p in pictures]
    rows = [scaled[first : first + columns] for first in range(0, len(scaled), columns)]
    height = [max(picture.shape[0] for picture in row) for row in rows]
    sheet = np.full((sum(height), width * min(columns, len(scaled)), 3), 255, np.uint8)
    top = 0
    for row, tall in zip(rows, height, strict=True):
        for column, picture in enumerate(row):
            sheet[top : top + picture.shape[0], column * width : (column + 1) * width] = picture
        top += tall
    return sheet


def overlays(
    data: SegmentationDataModule, test: ImageCounts, alphas: Path, threshold: float
) -> list[Overlay]:
    """The test pictures at evenly spaced ranks of foreground IoU, with truth and prediction."""
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
                caption=f"{name}: IoU {iou[row]:.3f}",
            )
        )
    return found
