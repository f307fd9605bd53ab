"""Splits and groups: what training refuses of them, what is small, and how the pictures are dealt."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kolbench.data import splits
from kolbench.data.config import DataConfig
from kolbench.data.health.examination import Examined
from kolbench.data.health.fault import Fault, fault, from_message
from kolbench.data.sources.base import Source
from kolbench.data.splits import Splits
from kolbench.errors import DataError

# fewer test pictures, or groups, and an interval says next to nothing
FEWEST_TESTED = 20
FEWEST_GROUPS = 5
# of all pictures that are in a group
LARGEST_GROUP = 0.5


class SplitRow(NamedTuple):
    """A split in the doctor's table.

    usable: pictures that can be read. groups: named ones. foreground: mean share of their pixels, product:
    of those with a product mask, each NaN where there is none. labelled: pictures with a product mask.
    """

    name: str
    pictures: int
    usable: int
    groups: int
    foreground: float
    product: float
    labelled: int


def dealt(source: Source, config: DataConfig) -> tuple[Splits, list[Fault]]:
    """The splits that training would use, and what is wrong with them; where there are none, all is test."""
    try:
        if config.folds:
            made = splits.make_fold(source, config.folds, config.fold, config.split_seed)
        else:
            made = splits.make_splits(source, config.split, config.split_seed)
    except DataError as error:
        found = [from_message("folder", str(error), file=str(getattr(source, "root", "the set")))]
        return Splits([], [], list(range(len(source)))), found
    return made, [*_leaks(source, made, config), *_small(source, made)]


def _leaks(source: Source, made: Splits, config: DataConfig) -> list[Fault]:
    labels: list[tuple[str, Sequence[str | None]]] = [("picture", source.names)]
    if config.split != "paper":
        labels.append(("group", source.groups))
    labels.append(("clip", [clip or None for clip in source.clips]))
    found = []
    for what, known in labels:
        for label, (one, other) in splits.shared(made.apart(), known).items():
            rows = [row for row in range(len(known)) if known[row] == label]
            told = f"The {what} stands in {one} and {other} ({len(rows)} pictures in all)."
            found.append(fault("leak", label, told, rows[:2], f"Keep the whole {what} in one split."))
    return found


def _small(source: Source, made: Splits) -> list[Fault]:
    found = []
    sizes = {split: len(rows) for split, rows in made if rows}
    for split, size in sizes.items():
        if split != "train" and size < FEWEST_TESTED:
            advice = "Add pictures, or cross-validate with data.folds=5." if made.train else ""
            what = f"{size} pictures: differences of several per cent mean nothing."
            found.append(fault("splits", split, what, advice=advice))
        groups = {source.groups[row] for row in getattr(made, split)} - {None}
        if groups and split == "test" and len(groups) < FEWEST_GROUPS:
            what = f"Groups (videos) of its {size} pictures: {len(groups)}, which is few for an interval."
            found.append(fault("splits", split, what))
    unused = len(source) - len(made.all())
    if unused:
        what = f"Pictures that stand in no split and are not used: {unused}."
        found.append(fault("splits", "the lists", what, advice="Add them to a list, or leave them out."))
    counts = Counter(group for group in source.groups if group is not None)
    if len(counts) > 1:
        group, count = counts.most_common(1)[0]
        if count > LARGEST_GROUP * counts.total():
            what = f"The group has {count} of {counts.total()} pictures in groups."
            found.append(fault("splits", group, what, advice="Part it, if it is more than one video."))
    return found


def split_rows(source: Source, made: Splits, examined: Sequence[Examined]) -> list[SplitRow]:
    """A row for each split that has pictures, and one for all of them."""
    parts = [(name, rows) for name, rows in made if rows]
    return [_split_row(source, name, rows, examined) for name, rows in [*parts, ("all", range(len(source)))]]


def _split_row(source: Source, name: str, rows: Sequence[int], examined: Sequence[Examined]) -> SplitRow:
    known = [one for row in rows if (one := examined[row].measures) is not None]
    products = [one.product for one in known if not np.isnan(one.product)]
    return SplitRow(
        name,
        len(rows),
        len(known),
        len({source.groups[row] for row in rows} - {None}),
        float(np.mean([one.foreground for one in known])) if known else float("nan"),
        float(np.mean(products)) if products else float("nan"),
        len(products),
    )
