"""The leaderboard: methods by mIoU, those that use ground truth apart, baselines at the foot."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kolbench.metrics.score import registered
from kolbench.report import ranking
from kolbench.report.intervals import Interval
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.words import DASH, arrow, counted, millions, percent, percent_range, score_name
from kolbench.runs.method_names import shown_name

# beside mIoU; a column without a value is left out
OTHERS = ("iou", "f0.3_pooled", "mae", "product_recall")
METHODS, ORACLES, BASELINES = "", "Uses ground truth: not ranked", "Baselines: ignore the image"
# methods whose results come from a file of somebody else
_EXTERNAL = {"masks": "external predictions", "onnx": "external network"}
# a bar's axis ends at multiples of this
_STEP = 0.05


@dataclass(frozen=True)
class Column:
    """A column beside the headline. key: the score. name, arrow: as people read it."""

    key: str
    name: str
    arrow: str
    definition: str


@dataclass(frozen=True)
class Cell:
    """A number as people read it. value: that it is sorted by, NaN = none. best: the best of all methods."""

    text: str
    value: float
    best: bool = False


@dataclass(frozen=True)
class Bar:
    """Where an interval lies on the axis, in per cent of its width. low, width: None = there is none."""

    at: float
    low: float | None
    width: float | None


@dataclass(frozen=True)
class Row:
    """A method. rank: from 1; None = it is not ranked. name: as people read it; detail: key and origin.

    found: mean mIoU with its interval; score, interval: both in per cent, in words. tied: not significantly
    worse than the best one, which itself is not tied. cells: of the other columns. parameters: in words.
    """

    rank: int | None
    name: str
    detail: str
    found: Interval
    score: str
    interval: str
    bar: Bar
    best: bool
    tied: bool
    cells: tuple[Cell, ...]
    parameters: str


@dataclass(frozen=True)
class Leaderboard:
    """columns: beside the headline. blocks: heading ("" = the methods) -> rows. low, high: ends of the axis.

    left_out: labels of runs that are one of the rows at another threshold.
    """

    columns: tuple[Column, ...]
    blocks: tuple[tuple[str, tuple[Row, ...]], ...]
    low: float
    high: float
    left_out: tuple[str, ...]

    @property
    def has_intervals(self) -> bool:
        """Whether any row has an interval."""
        return any(row.found.known for _, rows in self.blocks for row in rows)

    @property
    def ranked(self) -> bool:
        """Whether there is more than one method, so that one can be the best."""
        return len(dict(self.blocks).get(METHODS, ())) > 1


@dataclass(frozen=True)
class _Entry:
    """What a row shows, before it is set beside the others."""

    name: str
    detail: str
    found: Interval
    scores: Mapping[str, float]
    parameters: str
    family: str = ""


def leaderboard_of(numbers: Numbers) -> Leaderboard:
    """One row for each method; runs that differ in the seed only are one, at their mean."""
    ranked = ranking.ranked_families(numbers)
    entries = {
        METHODS: [_entry(numbers, family, numbers.compared_families[family]) for family in ranked],
        ORACLES: _sorted(
            _entry(numbers, family, runs)
            for family, runs in numbers.families.items()
            if runs[0].run.truth_access != "none"
        ),
        BASELINES: _sorted([*_baseline_runs(numbers), *_recorded_baselines(numbers)]),
    }
    shown = [entry for block in entries.values() for entry in block]
    columns = tuple(_column(key) for key in OTHERS if any(key in entry.scores for entry in shown))
    axis = _axis(shown)
    methods = _method_rows(numbers, entries[METHODS], columns, axis)
    others = {heading: _rows(entries[heading], columns, axis) for heading in (ORACLES, BASELINES)}
    blocks = {METHODS: methods} | others
    left_out = (label for labels in numbers.comparison.stand_ins.values() for label in labels)
    return Leaderboard(
        columns,
        tuple((heading, rows) for heading, rows in blocks.items() if rows),
        *axis,
        tuple(sorted(left_out)),
    )


def _sorted(entries: Iterable[_Entry]) -> list[_Entry]:
    return sorted(entries, key=lambda entry: -entry.found.value)


def _entry(numbers: Numbers, family: str, runs: Sequence[RunNumbers]) -> _Entry:
    """One method's row, at the mean of its seeds."""
    run = runs[0].run
    shared = set.intersection(*(set(each.means) for each in runs))
    seeds = [counted(len(runs), "seed")] if len(runs) > 1 else []
    name = ranking.family_name(numbers, family)
    keyed = shown_name(run.method) == run.method or f"({family})" in name
    key = [] if keyed else [run.method]
    return _Entry(
        name,
        " · ".join([*key, *_origin(runs[0]), *seeds]),
        ranking.family_interval(numbers, runs),
        {name: math.fsum(each.means[name] for each in runs) / len(runs) for name in shared},
        millions(run.record.parameters),
        family,
    )


def _origin(run: RunNumbers) -> list[str]:
    """Where a method's knowledge is from, in words."""
    record = run.run.record
    if run.is_baseline:
        return []
    helped = {"box": ["uses ground-truth box"], "mask": ["oracle"]}.get(run.run.truth_access, [])
    if record.training is not None:
        start = record.training.init
        return [
            f"fine-tuned from {start.name}" if start and start.name else f"trained, {record.budget}",
            *helped,
        ]
    if run.run.method in _EXTERNAL:
        return [_EXTERNAL[run.run.method], *helped]
    weights = [part.name for part in record.rests_on if part.role == "weights"]
    if weights or record.parameters:
        return [weights[0] if weights else "given weights", *helped]
    return ["no training", *helped]


def _baseline_runs(numbers: Numbers) -> Iterator[_Entry]:
    for family, runs in numbers.families.items():
        if runs[0].is_baseline and runs[0].run.truth_access == "none":
            yield _entry(numbers, family, runs)


def _recorded_baselines(numbers: Numbers) -> Iterator[_Entry]:
    """Baselines of which the runs recorded means only."""
    for name, row in numbers.recorded_baselines.items():
        yield _Entry(
            ranking.baseline_name(name), name.split()[0], Interval(row["miou"], math.nan, math.nan), row, DASH
        )


def _column(key: str) -> Column:
    return Column(key, score_name(key), arrow(key), registered()[key].definition)


def _axis(entries: Sequence[_Entry]) -> tuple[float, float]:
    """The ends of the bars' axis: what is shown lies between them."""
    ends = [end for entry in entries for end in entry.found if not math.isnan(end)]
    if not ends:
        return 0.0, 1.0
    low, high = math.floor(min(ends) / _STEP) * _STEP, math.ceil(max(ends) / _STEP) * _STEP
    return max(low, 0.0), max(min(high, 1.0), low + _STEP)


def _method_rows(
    numbers: Numbers, entries: Sequence[_Entry], columns: Sequence[Column], axis: tuple[float, float]
) -> tuple[Row, ...]:
    """Ranked rows; one method alone has no rank, and nothing of it is the best."""
    rows = _rows(entries, columns, axis)
    if len(rows) < 2:
        return rows
    families = [entry.family for entry in entries]
    pairs = ranking.all_pairs(numbers, families)
    alike = ranking.not_beaten_by(families[0], families, pairs)
    best = [_best_value([row.cells[place] for row in rows], column) for place, column in enumerate(columns)]
    return tuple(
        replace(
            row,
            rank=rank,
            best=rank == 1,
            tied=family in alike,
            cells=_marked(row.cells, best),
        )
        for rank, (family, row) in enumerate(zip(families, rows, strict=True), start=1)
    )


def _marked(cells: Sequence[Cell], best: Sequence[str | None]) -> tuple[Cell, ...]:
    return tuple(replace(cell, best=cell.text == text) for cell, text in zip(cells, best, strict=True))


def _best_value(cells: Sequence[Cell], column: Column) -> str | None:
    """How the best number of a column reads: what reads the same is as good."""
    known = [cell for cell in cells if not math.isnan(cell.value)]
    pick = max if registered()[column.key].higher_is_better else min
    return pick(known, key=lambda cell: cell.value).text if known else None


def _rows(entries: Sequence[_Entry], columns: Sequence[Column], axis: tuple[float, float]) -> tuple[Row, ...]:
    return tuple(_row(entry, columns, axis) for entry in entries)


def _row(entry: _Entry, columns: Sequence[Column], axis: tuple[float, float]) -> Row:
    values = [entry.scores.get(column.key, math.nan) for column in columns]
    return Row(
        rank=None,
        name=entry.name,
        detail=entry.detail,
        found=entry.found,
        score=percent(entry.found.value),
        interval=percent_range(entry.found) if entry.found.known else "",
        bar=_bar(entry.found, axis),
        best=False,
        tied=False,
        cells=tuple(Cell(percent(value), value) for value in values),
        parameters=entry.parameters,
    )


def _bar(found: Interval, axis: tuple[float, float]) -> Bar:
    low, high = axis

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    if not found.known:
        return Bar(place(found.value), None, None)
    return Bar(place(found.value), place(found.low), round(place(found.high) - place(found.low), 2))
