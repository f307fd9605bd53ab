"""Methods beside each other: spread over pictures, accuracy against memory and time, scenarios."""

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from kolbench.report import drawing
from kolbench.report.breakdowns import FEWEST, means_by_tag, worst_tag
from kolbench.report.curves import plain_log
from kolbench.report.drawing import Figure
from kolbench.report.numbers import MIOU, Numbers, RunNumbers
from kolbench.report.portrait import FPS_THREADS
from kolbench.runs.benchmark import Benchmark, Spread
from kolbench.types import Float64Array, PlotOptions

# more points than this become pixels inside the SVG, which would grow by megabytes otherwise
_MOST_POINTS = 1500
_LABEL_LETTERS = 24
_ROW = 0.34  # inches
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
    raster = len(rows) * len(numbers.comparison.pictures) > _MOST_POINTS
    for row, run in enumerate(rows):
        _box(panel, row, run.images["miou"], chosen[run.label].colour, raster)
    for row, value in enumerate(baselines.values(), start=len(rows)):
        panel.plot([value], [row], color=drawing.GREY, marker="D", markersize=4.5, linestyle="")
    _name_rows(panel, labels)
    panel.set(xlabel="mIoU of a picture")
    panel.set_xlim(right=1.005)
    known = " Of baselines that have no run of their own the mean alone is known." if baselines else ""
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
def pareto_memory(numbers: Numbers) -> Figure | None:
    """mIoU against the memory that a prediction takes; None where it is known of no method."""
    memory = {run.label: run.run.record.cost and run.run.record.cost.memory for run in numbers.runs}
    costs = {label: value / 2**20 for label, value in memory.items() if value}
    return _pareto(
        numbers,
        costs,
        "pareto_memory",
        "Accuracy against memory",
        "peak memory of one prediction in MiB",
        "Peak of weights and tensors that live together while one picture is predicted; of methods without a "
        "network, what Python and numpy allocate.",
    )


@drawing.rules()
def pareto_speed(numbers: Numbers) -> Figure | None:
    """mIoU against milliseconds by task=benchmark; None where no benchmark is of any method.

    Only what was measured on one machine and one size of picture is drawn: that of most runs, of equals the
    first.
    """
    known = {
        label: (found, speed)
        for label, found in numbers.benchmarks.items()
        if (speed := found.speed(FPS_THREADS)) is not None
    }
    places = Counter(_place(found) for found, _ in known.values())
    if not places:
        return None
    place = places.most_common(1)[0][0]
    here = {label: both for label, both in known.items() if _place(both[0]) == place}
    forms = sorted({found.backend for found, _ in here.values()} - {"unchanged"})
    cpu, cores, (height, width) = place
    busy = (
        ", while other programs used its cores too" if any(f.machine.busy for f, _ in here.values()) else ""
    )
    return _pareto(
        numbers,
        {label: speed.segment.median_ms for label, (_, speed) in here.items()},
        "pareto_speed",
        "Accuracy against milliseconds",
        "milliseconds of one picture",
        f"Median of task=benchmark for a picture of {width}x{height} px, from memory to its alpha, at "
        f"{FPS_THREADS} threads of {cpu or 'a CPU'} ({cores} cores){busy}; networks in the form "
        f"{', '.join(forms) or 'as they are'}. Lines: the 95 % interval of the median, where it is wider "
        "than the marker.",
        {label: speed.segment for label, (_, speed) in here.items()},
    )


def _place(found: Benchmark) -> tuple[str, int | None, tuple[int, ...]]:
    return found.machine.cpu, found.machine.cores, found.picture


def _pareto(
    numbers: Numbers,
    costs: Mapping[str, float],
    name: str,
    title: str,
    axis: str,
    caption: str,
    spreads: Mapping[str, Spread] | None = None,
) -> Figure | None:
    """mIoU against what a method costs; None where no method's cost is known.

    Args:
        costs: of runs, by label. spreads: with the intervals of costs, of those that have one.
    """
    methods = [run for run in numbers.runs if not run.is_baseline]
    runs = [run for run in methods if run.label in costs]
    if not runs:
        return None
    (panel,) = drawing.canvas([3.0], drawing.legend_of(numbers, runs), lines=False)
    chosen = drawing.styles(numbers)
    for run in runs:
        score, spread = run.means["miou"], (spreads or {}).get(run.label)
        panel.plot([costs[run.label]], [score], **chosen[run.label].point(), markersize=8)
        if spread is not None and spread.low_ms is not None and spread.high_ms is not None:
            panel.hlines([score], spread.low_ms, spread.high_ms, color=chosen[run.label].colour)
    panel.set(xlabel=axis, ylabel="mIoU")
    plain_log(panel, "x")
    _draw_front(panel, [run for run in runs if run.run.truth_access == "none"], costs)
    absent = [run.label for run in methods if run.label not in costs]
    without = f" Not known for {', '.join(absent)}." if absent else ""
    helped = any(run.run.truth_access != "none" for run in runs)
    unfilled = " Markers without a filling: methods that are given part of the truth." if helped else ""
    return drawing.finish_axes(
        panel,
        name,
        title,
        f"{caption}{without} The line is the Pareto front: no method that reads the picture only is cheaper "
        f"and at least as good, or better and no more costly.{unfilled} Baselines are left out. {MIOU}",
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
            ring: PlotOptions = {"marker": "o", "markersize": 11, "fillstyle": "none", "linestyle": ""}
            panel.plot([values[worst]], [tags.index(worst)], color=style.colour, **ring)
    _name_rows(panel, [f"{tag} ({len(numbers.tags[tag])})" for tag in tags])
    panel.set_xlabel("mIoU")
    return drawing.finish_axes(
        panel,
        "scenarios",
        "mIoU by scenario",
        "Mean over the test pictures with a tag; their number in brackets. Hardest tags last, by the mean "
        f"over the methods shown; each method's worst tag of at least {FEWEST} pictures is ringed. "
        f"{'Tags are by rule, see the table of scenarios. ' if numbers.tagged_by_rule else ''}{MIOU}",
    )


def _box(panel: Axes, row: int, values: Float64Array, colour: str, raster: bool) -> None:
    jitter = (np.arange(len(values)) * _GOLDEN % 1 - 0.5) * 0.56
    dots: PlotOptions = {"markersize": 4.5, "alpha": 0.5, "markeredgewidth": 0, "linestyle": ""}
    panel.plot(values, row + jitter, marker=".", color=colour, rasterized=raster, **dots)
    low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
    for side in ((low, first), (third, high)):
        panel.plot(side, [row, row], color=colour, linewidth=1.2)
    corners = row + 0.3 * np.array([-1, -1, 1, 1, -1])
    panel.plot([first, third, third, first, first], corners, color=colour, linewidth=1.2)
    panel.plot([median, median], [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
    mean: PlotOptions = {
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


def _draw_front(panel: Axes, runs: Sequence[RunNumbers], costs: Mapping[str, float]) -> None:
    points = [(costs[run.label], run.means["miou"]) for run in runs]
    front = np.array([points[index] for index in pareto_front(points)])
    if not len(front):
        return
    # on to the right edge: for more cost there is nothing better
    left, right = panel.get_xlim()
    x, y = np.append(front[:, 0], right), np.append(front[:, 1], front[-1, 1])
    panel.plot(x, y, drawstyle="steps-post", color=drawing.INK, linewidth=0.9, zorder=1)
    panel.set_xlim(left, right)
