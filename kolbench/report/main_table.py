"""`tables/main.*`: the leaderboard as a table to be put into a paper, of at most seven columns."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from kolbench.io.files import write_text
from kolbench.report.leaderboard import Leaderboard, Row
from kolbench.report.sentences import images_in_words
from kolbench.report.table_files import latex, markdown, piped
from kolbench.report.words import DASH, listed
from kolbench.runs.finished import Comparison

NAME = "main"
# around what is best, as `str.format` takes it
_BOLD = r"\textbf{{{}}}"
_ARROWS = {"↑": r"\uparrow", "↓": r"\downarrow"}


def caption_of(comparison: Comparison, board: Leaderboard) -> str:
    """What the table shows, in two or three sentences."""
    best = " Best in bold." if board.ranked else ""
    pooled = [column.name for column in board.columns if column.key.endswith("_pooled")]
    together = f" {listed(pooled)}: pixels of all images together." if pooled else ""
    return (
        f"Person and held-product segmentation on {comparison.name}: {images_in_words(comparison)}, each "
        "method at its own threshold. Means over images in per cent, mIoU with its 95 % confidence "
        f"interval.{together}{best}"
    )


def as_csv(board: Leaderboard) -> str:
    """Shares from 0 to 1 at full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["block", "rank", "method", "miou", "low", "high", *(column.key for column in board.columns)]
    )
    for heading, row in _rows(board):
        ends = ["" if math.isnan(end) else repr(end) for end in (row.found.low, row.found.high)]
        cells = ["" if math.isnan(cell.value) else repr(cell.value) for cell in row.cells]
        writer.writerow([heading, row.rank or "", row.name, repr(row.found.value), *ends, *cells])
    return text.getvalue()


def as_markdown(comparison: Comparison, board: Leaderboard) -> str:
    """A pipe table with its caption below, best in bold."""
    heads = [
        "",
        "Method",
        "mIoU % ↑",
        "95 % CI",
        *(f"{column.name} {column.arrow}" for column in board.columns),
    ]
    lines = [piped(heads), piped([":---", ":---", *["---:"] * (len(heads) - 2)])]
    for heading, rows in board.blocks:
        if heading:
            lines.append(piped(["", f"*{markdown(heading)}*", *[""] * (len(heads) - 2)]))
        lines += [piped([str(row.rank or ""), *_cells(row, markdown, "**{}**")]) for row in rows]
    return "\n".join([*lines, "", markdown(caption_of(comparison, board))]) + "\n"


def as_latex(comparison: Comparison, board: Leaderboard) -> str:
    """A `table` with caption and label, the rules of booktabs, best in bold."""
    heads = [
        "Method",
        r"mIoU $\uparrow$",
        r"95\,\% CI",
        *(_latex_head(c.name, c.arrow) for c in board.columns),
    ]
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(caption_of(comparison, board))}}}",
        rf"\label{{tab:{_label(comparison.name)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        rf"{' & '.join(heads)} \\",
    ]
    for heading, rows in board.blocks:
        lines.append(r"\midrule")
        if heading:
            lines.append(rf"\multicolumn{{{len(heads)}}}{{l}}{{\emph{{{latex(heading)}}}}} \\")
        lines += [rf"{' & '.join(_cells(row, latex, _BOLD))} \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def write(comparison: Comparison, board: Leaderboard, folder: Path) -> None:
    """main.csv, main.md and main.tex, atomically; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "csv": as_csv(board),
        "md": as_markdown(comparison, board),
        "tex": as_latex(comparison, board),
    }
    for ending, text in texts.items():
        write_text(folder / f"{NAME}.{ending}", text)


def _rows(board: Leaderboard) -> Iterator[tuple[str, Row]]:
    for heading, rows in board.blocks:
        for row in rows:
            yield heading, row


def _cells(row: Row, escape: Callable[[str], str], bold: str) -> list[str]:
    """Name, mIoU, interval, and the other scores; `bold` is put around what is best."""
    values = [(row.score, row.best), (row.interval or DASH, False)]
    values += [(cell.text, cell.best) for cell in row.cells]
    shown = [bold.format(escape(text)) if best else escape(text) for text, best in values]
    name = escape(row.name)
    return [bold.format(name) if row.best else name, *shown]


def _latex_head(name: str, arrow: str) -> str:
    return f"{latex(name)} {'$' + _ARROWS[arrow] + '$' if arrow else ''}".strip()


def _label(name: str) -> str:
    """A name as LaTeX takes it in a label."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or NAME
