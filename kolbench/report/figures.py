"""All figures of the report, each left out where it does not apply."""

import re
from collections.abc import Callable

from kolbench.report import (
    clip_curves,
    comparisons,
    curves,
    drawing,
    rank_diagram,
    robustness,
    strips,
    test_set,
    worst_moments,
)
from kolbench.report.comparisons import pareto_front
from kolbench.report.drawing import Figure, write
from kolbench.report.numbers import Numbers, numbers_of
from kolbench.report.strips import Strip
from kolbench.runs import run_folder
from kolbench.runs.finished import Comparison, FinishedRun

__all__ = ["Figure", "all_figures", "learning", "pareto_front", "progress_of", "write"]


def all_figures(comparison: Comparison) -> list[Figure]:
    """The figures that apply to these runs, in the order of the report.

    Raises:
        DataError: a picture in a run folder is damaged.
    """
    numbers = numbers_of(comparison)
    makers: tuple[Callable[[Numbers], Figure | None], ...] = (
        curves.threshold_curves,
        curves.precision_recall,
        curves.roc,
        comparisons.distributions,
        comparisons.pareto_memory,
        comparisons.pareto_speed,
        curves.training,
        learning,
        rank_diagram.ranks,
        comparisons.scenarios,
        robustness.severities,
        clip_curves.j_over_time,
        worst_moments.worst_moments,
        test_set.test_set,
    )
    drawn = (make(numbers) for make in makers)
    return [figure for figure in drawn if figure is not None]


@drawing.rules()
def learning(numbers: Numbers) -> Figure | None:
    """A strip per trained run: one validation image, and the alphas of it as training went on.

    As figure 13 of the TikTok body segmentation report; None where no run has such images.
    """
    called = drawing.names(numbers)
    found = {called[run.label]: strip for run in numbers.runs if (strip := progress_of(run.run))}
    if not found:
        return None
    return drawing.finish(
        strips.drawn(found),
        "learning",
        "One image while the methods learn",
        "The first validation image at the training input size, then its alpha matte after the epoch written "
        "below. Epochs count from 0.",
    )


def progress_of(run: FinishedRun) -> Strip:
    """`image`, then epochs in their order, with their files; empty where the run kept none."""
    folder = run.folder / run_folder.PROGRESS
    found = [
        (int(match[1]), path)
        for path in folder.glob("epoch_*.png")
        if (match := re.fullmatch(r"epoch_(\d+)", path.stem))
    ]
    if not found or not (folder / "picture.jpg").is_file():
        return []
    return [("image", folder / "picture.jpg"), *((str(epoch), path) for epoch, path in sorted(found))]
