"""What scoring leaves of a picture: three histograms, from which every score follows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kolbench.metrics import scores
from kolbench.types import Int64Array


@dataclass
class ImageCounts:
    """Counts of N pictures of one split, in the order they were seen.

    fg, bg, product: per picture, 256 counts of its foreground, background and product pixels at each
    8-bit level of alpha. seconds: of the method on each picture. sizes: (height, width) in pixels.
    notes: what the method says went differently on a picture (`fallback`), else "".
    """

    split: str
    names: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fg: list[Int64Array] = field(default_factory=list)
    bg: list[Int64Array] = field(default_factory=list)
    product: list[Int64Array] = field(default_factory=list)

    def histograms(self) -> tuple[Int64Array, Int64Array, Int64Array]:
        """fg, bg and product as (N, 256) int64."""
        empty = np.zeros((0, 256), np.int64)
        fg, bg, product = (np.stack(rows) if rows else empty for rows in (self.fg, self.bg, self.product))
        return fg, bg, product

    def best_threshold(self) -> float:
        """The threshold of the highest mean mIoU on these pictures."""
        fg, bg, _ = self.histograms()
        return scores.best_threshold(fg, bg)

    def mean_scores(self, threshold: float) -> dict[str, float]:
        """All scores at a threshold."""
        return scores.mean_scores(*self.histograms(), threshold)

    def image_rows(self, threshold: float) -> dict[str, Sequence[Any]]:
        """Columns of the per-picture table: identity, size, seconds, scores at `threshold` and 0.1 to 0.9."""
        counts = self.histograms()
        columns: dict[str, Sequence[Any]] = {
            "split": [self.split] * len(self.names),
            "name": self.names,
            "group": self.groups,
            "tags": self.tags,
            "height": [height for height, _ in self.sizes],
            "width": [width for _, width in self.sizes],
            "seconds": self.seconds,
            "notes": self.notes,
            "threshold": [threshold] * len(self.names),
        }
        at = scores.image_scores(*counts, threshold)
        columns |= {name: values.tolist() for name, values in at.items()}
        for fixed in scores.THRESHOLDS:
            at = scores.image_scores(*counts, fixed)
            columns |= {f"{name}@{fixed}": v.tolist() for name, v in at.items() if name != "mae"}
        return columns
