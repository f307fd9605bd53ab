"""The report as one HTML file that opens from a disk: everything inline, nothing fetched from anywhere."""

import base64
import io
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.io.files import write_atomically
from kolbench.metrics import scores
from kolbench.report import inlined, layout, main_table, ranking, table_files
from kolbench.report.cards import cards_of
from kolbench.report.drawing import Figure
from kolbench.report.footage import Footage, ShownClip
from kolbench.report.gallery import Gallery, Shot
from kolbench.report.glossary import anchor_of, entries_of, own_notes
from kolbench.report.layout import Table
from kolbench.report.leaderboard import Leaderboard, leaderboard_of
from kolbench.report.licences import seen
from kolbench.report.numbers import RunNumbers, numbers_of
from kolbench.report.pairwise import matrix_of
from kolbench.report.sentences import images_in_words
from kolbench.report.words import counted, percent, score_name
from kolbench.runs.finished import Comparison

# the scores that follow the threshold slider, and its positions
LIVE = ("miou", "iou", "acc", "f0.3_pooled")
POSITIONS = tuple(percent / 100 for percent in range(101))
_HERE = "kolbench.report"
_STYLES = (
    *("summary.css", "leaderboard.css", "tables.css", "figures.css", "masks.css", "clips.css", "large.css"),
    *("details.css", "reproduce.css", "phone.css", "print.css"),
)
_SCRIPTS = ("tables.js", "takes.js", "clips.js", "masks.js", "report.js")
# with fewer digits, a live number can differ in its 4th decimal from the same number in a table
_DIGITS = 9
COLOURS = {"fp": FALSE_FOREGROUND, "fn": MISSED_FOREGROUND, "edge": (255, 0, 200)}
# tables and figures that have a place of their own; all others are details
EFFICIENCY = ("pareto_speed", "pareto_memory", "table1")
DISTRIBUTIONS = ("distributions",)
_PLACED = ("scores", "differences", *EFFICIENCY, *DISTRIBUTIONS)
_LEADING_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?![\w])", re.IGNORECASE)


# a picture as the script reads it
Entry = dict[str, object]


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
    write_atomically(path, lambda partial: partial.write_text(html, encoding="utf-8"))


def render(
    comparison: Comparison,
    tables: Sequence[Table],
    figures: Sequence[Figure],
    galleries: Sequence[Gallery],
    sentences: Sequence[str],
    footage: Footage | None = None,
) -> str:
    """The whole page as text; the same runs give the same text.

    Names, labels and texts are escaped; `Figure.svg` is trusted and put into the page as it is. The scripts
    and the style sheet run by their hashes only, and pictures are `data:` URIs.

    Args:
        comparison: the runs whose scores follow the threshold slider.
        tables, figures, galleries: in the order in which they are shown.
        sentences: what the results allow to say, shown first.
        footage: clips to be gone through; None = there are none.

    Raises:
        KeyError: a gallery or a clip shows a label that is no run of the test set.
    """
    runs = sorted(numbers_of(comparison).runs, key=lambda run: layout.HEADINGS.index(run.heading))
    found, board = numbers_of(comparison), leaderboard_of(numbers_of(comparison))
    numbers, blobs = {run.label: number for number, run in enumerate(runs)}, dict[str, int]()
    entries, shown = _gallery_data(galleries, numbers, blobs)
    clips = [] if footage is None else [_clip_data(clip, numbers, blobs) for clip in footage.clips]
    data = _page_data(runs) | {"shots": entries, "clips": clips, "blobs": list(blobs)}
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
        methods=len(ranking.ranked_families(found)),
        images=images_in_words(comparison),
        tuned=_tuned(runs),
        dates=_dates(runs),
        version=_version(runs),
        cards=cards_of(found),
        sentences=sentences,
        board=board,
        matrix=matrix_of(found),
        seen=seen(found),
        scores_table=made.get("scores"),
        differences_table=made.get("differences"),
        efficiency_figures=[figure for figure in drawn if figure.name in EFFICIENCY],
        efficiency_tables=[made[name] for name in EFFICIENCY if name in made],
        distributions=[figure for figure in drawn if figure.name in DISTRIBUTIONS],
        tables=[table for name, table in made.items() if name not in _PLACED],
        figures=[figure for figure in drawn if figure.name not in _PLACED],
        glossary=entries_of(column for table in tables for column in table.frame.columns),
        anchor_of=anchor_of,
        definition_of=lambda score: scores.DEFINITIONS[score],
        counted=counted,
        percent=percent,
        galleries=shown,
        footage=footage,
        blocks=_live_blocks(runs),
        live=[(name, scores.DEFINITIONS[name]) for name in LIVE],
        colours=COLOURS,
        # where a long label may break
        pieces=re.compile(r"(?<=_)|(?<==)(?=\w{3})").split,
        data=data,
    )


def live_scores(run: RunNumbers) -> dict[str, object]:
    """What the page knows of a run: its scores at each slider position and at its own threshold."""
    own = run.run.threshold
    curve = scores.threshold_curve(run.counts, [*POSITIONS, own])
    rows = [np.round(curve[name], _DIGITS).tolist() for name in LIVE]
    return {
        "label": run.label,
        "at": _threshold(own),
        "cutoff": scores.cutoff_level(own),
        "own": [row[-1] for row in rows],
        "curves": [row[:-1] for row in rows],
    }


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


def _threshold(value: float) -> str:
    """At least two decimals, as on the slider, and more where a run has more."""
    return max(f"{value:.2f}", f"{value:g}", key=len)


def _live_blocks(runs: Sequence[RunNumbers]) -> list[tuple[str, list[tuple[int, str, str]]]]:
    """Heading -> number, label and own threshold of the runs below it."""
    blocks: dict[str, list[tuple[int, str, str]]] = {}
    for number, run in enumerate(runs):
        blocks.setdefault(run.heading, []).append((number, run.label, _threshold(run.run.threshold)))
    return list(blocks.items())


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


def _page_data(runs: Sequence[RunNumbers]) -> dict[str, object]:
    """What the script reads of all runs."""
    ramp = io.BytesIO()
    Image.fromarray(np.arange(scores.LEVELS, dtype=np.uint8)[None]).save(ramp, "PNG")
    return {
        "colours": COLOURS,
        "truth_cutoff": scores.cutoff_level(0.5),
        "cutoffs": [scores.cutoff_level(position) for position in POSITIONS],
        "methods": [live_scores(run) for run in runs],
        "ramp": _uri(ramp.getvalue(), "png"),
    }


def _gallery_data(
    galleries: Sequence[Gallery], numbers: Mapping[str, int], blobs: dict[str, int]
) -> tuple[list[Entry], list[tuple[Gallery, list[tuple[int, Shot, Entry]]]]]:
    """What the script reads of shots, and each gallery with its shots' numbers and entries in it."""
    entries: list[Entry] = []
    shown = []
    for found in galleries:
        shots = []
        for shot in found.shots:
            entry = _entry(shot, numbers, blobs)
            shots.append((len(entries), shot, entry))
            entries.append(entry)
        shown.append((found, shots))
    return entries, shown


def _clip_data(clip: ShownClip, numbers: Mapping[str, int], blobs: dict[str, int]) -> dict[str, object]:
    """A clip as the script reads it: its frames as shots are, and J of all frames by number of the run."""
    return {
        "name": clip.name,
        "count": clip.frames,
        "frames": [_entry(shot, numbers, blobs) for shot in clip.shots],
        "positions": list(clip.positions),
        "j": {
            numbers[label]: [
                None if math.isnan(value) else round(value, _DIGITS) for value in values.tolist()
            ]
            for label, values in clip.j.items()
        },
    }


def _entry(shot: Shot, numbers: Mapping[str, int], blobs: dict[str, int]) -> Entry:
    """A shot as positions in `blobs`, which holds each picture once however many galleries show it."""

    def blob(data: bytes, kind: str) -> int:
        return blobs.setdefault(_uri(data, kind), len(blobs))

    width, height = Image.open(io.BytesIO(shot.truth)).size
    alphas = {numbers[label]: blob(alpha, "png") for label, alpha in shot.alphas.items()}
    return {
        "name": shot.name,
        "width": width,
        "height": height,
        "picture": blob(shot.thumb, "jpeg"),
        "truth": blob(shot.truth, "png"),
        "alphas": dict(sorted(alphas.items())),
    }


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
