"""Curves of methods: scores against the threshold, precision against recall, ROC, training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from kolbench.metrics import scores
from kolbench.report import drawing, labels
from kolbench.report.drawing import Figure, Style
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.types import Float64Array

THRESHOLDS = tuple(percent / 100 for percent in range(1, 100))
_POOLED = "Pixels of all test images together; the marker is the run's threshold."
# column of the history -> what it is multiplied with
_TRAINING = {"train/loss": 1, "val/miou": 100}
_CURVES = {"miou": "mIoU", "acc": "accuracy"}
# where the curves of good methods crowd: false positive and true positive rates of the enlarged part
_CORNER = ((0.0, 0.1), (0.8, 1.0))
# an axis that spans less than the factor has marks at these multiples of powers of ten
_LOG_STEPS = ((10, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)), (100, (1.0, 2.0, 5.0)), (1000, (1.0, 3.0)))


@drawing.rules()
def threshold_curves(numbers: Numbers) -> Figure:
    """mIoU and accuracy in per cent against the threshold, 0.01 to 0.99 (RSUDISNet, figure 4)."""
    room = max(1.85, labels.height(len(numbers.families)))
    axes = drawing.canvas([room + 0.1, room + 0.5], labels.legend(numbers))
    chosen = drawing.styles(numbers)
    curve_of = {
        run.label: scores.threshold_curve(run.counts, [*THRESHOLDS, run.run.threshold])
        for run in numbers.runs
    }
    axes[0].tick_params(labelbottom=False)
    axes[1].set_xlabel("threshold")
    ends = {}
    for panel, (name, called) in zip(axes, _CURVES.items(), strict=True):
        panel.set(xlim=(0, 1), ylabel=f"{called} (%)")
        for label, curve in curve_of.items():
            panel.plot(THRESHOLDS, 100 * curve[name][:-1], **chosen[label].line())
            _mark(panel, numbers.of[label].run.threshold, 100 * curve[name][-1], chosen[label])
        last = {label: (THRESHOLDS[-1], 100 * curve[name][-2]) for label, curve in curve_of.items()}
        ends[panel] = labels.of_families(numbers, last)
    labels.at_line_ends(ends)
    return drawing.finish_axes(
        axes[0],
        "threshold_curves",
        "mIoU and accuracy against the threshold",
        "Mean over the test images; the marker is the run's threshold.",
    )


def cuts(counts: scores.Counts) -> scores.Confusion:
    """Pixels by truth and prediction at each cut between 8-bit levels, (256,) int64 each.

    Of all pictures together, the strictest cut first: level 255 only, then 254 and up ... then everything.
    """
    together = counts.pooled()
    levels = range(scores.LEVELS - 2, -1, -1)
    steps = [scores.confusion(together, level / (scores.LEVELS - 1)) for level in levels]
    zero = np.zeros(1, np.int64)
    everything = scores.Confusion(together.fg.sum(-1), together.bg.sum(-1), zero, zero)
    return scores.Confusion(*(np.concatenate(parts) for parts in zip(*steps, everything, strict=True)))


def precision_recall_points(found: scores.Confusion) -> tuple[Float64Array, Float64Array]:
    """Recall and precision of the cuts that predict anything, recall rising; both in [0, 1]."""
    some = found.tp + found.fp > 0
    recall, precision = _recall_precision(scores.Confusion(*(part[some] for part in found)))
    return recall, precision


def average_precision(recall: Float64Array, precision: Float64Array) -> float:
    """Sum of precision times the step in recall that leads to it, without interpolation (scikit-learn's)."""
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def roc_points(found: scores.Confusion) -> tuple[Float64Array, Float64Array]:
    """False and true positive rate of the cuts, (257,) each, from (0, 0) to (1, 1)."""
    false, true = _rates(found)
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])


def area(false_rate: Float64Array, true_rate: Float64Array) -> float:
    """Area under a ROC curve, by trapezia."""
    return float(np.trapezoid(true_rate, false_rate))


@drawing.rules()
def precision_recall(numbers: Numbers) -> Figure | None:
    """Precision against recall of all test pixels; None where one class is missing from the ground truth."""
    found = {run.label: cuts(run.counts) for run in numbers.runs}
    share = _share_of_foreground(next(iter(found.values())))
    if share in (0, 1):
        return None
    points = {label: precision_recall_points(parts) for label, parts in found.items()}
    panel = _panel_with_key(numbers, "AP", lambda run: average_precision(*points[run.label]))
    chosen = drawing.styles(numbers)
    panel.axhline(share, color=drawing.GREY, linewidth=0.8)
    for run in numbers.runs:
        recall, precision = points[run.label]
        steps = (np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision]))
        panel.plot(*steps, **chosen[run.label].line(), drawstyle="steps-pre")
        _mark_threshold(panel, run, chosen[run.label], _recall_precision)
    panel.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
    return drawing.finish_axes(
        panel,
        "precision_recall",
        "Precision against recall",
        f"{_POOLED} Behind the names: AP, the average precision without interpolation. The grey line is the "
        f"share of foreground, {share:.3f}.",
    )


@drawing.rules()
def roc(numbers: Numbers) -> Figure | None:
    """True against false positive rate of all test pixels; None where one class is missing."""
    found = {run.label: cuts(run.counts) for run in numbers.runs}
    if _share_of_foreground(next(iter(found.values()))) in (0, 1):
        return None
    points = {label: roc_points(parts) for label, parts in found.items()}
    panel = _panel_with_key(numbers, "AUC", lambda run: area(*points[run.label]))
    chosen = drawing.styles(numbers)
    panel.plot([0, 1], [0, 1], color=drawing.GREY, linewidth=0.8)
    for axes in (panel, *_enlarged_corner(panel, numbers)):
        for run in numbers.runs:
            axes.plot(*points[run.label], **chosen[run.label].line())
            _mark_threshold(axes, run, chosen[run.label], _rates, clip_on=axes is not panel)
    panel.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    enlarged = " The small axes enlarge the framed corner." if panel.child_axes else ""
    return drawing.finish_axes(
        panel,
        "roc",
        "ROC curves",
        f"{_POOLED} Behind the names: AUC, the area under the curve. The grey diagonal is guessing."
        f"{enlarged}",
    )


@drawing.rules()
def training(numbers: Numbers) -> Figure | None:
    """Loss and validation mIoU per epoch (TikTok body segmentation, figure 12); None if none is trained."""
    histories = {
        run.label: history
        for run in numbers.runs
        if (history := run.run.history) is not None and {"train/loss", "val/miou"} <= set(history)
    }
    trained = [run for run in numbers.runs if run.label in histories]
    if not trained:
        return None
    entries = drawing.legend_of(numbers, trained)
    room = max(1.8, labels.height(len(entries)))
    axes = drawing.canvas([room + 0.1, room + 0.5], entries if len(entries) > labels.MOST else ())
    chosen = drawing.styles(numbers)
    for run in trained:
        _training_lines(axes, run, histories[run.label], chosen[run.label])
    axes[0].set(ylabel="training loss")
    plain_log(axes[0], "y")
    axes[0].sharex(axes[1])
    axes[0].tick_params(labelbottom=False)
    axes[1].set(xlabel="epoch", ylabel="validation mIoU (%)")
    axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    ends = {}
    for panel, (column, factor) in zip(axes, _TRAINING.items(), strict=True):
        rows = {label: history[["epoch", column]].iloc[-1] for label, history in histories.items()}
        last = {label: (float(row["epoch"]), factor * float(row[column])) for label, row in rows.items()}
        ends[panel] = labels.of_families(numbers, last)
    labels.at_line_ends(ends)
    own_loss = any("val/loss" in histories[run.label] for run in trained)
    thin = " Thin: the loss on validation images." if own_loss else ""
    return drawing.finish_axes(
        axes[0],
        "training",
        "Training curves",
        "The marker is the epoch whose weights were kept; epochs count from 0. Losses of different methods "
        f"are sums of different terms: compare their course, not their height.{thin}",
    )


def best_epoch(run: RunNumbers, history: pd.DataFrame) -> int:
    """The epoch whose weights the run kept."""
    training = run.run.record.training
    recorded = training.best_epoch if training else None
    return int(history["epoch"].iloc[history["val/miou"].argmax()] if recorded is None else recorded)


def plain_log(panel: Axes, axis: str) -> None:
    """A logarithmic axis with plain numbers, and with more of them where it spans little."""
    panel.set(**{f"{axis}scale": "log"})
    panel.margins(x=0.1 if axis == "x" else None, y=0.1 if axis == "y" else None)
    low, high = panel.get_xlim() if axis == "x" else panel.get_ylim()
    steps = next((steps for span, steps in _LOG_STEPS if high < span * low), (1.0,))
    side = panel.xaxis if axis == "x" else panel.yaxis
    side.set_major_locator(LogLocator(subs=steps))
    side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    side.set_minor_formatter(NullFormatter())


def _panel_with_key(numbers: Numbers, heading: str, value: Callable[[RunNumbers], float]) -> Axes:
    """Axes with the methods and a value at their right, the best on top; below where there are too many."""
    below = labels.legend(numbers, None, value)
    beside = [] if below else drawing.legend_of(numbers, None, value, labels.KEY_WIDTH)
    (panel,) = drawing.canvas([max(3.3, labels.height(len(beside) + 1) + 0.5)], below)
    labels.as_key(panel, heading, beside)
    return panel


def _enlarged_corner(panel: Axes, numbers: Numbers) -> list[Axes]:
    """Small axes for the corner where good methods crowd; none where no run's threshold lies there."""
    (left, right), (bottom, top) = _CORNER
    places = [_rates(scores.confusion(run.counts, run.run.threshold).pooled()) for run in numbers.runs]
    if not any(left <= x <= right and bottom <= y <= top for x, y in places):
        return []
    # below the diagonal, where no curve of any use passes
    corner = panel.inset_axes((0.52, 0.12, 0.44, 0.4), xlim=_CORNER[0], ylim=_CORNER[1])
    corner.set_xticks(_CORNER[0])
    corner.set_yticks(_CORNER[1])
    corner.spines[:].set(visible=True, color=drawing.GREY)
    for connector in panel.indicate_inset_zoom(corner, edgecolor=drawing.GREY).connectors or ():
        connector.set_visible(False)
    return [corner]


def _training_lines(axes: list[Axes], run: RunNumbers, history: pd.DataFrame, style: Style) -> None:
    best = history[history["epoch"] == best_epoch(run, history)]
    for panel, (column, factor) in zip(axes, _TRAINING.items(), strict=True):
        panel.plot(history["epoch"], factor * history[column], **style.line())
        for epoch, value in zip(best["epoch"], factor * best[column], strict=True):
            _mark(panel, epoch, value, style)
    if "val/loss" in history:
        axes[0].plot(history["epoch"], history["val/loss"], **style.line(), linewidth=0.7)


def _mark(panel: Axes, x: float, y: float, style: Style, clip_on: bool = False) -> None:
    panel.plot([x], [y], **style.point(), clip_on=clip_on, zorder=4)


def _mark_threshold(
    panel: Axes,
    run: RunNumbers,
    style: Style,
    place: Callable[[scores.Confusion], tuple[Any, Any]],
    clip_on: bool = False,
) -> None:
    """Marks the run's threshold, unless nothing is foreground there."""
    at = scores.confusion(run.counts, run.run.threshold).pooled()
    if at.tp + at.fp > 0:
        _mark(panel, *place(at), style, clip_on)


def _recall_precision(at: scores.Confusion) -> tuple[Any, Any]:
    return at.tp / (at.tp + at.fn), at.tp / (at.tp + at.fp)


def _rates(at: scores.Confusion) -> tuple[Any, Any]:
    return at.fp / (at.fp + at.tn), at.tp / (at.tp + at.fn)


def _share_of_foreground(found: scores.Confusion) -> float:
    return float(found.tp[-1] / (found.tp[-1] + found.fp[-1]))
