"""All figures of the report, each left out where it does not apply."""

import re
from collections.abc import Callable
from functools import partial

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
from kolbench.report.faces import SHOW
from kolbench.report.numbers import Numbers, numbers_of
from kolbench.report.strips import Strip
from kolbench.runs import run_folder
from kolbench.runs.finished import Comparison, FinishedRun

Maker = Callable[[Numbers], Figure | None]

__all__ = ["Figure", "all_figures", "learning", "pareto_front", "progress_of", "write"]


def all_figures(comparison: Comparison, faces: str | None = SHOW) -> list[Figure]:
    """The figures that apply to these runs, in the order of the report.

    Args:
        comparison: the runs.
        faces: as `report.faces.without_faces` has it; None leaves out figures that show images.

    Raises:
        DataError: a picture in a run folder is damaged.
    """
    numbers = numbers_of(comparison)
    learned, worst = _of_images(faces)
    makers: tuple[Maker, ...] = (
        curves.threshold_curves,
        curves.precision_recall,
        curves.roc,
        comparisons.distributions,
        comparisons.pareto_memory,
        comparisons.pareto_speed,
        curves.training,
        *learned,
        rank_diagram.ranks,
        comparisons.scenarios,
        robustness.severities,
        clip_curves.j_over_time,
        *worst,
        test_set.test_set,
    )
    drawn = (make(numbers) for make in makers)
    return [figure for figure in drawn if figure is not None]


def _of_images(faces: str | None) -> tuple[list[Maker], list[Maker]]:
    """What draws images while methods learn, and of clips; nothing where none may be shown."""
    if faces is None:
        return [], []
    return [partial(learning, faces=faces)], [partial(worst_moments.worst_moments, faces=faces)]


@drawing.rules()
def learning(numbers: Numbers, faces: str = SHOW) -> Figure | None:
    """A strip per trained run: one validation image, and the alphas of it as training went on.

    As figure 13 of the TikTok body segmentation report; None where no run has such images. Run folders hold
    no ground truth of that image, by which its faces could be found: it is left out unless they are shown.
    """
    called = drawing.names(numbers)
    found = {
        called[run.label]: strip if faces == SHOW else strip[1:]
        for run in numbers.runs
        if len(strip := progress_of(run.run)) > 1
    }
    if not found:
        return None
    return drawing.finish(
        strips.drawn(found),
        "learning",
        "One image while the methods learn",
        "The first validation image at the training input size"
        + (", then " if faces == SHOW else " (not shown, as faces are not): ")
        + "its alpha matte after the epoch written below. Epochs count from 0.",
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
