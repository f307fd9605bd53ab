"""What a table of the report is: rows in blocks, with the definition of every number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from kolbench.metrics import scores

METHODS = ""
BASELINES = "Baselines: ignore the image"
GIVEN_BOX = "Uses ground-truth box: not ranked with fully automatic methods"
GIVEN_MASK = "Oracle, uses the ground-truth mask: not ranked with fully automatic methods"
NOT_MEASURED = "not measured"
NOT_RUN = "Published, not run here"
# in the order in which they stand in a table
HEADINGS = (METHODS, BASELINES, GIVEN_BOX, GIVEN_MASK, NOT_RUN)
HEADING_OF_TRUTH_ACCESS = {"none": METHODS, "box": GIVEN_BOX, "mask": GIVEN_MASK}

# what stands in a table; None = missing
Cell = str | int | float | None
# heading and cells of one row
Row = tuple[str, Mapping[str, Cell]]


@dataclass(frozen=True)
class Table:
    """A table as the report shows and writes it.

    name: file stem. frame: full precision; missing cells are NaN, NA or None. notes: the definition of every
    number. blocks: heading ("" = none) and row numbers of each group of rows; together they are all rows.
    """

    name: str
    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...]
    blocks: tuple[tuple[str, tuple[int, ...]], ...]


def table(name: str, title: str, rows: Iterable[Row], notes: Sequence[str]) -> Table:
    """Rows of one heading together, in the order of `HEADINGS`; columns as the rows first name them."""
    ordered = sorted(rows, key=lambda row: HEADINGS.index(row[0]))
    columns = list(dict.fromkeys(column for _, cells in ordered for column in cells))
    frame = pd.DataFrame([cells for _, cells in ordered], columns=columns)
    for column in columns:
        numbers = _whole_numbers([cells.get(column) for _, cells in ordered])
        if numbers is not None:
            frame[column] = pd.array(numbers, dtype="Int64")
    blocks = {heading: tuple(i for i, row in enumerate(ordered) if row[0] == heading) for heading in HEADINGS}
    return Table(name, title, frame, tuple(notes), tuple(entry for entry in blocks.items() if entry[1]))


def definitions(names: Iterable[str]) -> list[str]:
    """A sentence for each score."""
    return [f"{name}: {scores.DEFINITIONS[name]}." for name in names]


def size_in_words(size: Sequence[int] | None) -> str | None:
    """Height and width in pixels, such as `480x640`."""
    return f"{size[0]}x{size[1]}" if size else None


def scaled(value: float | None, unit: float) -> float | None:
    """A number in another unit; None stays None."""
    return None if value is None else value / unit


def listed(values: Mapping[str, float], sign: str = "-") -> str:
    """Groups with their values one by one, such as `video_1 0.9134, video_2 0.8721`; sign: `+` shows it."""
    return ", ".join(f"{name} {value:{sign}.4f}" for name, value in values.items())


def _whole_numbers(cells: Sequence[Cell]) -> list[int | None] | None:
    """The cells of a column of integers, else None; pandas would make floats where a cell is missing."""
    found = [cell for cell in cells if isinstance(cell, int) and not isinstance(cell, bool)]
    if not found or len(found) + cells.count(None) < len(cells):
        return None
    return [cell if isinstance(cell, int) else None for cell in cells]
