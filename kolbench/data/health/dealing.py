"""Splits and groups: what training refuses of them, what is small, and how the pictures are dealt."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kolbench.data import splits
from kolbench.data.config import DataConfig
from kolbench.data.health.examination import Examined
from kolbench.data.health.fault import Fault, fault, from_message, many
from kolbench.data.sources.base import Source
from kolbench.data.splits import Splits
from kolbench.errors import DataError

# fewer test pictures, or groups, and an interval says next to nothing
FEWEST_TESTED = 20
# as report.intervals.fewest_groups, which this layer must not import
FEWEST_GROUPS = 6
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
        found = [from_message("folder", str(error), file=str(getattr(source, "root", "the data set")))]
        return Splits([], [], list(range(len(source)))), found
    return made, [*_leaks(source, made, config), *_small(source, made)]


def _leaks(source: Source, made: Splits, config: DataConfig) -> list[Fault]:
    labels: list[tuple[str, Sequence[str | None]]] = [("image", source.names)]
    if config.split != "paper":
        labels.append(("group", source.groups))
    labels.append(("clip", [clip or None for clip in source.clips]))
    found = []
    for what, known in labels:
        for label, (one, other) in splits.shared(made.apart(), known).items():
            rows = [row for row in range(len(known)) if known[row] == label]
            told = f"The {what} is in {one} and in {other} ({many(len(rows), 'image')} in all)."
            found.append(fault("leak", label, told, rows[:2], f"Keep the whole {what} in one split."))
    return found


def _small(source: Source, made: Splits) -> list[Fault]:
    found = []
    sizes = {split: len(rows) for split, rows in made if rows}
    for split, size in sizes.items():
        if split != "train" and size < FEWEST_TESTED:
            advice = "Add images, or cross-validate with data.folds=5." if made.train else ""
            what = f"Only {many(size, 'image')}: differences of several per cent mean nothing."
            found.append(fault("splits", split, what, advice=advice))
        groups = independent_groups(source, getattr(made, split))
        if split == "test" and groups < min(size, FEWEST_GROUPS):
            what = (
                f"{many(size, 'image')} in {many(groups, 'group')} (videos): too few groups for an interval, "
                f"which takes {FEWEST_GROUPS}."
            )
            found.append(fault("splits", split, what))
    unused = len(source) - len(made.all())
    if unused:
        what = f"{many(unused, 'image')} in no split, so not used."
        found.append(fault("splits", "the lists", what, advice="Add them to a list, or leave them out."))
    counts = Counter(group for group in source.groups if group is not None)
    if len(counts) > 1:
        group, count = counts.most_common(1)[0]
        if count > LARGEST_GROUP * counts.total():
            what = f"The group has {count} of the {many(counts.total(), 'image')} in groups."
            found.append(fault("splits", group, what, advice="Divide it, if it is more than one video."))
    return found


def independent_groups(source: Source, rows: Sequence[int]) -> int:
    """How many groups some images are of; an image without a video is one of its own."""
    named = {source.groups[row] for row in rows} - {None}
    return len(named) + sum(source.groups[row] is None for row in rows)


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
