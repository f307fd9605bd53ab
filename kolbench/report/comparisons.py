"""Methods beside each other: spread over images, accuracy against memory and time, scenarios."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kolbench.report import drawing, labels
from kolbench.report.breakdowns import FEWEST, means_by_tag, worst_tag
from kolbench.report.curves import plain_log
from kolbench.report.drawing import Figure
from kolbench.report.labels import Named
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.portrait import FPS_THREADS
from kolbench.runs.benchmark import Benchmark, Spread
from kolbench.runs.method_names import shown_label
from kolbench.types import Float64Array, PlotOptions

# more points than this become pixels inside the SVG, which would grow by megabytes otherwise
_MOST_POINTS = 1500
_NAME_WIDTH = 1.8  # inches, of the longest name of a baseline with "(mean)"
_ROW = 0.32  # inches
_ON_FRONT = 60  # places of the Pareto front that names avoid
_GOLDEN = 0.6180339887498949


@drawing.rules()
def distributions(numbers: Numbers) -> Figure:
    """mIoU of every image in per cent as points, quartiles as a box; best mean first, baselines last."""
    rows = _rows(numbers)
    (panel,) = drawing.canvas([_ROW * len(rows) + 0.6])
    chosen = drawing.styles(numbers)
    raster = len(numbers.runs) * len(numbers.comparison.pictures) > _MOST_POINTS
    for place, row in enumerate(rows):
        if row.run is not None:
            _box(panel, place, 100 * row.run.images["miou"], chosen[row.run.label].colour, raster)
        else:
            panel.plot(
                [100 * row.mean], [place], color=drawing.GREY, marker="D", markersize=4.5, linestyle=""
            )
    _name_rows(panel, [row.name for row in rows])
    panel.set(xlabel="mIoU of an image (%)")
    panel.set_xlim(right=100.5)
    known = (
        " Of baselines without a run of their own only the mean is known."
        if any(row.run is None for row in rows)
        else ""
    )
    return drawing.finish_axes(
        panel,
        "distributions",
        "mIoU of each image",
        "A point is a test image; the box spans the middle half with the median, the whiskers 5 to 95 %, "
        f"the diamond is the mean.{known}",
    )


class _Row(NamedTuple):
    """Of the distributions. mean: mIoU in [0, 1]. run: None of a baseline of which only the mean is known."""

    name: str
    mean: float
    run: RunNumbers | None

    @property
    def is_baseline(self) -> bool:
        return self.run is None or self.run.is_baseline


def _rows(numbers: Numbers) -> list[_Row]:
    """Runs, the best first, then baselines, the best first."""
    called = drawing.names(numbers)
    runs = [_Row(_shown(run, called), run.means["miou"], run) for run in numbers.runs]
    means_alone = [
        _Row(f"{shown_label(name, name.split(' ', 1)[0])} (mean)", scores["miou"], None)
        for name, scores in numbers.recorded_baselines.items()
    ]
    return sorted([*runs, *means_alone], key=lambda row: (row.is_baseline, -row.mean))


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
        "peak memory of one prediction (MiB)",
        "Weights and tensors that live together while one image is predicted; of methods without a network, "
        "what Python and numpy allocate.",
    )


@drawing.rules()
def pareto_speed(numbers: Numbers) -> Figure | None:
    """mIoU against milliseconds by task=benchmark; None where no benchmark is of any method.

    Only what was measured on one machine and one size of image is drawn: that of most runs, of equals the
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
        ", while other programs used its cores too"
        if any(found.machine.busy for found, _ in here.values())
        else ""
    )
    return _pareto(
        numbers,
        {label: speed.segment.median_ms for label, (_, speed) in here.items()},
        "pareto_speed",
        "Accuracy against speed",
        "milliseconds per image",
        f"Median of task=benchmark for an image of {width}x{height} px, from memory to alpha, with "
        f"{FPS_THREADS} threads of {cpu or 'a CPU'} ({cores} cores){busy}; networks "
        f"{', '.join(forms) or 'unchanged'}. Bars: 95 % interval of the median.",
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
    (panel,) = drawing.canvas([3.3 + 0.08 * max(0, len(runs) - 6)])
    chosen, called = drawing.styles(numbers), drawing.names(numbers)
    for run in runs:
        score, spread = 100 * run.means["miou"], (spreads or {}).get(run.label)
        panel.plot([costs[run.label]], [score], **chosen[run.label].point(), markersize=8)
        if spread is not None and spread.low_ms is not None and spread.high_ms is not None:
            panel.hlines([score], spread.low_ms, spread.high_ms, color=chosen[run.label].colour)
    panel.set(xlabel=axis, ylabel="mIoU (%)")
    plain_log(panel, "x")
    front = _draw_front(panel, [run for run in runs if run.run.truth_access == "none"], costs)
    named = [
        Named(_shown(run, called), chosen[run.label], costs[run.label], 100 * run.means["miou"])
        for run in runs
    ]
    labels.next_to(panel, named, front)
    absent = [called[run.label] for run in methods if run.label not in costs]
    without = f" Not known for {', '.join(absent)}." if absent else ""
    helped = any(run.run.truth_access != "none" for run in runs)
    unfilled = " Hollow: oracles, which are given part of the ground truth." if helped else ""
    return drawing.finish_axes(
        panel,
        name,
        title,
        f"{caption}{without} The line is the Pareto front of fully automatic methods.{unfilled} Baselines "
        "are left out.",
    )


@drawing.rules()
def scenarios(numbers: Numbers) -> Figure | None:
    """Mean mIoU by scenario, hardest last, the worst of each method ringed; None where nothing is tagged."""
    if not numbers.tags:
        return None
    runs = [run for run in numbers.runs if not run.is_baseline] or list(numbers.runs)
    means = {run.label: means_by_tag(100 * run.images["miou"], numbers.tags) for run in runs}
    tags = sorted(numbers.tags, key=lambda tag: -math.fsum(means[run.label][tag] for run in runs))
    (panel,) = drawing.canvas([0.28 * len(tags) + 0.6], drawing.legend_of(numbers, runs), lines=False)
    chosen = drawing.styles(numbers)
    for run in runs:
        style, values = chosen[run.label], means[run.label]
        panel.plot([values[tag] for tag in tags], range(len(tags)), **style.point())
        worst = worst_tag(values, numbers.tags)
        if worst:
            ring: PlotOptions = {"marker": "o", "markersize": 11, "fillstyle": "none", "linestyle": ""}
            panel.plot([values[worst]], [tags.index(worst)], color=style.colour, **ring)
    _name_rows(panel, [f"{tag} ({len(numbers.tags[tag])})" for tag in tags])
    panel.set_xlabel("mIoU (%)")
    return drawing.finish_axes(
        panel,
        "scenarios",
        "mIoU by scenario",
        "Mean over the test images with a tag (their number in brackets), the hardest last. Ringed: each "
        f"method's worst tag of at least {FEWEST} images."
        f"{' Tags are by rule, see the table of scenarios.' if numbers.tagged_by_rule else ''}",
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


def _shown(run: RunNumbers, called: Mapping[str, str]) -> str:
    return f"{called[run.label]}{drawing.HELP[run.run.truth_access]}"


def _name_rows(panel: Axes, names: Sequence[str]) -> None:
    panel.set_yticks(range(len(names)), [drawing.fitted(name, _NAME_WIDTH) for name in names])
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)


def _draw_front(panel: Axes, runs: Sequence[RunNumbers], costs: Mapping[str, float]) -> Float64Array:
    """Draws the Pareto front, and gives (N, 2) places along it."""
    points = [(costs[run.label], 100 * run.means["miou"]) for run in runs]
    front = np.array([points[index] for index in pareto_front(points)])
    if not len(front):
        return np.zeros((0, 2))
    # on to the right edge: for more cost there is nothing better
    left, right = panel.get_xlim()
    x, y = np.append(front[:, 0], right), np.append(front[:, 1], front[-1, 1])
    panel.plot(x, y, drawstyle="steps-post", color=drawing.INK, linewidth=0.9, zorder=1)
    panel.set_xlim(left, right)
    along = np.geomspace(x[0], right, _ON_FRONT)
    return np.column_stack([along, y[np.searchsorted(x, along, side="right") - 1]])
