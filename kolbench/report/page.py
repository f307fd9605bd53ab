"""The report as one HTML file that opens from a disk: everything inline, nothing fetched from anywhere."""

import math
import re
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from kolbench.io.files import write_text
from kolbench.metrics import scores
from kolbench.report import inlined, layout, main_table, ranking, table_files
from kolbench.report.cards import cards_of
from kolbench.report.drawing import Figure
from kolbench.report.footage import Footage
from kolbench.report.gallery import Gallery
from kolbench.report.glossary import anchor_of, entries_of, own_notes
from kolbench.report.layout import Table
from kolbench.report.leaderboard import Leaderboard, leaderboard_of
from kolbench.report.licences import seen
from kolbench.report.model_cards import data_card, method_cards
from kolbench.report.numbers import RunNumbers, numbers_of
from kolbench.report.page_data import page_data
from kolbench.report.pairwise import matrix_of
from kolbench.report.reproduction import COLUMNS, reproductions
from kolbench.report.sentences import images_in_words
from kolbench.report.words import counted, percent, score_name
from kolbench.runs.finished import Comparison

_HERE = "kolbench.report"
_STYLES = (
    *(
        "summary.css",
        "leaderboard.css",
        "tables.css",
        "figures.css",
        "qualitative.css",
        "held.css",
        "thresholds.css",
    ),
    *("clips.css", "large.css", "details.css", "reproduce.css", "phone.css", "print.css"),
)
_SCRIPTS = (
    *(
        "tables.js",
        "takes.js",
        "painting.js",
        "qualitative.js",
        "thresholds.js",
        "large.js",
        "clips.js",
        "images.js",
    ),
    *("reproduce.js", "report.js"),
)
# tables and figures that have a place of their own; all others are details
EFFICIENCY = ("pareto_speed", "pareto_memory", "table1")
DISTRIBUTIONS = ("distributions",)
THRESHOLDS = ("threshold_curves",)
_PLACED = ("scores", "differences", *EFFICIENCY, *DISTRIBUTIONS, *THRESHOLDS)
_LEADING_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?![\w])", re.IGNORECASE)


class ShownCell(NamedTuple):
    """A table cell: what is read, and the number it is sorted by ("" = none)."""

    text: str
    value: str


class Column(NamedTuple):
    """A table column's name, whether it is sorted by numbers, and what it means ("" = the notes say it)."""

    name: str
    numeric: bool
    definition: str


class ShownFigure(NamedTuple):
    """A figure in the page. svg: as it stands there."""

    name: str
    title: str
    caption: str
    svg: Markup


def write(path: Path, html: str) -> None:
    """Writes what `render` gave, atomically; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html)


def render(
    comparison: Comparison,
    tables: Sequence[Table],
    figures: Sequence[Figure],
    gallery: Gallery | None,
    sentences: Sequence[str],
    footage: Footage | None = None,
) -> str:
    """The whole page as text; the same runs give the same text.

    Names, labels and texts are escaped; `Figure.svg` is trusted and put into the page as it is. The scripts
    and the style sheet run by their hashes only, and images are `data:` URIs.

    Args:
        comparison: the runs whose scores follow the threshold slider.
        tables, figures: in the order in which they are shown.
        gallery: images; None = there are none.
        sentences: the key findings, folded below the cards.
        footage: clips to be gone through; None = there are none.

    Raises:
        KeyError: a gallery or a clip shows a label that is no run of the test set.
    """
    numbers = numbers_of(comparison)
    board = leaderboard_of(numbers)
    runs = sorted(numbers.runs, key=lambda run: layout.HEADINGS.index(run.heading))
    context, data = page_data(numbers, runs, gallery, footage)
    data |= {"name": comparison.name, "takes": _takes(comparison, board)}
    drawn = [ShownFigure(figure.name, figure.title, figure.caption, Markup(figure.svg)) for figure in figures]  # noqa: S704
    made = {table.name: _shown_table(table) for table in tables}
    css, script = inlined.style_of(_HERE, *_STYLES), inlined.script_of(_HERE, *_SCRIPTS)
    # the only texts that are not escaped: our own files, and figures that our own code drew
    return inlined.page(_HERE, "report.html.j2").render(
        css=Markup(css),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=_policy(css, script),
        name=comparison.name,
        pictures=len(comparison.pictures),
        methods=len(ranking.ranked_families(numbers)),
        images=images_in_words(comparison),
        tuned=_tuned(runs),
        dates=_dates(runs),
        version=_version(runs),
        cards=cards_of(numbers),
        reproductions=reproductions(comparison),
        run_columns=COLUMNS,
        method_cards=method_cards(comparison),
        data_card=data_card(comparison),
        sentences=sentences,
        board=board,
        matrix=matrix_of(numbers),
        seen=seen(numbers),
        scores_table=made.get("scores"),
        differences_table=made.get("differences"),
        efficiency_figures=[figure for figure in drawn if figure.name in EFFICIENCY],
        efficiency_tables=[made[name] for name in EFFICIENCY if name in made],
        threshold_figures=[figure for figure in drawn if figure.name in THRESHOLDS],
        distributions=[figure for figure in drawn if figure.name in DISTRIBUTIONS],
        tables=[table for name, table in made.items() if name not in _PLACED],
        figures=[figure for figure in drawn if figure.name not in _PLACED],
        glossary=entries_of(column for table in tables for column in table.frame.columns),
        anchor_of=anchor_of,
        definition_of=lambda score: scores.DEFINITIONS[score],
        counted=counted,
        percent=percent,
        # where a long label may break
        pieces=re.compile(r"(?<=_)|(?<==)(?=\w{3})").split,
        data=data,
        **context,
    )


def _policy(css: str, script: str) -> str:
    """Content-Security-Policy: our own script and style sheet, pictures inside the page, nothing else.

    Style attributes are allowed since matplotlib's SVG is made of them; they can neither run nor fetch.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{inlined.digest(script)}'",
            f"style-src '{inlined.digest(css)}'",
            f"style-src-elem '{inlined.digest(css)}'",
            "style-src-attr 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _dates(runs: Sequence[RunNumbers]) -> list[str]:
    """The days of the first and the last run; one where they are the same."""
    days = sorted(run.run.record.started[:10] for run in runs if run.run.record.started)
    return sorted({days[0], days[-1]}) if days else []


def _shown_table(table: Table) -> dict[str, object]:
    columns = [
        _cells(table.frame[name], str(name), labels=i == 0) for i, name in enumerate(table.frame.columns)
    ]
    return {
        "name": table.name,
        "title": table.title,
        "notes": own_notes(table),
        "columns": [
            Column(score_name(str(name)), numeric, _definition(str(name)))
            for name, (numeric, _) in zip(table.frame, columns, strict=True)
        ],
        "blocks": [
            (heading, [[cells[row] for _, cells in columns] for row in rows])
            for heading, rows in table.blocks
        ],
    }


def _definition(column: str) -> str:
    return scores.DEFINITIONS.get(column, "")


def _takes(comparison: Comparison, board: Leaderboard) -> dict[str, str]:
    """The leaderboard as files to be taken away: ending -> text."""
    return {
        "csv": main_table.as_csv(board),
        "md": main_table.as_markdown(comparison, board),
        "tex": main_table.as_latex(comparison, board),
    }


def _tuned(runs: Sequence[RunNumbers]) -> str:
    """Where the thresholds are from."""
    sources = {run.run.threshold_from for run in runs if not run.is_baseline}
    images = max((run.run.record.pictures.get("val", 0) for run in runs), default=0)
    if sources == {"validation"} and images:
        return f"threshold tuned per method on {counted(images, 'validation image')}"
    return "each method at its own threshold" if len(sources) > 1 else "thresholds as the runs fixed them"


def _version(runs: Sequence[RunNumbers]) -> str:
    """Version and commit of kolbench, where all runs share them."""
    found = {(run.run.record.versions.get("kolbench", ""), run.run.record.commit or "") for run in runs}
    if len(found) > 1:
        return "several versions of kolbench"
    version, commit = found.pop()
    return " ".join(
        part for part in (version and f"kolbench {version}", commit and f"@ {commit[:7]}") if part
    )


def _cells(column: "pd.Series[Any]", name: str, labels: bool) -> tuple[bool, list[ShownCell]]:
    """Whether a column is sorted by numbers, and its cells; a column of labels never is.

    It is where any cell is a number, whatever words stand between, or where all texts begin with one.
    """
    values = list(column)
    known = [value for value in values if isinstance(value, str) or not pd.isna(value)]
    found = [_number(value) for value in known]
    plain = any(
        number is not None and not isinstance(value, str) for number, value in zip(found, known, strict=True)
    )
    numeric = not labels and bool(known) and (plain or None not in found)
    return numeric, [
        ShownCell(table_files.cell(value, name), _sort_value(value) if numeric else "") for value in values
    ]


def _sort_value(value: object) -> str:
    number = _number(value)
    return "" if number is None else repr(number)


def _number(value: object) -> float | None:
    """A number, or the one that a text such as `0.91 [0.89, 0.93]` begins with."""
    if isinstance(value, str):
        found = _LEADING_NUMBER.match(value)
        return float(found[1]) if found else None
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return None
    number = float(value)
    return None if math.isnan(number) else number
