"""What a score is, and the registry of all: a metric is one file that registers one."""

from __future__ import annotations  # so that reading run folders needs no torch

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from kolbench.errors import ConfigError
from kolbench.metrics.confusion import Confusion, Thresholded
from kolbench.metrics.counts import Counts
from kolbench.types import Float64Array, UInt8Array

if TYPE_CHECKING:
    from torch import Tensor

# what `Score.bounds` may be: a share, or an error without an upper end
SHARE, FROM_ZERO = (0.0, 1.0), (0.0, math.inf)


@dataclass(frozen=True)
class ExtraCounts:
    """Histograms that a score needs beside fg, bg and product, counted while a picture is evaluated.

    names: of the columns in histograms.parquet, unique among all scores. count: (levels, mask) of one
    picture -> (len(names), 256) int64, where levels is (H, W) uint8, the alpha as it is saved, and mask is
    (H, W) bool, the binary truth. It uses integers only, so that every device counts the same, and imports
    torch, if at all, inside, so that a report needs none.
    """

    names: tuple[str, ...]
    count: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ExtraValues:
    """Numbers of a picture that no histogram gives, computed from the maps where they are asked for.

    names: of the columns in histograms.parquet, unique among all scores. of: (levels, truth) of one picture
    -> len(names) floats, NaN where one does not apply; both are (H, W) uint8: the alpha as it is saved, and
    the truth as it is saved in `truths/`, 0 and 255 unless it is a true alpha. needs_alpha: whether they mean
    something for a true alpha only; other truths are then never handed over.
    """

    names: tuple[str, ...]
    of: Callable[[UInt8Array, UInt8Array], tuple[float, ...]]
    needs_alpha: bool = False


@dataclass(frozen=True)
class Score:
    """A column of scores.csv, curve.csv and run.json.

    name: of the column. definition: a sentence without its full stop, shown beside every table.
    per_image: -> (T, N) float64, a value per threshold and picture, NaN where the picture has none; None
    where there is only a value of the whole set. pooled: -> (T,) float64, the value of the set; None = the
    mean of per_image over the pictures that have a value. shown: whether the report's table of scores has
    it. extra, values: what it needs; without it (runs of earlier versions) the score is absent.
    depends_on_threshold: False where all T rows are the same. family: the word of `metrics=[...]` that asks
    for it; "" = every run has it. by_default: every run has it, although it belongs to a family. bounds:
    lowest and highest possible value.
    """

    name: str
    definition: str
    per_image: Callable[[Thresholded], Float64Array] | None = None
    pooled: Callable[[Thresholded], Float64Array] | None = None
    higher_is_better: bool = True
    shown: bool = False
    extra: ExtraCounts | None = None
    depends_on_threshold: bool = True
    values: ExtraValues | None = None
    family: str = ""
    by_default: bool = False
    bounds: tuple[float, float] = SHARE

    @property
    def needs(self) -> tuple[ExtraCounts | ExtraValues, ...]:
        """What must have been counted or computed for it."""
        return tuple(need for need in (self.extra, self.values) if need is not None)


_SCORES: dict[str, Score] = {}


def register(score: Score) -> Score:
    """Makes the score known; it then appears in every table without another line of code.

    Raises:
        ConfigError: its name, or that of its extra counts, belongs to another score.
    """
    if score.per_image is None and score.pooled is None:
        raise ConfigError(f"The score {score.name} has neither per_image nor pooled; give it one.")
    if score.name in _SCORES:
        raise ConfigError(f"There are two scores of the name {score.name}; rename one of them.")
    for other in _SCORES.values():
        shared = _named(score.needs, other.needs) & _named(other.needs, score.needs)
        if shared:
            raise ConfigError(
                f"The scores {score.name} and {other.name} both count {', '.join(sorted(shared))}, each "
                "in its own way; rename the counts of one of them."
            )
    _SCORES[score.name] = score
    return score


def _named(
    needs: tuple[ExtraCounts | ExtraValues, ...], known: tuple[ExtraCounts | ExtraValues, ...]
) -> set[str]:
    """The names of needs that are not among those known."""
    return {name for need in needs if need not in known for name in need.names}


def unregister(name: str) -> None:
    """Forgets a score; nothing happens where there is none."""
    _SCORES.pop(name, None)


def registered() -> Mapping[str, Score]:
    """All scores by name, in the order in which they were registered."""
    return MappingProxyType(_SCORES)


def of_value(name: str) -> Callable[[Thresholded], Float64Array]:
    """A value of `ExtraValues` as `Score.per_image`, the same at every threshold."""
    return lambda at: at.values(name)


def of_confusion(formula: Callable[[Confusion], Float64Array]) -> Callable[[Thresholded], Float64Array]:
    """A formula on true and false positives and negatives as `Score.per_image`."""
    return lambda at: formula(at.confusion)


def of_pooled_confusion(
    formula: Callable[[Confusion], Float64Array],
) -> Callable[[Thresholded], Float64Array]:
    """The same on the pixels of all pictures counted together, as `Score.pooled`."""
    return lambda at: formula(at.confusion.pooled())


def of_counts(formula: Callable[[Counts], Float64Array]) -> Callable[[Thresholded], Float64Array]:
    """(N,) values that are the same at every threshold as `Score.per_image`."""
    return lambda at: np.tile(formula(at.counts), (len(at.cutoffs), 1))


def of_all_counts(formula: Callable[[Counts], float]) -> Callable[[Thresholded], Float64Array]:
    """A value of the set that is the same at every threshold as `Score.pooled`."""
    return lambda at: np.full(len(at.cutoffs), formula(at.counts), np.float64)
