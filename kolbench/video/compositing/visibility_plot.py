"""How much of the ad could be seen, at a glance: frames of the clip above the curve, and one half marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kolbench.io.files import write_atomically
from kolbench.types import PlotOptions
from kolbench.video.compositing.filmstrip import Still, on_display

_CURVE, _VIEW, _INK, _GREY = "#3264dc", "#0f8a5f", "#0b0c0d", "#808080"
_MOST_STEPS = 1000  # of the curve: more frames than that are averaged over equal times
_TICKS = (0, 0.25, 0.5, 0.75, 1)
# in inches; the strip and the curve share their sides
_WIDTH, _LEFT, _RIGHT = 8.0, 0.62, 0.2
_TITLE, _CURVE_HEIGHT, _BELOW, _GAP = 0.62, 1.7, 0.5, 0.08
_STRIP_LOWEST, _STRIP_HIGHEST, _MOST_STILLS = 0.45, 1.25, 14
DPI = 150


class Shown(Protocol):
    """What is drawn of a frame; see visibility.COLUMNS."""

    @property
    def seconds(self) -> float:
        """When its display begins."""

    @property
    def duration(self) -> float:
        """How long it lasts."""

    @property
    def share(self) -> float | None:
        """Of the ad, seen."""

    @property
    def cut(self) -> bool:
        """Whether a new shot begins."""


class Headline(NamedTuple):
    """What the picture says in words. view: the share from which an ad counts as seen.

    mean: of the share, None without an ad. viewed, total: seconds at `view` or more, and in all.
    """

    view: float
    mean: float | None
    viewed: float
    total: float

    @property
    def title(self) -> str:
        """The answer, in plain words."""
        if self.mean is None:
            return "The ad stands in no frame"
        much = "Half of the ad" if self.view == 0.5 else f"{self.view:.0%} of the ad"
        part = f" ({self.viewed / self.total:.0%})" if self.total else ""
        return f"{much} or more can be seen for {self.viewed:.1f} of {self.total:.1f} s{part}"

    @property
    def below(self) -> str:
        """What is drawn."""
        mean = "" if self.mean is None else f": {self.mean:.0%} on average"
        return f"Visible share of the ad over time{mean}"


def draw(rows: Sequence[Shown], stills: Sequence[Still], headline: Headline, png: Path, svg: Path) -> None:
    """Writes the picture twice; each file is replaced as a whole.

    Args:
        stills: of the clip with the ad, in time; none = no strip.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    look: Any = {"svg.fonttype": "none", "svg.hashsalt": "kolbench", "font.size": 9, "svg.image_inline": True}
    with matplotlib.rc_context(look):
        wide = _WIDTH - _LEFT - _RIGHT
        strip = _strip_of(stills, wide) if rows else _Strip(0, 0.0)
        tall = _TITLE + _CURVE_HEIGHT + _BELOW + (strip.height + _GAP if strip.frames else 0)
        figure = Figure(figsize=(_WIDTH, tall))
        FigureCanvasAgg(figure)
        box = (_LEFT / _WIDTH, _BELOW / tall, wide / _WIDTH, _CURVE_HEIGHT / tall)
        axes = figure.add_axes(box)
        _draw_curve(axes, rows, headline.view)
        if strip.frames:
            above = (
                _LEFT / _WIDTH,
                (_BELOW + _CURVE_HEIGHT + _GAP) / tall,
                wide / _WIDTH,
                strip.height / tall,
            )
            _draw_strip(figure.add_axes(above), stills, strip, axes.get_xlim())
        for words, down, size, colour in (
            (headline.title, 0.26, 12, _INK),
            (headline.below, 0.49, 9, _GREY),
        ):
            figure.text(_LEFT / _WIDTH, 1 - down / tall, words, fontsize=size, color=colour)
        options: tuple[tuple[Path, PlotOptions], ...] = (
            (png, {"dpi": DPI}),
            (svg, {"metadata": {"Date": None}}),
        )
        for path, how in options:
            _save(figure, path, how)


class _Strip(NamedTuple):
    """So many frames in a row, each as high, in inches."""

    frames: int
    height: float


def _strip_of(stills: Sequence[Still], wide: float) -> _Strip:
    """As many frames as fill the width at their own aspect, neither too small nor too high."""
    if not stills:
        return _Strip(0, 0.0)
    height, width = stills[0].image.shape[:2]
    aspect = width / height
    count = round(wide / (aspect * 0.8))
    count = min(max(count, int(np.ceil(wide / (aspect * _STRIP_HIGHEST)))), _MOST_STILLS)
    each = wide / max(1, count)
    return _Strip(max(1, count), min(max(each / aspect, _STRIP_LOWEST), _STRIP_HIGHEST))


def _draw_strip(axes: Any, stills: Sequence[Still], strip: _Strip, span: tuple[float, float]) -> None:
    """Each frame above its time: the one on display in the middle of its part."""
    edges = np.linspace(*span, strip.frames + 1)
    chosen = on_display(stills, list((edges[:-1] + edges[1:]) / 2))
    axes.set_axis_off()
    ratio = (_WIDTH - _LEFT - _RIGHT) / strip.frames / strip.height
    for still, left, right in zip(chosen, edges, edges[1:], strict=False):
        height, width = still.image.shape[:2]
        # whole frames, centred above their part
        share = min(1.0, width / height / ratio) * 0.97
        middle, half = (left + right) / 2, (right - left) * share / 2
        tall = min(1.0, ratio * share * height / width)
        extent = (middle - half, middle + half, 0.5 - tall / 2, 0.5 + tall / 2)
        axes.imshow(still.image, extent=extent, aspect="auto", interpolation="antialiased")
    axes.set_xlim(*span)
    axes.set_ylim(0, 1)


def _draw_curve(axes: Any, rows: Sequence[Shown], view: float) -> None:
    axes.set_yticks(_TICKS, [f"{level:.0%}" for level in _TICKS])
    axes.set_ylim(0, 1.04)
    axes.grid(axis="y", color=_GREY, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    gaps = any(row.share is None for row in rows)
    axes.set_xlabel("seconds (no ad where the line is missing)" if gaps else "seconds", loc="left")
    if not rows:
        return
    edges, shares = steps(rows)
    seen = np.nan_to_num(shares) >= view
    axes.stairs(np.where(seen, shares, np.nan), edges, baseline=0, fill=True, color=_VIEW, alpha=0.3)
    axes.stairs(np.where(seen, np.nan, shares), edges, baseline=0, fill=True, color=_CURVE, alpha=0.1)
    axes.stairs(shares, edges, baseline=None, color=_CURVE, linewidth=1.5)
    axes.axhline(view, color=_INK, linewidth=1.1, linestyle=(0, (5, 3)))
    entries: list[Any] = _key(view)
    cuts = [row.seconds for row in rows if row.cut]
    if cuts:
        entries.append(axes.vlines(cuts, 0, 1, _INK, linewidth=0.9, linestyles=(0, (1.2, 1.8)), label="cut"))
    axes.set_xlim(edges[0], edges[-1] if edges[-1] > edges[0] else edges[0] + 1)
    place = {"loc": "upper right", "bbox_to_anchor": (1.0, -0.1), "ncols": len(entries), "frameon": False}
    axes.legend(handles=entries, borderaxespad=0.2, fontsize=8, handlelength=1.6, **place)


def _key(view: float) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color=_INK, linewidth=1.1, linestyle=(0, (5, 3)), label=f"{view:.0%} line"),
        Patch(color=_VIEW, alpha=0.3, linewidth=0, label=f"{view:.0%} or more is seen"),
    ]


def _save(figure: Any, path: Path, options: PlotOptions) -> None:
    write_atomically(path, lambda partial: figure.savefig(partial, format=path.suffix[1:], **options))


def steps(rows: Sequence[Shown]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(N + 1,) seconds and the (N,) shares on display between them, NaN where there is no ad.

    Of more than 1000 frames these are the means, weighted by time, over 1000 equal parts of the clip.
    """
    edges = np.array([row.seconds for row in rows] + [rows[-1].seconds + rows[-1].duration])
    shares = np.array([np.nan if row.share is None else row.share for row in rows])
    if len(rows) <= _MOST_STEPS:
        return edges, shares
    parts = np.linspace(edges[0], edges[-1], _MOST_STEPS + 1)
    # integrals of steps are straight between the edges, so interpolating them is exact
    times = _integrals_between(parts, edges, np.isfinite(shares).astype(float))
    sums = _integrals_between(parts, edges, np.nan_to_num(shares))
    some = times > 1e-9 * np.diff(parts)
    return parts, np.where(some, sums / np.where(some, times, 1), np.nan)


def _integrals_between(
    parts: npt.NDArray[np.float64], edges: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    sums = np.concatenate([[0.0], np.cumsum(values * np.diff(edges))])
    return np.diff(np.interp(parts, edges, sums))
