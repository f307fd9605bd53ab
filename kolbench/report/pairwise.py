"""Pairwise significance: every two fully automatic methods, as a matrix."""

from dataclasses import dataclass

from kolbench.report import ranking
from kolbench.report.intervals import fewest_groups
from kolbench.report.numbers import Numbers
from kolbench.report.ranking import Pair
from kolbench.report.words import counted, p_value, points, points_range

# with more methods the matrix shows the best ones only; the table of differences has all
MOST = 10


@dataclass(frozen=True)
class Cell:
    """Row minus column. text: mIoU points. significant: whether the row is significantly better.

    told: the pair in words, with interval and p.
    """

    text: str
    significant: bool
    told: str


@dataclass(frozen=True)
class Matrix:
    """names: of the methods, best first. rows: a cell for each column behind it, None for all others.

    impossible: why no difference can be significant, "" where one can. more: methods that are not shown.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Cell | None, ...], ...]
    impossible: str
    more: int


def matrix_of(numbers: Numbers) -> Matrix | None:
    """The upper half of the matrix, rows and columns by mIoU; None with fewer than two methods."""
    ranked = ranking.ranked_families(numbers)
    if len(ranked) < 2:
        return None
    shown = ranked[:MOST]
    names = tuple(ranking.family_name(numbers, family) for family in shown)
    pairs = ranking.all_pairs(numbers, shown)
    rows = tuple(
        tuple(
            _cell(pairs[frozenset((row, column))], names[i], names[j]) if j > i else None
            for j, column in enumerate(shown)
            if j > 0
        )
        for i, row in enumerate(shown[:-1])
    )
    return Matrix(names, rows, too_few_groups(numbers), len(ranked) - len(shown))


def _cell(pair: Pair, row: str, column: str) -> Cell:
    """A pair whose first method is the row."""
    significant = pair.winner == pair.a
    verdict = (
        f"{row} is significantly better than {column}"
        if significant
        else f"no significant difference between {row} and {column}"
    )
    return Cell(points(pair.difference), significant, f"{verdict}: {_evidence(pair)}")


def _evidence(pair: Pair) -> str:
    if len(pair.found) == 1:
        (only,) = pair.found
        corrected = p_value(only.p_holm)
        return (
            f"{points(only.interval.value)} mIoU points, 95 % CI {points_range(only.interval)}, {corrected}"
        )
    won = sum(found.verdict == "a better" for found in pair.found)
    return f"significant in {won} of {len(pair.found)} pairs of seeds"


def too_few_groups(numbers: Numbers) -> str:
    """Why no difference can be significant; "" where one can, or where there is none."""
    groups, pairs = len(set(numbers.comparison.groups)), len(numbers.differences)
    if not pairs or groups >= fewest_groups(pairs):
        return ""
    more = "videos" if groups < len(numbers.comparison.pictures) else "images"
    which, else_ = (
        ("two methods", "") if pairs == 1 else (f"{pairs:,} pairs of methods", ", or compare fewer methods")
    )
    return (
        f"With {counted(groups, 'independent group')} no difference between {which} can be significant: "
        f"score more {more}{else_}."
    )
