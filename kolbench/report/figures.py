"""All figures of the report, each left out where it does not apply."""

import re
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure as Drawing

from kolbench.io import images
from kolbench.report import clip_curves, comparisons, curves, drawing, rank_diagram
from kolbench.report.comparisons import pareto_front
from kolbench.report.drawing import Figure, write
from kolbench.report.numbers import Numbers, numbers_of
from kolbench.runs import run_folder
from kolbench.runs.finished import Comparison, FinishedRun

__all__ = ["Figure", "all_figures", "learning", "pareto_front", "progress_of", "write"]

_TILE_PX = 128
_MOST_COLUMNS, _FEWEST_COLUMNS = 6, 4
_GAP, _TITLE, _NAME = 0.06, 0.24, 0.2  # inches

Strip = list[tuple[str, Path]]


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
        curves.training,
        learning,
        rank_diagram.ranks,
        comparisons.scenarios,
        clip_curves.j_over_time,
    )
    drawn = (make(numbers) for make in makers)
    return [figure for figure in drawn if figure is not None]


@drawing.rules()
def learning(numbers: Numbers) -> Figure | None:
    """A strip per trained run: one validation picture, and the alphas of it as training went on.

    As figure 13 of the TikTok body segmentation report; None where no run has such pictures.
    """
    strips = {run.label: strip for run in numbers.runs if (strip := progress_of(run.run))}
    if not strips:
        return None
    heights = [_strip_height(strip) for strip in strips.values()]
    page = Drawing(figsize=(drawing.WIDTH, sum(heights)))
    top = sum(heights)
    for (label, strip), height in zip(strips.items(), heights, strict=True):
        _draw_strip(page, top, label, strip)
        top -= height
    return drawing.finish(
        page,
        "learning",
        "One picture while the methods learn",
        "The first validation picture at the training input size, then the alpha that the method gave it "
        "after the epoch written below (white is foreground). Epochs count from 0.",
    )


def progress_of(run: FinishedRun) -> Strip:
    """`picture`, then epochs in their order, with their files; empty where the run kept none."""
    folder = run.folder / run_folder.PROGRESS
    found = [
        (int(match[1]), path)
        for path in folder.glob("epoch_*.png")
        if (match := re.fullmatch(r"epoch_(\d+)", path.stem))
    ]
    if not found or not (folder / "picture.jpg").is_file():
        return []
    return [("picture", folder / "picture.jpg"), *((str(epoch), path) for epoch, path in sorted(found))]


def _columns(strip: Strip) -> int:
    rows = -(-len(strip) // _MOST_COLUMNS)
    return max(_FEWEST_COLUMNS, -(-len(strip) // rows))


def _tile_size(strip: Strip) -> tuple[float, float]:
    """Width and height in inches; all pictures of a strip have the shape of the first."""
    width = drawing.WIDTH / _columns(strip) - _GAP
    pixels = images.read_rgb(strip[0][1])
    return width, width * pixels.shape[0] / pixels.shape[1]


def _strip_height(strip: Strip) -> float:
    rows = -(-len(strip) // _columns(strip))
    return _TITLE + rows * (_tile_size(strip)[1] + _NAME) + _GAP


def _draw_strip(page: Drawing, top: float, label: str, strip: Strip) -> None:
    """Tiles with their names below, below the label, from `top` inches downwards."""
    total = page.get_figheight()
    width, height = _tile_size(strip)
    page.text(_GAP / 2 / drawing.WIDTH, (top - _TITLE + 0.06) / total, label)
    for number, (name, path) in enumerate(strip):
        row, column = divmod(number, _columns(strip))
        left = _GAP / 2 + column * (width + _GAP)
        bottom = top - _TITLE - row * (height + _NAME) - height
        place = (left / drawing.WIDTH, bottom / total, width / drawing.WIDTH, height / total)
        tile = page.add_axes(place, xticks=[], yticks=[])
        pixels = images.thumbnail(images.read_rgb(path), _TILE_PX)
        tile.imshow(pixels, aspect="auto", interpolation="nearest")
        tile.grid(visible=False)
        tile.spines[:].set(visible=True, color=drawing.GREY)
        tile.set_xlabel(name, fontsize=8, labelpad=2)
