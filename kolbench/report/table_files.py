"""Tables as files: CSV for programs, Markdown for readers, LaTeX for papers."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kolbench.io.files import write_text
from kolbench.report.layout import Table

BLOCK = "block"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\N{SUPERSCRIPT TWO}": r"\textsuperscript{2}",
    "\N{MINUS SIGN}": "$-$",
}
# an underscore inside a word is no emphasis
_MARKDOWN = re.compile(r"[\\`*|<>&\[\]]|(?<!\w)_|_(?!\w)")


def write(table: Table, folder: Path) -> None:
    """NAME.csv at full precision, NAME.md and NAME.tex rounded and with the notes below.

    The CSV has a column `block` where the table has headings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for ending, text in (("csv", as_csv(table)), ("md", as_markdown(table)), ("tex", as_latex(table))):
        write_text(folder / f"{table.name}.{ending}", text)


def markdown(text: str) -> str:
    """A text in one line, without anything that Markdown would take for markup."""
    return _MARKDOWN.sub(lambda found: f"\\{found.group()}", " ".join(text.split()))


def latex(text: str) -> str:
    """A text in one line, without anything that LaTeX would execute."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


# any value that pandas keeps in a table, its own kinds of missing values too
def cell(value: Any, column: str = "") -> str:
    """A value as readers see it: 4 decimals up to 1, fewer above, nothing where it is missing.

    Thresholds, known by the name of their column, have 2.
    """
    if not isinstance(value, str) and pd.isna(value):
        return ""
    if isinstance(value, bool | np.bool_) or not isinstance(value, float | np.floating):
        return str(value)
    if column.endswith("threshold"):
        return f"{value:.2f}"
    size = abs(float(value))
    if 0 < size < 5e-5:
        return f"{value:.1e}"
    return f"{value:.{4 if size <= 1 else 2 if size < 1000 else 0}f}"


def as_csv(table: Table) -> str:
    """Comma-separated, floats that read back exactly."""
    frame = table.frame
    if any(heading for heading, _ in table.blocks):
        headings = {row: heading for heading, rows in table.blocks for row in rows}
        frame = frame.assign(**{BLOCK: [headings[row] for row in range(len(frame))]})
    return frame.to_csv(index=False, lineterminator="\n")


def as_markdown(table: Table) -> str:
    """A pipe table with its title above and its notes below."""
    cells = _cells(table)
    rule = ["---:" if right else ":---" for right in _numeric(table)]
    lines = [f"## {markdown(table.title)}", "", piped(_escaped(table.frame.columns, markdown))]
    lines.append(piped(rule))
    for heading, rows in table.blocks:
        if heading:
            lines.append(piped([f"**{markdown(heading)}**", *[""] * (len(rule) - 1)]))
        lines += [piped(_escaped(cells[row], markdown)) for row in rows]
    lines += ["", *(f"- {markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def as_latex(table: Table) -> str:
    """A tabular with the rules of booktabs, its title above and its notes below."""
    numeric, cells = _numeric(table), _cells(table)
    lines = [
        "% needs \\usepackage{booktabs}",
        rf"\noindent\textbf{{{latex(table.title)}}}\par\smallskip",
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        r"\toprule",
        _tabbed(_escaped(table.frame.columns, latex)),
    ]
    for heading, rows in table.blocks:
        lines.append(r"\midrule")
        if heading:
            lines.append(rf"\multicolumn{{{len(numeric)}}}{{l}}{{\emph{{{latex(heading)}}}}} \\")
        lines += [_tabbed(_escaped(cells[row], latex)) for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip"]
    lines += [rf"{{\footnotesize {latex(note)}\par}}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _cells(table: Table) -> list[tuple[str, ...]]:
    rows = table.frame.itertuples(index=False, name=None)
    return [
        tuple(cell(value, str(column)) for value, column in zip(row, table.frame.columns, strict=True))
        for row in rows
    ]


def _numeric(table: Table) -> list[bool]:
    return [pd.api.types.is_numeric_dtype(kind) for kind in table.frame.dtypes]


def _escaped(values: Iterable[str], escape: Callable[[str], str]) -> list[str]:
    return [escape(value) for value in values]


def piped(cells: Sequence[str]) -> str:
    """A row of a Markdown table; the cells are escaped already."""
    return f"| {' | '.join(cells)} |"


def _tabbed(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"
