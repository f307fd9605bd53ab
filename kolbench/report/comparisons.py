"""Methods beside each other: spread over pictures, accuracy against cost, mean ranks, scenarios."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kolbench.metrics import scores
from kolbench.metrics.scores import Float64Array
from kolbench.report import drawing, statistics
from kolbench.report.breakdowns import FEWEST, means_by_tag, worst_tag
from kolbench.report.curves import plain_log
from kolbench.report.drawing import Figure, Style
from kolbench.report.numbers import Numbers, RunNumbers

MIOU = f"mIoU: {scores.DEFINITIONS['miou']}; each run at its own threshold."
# more points than this become pixels inside the SVG, which would grow by megabytes otherwise
_MOST_POINTS = 1500
_LABEL_LETTERS = 24
_ROW, _RANK_ROW = 0.34, 0.23  # inches
_GOLDEN = 0.6180339887498949


@drawing.rules()
def distributions(numbers: Numbers) -> Figure:
    """mIoU of every picture as points, quartiles as a box; best mean first."""
    rows = sorted(numbers.runs, key=lambda run: -run.means["miou"])
    baselines = {name: row["miou"] for name, row in numbers.recorded_baselines.items()}
    labels = [f"{run.label}{drawing.HELP[run.run.truth_access]}" for run in rows] + [
        f"{name} (mean)" for name in baselines
    ]
    (panel,) = drawing.canvas([_ROW * len(labels) + 0.6])
    chosen = drawing.styles(numbers)
    raster = len(rows) * len(numbers.test_set.pictures) > _MOST_POINTS
    for row, run in enumerate(rows):
        _box(panel, row, run.images["miou"], chosen[run.label].colour, raster)
    for row, value in enumerate(baselines.values(), start=len(rows)):
        panel.plot([value], [row], color=drawing.GREY, marker="D", markersize=4.5, linestyle="")
    _name_rows(panel, labels)
    panel.set(xlabel="mIoU of a picture")
    panel.set_xlim(right=1.005)
    known = " Of floors that have no run of their own the mean alone is known." if baselines else ""
    return drawing.finish_axes(
        panel,
        "distributions",
        "mIoU of each picture",
        "A point is a test picture; the box spans the middle half with the median, the whiskers 5 to 95 %, "
        f"and the diamond is the mean.{known} {MIOU}",
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the (cost, score) points that no other point beats, cheapest first.

    A point is beaten by one that costs no more and scores no less, unless both are equal in both.
    """

    def beaten(cost: float, score: float) -> bool:
        return any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)

    front = [index for index, point in enumerate(points) if not beaten(*point)]
    return sorted(front, key=lambda index: (points[index], index))


@drawing.rules()
def pareto_time(numbers: Numbers) -> Figure | None:
    """mIoU against seconds per picture."""
    devices = sorted({str(run.run.timed_on) for run in numbers.runs})
    where = f"Devices differ ({'; '.join(devices)}): do not compare the seconds." if devices[1:] else ""
    return _pareto(
        numbers,
        {run.label: tuple(run.pace) for run in numbers.runs if run.pace.median > 0},
        ("pareto_time", "Accuracy against time", "median seconds per picture"),
        "Seconds of the method on a test picture, median over the pictures, the thin line from the lower to "
        f"the upper quartile. {where or f'Device: {devices[0]}.'}",
        front=not where,
    )


@drawing.rules()
def pareto_memory(numbers: Numbers) -> Figure | None:
    """mIoU against the memory that a prediction takes."""
    memory = {run.label: (run.run.record.get("cost") or {}).get("memory") for run in numbers.runs}
    return _pareto(
        numbers,
        {label: (value / 2**20,) * 3 for label, value in memory.items() if value},
        ("pareto_memory", "Accuracy against memory", "peak memory of one prediction in MiB"),
        "Peak of weights and tensors that live together while one picture is predicted; of methods without a "
        "network, what Python and numpy allocate.",
    )


@drawing.rules()
def ranks(numbers: Numbers) -> Figure | None:
    """Critical difference diagram of the mean ranks (Demsar 2006, figure 1); None where there is no test."""
    runs = numbers.test_set.compared
    found = statistics.ranks(
        {run.label: numbers.of[run.label].images["miou"] for run in runs}, numbers.test_set.groups
    )
    if found.critical is None:
        return None
    (panel,) = drawing.canvas([1.0])
    _draw_ranks(panel, found, found.critical, drawing.styles(numbers))
    return drawing.finish_axes(
        panel,
        "ranks",
        "Mean ranks",
        "Methods that read the picture only, ranked by mIoU (1 is best) on each video, or on each picture "
        "where videos are unknown; mean over those. A bar joins methods that cannot be told apart at 5 %: "
        f"ranks differ by less than the critical difference, CD = {found.critical:.2f} (Nemenyi), or the "
        f"Friedman test over all (p = {found.p:.2g}) finds no difference. {MIOU}",
    )


@drawing.rules()
def scenarios(numbers: Numbers) -> Figure | None:
    """Mean mIoU by scenario, hardest last, the worst of each method ringed; None where nothing is tagged."""
    if not numbers.tags:
        return None
    runs = [run for run in numbers.runs if not run.is_baseline] or list(numbers.runs)
    means = {run.label: means_by_tag(run.images["miou"], numbers.tags) for run in runs}
    tags = sorted(numbers.tags, key=lambda tag: -math.fsum(means[run.label][tag] for run in runs))
    (panel,) = drawing.canvas([0.25 * len(tags) + 0.6], drawing.legend_of(numbers, runs), lines=False)
    chosen = drawing.styles(numbers)
    for run in runs:
        style, values = chosen[run.label], means[run.label]
        panel.plot([values[tag] for tag in tags], range(len(tags)), **style.point())
        worst = worst_tag(values, numbers.tags)
        if worst:
            ring: dict[str, Any] = {"marker": "o", "markersize": 11, "fillstyle": "none", "linestyle": ""}
            panel.plot([values[worst]], [tags.index(worst)], color=style.colour, **ring)
    _name_rows(panel, [f"{tag} ({len(numbers.tags[tag])})" for tag in tags])
    panel.set_xlabel("mIoU")
    return drawing.finish_axes(
        panel,
        "scenarios",
        "mIoU by scenario",
        "Mean over the test pictures with a tag; their number in brackets. Hardest tags last, by the mean "
        f"over the methods shown; each method's worst tag of at least {FEWEST} pictures is ringed. {MIOU}",
    )


def _box(panel: Axes, row: int, values: Float64Array, colour: str, raster: bool) -> None:
    jitter = (np.arange(len(values)) * _GOLDEN % 1 - 0.5) * 0.56
    dots: dict[str, Any] = {"markersize": 4.5, "alpha": 0.5, "markeredgewidth": 0, "linestyle": ""}
    panel.plot(values, row + jitter, marker=".", color=colour, rasterized=raster, **dots)
    low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
    for side in ((low, first), (third, high)):
        panel.plot(side, [row, row], color=colour, linewidth=1.2)
    corners = row + 0.3 * np.array([-1, -1, 1, 1, -1])
    panel.plot([first, third, third, first, first], corners, color=colour, linewidth=1.2)
    panel.plot([median, median], [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
    mean: dict[str, Any] = {
        "marker": "D",
        "markersize": 4.5,
        "markeredgewidth": 0,
        "linestyle": "",
        "zorder": 4,
    }
    panel.plot([values.mean()], [row], color=drawing.INK, **mean)


def _name_rows(panel: Axes, labels: Sequence[str]) -> None:
    names = [textwrap.fill(label, _LABEL_LETTERS) for label in labels]
    panel.set_yticks(range(len(labels)), names)
    panel.set_ylim(len(labels) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)


def _pareto(
    numbers: Numbers,
    costs: Mapping[str, tuple[float, ...]],
    names: tuple[str, str, str],
    meaning: str,
    front: bool = True,
) -> Figure | None:
    """Costs: label -> (cost, low, high), of the runs whose cost is known; front: whether they compare."""
    methods = [run for run in numbers.runs if not run.is_baseline]
    runs = [run for run in methods if run.label in costs]
    if not runs:
        return None
    (panel,) = drawing.canvas([3.0], drawing.legend_of(numbers, runs), lines=False)
    chosen = drawing.styles(numbers)
    for run in runs:
        (cost, low, high), score, style = costs[run.label], run.means["miou"], chosen[run.label]
        if high > low:
            panel.plot([low, high], [score, score], color=style.colour, linewidth=0.9)
        panel.plot([cost], [score], **style.point(), markersize=8)
    panel.set(xlabel=names[2], ylabel="mIoU")
    plain_log(panel, "x")
    line = ""
    if front:
        _draw_front(panel, [run for run in runs if run.run.truth_access == "none"], costs)
        line = (
            " The line is the Pareto front: no method that reads the picture only is cheaper and at least "
            "as good, or better and no more costly."
        )
    absent = [run.label for run in methods if run.label not in costs]
    without = f" Not known for {', '.join(absent)}." if absent else ""
    helped = any(run.run.truth_access != "none" for run in runs)
    hollow = " Hollow: methods that are given part of the truth." if helped else ""
    return drawing.finish_axes(
        panel,
        *names[:2],
        f"{meaning}{without}{line}{hollow} Floors are left out. {MIOU}",
    )


def _draw_front(panel: Axes, runs: Sequence[RunNumbers], costs: Mapping[str, tuple[float, ...]]) -> None:
    points = [(costs[run.label][0], run.means["miou"]) for run in runs]
    front = np.array([points[index] for index in pareto_front(points)])
    if not len(front):
        return
    # on to the right edge: for more cost there is nothing better
    left, right = panel.get_xlim()
    x, y = np.append(front[:, 0], right), np.append(front[:, 1], front[-1, 1])
    panel.plot(x, y, drawstyle="steps-post", color=drawing.INK, linewidth=0.9, zorder=1)
    panel.set_xlim(left, right)


def _draw_ranks(panel: Axes, found: statistics.Ranks, critical: float, chosen: Mapping[str, Style]) -> None:
    from scikit_posthocs import critical_difference_diagram

    labels = list(found.average)
    differ = pd.DataFrame(0.0, index=labels, columns=labels)
    for group in found.not_different:
        differ.loc[list(group), list(group)] = 1.0
    drawn = critical_difference_diagram(
        found.average,
        differ,
        ax=panel,
        left_only=True,
        label_fmt_left="{label} ({rank:.2f})",
        text_h_margin=0.0,
        color_palette={label: chosen[label].colour for label in labels},
        crossbar_props={"color": drawing.INK},
        elbow_props={"linewidth": 1.2},
    )
    for text in drawn["labels"]:
        text.set_color(drawing.INK)
        text.set_x(text.get_position()[0] - 0.02 * len(labels))
    # above the numbers of the axis
    panel.plot([1, 1 + critical], [2.2, 2.2], color=drawing.INK, marker="|", linewidth=1.2)
    panel.text(1 + critical / 2, 2.5, f"CD = {critical:.2f}", ha="center", va="bottom", fontsize=8.5)
    lowest = min(text.get_position()[1] for text in drawn["labels"])
    panel.set(xlim=(1, len(labels)), ylim=(lowest - 0.6, 3.4))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    drawing.page_of(panel).set_figheight(_RANK_ROW * (4 - lowest))
    panel.spines.top.set_visible(True)
    panel.grid(visible=False)
