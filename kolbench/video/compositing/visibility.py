"""How much of the ad could be seen behind the KOL: a row per frame, sums over time, files and a plot."""

import csv
import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.errors import require_between
from kolbench.io.files import write_json, write_text
from kolbench.types import Float32Array
from kolbench.video.compositing.filmstrip import Still
from kolbench.video.compositing.visibility_plot import Headline, draw
from kolbench.video.temporal.flicker import border_radius, foreground_of, near_edge

LEVELS = (0.25, 0.5, 0.75)
REPORT_SUFFIXES = (".csv", ".json", ".png", ".svg")
FORMAT = 1


class Row(NamedTuple):
    """What is known of one frame; see COLUMNS."""

    frame: int
    seconds: float
    duration: float
    share: float | None
    ad_area: float
    visible_area: float
    border_change: float | None
    cut: bool


COLUMNS = {
    "frame": "number of the frame, from 0",
    "seconds": "when its display begins",
    "duration": "seconds until the next frame; of the last one until the clip's end, or as long as the one "
    "before where the end is not known (0 for a single frame)",
    "share": "visible share of the ad: sum(ad x (1 - alpha)) / sum(ad) over the frame's pixels, where ad is "
    "the ad's opacity there and alpha the KOL's; empty where the frame holds no ad",
    "ad_area": "sum(ad) / the frame's pixels: how much of the frame the ad takes, seen or hidden",
    "visible_area": "sum(ad x (1 - alpha)) / the frame's pixels",
    "border_change": "mean |change| of the visible ad, ad x (1 - alpha), since the frame before, over pixels "
    "that hold ad (> 0) in both and are near the edge of the KOL's foreground (alpha >= 0.5) in either: the "
    "square of 2 r + 1 px around them holds both sides, r = ceil(0.008 x the frame's diagonal in px); empty "
    "where there are none, at the first frame and at cuts",
    "cut": "1 where a new shot begins",
}


def _definitions(view: float) -> dict[str, str]:
    return {
        "frames": "number of frames",
        "total_seconds": "sum of duration",
        "ad_seconds": "sum of duration over frames that hold an ad",
        "mean_share": "mean of share over frames that hold an ad, weighted by duration; null without any",
        "mean_visible_area": "mean of visible_area over all frames, weighted by duration; null of 0 s",
        **{_key(level): f"sum of duration where share >= {level:g}" for level in LEVELS},
        "longest_view": f"longest time without a break, in seconds, in which share >= {view:g}; cuts do not "
        "break it, frames without an ad do",
        "longest_view_start": "seconds where it begins (the first of equals); null where there is none",
        "border_flicker": "sum of border_change / seconds between these frames and those before them, in "
        "1/s: how fast the visible ad changes at the KOL's edge (rises with motion too); null without any",
    }


def _sum(values: Float32Array) -> float:
    return float(values.sum(dtype=np.float64))


def _key(level: float) -> str:
    return f"seconds_{round(100 * level)}"


class _Seen(NamedTuple):
    visible: Float32Array
    has_ad: npt.NDArray[np.bool_]
    edge: npt.NDArray[np.bool_]


class _Measured(NamedTuple):
    seconds: float
    share: float | None
    ad_area: float
    visible_area: float
    border_change: float | None
    cut: bool


class VisibilityReport:
    """Collects how much of the ad each frame shows; it keeps a few numbers per frame.

    Args:
        view: share of the ad from which it counts as seen in `longest_view`, from 0 to 1.

    Raises:
        ConfigError: `view` is no number from 0 to 1.
    """

    def __init__(self, view: float = 0.5) -> None:
        require_between("view", view, 0, 1)
        self.view = view
        self._measured: list[_Measured] = []
        self._before: _Seen | None = None
        self._end: float | None = None

    def push(self, ad_alpha: Float32Array, alpha: Float32Array, seconds: float, cut: bool = False) -> None:
        """Takes the next frame.

        Args:
            ad_alpha: (H, W) float32 in [0, 1], the ad's opacity where it was put. alpha: of the KOL, the
                same. seconds: when its display begins, after the frame before. cut: a new shot begins.
        """
        if self._measured and not seconds > self._measured[-1].seconds:
            raise ValueError(f"a frame at {seconds} s cannot follow one at {self._measured[-1].seconds} s")
        visible = ad_alpha * (1 - alpha)
        edge = near_edge(foreground_of(alpha), border_radius(*alpha.shape))
        seen = _Seen(visible, ad_alpha > 0, edge)
        change = None if cut or self._before is None else _border_change(self._before, seen)
        whole, part = _sum(ad_alpha), _sum(visible)
        share = part / whole if whole > 0 else None
        self._measured.append(_Measured(seconds, share, whole / alpha.size, part / alpha.size, change, cut))
        self._before = seen

    def end(self, seconds: float) -> None:
        """Says when the display of the last frame ends; no more frames come."""
        if self._measured and seconds < self._measured[-1].seconds:
            raise ValueError(f"the clip cannot end at {seconds} s, before its last frame")
        self._end = seconds

    @property
    def rows(self) -> list[Row]:
        """One row per frame."""
        durations = self._durations()
        return [
            Row(number, m.seconds, duration, m.share, m.ad_area, m.visible_area, m.border_change, m.cut)
            for number, (m, duration) in enumerate(zip(self._measured, durations, strict=True))
        ]

    def summary(self) -> dict[str, float | int | None]:
        """The clip in numbers, to six decimals; `write` says beside them what each of them means."""
        rows = self.rows
        with_ad = [(row.share, row.duration) for row in rows if row.share is not None]
        start, length = _longest_view(rows, self.view)
        numbers = {
            "frames": len(rows),
            "total_seconds": math.fsum(row.duration for row in rows),
            "ad_seconds": math.fsum(duration for _, duration in with_ad),
            "mean_share": _weighted_mean(with_ad),
            "mean_visible_area": _weighted_mean([(row.visible_area, row.duration) for row in rows]),
            **{_key(level): math.fsum(time for share, time in with_ad if share >= level) for level in LEVELS},
            "longest_view": length,
            "longest_view_start": start,
            "border_flicker": _border_flicker(rows),
        }
        return {
            name: round(value, 6) if isinstance(value, float) else value for name, value in numbers.items()
        }

    def write(self, target: str | Path, stills: Sequence[Still] = ()) -> list[Path]:
        """Writes `.csv` (a row per frame), `.json` (the summary and what every number means), `.png`, `.svg`.

        Args:
            target: the files' path without the suffix.
            stills: small frames with the ad, in time, which stand above the curve; none = the curve alone.

        Returns:
            The four paths; each file is replaced as a whole.
        """
        stem = Path(target)
        stem.parent.mkdir(parents=True, exist_ok=True)
        table, numbers, png, svg = (stem.with_name(stem.name + suffix) for suffix in REPORT_SUFFIXES)
        rows, summary = self.rows, self.summary()
        write_text(table, _csv(rows))
        write_json(
            numbers,
            {
                "format": FORMAT,
                "summary": summary,
                "definitions": _definitions(self.view),
                "rows": table.name,
                "columns": COLUMNS,
                "view": self.view,
            },
        )
        viewed = math.fsum(row.duration for row in rows if row.share is not None and row.share >= self.view)
        total = math.fsum(row.duration for row in rows)
        draw(rows, stills, Headline(self.view, summary["mean_share"], viewed, total), png, svg)
        return [table, numbers, png, svg]

    def _durations(self) -> list[float]:
        starts = [m.seconds for m in self._measured]
        between = [after - before for before, after in itertools.pairwise(starts)]
        if not starts:
            return []
        if self._end is not None:
            return [*between, self._end - starts[-1]]
        return [*between, between[-1] if between else 0.0]


def _border_change(before: _Seen, now: _Seen) -> float | None:
    border = before.has_ad & now.has_ad & (before.edge | now.edge)
    if not border.any():
        return None
    change: Any = cv2.absdiff(now.visible, before.visible)
    return float(change[border].mean(dtype=np.float64))


def _border_flicker(rows: Sequence[Row]) -> float | None:
    """Sum of the changes over the time they took, so that the frame rate weighs nothing."""
    pairs = [
        (now.border_change, now.seconds - before.seconds)
        for before, now in itertools.pairwise(rows)
        if now.border_change is not None
    ]
    if not pairs:
        return None
    return math.fsum(change for change, _ in pairs) / math.fsum(time for _, time in pairs)


def _weighted_mean(values: Sequence[tuple[float, float]]) -> float | None:
    weight = math.fsum(w for _, w in values)
    return math.fsum(v * w for v, w in values) / weight if weight > 0 else None


def _longest_view(rows: Sequence[Row], view: float) -> tuple[float | None, float]:
    """Where the longest run of frames with share >= view begins, None without any, and its seconds."""
    best_start, best = None, 0.0
    start, length = None, 0.0
    for row in rows:
        if row.share is None or row.share < view:
            start, length = None, 0.0
            continue
        start = row.seconds if start is None else start
        # a difference of times, so that a long run gathers no rounding
        length = row.seconds + row.duration - start
        if length > best:
            best_start, best = start, length
    return best_start, best


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: float | bool | None) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(int(value))
