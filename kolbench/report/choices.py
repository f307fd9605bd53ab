"""Which test images are worth a look, by stated rules, and why; numbers alone, no files."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest

import numpy as np

from kolbench.metrics import scores
from kolbench.report.numbers import RunNumbers
from kolbench.report.shots import Reason
from kolbench.report.words import in_per_cent
from kolbench.types import Float64Array

MOST_OF_A_RULE = 6
QUANTILES = {
    "median image": 0.5,
    "hardest image": 0.0,
    "easiest image": 1.0,
    "harder quarter": 0.25,
    "easier quarter": 0.75,
}
# at which an image's own best threshold is looked for
OWN_THRESHOLDS = tuple(step / 20 for step in range(1, 20))
# a smaller gain in mIoU or spread of IoU is not worth an image
LEAST_GAIN = 0.01
# of methods that share their worst image, as many are named
_MOST_NAMES = 3

# rows of images with the reason for each, the most telling first
Found = list[tuple[int, Reason]]


def telling(compared: Sequence[RunNumbers], names: Mapping[str, str]) -> dict[int, tuple[Reason, ...]]:
    """Rows of the images that some rule finds, each once with all its reasons, the most telling first.

    The rules take turns: the images that are worst for methods, those on which methods disagree, those at
    fixed places of the order by mean mIoU, and those that another threshold would help.

    Args:
        compared: the methods by whose scores images are chosen.
        names: label -> what the method is called.
    """
    found = (worst_of_each(compared, names), disagreements(compared, names))
    rules = (*found, at_places(compared), another_threshold(compared, names))
    reasons: dict[int, tuple[Reason, ...]] = {}
    for row, reason in (entry for entry in chain(*zip_longest(*rules)) if entry is not None):
        reasons[row] = (*reasons.get(row, ()), reason)
    return reasons


def hardest_first(rows: Iterable[int], compared: Sequence[RunNumbers]) -> list[int]:
    """Rows by the mean mIoU of the compared methods, lowest first."""
    miou = _mean(run.images["miou"] for run in compared)
    return sorted(rows, key=lambda row: (miou[row], row))


def worst_of_each(compared: Sequence[RunNumbers], names: Mapping[str, str]) -> Found:
    """The image of each method's lowest mIoU; those that most methods share first, then the lowest."""
    worst: dict[int, list[RunNumbers]] = {}
    for run in compared:
        worst.setdefault(int(run.images["miou"].argmin()), []).append(run)
    lowest = {row: min(run.images["miou"][row] for run in runs) for row, runs in worst.items()}
    rows = sorted(worst, key=lambda row: (-len(worst[row]), lowest[row]))[:MOST_OF_A_RULE]

    def reason(row: int) -> Reason:
        called = [names[run.label] for run in worst[row]]
        whose = ", ".join(called) if len(called) <= _MOST_NAMES else f"{len(called)} methods"
        each = (
            f"{names[run.label]} mIoU {in_per_cent(run.images['miou'][row])} here, its lowest"
            for run in worst[row]
        )
        return Reason(f"worst of {whose}", "; ".join(each))

    return [(row, reason(row)) for row in rows]


def disagreements(compared: Sequence[RunNumbers], names: Mapping[str, str]) -> Found:
    """The images with the largest spread between the highest and the lowest IoU of the methods."""
    iou = np.stack([run.images["iou"] for run in compared])

    def reason(row: int) -> Reason:
        ends = (int(iou[:, row].argmax()), int(iou[:, row].argmin()))
        told = (f"{names[compared[end].label]} {in_per_cent(iou[end, row])}" for end in ends)
        return Reason("methods disagree", f"IoU: {', '.join(told)}")

    return [(row, reason(row)) for row in largest(iou.max(0) - iou.min(0))]


def at_places(compared: Sequence[RunNumbers]) -> Found:
    """The images at fixed places of the order by the mean mIoU of the methods."""
    miou = _mean(run.images["miou"] for run in compared)
    rows = quantile_rows(miou, list(QUANTILES.values()))
    return [
        (row, Reason(name, f"mean mIoU {in_per_cent(miou[row])}"))
        for name, row in zip(QUANTILES, rows, strict=True)
    ]


def another_threshold(compared: Sequence[RunNumbers], names: Mapping[str, str]) -> Found:
    """The images on which a method gains most mIoU by the threshold that is best for that image alone."""
    best = [own_best(run) for run in compared]
    gains = np.stack([high - run.images["miou"] for run, (high, _) in zip(compared, best, strict=True)])

    def reason(row: int) -> Reason:
        winner = int(gains[:, row].argmax())
        run, (high, at) = compared[winner], best[winner]
        was = f"{in_per_cent(run.images['miou'][row])} at {run.run.threshold:.2f}"
        return Reason(
            f"another threshold helps {names[run.label]}",
            f"mIoU {was}, {in_per_cent(high[row])} at {at[row]:.2f}",
        )

    return [(row, reason(row)) for row in largest(gains.max(0))]


def least_held(compared: Sequence[RunNumbers]) -> list[int]:
    """All rows of images with a held product, the lowest mean recall of it first."""
    recall = _mean(run.images["product_recall"] for run in compared)
    held = np.flatnonzero(~np.isnan(recall))
    return [int(row) for row in held[np.argsort(recall[held], kind="stable")]]


def own_best(run: RunNumbers) -> tuple[Float64Array, Float64Array]:
    """The highest mIoU of each image over `OWN_THRESHOLDS`, and the threshold of it.

    Of several thresholds the one nearest to the run's own.
    """
    nearest = sorted(OWN_THRESHOLDS, key=lambda at: abs(at - run.run.threshold))
    rows = np.stack([scores.image_scores(run.counts, at)["miou"] for at in nearest])
    return rows.max(0), np.asarray(nearest)[rows.argmax(0)]


def quantile_rows(values: Float64Array, quantiles: Sequence[float]) -> list[int]:
    """Rows at these places of the ascending order, to the nearest; equal values keep their order."""
    order = np.argsort(values, kind="stable")
    return [int(order[int(np.floor(quantile * (len(values) - 1) + 0.5))]) for quantile in quantiles]


def largest(values: Float64Array) -> list[int]:
    """At most six rows of the largest values, those of at least `LEAST_GAIN`; equal ones keep their order."""
    order = np.argsort(-values, kind="stable")[:MOST_OF_A_RULE]
    return [int(row) for row in order if values[row] >= LEAST_GAIN]


def _mean(values: Iterable[Float64Array]) -> Float64Array:
    rows: Float64Array = np.mean(np.stack(list(values)), axis=0)
    return rows
