"""Names in the drawing itself: at the ends of lines, beside axes, next to points, none over another."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from kolbench.report import drawing
from kolbench.report.drawing import FONT_SIZE, Entry, Style
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.types import Float64Array, PlotOptions

# with more methods than this a legend stands below
MOST = 12
_LINE = 1.2 * FONT_SIZE  # points from name to name
_WIDEST, _WIDEST_INSIDE = 1.35, 1.7  # inches, at the right of axes and inside
# points between axes and what stands at their right: the end of a leader, the marker, the name
_LEADER, _SAMPLE, _NAME = 12.0, 17.0, 23.0
_KEY = 38.0  # points: where names begin of which a line is shown
KEY_WIDTH = 1.9  # inches
# points between a marker's centre and the name beside it: the nearest places first
_RINGS = (7.5, 13.0, 20.0, 30.0, 42.0, 56.0, 72.0, 90.0)
_SIDES = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))
_SWEEPS = 3
_ON_LEADER = np.array([0.3, 0.45, 0.6, 0.75, 0.9])  # shares of its length
_MARKER = 5.0  # points: half the side of what a marker covers
# what it costs a name to lie over another name or marker, outside of the axes, or on a line, and its leader
# to cross one
_OVER, _OUTSIDE, _ON_LINE, _ACROSS = 1000.0, 10_000.0, 8.0, 40.0


class Named(NamedTuple):
    """What a name belongs to: text, style of the method, and the place in the axes' own numbers."""

    text: str
    style: Style
    x: float
    y: float


def legend(
    numbers: Numbers,
    only: Collection[RunNumbers] | None = None,
    value: Callable[[RunNumbers], float] | None = None,
) -> list[Entry]:
    """`drawing.legend_of`, or nothing where so few methods are drawn that their names stand beside them."""
    entries = drawing.legend_of(numbers, only, value)
    return entries if len(entries) > MOST else []


def height(count: int) -> float:
    """Inches of axes that so many names fit beside; 0 for those that have a legend."""
    return (count + 0.8) * _LINE / 72 if count <= MOST else 0.0


def of_families(numbers: Numbers, places: Mapping[str, tuple[float, float]]) -> list[Named]:
    """A name for each method, at the mean place of its runs; runs without a place are left out.

    Args:
        places: run's label -> x, y.
    """
    chosen, called = drawing.styles(numbers), drawing.family_names(numbers)
    found = []
    for family, runs in numbers.families.items():
        known = [places[run.label] for run in runs if run.label in places]
        if known:
            x, y = np.mean(known, axis=0)
            found.append(Named(called[family], chosen[runs[0].label], float(x), float(y)))
    return found


def at_line_ends(ends: Mapping[Axes, Sequence[Named]]) -> None:
    """Names at the right of axes, each joined with the end of its line; call it when all else is drawn.

    Args:
        ends: of axes of one drawing; those of more than `MOST` names are left as they are.
    """
    shown = {
        panel: [name._replace(text=drawing.fitted(name.text, _WIDEST)) for name in named]
        for panel, named in ends.items()
        if 0 < len(named) <= MOST
    }
    _make_room({panel: [name.text for name in named] for panel, named in shown.items()}, _NAME)
    for panel, named in shown.items():
        width, tall = _points_of(panel)
        # names may stand a quarter of a line over the ends of the axes
        spare = _LINE / 4 / tall
        places = [_shares(panel, name.x, name.y) for name in named]
        rows = spread([y for _, y in places], _LINE / tall, spare, 1 - spare)
        for (text, style, *_), (x, y), row in zip(named, places, rows, strict=True):
            _line(panel, style, [x, 1 + _LEADER / width], [y, row])
            _mark(panel, style, 1 + _SAMPLE / width, row)
            _write(panel, text, 1 + _NAME / width, row)


def as_key(panel: Axes, heading: str, entries: Sequence[Entry]) -> None:
    """A legend at the right of axes, from their top downwards, where all lines end in one point."""
    if not 0 < len(entries) <= MOST:
        return
    _make_room({panel: [heading, *(entry.text for entry in entries)]}, _KEY)
    width, tall = _points_of(panel)
    left, top = 1 + _KEY / width, 1 - _LINE / 2 / tall
    _write(panel, heading, left, top)
    for number, (style, text) in enumerate(entries, start=1):
        row = top - number * _LINE / tall
        _line(panel, style, [1 + 8 / width, left - 6 / width], [row, row], **style.line(), linewidth=1.5)
        _mark(panel, style, 1 + (_KEY + 2) / 2 / width, row)
        _write(panel, text, left, row)


def next_to(panel: Axes, named: Sequence[Named], lines: Float64Array) -> None:
    """Names next to points inside of axes, with leaders where they had to move away.

    Args:
        lines: (N, 2) places that names avoid where they can, in the axes' own numbers.
    """
    drawing.page_of(panel).draw_without_rendering()
    scale = _points_of(panel)
    texts = [drawing.fitted(name.text, _WIDEST_INSIDE) for name in named]
    sizes = np.array([[72 * drawing.text_width(text) + 2, FONT_SIZE] for text in texts]).reshape(-1, 2)
    points = np.array([_shares(panel, name.x, name.y) for name in named]).reshape(-1, 2) * scale
    avoided = np.array([_shares(panel, x, y) for x, y in lines]).reshape(-1, 2) * scale
    corners = beside(points, sizes, (scale[0], scale[1]), avoided)
    for name, text, point, corner, size in zip(named, texts, points, corners, sizes, strict=True):
        x, y = (corner + size / 2) / scale
        panel.text(x, y, text, transform=panel.transAxes, ha="center", va="center")
        near = np.clip(point, corner, corner + size)
        if np.hypot(*(near - point)) > _RINGS[1]:
            (x, y), (to_x, to_y) = point / scale, near / scale
            _line(panel, name.style, [x, to_x], [y, to_y])


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places between `low` and `high`, `gap` apart or more, the nearest to the wanted ones (least squares).

    The order stays, of equals the given one. Where they have no room, the gap is what they have room for.
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    order = np.argsort(np.asarray(wanted, np.float64), kind="stable")
    steps = gap * np.arange(len(wanted))
    # without the gaps, places need only not fall: blocks of neighbours that would, share their mean
    blocks: list[tuple[float, int]] = []
    for value in np.asarray(wanted, np.float64)[order] - steps:
        total, count = float(value), 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            total, count = total + blocks[-1][0], count + blocks[-1][1]
            blocks.pop()
        blocks.append((total, count))
    level = np.concatenate([np.full(count, total / count) for total, count in blocks])
    placed = np.empty(len(wanted))
    placed[order] = np.clip(level, low, high - steps[-1]) + steps
    return [float(place) for place in placed]


def beside(
    points: Float64Array, sizes: Float64Array, bounds: tuple[float, float], avoided: Float64Array
) -> Float64Array:
    """Lower left corners (N, 2) of names next to points, which lie over no other name or point if possible.

    Of places that are as free the nearest is taken, of those the one at the right, then at the left.

    Args:
        points: (N, 2), from (0, 0) to `bounds`. sizes: (N, 2), widths and heights of the names.
        avoided: (M, 2) places that names rather do not cover. All in points.
    """
    markers = np.concatenate([points - _MARKER, points + _MARKER], axis=1)
    corners = np.array([_candidates(*pair)[0] for pair in zip(points, sizes, strict=True)]).reshape(-1, 2)
    for sweep in range(_SWEEPS):
        for number, (point, size) in enumerate(zip(points, sizes, strict=True)):
            found = _candidates(point, size)
            # in the first sweep those that follow have no place yet
            others = np.arange(len(points)) != number
            known = np.arange(len(points)) < number if sweep == 0 else others
            names = np.concatenate([corners, corners + sizes], axis=1)[known]
            taken = np.concatenate([names, markers[others]])
            corners[number] = found[_costs(found, size, point, taken, bounds, avoided).argmin()]
    return corners


def _candidates(point: Float64Array, size: Float64Array) -> Float64Array:
    """(K, 2) corners of a name at all sides of its point, the nearest first."""
    sides, rings = np.array(_SIDES, np.float64), np.array(_RINGS)
    # at a corner the distance counts once, not in both directions
    reach = np.where(np.abs(sides).sum(1) == 2, 0.75, 1.0)
    off = (rings[:, None, None] * (sides * reach[:, None])).reshape(-1, 2)
    whole = np.tile(sides, (len(rings), 1))
    corners: Float64Array = point + off + size * (whole - 1) / 2
    return corners


def _costs(
    corners: Float64Array,
    size: Float64Array,
    point: Float64Array,
    taken: Float64Array,
    bounds: tuple[float, float],
    avoided: Float64Array,
) -> Float64Array:
    """(K,) what is wrong with each place of a name; `taken`: (B, 4) left, bottom, right and top."""
    ends = corners + size
    over = (corners[:, None] < taken[:, 2:]) & (ends[:, None] > taken[:, :2])
    covered = (corners[:, None] < avoided) & (ends[:, None] > avoided)
    outside = ((corners < 0) | (ends > bounds)).any(1)
    way = np.clip(point, corners, ends) - point
    # places on the leader that lie in what is taken: (K, B)
    leader = point + way[:, None] * _ON_LEADER[:, None]
    crossed = ((leader[:, None] > taken[:, None, :2]) & (leader[:, None] < taken[:, None, 2:])).all(3).any(2)
    costs: Float64Array = (
        _OVER * over.all(2).sum(1)
        + _ON_LINE * covered.all(2).sum(1)
        + _ACROSS * crossed.sum(1)
        + _OUTSIDE * outside
        + np.hypot(*way.T)
    )
    return costs


def _make_room(texts: Mapping[Axes, Sequence[str]], left: float) -> None:
    """Lays a drawing out with room for texts at the right of axes, so many points from them."""
    if not texts:
        return
    stand_ins = [
        panel.annotate(
            max(each, key=drawing.text_width), (1, 0.5), (left, 0), "axes fraction", "offset points"
        )
        for panel, each in texts.items()
    ]
    drawing.page_of(next(iter(texts))).draw_without_rendering()
    for stand_in in stand_ins:
        stand_in.remove()


def _points_of(panel: Axes) -> Float64Array:
    """Width and height of axes in points, as they were last laid out."""
    box = panel.get_window_extent()
    found: Float64Array = np.array([box.width, box.height]) * 72 / drawing.page_of(panel).dpi
    return found


def _shares(panel: Axes, x: float, y: float) -> tuple[float, float]:
    """A place as shares of the axes' width and height."""
    found = (panel.transData - panel.transAxes).transform((x, y))
    return float(found[0]), float(found[1])


def _line(panel: Axes, style: Style, x: Sequence[float], y: Sequence[float], **options: Any) -> None:
    """A line over the borders of the axes, in shares of their width and height."""
    thin: PlotOptions = {"color": style.colour, "linewidth": 0.7, **options}
    panel.add_artist(Line2D(x, y, transform=panel.transAxes, clip_on=False, **thin))


def _mark(panel: Axes, style: Style, x: float, y: float) -> None:
    panel.add_artist(Line2D([x], [y], transform=panel.transAxes, clip_on=False, zorder=5, **style.point()))


def _write(panel: Axes, text: str, x: float, y: float) -> None:
    panel.text(x, y, text, transform=panel.transAxes, va="center_baseline")
