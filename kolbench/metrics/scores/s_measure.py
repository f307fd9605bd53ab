"""S-measure, from the counts of four quarters that meet at the centre of the true foreground."""

from __future__ import annotations  # so that reading run folders needs no torch

from typing import TYPE_CHECKING

import numpy as np

from kolbench.metrics.counts import LEVELS, Counts
from kolbench.metrics.parity import agreement
from kolbench.metrics.score import ExtraCounts, Score, of_counts, register
from kolbench.metrics.stretch import unstretched
from kolbench.metrics.structure import s_measure
from kolbench.metrics.wording import PICTURES
from kolbench.types import Float64Array, Int64Array

if TYPE_CHECKING:
    from torch import Tensor

# quarters from the top left to the bottom right, of each background before foreground
NAMES = tuple(
    f"quarter_{place}_{side}"
    for place in ("top_left", "top_right", "bottom_left", "bottom_right")
    for side in ("bg", "fg")
)


def count(levels: Tensor, mask: Tensor) -> Tensor:
    """(8, 256) int64 histograms in the order of `NAMES`, of levels (H, W) uint8 and mask (H, W) bool."""
    import torch

    row, column = centre(mask)
    codes = levels.short().add_(mask, alpha=LEVELS)
    quarters = (codes[:row, :column], codes[:row, column:], codes[row:, :column], codes[row:, column:])
    counted = [quarter.flatten().bincount(minlength=2 * LEVELS) for quarter in quarters]
    return torch.stack(counted).view(len(NAMES), LEVELS)


def centre(mask: Tensor) -> tuple[int, int]:
    """Where the lower and the right quarters begin: one past the rounded mean row and column of (H, W) bool.

    Halves are rounded to even; of an empty mask it is (1, 1).
    """
    import torch

    lines = [mask.byte().sum(1 - axis, dtype=torch.int32).long() for axis in (0, 1)]
    pixels = max(1, int(lines[0].sum()))
    sums = (int((line * torch.arange(len(line), device=line.device)).sum()) for line in lines)
    row, column = (round(total / pixels) + 1 for total in sums)
    return row, column


def quarters_of(counts: Counts) -> Int64Array:
    """(N, 4, 2, 256) counts of the quarters, background before foreground."""
    return np.stack([counts[name] for name in NAMES], axis=1).reshape(-1, 4, 2, LEVELS)


def _per_image(counts: Counts) -> Float64Array:
    return s_measure(quarters_of(counts), unstretched(counts.fg))


register(
    Score(
        "s_measure",
        "S-measure: half the similarity of ground truth and alpha as objects, half that of four quarters "
        "around the ground truth's centre, with alpha at 8 bits and not stretched, whatever the threshold; "
        "mean alpha where the ground truth is full, 1 less that where it is empty; "
        f"{PICTURES}{agreement('s_measure')}",
        per_image=of_counts(_per_image),
        shown=True,
        extra=ExtraCounts(NAMES, count),
        depends_on_threshold=False,
        family="saliency",
    )
)
