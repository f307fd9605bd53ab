"""The table of scores that runs, suites and sweeps print; what prints it needs no torch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kolbench.runs.method_names import shown_label

# a method's scores, with its threshold and what of the ground truth it is given
Row = Mapping[str, float | str]


class Scored(NamedTuple):
    """A row of the table: of a method or job, by its label, or of a baseline."""

    label: str
    method: str
    row: Row
    baseline: bool = False


class Column(NamedTuple):
    """A score: its key, its heading, and whether a higher one is better."""

    key: str
    heading: str
    higher: bool = True

    def cell(self, row: Row) -> str:
        """The score as it is printed; a dash where there is none."""
        value = row.get(self.key, math.nan)
        return "-" if isinstance(value, str) or math.isnan(value) else f"{value:.4f}"


COLUMNS = (
    Column("miou", "mIoU ↑"),
    Column("iou", "IoU ↑"),
    Column("f0.3_pooled", "F0.3 ↑"),
    Column("mae", "MAE ↓", higher=False),
    Column("product_recall", "held rec. ↑"),
)
MORE_COLUMNS = (Column("acc", "accuracy ↑"),)
# columns of a terminal that has room for all scores
WIDE = 110
# truth access -> heading of its block
BLOCKS = {"box": "uses ground-truth box", "mask": "uses ground-truth mask"}
APART = "What uses ground truth is not compared with the rows above it."
# what a column takes beside its cells
_PADDING = 3
_EDGE = 1


def print_table(rows: Sequence[Scored], title: str, console: Console | None = None) -> None:
    """Scores on the test images, best mIoU first: methods, then baselines, and apart what uses ground truth.

    Args:
        rows: at least one. title: printed above.
        console: None = the terminal; 80 columns, or COLUMNS, where there is none.
    """
    console = console or Console(highlight=False)
    console.print(Text(title, "bold"), soft_wrap=False)
    console.print(_table(rows, console.width))
    if any(one.row["truth_access"] in BLOCKS for one in rows):
        console.print(Text(APART, "dim"))


def baseline_rows(runs: Iterable[tuple[str, Mapping[str, Mapping[str, float]]]]) -> list[Scored]:
    """Each baseline of several runs once; of runs on other images it has other scores, and the run's label.

    Args:
        runs: label of a run, and its baselines: name -> threshold and scores.
    """
    found: list[Scored] = []
    for label, baselines in runs:
        for name, scores in baselines.items():
            row: Row = {"truth_access": "none", **scores}
            same = [one for one in found if one.method == name]
            if all(one.row != row for one in same):
                found.append(Scored(f"{name} for {label}" if same else name, name, row, baseline=True))
    return found


def best_cells(rows: Sequence[Scored], columns: Sequence[Column]) -> dict[str, str]:
    """Column -> its best cell among methods that may be compared, as printed; empty for one method."""
    compared = [one.row for one in rows if not one.baseline and one.row["truth_access"] not in BLOCKS]
    best = {}
    for column in columns if len(compared) > 1 else ():
        cells = [cell for row in compared if (cell := column.cell(row)) != "-"]
        if cells:
            best[column.key] = (max if column.higher else min)(cells, key=float)
    return best


def _table(rows: Sequence[Scored], width: int) -> Table:
    known = [*COLUMNS, *(MORE_COLUMNS if width >= WIDE else ())]
    columns = [column for column in known if any(column.cell(one.row) != "-" for one in rows)]
    names = _names(rows, width - _width_of(columns))
    best = best_cells(rows, columns)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", overflow="fold")
    for heading in ("thr.", *(column.heading for column in columns)):
        table.add_column(heading, justify="right", no_wrap=True)

    def add(one: Scored, name: Text) -> None:
        apart = one.baseline or one.row["truth_access"] in BLOCKS
        cells = [
            Text(cell, "bold" if not apart and best.get(column.key) == cell else "")
            for column in columns
            for cell in [column.cell(one.row)]
        ]
        table.add_row(name, f"{one.row['threshold']:.2f}", *cells, style="dim" if one.baseline else "")

    named = sorted(zip(rows, names, strict=True), key=lambda pair: _place(pair[0]))
    compared = [(one, name) for one, name in named if one.row["truth_access"] not in BLOCKS]
    for one, name in compared:
        add(one, name)
    for access, heading in BLOCKS.items():
        block = [(one, name) for one, name in named if one.row["truth_access"] == access]
        if block:
            table.add_section()
            table.add_row(Text(heading, "italic"))
        for one, name in block:
            add(one, name)
    return table


def _place(one: Scored) -> tuple[bool, float]:
    """Methods before baselines, the highest mIoU first; what has none stands last."""
    value = one.row.get("miou", math.nan)
    return one.baseline, math.inf if isinstance(value, str) or math.isnan(value) else -value


def _width_of(columns: Sequence[Column]) -> int:
    """Of all columns but the first, and the paddings."""
    numbers = [len("thr."), *(max(len(column.heading), len("0.0000")) for column in columns)]
    return sum(numbers) + (1 + len(numbers)) * _PADDING + 2 * _EDGE


def _names(rows: Sequence[Scored], room: int) -> list[Text]:
    """Labels by the methods' shown names; with the keys where they fit, or two names would be one."""
    shown = [shown_label(one.label, one.method) for one in rows]
    keys = [f" {one.method}" if name != one.label else "" for one, name in zip(rows, shown, strict=True)]
    fit = all(len(name) + len(key) <= room for name, key in zip(shown, keys, strict=True))
    return [
        Text.assemble(name, (key if fit or shown.count(name) > 1 else "", "dim"))
        for name, key in zip(shown, keys, strict=True)
    ]
