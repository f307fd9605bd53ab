"""How the report draws: one ink that the page colours, one style per method, one drawing as SVG and PNG."""

import contextlib
import hashlib
import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from kolbench.io.files import write_atomically
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.runs.method_names import shown_label
from kolbench.types import PlotOptions

WIDTH = 4.8  # inches
DPI = 150
# points: on a phone, where a figure is 316 px wide, the letters are still 10 px
FONT_SIZE = 11.0
_HANDLE = 0.62  # inches of a legend's column that are not text
_LEGEND_ROW = 0.22  # inches
_FEWEST_COLUMNS = 2
# text and axes are drawn in this ink, which the SVG leaves to the page's own text colour
INK = "#0b0c0d"
GREY = "#808080"
# 3:1 against a white and against a nearly black page; the first six are told apart with deutan and protan
# vision too, all twelve at a smaller distance, and by dash and marker
PALETTE = (
    *("#3264dc", "#d27800", "#50a06e", "#965a82", "#0096d2", "#c82832"),
    *("#5050fa", "#6464a0", "#3c96fa", "#e600b4", "#be460a", "#506e5a"),
)
Dash = str | tuple[float, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HELP = {"none": "", "box": " (oracle)", "mask": " (oracle)"}

_RULES: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kolbench",
    "text.parse_math": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "legend.fontsize": FONT_SIZE,
    "legend.frameon": False,
    "legend.columnspacing": 1.0,
    "xtick.labelsize": FONT_SIZE,
    "ytick.labelsize": FONT_SIZE,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.5,
    "lines.markersize": 5.5,
    "figure.facecolor": "none",
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class Figure:
    """A figure of the report.

    name: file stem. title, caption: plain text, to be escaped. svg: one `<svg>` element for the page; text
    and axes are in the colour of the text around it. png: the same on white, 150 dpi.
    """

    name: str
    title: str
    caption: str
    svg: str
    png: bytes = field(default=b"", repr=False)


class Style(NamedTuple):
    """How a method is drawn in every figure; hollow are oracles, which are given part of the ground truth."""

    colour: str
    dash: Dash
    marker: str
    hollow: bool = False

    def line(self) -> PlotOptions:
        """Options of a plotted line."""
        return {"color": self.colour, "linestyle": self.dash}

    def point(self) -> PlotOptions:
        """Options of plotted points."""
        fill = "none" if self.hollow else "full"
        return {"color": self.colour, "marker": self.marker, "fillstyle": fill, "linestyle": ""}


class Entry(NamedTuple):
    """A line of a legend."""

    style: Style
    text: str


@contextlib.contextmanager
def rules() -> Iterator[None]:
    """matplotlib's settings for all figures of the report; also a decorator."""
    with matplotlib.rc_context(_RULES), warnings.catch_warnings():
        # the browser has the letters that matplotlib's own font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def styles(numbers: Numbers) -> dict[str, Style]:
    """Label -> style; runs that differ in the seed only share it, baselines are grey."""
    grey = coloured = 0
    found: dict[str, Style] = {}
    for runs in numbers.families.values():
        hollow = runs[0].run.truth_access != "none"
        if runs[0].is_baseline:
            style = Style(GREY, DASHES[1 + grey % 4], MARKERS[grey % len(MARKERS)], hollow)
            grey += 1
        else:
            style = nth_style(coloured)._replace(hollow=hollow)
            coloured += 1
        found |= {run.label: style for run in runs}
    return found


def nth_style(number: int) -> Style:
    """Colours come again after 12 methods, dashes after 5, markers after 7: unlike for 60 methods."""
    return Style(PALETTE[number % len(PALETTE)], DASHES[number % len(DASHES)], MARKERS[number % len(MARKERS)])


def names(numbers: Numbers) -> dict[str, str]:
    """Run's label -> what it is called in figures; of runs called alike, all keep their labels."""
    return unlike({run.label: run.run.method for run in numbers.runs})


def family_names(numbers: Numbers) -> dict[str, str]:
    """Family -> what it is called in figures, with what it is given of the ground truth."""
    methods = {family: runs[0].run.method for family, runs in numbers.families.items()}
    help_of = {family: HELP[runs[0].run.truth_access] for family, runs in numbers.families.items()}
    return {family: f"{name}{help_of[family]}" for family, name in unlike(methods).items()}


def unlike(methods: Mapping[str, str]) -> dict[str, str]:
    """Label -> name by `shown_label`, of the methods by their labels; labels that would read alike stay."""
    shown = {label: shown_label(label, method) for label, method in methods.items()}
    often = Counter(shown.values())
    return {label: label if often[name] > 1 else name for label, name in shown.items()}


def legend_of(
    numbers: Numbers,
    only: Collection[RunNumbers] | None = None,
    value: Callable[[RunNumbers], float] | None = None,
    inches: float = WIDTH / _FEWEST_COLUMNS - _HANDLE,
) -> list[Entry]:
    """A line per method, for the runs of `only` or for all, whose seeds share it.

    The highest mIoU comes first and baselines last; where there is a `value`, whose mean over the seeds
    stands behind the name, the highest of it comes first. No line is wider than `inches`.
    """
    chosen, called = styles(numbers), family_names(numbers)
    labels = {run.label for run in (numbers.runs if only is None else only)}
    entries: list[tuple[bool, float, Entry]] = []
    for family, members in numbers.families.items():
        runs = [run for run in members if run.label in labels]
        if not runs:
            continue
        mean = math.fsum(value(run) if value else run.means["miou"] for run in runs) / len(runs)
        behind = f" {mean:.3f}" if value else f" ({len(runs)} seeds)" if len(runs) > 1 else ""
        text = fitted(called[family], inches - text_width(behind)) + behind
        last = runs[0].is_baseline and not value
        entries.append((last, -mean, Entry(chosen[runs[0].label], text)))
    return [entry for *_, entry in sorted(entries, key=lambda entry: entry[:2])]


def canvas(heights: Sequence[float], entries: Sequence[Entry] = (), lines: bool = True) -> list[Axes]:
    """Axes of these heights in inches below each other, and below them a legend.

    Args:
        heights: of the axes with their labels.
        entries: of the legend.
        lines: show dashes in the legend, not only markers.
    """
    drawing = _with_legend(sum(heights), entries, lines)
    axes = drawing.subplots(len(heights), 1, squeeze=False, height_ratios=heights)
    return [row[0] for row in axes]


def grid(count: int, height: float, entries: Sequence[Entry]) -> list[Axes]:
    """Axes of a height in inches in rows of two, all of one scale, and below them a legend of lines."""
    columns = min(2, count)
    rows = -(-count // columns)
    drawing = _with_legend(height * rows, entries, lines=True)
    axes = drawing.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    if count < rows * columns:
        axes[-1, -1].remove()
        # now the lowest of its column
        axes[-2, -1].tick_params(labelbottom=True)
    return list(axes.flat[:count])


def _with_legend(height: float, entries: Sequence[Entry], lines: bool) -> Drawing:
    """A drawing with room for axes of a height in inches, and with its legend."""
    longest = max((text_width(entry.text) for entry in entries), default=0.0)
    columns = max(1, min(3, int(WIDTH / (longest + _HANDLE))))
    rows = -(-len(entries) // columns)
    drawing = Drawing(figsize=(WIDTH, height + _LEGEND_ROW * rows), layout="constrained")
    if entries:
        handles = [_handle(entry, lines) for entry in entries]
        drawing.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=2.2)
    return drawing


def fitted(text: str, inches: float, points: float = FONT_SIZE) -> str:
    """A text that is no wider than that in letters of that size, without letters of its middle."""
    shown, left = text, len(text)
    while left > 1 and text_width(shown, points) > inches:
        left -= 1
        shown = f"{text[: (left + 1) // 2]}…{text[len(text) - left // 2 :]}"
    return shown


def text_width(text: str, points: float = FONT_SIZE) -> float:
    """Inches in letters of a size."""
    font = FontProperties(size=points)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def _handle(entry: Entry, lines: bool) -> Line2D:
    style, text = entry
    options = style.point() | (style.line() if lines else {})
    # a label that begins with an underscore would not be shown
    return Line2D([], [], label=text if not text.startswith("_") else f"\u200b{text}", **options)


def finish(drawing: Drawing, name: str, title: str, caption: str) -> Figure:
    """The drawing as SVG and PNG; the same drawing gives the same bytes."""
    svg, png = io.StringIO(), io.BytesIO()
    # numbers at the axes are chosen for the size that the first layout gives, and may be longer
    drawing.draw_without_rendering()
    drawing.savefig(svg, format="svg", dpi=DPI, metadata=_NO_METADATA)
    # once laid out, the places stay
    drawing.set_layout_engine("none")
    drawing.savefig(png, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return Figure(name, title, caption, for_page(svg.getvalue(), name), png.getvalue())


def finish_axes(axes: Axes, name: str, title: str, caption: str) -> Figure:
    """`finish` for the drawing that the axes belong to."""
    return finish(page_of(axes), name, title, caption)


def page_of(axes: Axes) -> Drawing:
    """The drawing that the axes belong to."""
    drawing = axes.get_figure(root=True)
    assert isinstance(drawing, Drawing)
    return drawing


def for_page(svg: str, name: str) -> str:
    """matplotlib's SVG file as an element of a page: nothing leaks out of it, nothing is fetched.

    Without prolog, style sheet, and names that nothing refers to; names that are referred to are unique on
    the page; the ink is `currentColor`.
    """
    mark = f"{name}-{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{mark}{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(href="#|url\(#)', lambda m: m[1] + mark, svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", svg)
    inherited = 'style="stroke-linejoin: round; stroke-linecap: butt; max-width: 100%; height: auto"'
    return svg.replace("<svg ", f'<svg role="img" {inherited} ', 1).replace(INK, "currentColor")


def write(figure: Figure, folder: Path) -> None:
    """NAME.svg, and NAME.png where it was drawn, atomically; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, data in (("svg", figure.svg.encode()), ("png", figure.png)):
        if data:
            write_atomically(folder / f"{figure.name}.{suffix}", partial(_fill, data=data))


def _fill(path: Path, data: bytes) -> None:
    path.write_bytes(data)
