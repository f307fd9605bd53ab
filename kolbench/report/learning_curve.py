"""A learning curve: test mIoU over the number of training images, as a drawing and as a sentence.

Points are 100 * mIoU.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from kolbench.report import drawing, labels
from kolbench.report.drawing import DASHES, PALETTE, Figure, Style
from kolbench.report.intervals import TOO_FEW, Interval
from kolbench.report.labels import Named

NAME = "curve"
POINTS = 100
MORE_PICTURES = 100
# what doubling must buy to be worth it, in points
LEAST_GAIN = 0.1
FEWEST_SIZES = 3
_HEIGHT = 3.4  # inches of the axes with their labels and legend
_CAPTION_LINE = 0.2  # inches
_CAPTION_LETTERS = 56
# of the axis, on a logarithmic scale: what the number of a size needs
_LABEL_SHARE = 0.12
_MEAN, _START = Style(PALETTE[0], DASHES[0], "o"), Style(PALETTE[1], DASHES[1], "s")


class SizeResult(NamedTuple):
    """The trainings on one number of pictures.

    pictures: trained on. scores: of each seed, mIoU on the test pictures, in [0, 1]. mean: of the seeds, with
    its interval over groups of test pictures.
    """

    pictures: int
    scores: tuple[float, ...]
    mean: Interval


class StartResult(NamedTuple):
    """The weights that every training began with.

    name: as `init=` has it. miou: on the test pictures, in [0, 1]. gain: of the largest size's mean over it.
    """

    name: str
    miou: float
    gain: Interval


def advice(results: Sequence[SizeResult], start: StartResult | None = None) -> str:
    """What more training images would buy, and what the training gained over its start.

    Args:
        results: by number of pictures, rising.
    """
    parts = [_prospect(results)]
    if start is not None and results:
        parts.append(_gain_over(start, results[-1].pictures))
    return " ".join(parts)


def tail(results: Sequence[SizeResult]) -> Sequence[SizeResult]:
    """The larger half of the sizes, two to four of them: there the curve is nearest to what comes next."""
    return results[-min(4, max(2, math.ceil(len(results) / 2))) :]


def log_fit(pictures: Sequence[int], means: Sequence[float]) -> tuple[float, float]:
    """a and b of means = a + b log2(pictures), by least squares: b is what each doubling buys.

    Raises:
        ValueError: fewer than two numbers of pictures differ.
    """
    if len(set(pictures)) < 2:
        raise ValueError(f"a line through {sorted(set(pictures))} needs two numbers of pictures")
    doublings = np.log2(np.asarray(pictures, np.float64))
    off = doublings - doublings.mean()
    slope = float(off @ np.asarray(means, np.float64) / (off @ off))
    return float(np.mean(means) - slope * doublings.mean()), slope


def spread(scores: Sequence[float]) -> float | None:
    """From the lowest to the highest seed; None where there is one seed only."""
    return max(scores) - min(scores) if len(scores) > 1 else None


def _prospect(results: Sequence[SizeResult]) -> str:
    if len(results) < FEWEST_SIZES:
        return f"Nothing can be told about more images: that takes at least {FEWEST_SIZES} sizes."
    last, fitted = results[-1], tail(results)
    _, slope = log_fit([size.pictures for size in fitted], [size.mean.value for size in fitted])
    doubling = POINTS * slope
    if doubling < 0:
        return (
            f"Nothing can be told about more images: over the last {len(fitted)} sizes mIoU falls, by "
            f"{amount(-doubling)} with each doubling."
        )
    more = last.pictures + MORE_PICTURES
    bought = doubling * math.log2(more / last.pictures)
    return (
        f"{MORE_PICTURES} more images would buy {amount(bought)} of mIoU (from {last.pictures} to {more}); "
        f"{_verdict(doubling, last)}."
    )


def _verdict(doubling: float, last: SizeResult) -> str:
    """Whether points that a doubling buys are worth it, at the largest size."""
    if doubling < LEAST_GAIN:
        return f"you are past the knee: doubling buys less than {LEAST_GAIN:.1f} points"
    apart = POINTS * (spread(last.scores) or 0)
    rising = f"doubling to {2 * last.pictures} would buy {amount(doubling)}"
    if doubling < apart:
        return f"{rising}, less than seeds differ by ({apart:.1f} points), so more seeds must tell"
    return f"still rising: {rising}"


def _gain_over(start: StartResult, pictures: int) -> str:
    value, low, high = (POINTS * number for number in start.gain)
    what = f"Training on {pictures} images {'gained' if value >= 0 else 'lost'} {abs(value):.1f} points"
    against = f"{'over' if value >= 0 else 'against'} its start, {start.name}"
    if not start.gain.known:
        return f"{what} {against} ({TOO_FEW})."
    chance = ", which may be chance" if low <= 0 <= high else ""
    return f"{what} {against} (95 % interval {low:+.1f} to {high:+.1f}){chance}."


def amount(points: float) -> str:
    """Points of mIoU in words, such as `about 0.4 points`."""
    return f"about {points:.1f} points" if round(points, 1) else f"less than {LEAST_GAIN:.1f} points"


@drawing.rules()
def draw(
    results: Sequence[SizeResult], start: StartResult | None, title: str, notes: Sequence[str] = ()
) -> Figure:
    """mIoU over pictures: a dot per seed, their mean, its interval, and the start.

    Args:
        results: by number of pictures, rising; at least one.
        notes: sentences that follow the advice in the caption.
    """
    told = [advice(results, start), " ".join([*_band_notes(results), *notes])]
    (panel,) = drawing.canvas([_HEIGHT])
    _write_below(drawing.page_of(panel), [line for part in told for line in _lines(part)])
    _draw_start(panel, start)
    _draw_sizes(panel, results)
    panel.set_title(title, loc="left")
    panel.set(xlabel="training images (logarithmic axis)", ylabel="test mIoU (%)")
    _size_axis(panel, [size.pictures for size in results])
    # below the axes, where no curve passes
    panel.legend(loc="upper center", bbox_to_anchor=(0.46, -0.2), ncols=2)
    labels.at_line_ends({panel: _named(results, start)})
    return drawing.finish_axes(panel, NAME, title, " ".join(told).strip())


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text, _CAPTION_LETTERS)


def _write_below(page: Drawing, lines: Sequence[str]) -> None:
    """Makes the page higher, and puts lines of text under what is drawn on it."""
    above = page.get_figheight()
    below = _CAPTION_LINE * len(lines) + 0.1
    page.set_figheight(above + below)
    engine, share = page.get_layout_engine(), below / (above + below)
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, share, 1, 1 - share))
    for number, line in enumerate(lines):
        top = (below - 0.04 - number * _CAPTION_LINE) / (above + below)
        page.text(0.015, top, line, va="top")


def _band_notes(results: Sequence[SizeResult]) -> list[str]:
    return [] if any(size.mean.known for size in results) else [f"No band: {TOO_FEW}."]


def _draw_start(panel: Axes, start: StartResult | None) -> None:
    if start is not None:
        panel.axhline(POINTS * start.miou, **_START.line())


def _named(results: Sequence[SizeResult], start: StartResult | None) -> list[Named]:
    """The mean of the largest size and the start, with their values."""
    last = results[-1]
    several = any(len(size.scores) > 1 for size in results)
    mean = POINTS * last.mean.value
    ends = [Named(f"{'mean' if several else 'trained'} {mean:.1f}", _MEAN, last.pictures, mean)]
    if start is not None:
        miou = POINTS * start.miou
        ends.append(Named(f"start {miou:.1f}", _START, last.pictures, miou))
    return ends


def _draw_sizes(panel: Axes, results: Sequence[SizeResult]) -> None:
    colour = _MEAN.colour
    dots = [(size.pictures, POINTS * score) for size in results for score in size.scores]
    panel.plot(
        [size.pictures for size in results],
        [POINTS * size.mean.value for size in results],
        color=colour,
    )
    panel.plot(*zip(*dots, strict=True), "o", color=colour, markersize=4, alpha=0.75, label="one training")
    known = [size for size in results if size.mean.known]
    if known:
        panel.fill_between(
            [size.pictures for size in known],
            [POINTS * size.mean.low for size in known],
            [POINTS * size.mean.high for size in known],
            color=colour,
            alpha=0.15,
            linewidth=0,
            label="95 % interval of the mean",
        )


def _size_axis(panel: Axes, pictures: Sequence[int]) -> None:
    """A logarithmic axis with a number at each size that has room for it."""
    panel.set_xscale("log")
    panel.margins(x=0.06, y=0.08)
    shown = labelled(pictures)
    panel.xaxis.set_major_locator(FixedLocator(shown))
    panel.xaxis.set_major_formatter(FixedFormatter([str(number) for number in shown]))
    panel.xaxis.set_minor_locator(NullLocator())


def labelled(pictures: Sequence[int]) -> list[int]:
    """The sizes that stand at the axis: the largest, and below it each that has room beside the next."""
    room = _LABEL_SHARE * math.log(max(pictures) / min(pictures))
    shown: list[int] = []
    for number in sorted(set(pictures), reverse=True):
        if not shown or math.log(shown[-1] / number) >= room:
            shown.append(number)
    return shown[::-1]
