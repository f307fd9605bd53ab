"""The critical difference diagram: mean ranks on one axis, and bars over methods that are alike."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator

from kolbench.report import drawing
from kolbench.report.drawing import Figure, Style
from kolbench.report.numbers import Numbers
from kolbench.report.statistics import Ranks
from kolbench.report.statistics import ranks as ranks_of

_ROW = 0.23  # inches
_NAME_WIDTH = 1.4  # inches
# rows from the axis to the first bar, from bar to bar, and from the last one to the names
_FIRST_BAR, _BAR, _GAP = 0.85, 0.55, 0.35
# more ranks than this are numbered in steps
_MOST_NUMBERS = 16
# rows above the axis: its numbers, the critical difference and what that is called
_ABOVE, _CRITICAL = 3.2, 2.1


@drawing.rules()
def ranks(numbers: Numbers) -> Figure | None:
    """Critical difference diagram of the mean ranks (Demsar 2006, figure 1); None where there is no test."""
    runs = numbers.comparison.compared
    found = ranks_of(
        {run.label: numbers.of[run.label].images["miou"] for run in runs}, numbers.comparison.groups
    )
    if found.critical is None:
        return None
    (panel,) = drawing.canvas([1.0])
    _draw(panel, found, found.critical, drawing.styles(numbers), drawing.names(numbers))
    return drawing.finish_axes(
        panel,
        "ranks",
        "Mean ranks",
        "Fully automatic methods ranked by mIoU on each video, or on each image where videos are unknown; 1 "
        "is best. A bar joins methods that are not significantly different at 5 %: by no more than the "
        f"critical difference CD (Nemenyi), or as the Friedman test over all (p = {found.p:.2g}) finds no "
        "difference."
        f"{''.join(f' {told}' for told in numbers.stand_ins)}",
    )


def bar_levels(ends: Sequence[tuple[float, float]]) -> list[int]:
    """Level of each bar, 0 nearest to the axis: the lowest on which it touches no earlier bar."""
    reached: list[float] = []
    levels = []
    for left, right in ends:
        level = next((number for number, end in enumerate(reached) if end < left), len(reached))
        reached[level : level + 1] = [right]
        levels.append(level)
    return levels


def _draw(
    panel: Axes, found: Ranks, critical: float, chosen: Mapping[str, Style], called: Mapping[str, str]
) -> None:
    """Rows count downwards from the axis at 0."""
    ends = [(found.average[group[0]], found.average[group[-1]]) for group in found.not_different]
    levels = bar_levels(ends)
    heights = [_FIRST_BAR + _BAR * level for level in levels]
    names = [
        f"{drawing.fitted(called[label], _NAME_WIDTH)} ({rank:.2f})" for label, rank in found.average.items()
    ]
    top = max(heights, default=0.5) + _GAP
    rows = [top + 0.5 + number for number in range(len(names))]
    bottom = top + len(names)
    first, last = 1.0, float(len(names))
    left = first - 0.04 * (last - first)
    for row, (label, rank) in zip(rows, found.average.items(), strict=True):
        style = chosen[label]
        panel.plot([left, rank, rank], [row, row, 0], color=style.colour, linewidth=1.2)
        panel.plot([rank], [0], **style.point(), zorder=4)
    for height, bar in zip(heights, ends, strict=True):
        panel.plot(bar, [height] * 2, color=drawing.INK, linewidth=3.0, zorder=3)
    panel.plot([first, first + critical], [-_CRITICAL] * 2, color=drawing.INK, marker="|", linewidth=1.2)
    panel.text(first, -_CRITICAL - 0.4, f"CD = {critical:.2f}", va="bottom")
    _lay_out(panel, rows, names)
    panel.set(xlim=(left, max(last, first + critical)), ylim=(bottom + 0.2, -_ABOVE))
    drawing.page_of(panel).set_figheight(_ROW * (bottom + _ABOVE + 0.6))


def _lay_out(panel: Axes, rows: Sequence[float], names: Sequence[str]) -> None:
    """Ranks on top of the rows, names on the left, and nothing else."""
    panel.grid(visible=False)
    panel.set_yticks(rows, names)
    panel.xaxis.tick_top()
    few = len(names) <= _MOST_NUMBERS
    numbers = FixedLocator(range(1, len(names) + 1)) if few else MaxNLocator(integer=True)
    panel.xaxis.set_major_locator(numbers)
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.spines.top.set(visible=True, position=("data", 0))
    panel.tick_params(axis="y", length=0)
