"""What the test pictures are: how many, how large, how complex, and of which clips."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kolbench.report import drawing
from kolbench.report.drawing import Figure
from kolbench.report.layout import Cell, Table, table
from kolbench.report.numbers import Numbers
from kolbench.report.words import counted
from kolbench.types import Float64Array, Int64Array

NAME, TITLE = "pictures", "Test images"
_BARS = 24
_MOST_NAMES = 10
_ENTROPY = (
    "GLCM entropy: of neighbouring grey levels in bits, from 0 (one flat colour) to 16; mean of four "
    "directions at distance 1, 256 levels, longer side 512 px. The PDNet paper's Figure 3 names no "
    "parameters, so its values are not comparable."
)


def pictures(numbers: Numbers) -> Table:
    """`pictures`: one row about the test pictures that all runs share."""
    comparison = numbers.comparison
    test = comparison.runs[0].test
    counts = test.counts
    shares = counts.fg.sum(1) / (counts.fg.sum(1) + counts.bg.sum(1))
    entropies, lengths = _entropies(numbers), _clip_lengths(numbers)
    cells: dict[str, Cell] = {
        "set": comparison.name,
        "pictures": len(comparison.pictures),
        "groups": len(set(comparison.groups)),
        **_size_cells(np.array(test.sizes)),
        "foreground share": float(shares.mean()),
        "least foreground": float(shares.min()),
        "most foreground": float(shares.max()),
        "with a product mask": int((counts.product.sum(1) > 0).sum()),
        "GLCM entropy": float(entropies.mean()) if len(entropies) else None,
        "its deviation": float(entropies.std(ddof=1)) if len(entropies) > 1 else None,
    }
    if lengths:
        found = np.array(list(lengths.values()))
        cells |= {
            "clips": len(found),
            "frames of a clip": float(np.median(found)),
            "of the shortest": int(found.min()),
            "of the longest": int(found.max()),
        }
    notes = [
        "foreground share: mean over images. groups: videos, or single images.",
        *([_ENTROPY] if len(entropies) else []),
        *_skipped_notes(numbers),
        *(["frames of a clip: median number of frames with ground truth."] if lengths else []),
    ]
    return table(NAME, TITLE, [("", cells)], notes)


@drawing.rules()
def test_set(numbers: Numbers) -> Figure | None:
    """GLCM entropy of images, lengths and scenarios of clips (PDNet paper, Figures 2 to 4).

    None where nothing of it is known.
    """
    entropies, lengths, scenarios = _entropies(numbers), _clip_lengths(numbers), _clips_by_tag(numbers)
    panels = []
    if len(entropies):
        panels.append((1.7, partial(_entropy_panel, values=entropies)))
    if lengths:
        panels.append((1.7, partial(_length_panel, lengths=np.array(list(lengths.values())))))
    if scenarios:
        panels.append((0.5 + 0.24 * len(scenarios), partial(_scenario_panel, clips=scenarios)))
    if not panels:
        return None
    axes = drawing.canvas([height for height, _ in panels])
    for panel, (_, draw) in zip(axes, panels, strict=True):
        draw(panel)
    told = [
        *(["The line is the mean entropy."] if len(entropies) else []),
        *(["Lengths are numbers of frames with a ground truth."] if lengths else []),
        *(["A clip counts for every scenario of one of its frames."] if scenarios else []),
    ]
    return drawing.finish_axes(
        axes[0],
        "test_set",
        "How complex the test images are" + (", and their clips" if lengths else ""),
        " ".join(told),
    )


def _skipped_notes(numbers: Numbers) -> list[str]:
    """Which runs left out images of their data set that could not be read."""
    return [
        f"{run.label}: {counted(len(names), 'image')} of the data set could not be read and "
        f"{'was' if len(names) == 1 else 'were'} left out (data.on_error=skip): "
        f"{', '.join(names[:_MOST_NAMES])}{' ...' if len(names) > _MOST_NAMES else ''}."
        for run in numbers.runs
        if (names := run.run.record.skipped)
    ]


def _size_cells(sizes: Int64Array) -> dict[str, Cell]:
    """The median picture by its area, the smallest and the largest, from (N, 2) heights and widths."""
    order = np.argsort(sizes.prod(1), kind="stable")
    named = {"median size": order[(len(order) - 1) // 2], "smallest": order[0], "largest": order[-1]}
    return {name: f"{sizes[row][1]}x{sizes[row][0]}" for name, row in named.items()}


def _entropies(numbers: Numbers) -> Float64Array:
    """Of all test pictures; empty where they were not measured."""
    return numbers.traits["glcm_entropy"].to_numpy(np.float64) if len(numbers.traits) else np.zeros(0)


def _clips(numbers: Numbers) -> dict[str, tuple[str, ...]]:
    """Clip -> names of its frames, as any run has recorded them."""
    records = (run.run.record.clips.items() for run in numbers.runs)
    return {clip: found.pictures for clips in records for clip, found in clips if found.pictures}


def _clip_lengths(numbers: Numbers) -> dict[str, int]:
    return {clip: len(frames) for clip, frames in _clips(numbers).items()}


def _clips_by_tag(numbers: Numbers) -> dict[str, int]:
    """Tag -> number of clips with a frame of it, most first; empty without tags or clips."""
    clip_of = {name: clip for clip, frames in _clips(numbers).items() for name in frames}
    names = numbers.comparison.pictures
    found: Mapping[str, set[str]] = {
        tag: {clip_of[names[row]] for row in rows if names[row] in clip_of}
        for tag, rows in numbers.tags.items()
    }
    return {tag: len(clips) for tag, clips in sorted(found.items(), key=lambda item: -len(item[1])) if clips}


def _entropy_panel(panel: Axes, values: Float64Array) -> None:
    panel.hist(values, bins=_BARS, color=drawing.PALETTE[0])
    panel.axvline(float(values.mean()), color=drawing.INK, linewidth=1)
    panel.set(xlabel="GLCM entropy of an image (bits)", ylabel="images")
    panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def length_edges(lengths: Int64Array) -> Float64Array:
    """Edges of bars, so that each bar stands for as many whole numbers, and there are `_BARS` at most."""
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // _BARS)
    bars = -(-(high - low + 1) // width)
    return (low - 0.5 + width * np.arange(bars + 1)).astype(np.float64)


def _length_panel(panel: Axes, lengths: Int64Array) -> None:
    panel.hist(lengths, bins=length_edges(lengths).tolist(), color=drawing.PALETTE[1], rwidth=0.85)
    panel.set(xlabel="frames of a clip", ylabel="clips")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))


def _scenario_panel(panel: Axes, clips: Mapping[str, int]) -> None:
    panel.barh(range(len(clips)), list(clips.values()), color=drawing.PALETTE[2], height=0.7)
    panel.set_yticks(range(len(clips)), list(clips))
    panel.invert_yaxis()
    panel.set(xlabel="clips")
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.grid(visible=False, axis="y")
