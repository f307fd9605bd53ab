"""Scores of video segmentation: averaged over clips, and clip by clip."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kolbench.metrics.video.clip_scores import BOUNDS, DEFINITIONS
from kolbench.report.intervals import TOO_FEW, Interval, fewest_groups, mean_intervals
from kolbench.report.layout import Cell, Row, Table, definitions, table
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.words import counted, listed
from kolbench.runs.record import ClipRecord
from kolbench.types import Float64Array

# scores whose intervals stand beside them
WITH_INTERVALS = ("j_and_f", "j_mean", "f_mean", "dtssd")
NOT_THE_THRESHOLD = "Alphas are cut at 0.5 for all, not at a run's own threshold."


def videos(numbers: Numbers) -> Table:
    """`video`: a row per method, without rows where no run has scores of clips."""
    runs = [run for run in numbers.runs if run.run.record.video]
    found = _intervals(numbers, runs)
    names = _named(runs)
    pictures = numbers.comparison.pictures
    rows: list[Row] = [
        (run.heading, _mean_cells(run, pictures, names, found.get(run.label, {}))) for run in runs
    ]
    notes = [
        f"Means over clips; a long clip counts as much as a short one. {NOT_THE_THRESHOLD}",
        *(f"{name}: {DEFINITIONS[name]}." for name in names),
        "iou: mean over clips of their frames' mean iou, at each run's own threshold. Far above j_mean: the "
        "alphas are good, but not at 0.5.",
        *definitions(["iou"]),
        "trim: what J and F leave out: the first and last frame of a clip (davis2016), or its first and last "
        "annotated frame (mvps).",
        _interval_note(numbers, runs),
    ]
    return table("video", "Video scores", rows, notes)


def clips(numbers: Numbers) -> Table:
    """`clips`: a row per clip and method, without rows where the test pictures are no frames of clips."""
    names = _named(numbers.runs)
    rows = [row for run in numbers.runs for row in _rows(run, numbers.comparison.pictures, names)]
    rows.sort(key=lambda row: str(row[1]["clip"]))
    scored = f"{listed(names)}: as in the table 'video', of one clip. {NOT_THE_THRESHOLD}"
    notes = [
        "iou: mean over the clip's frames, each run at its own threshold.",
        *definitions(["iou"]),
        *([scored] if names else []),
        "flicker: mean change of a pixel's alpha from one frame to the next; at the edge: over pixels near "
        "the edge of the foreground. Both rise with motion too.",
        "(truth): flicker of the ground truth, which is motion alone. A method that flickers less lags "
        "behind or misses something.",
        "Frames of one clip are alike: there is no interval for a clip.",
    ]
    return table("clips", "Scores by clip", rows, notes)


def _named(runs: Sequence[RunNumbers]) -> list[str]:
    """The scores that a run has, in the order of `DEFINITIONS`."""
    return [name for name in DEFINITIONS if any(name in run.run.record.video for run in runs)]


def _mean_cells(
    run: RunNumbers, pictures: Sequence[str], names: Sequence[str], intervals: Mapping[str, Interval]
) -> dict[str, Cell]:
    record = run.run.record
    cells: dict[str, Cell] = {"method": run.label}
    for name in names:
        cells[name] = record.video.get(name)
        if name in intervals:
            cells[f"{name} 95 %"] = _ends(intervals[name])
    scored = [clip for clip in record.clips.values() if clip.scored_frames]
    of_clips = [iou for iou in _iou_of_clips(run, pictures).values() if iou is not None]
    return cells | {
        "iou": _mean(of_clips),
        "trim": record.trim or None,
        "clips": len(scored),
        "too short for a decay": sum(clip.short for clip in scored),
        "frames": sum(clip.scored_frames or 0 for clip in scored),
    }


def _ends(found: Interval) -> str | None:
    return f"[{found.low:.4f}, {found.high:.4f}]" if found.known else None


def _intervals(numbers: Numbers, runs: Sequence[RunNumbers]) -> dict[str, dict[str, Interval]]:
    """Label -> score -> its mean over clips, with an interval over them; empty where clips are too few.

    Clips of one group (one video, say) count together.
    """
    groups = _groups(numbers, runs)
    if len(set(groups.values())) < fewest_groups():
        return {}
    found: dict[str, dict[str, Interval]] = {run.label: {} for run in runs}
    for name in WITH_INTERVALS:
        values = {run.label: _of_clips(run, name, groups) for run in runs if name in run.run.record.video}
        for label, interval in mean_intervals(values, list(groups.values()), bounds=BOUNDS[name]).items():
            found[label][name] = interval
    return found


def _of_clips(run: RunNumbers, name: str, chosen: Mapping[str, str]) -> Float64Array:
    known = run.run.record.clips
    return np.array([known.get(clip, ClipRecord()).scores.get(name, math.nan) for clip in chosen])


def _groups(numbers: Numbers, runs: Sequence[RunNumbers]) -> dict[str, str]:
    """Clip -> the group of its first picture."""
    of = dict(zip(numbers.comparison.pictures, numbers.comparison.groups, strict=True))
    known = {clip: found for run in runs for clip, found in run.run.record.clips.items()}
    return {clip: of.get(found.pictures[0], clip) for clip, found in known.items() if found.pictures}


def _interval_note(numbers: Numbers, runs: Sequence[RunNumbers]) -> str:
    groups = len(set(_groups(numbers, runs).values()))
    if groups < fewest_groups():
        return (
            f"{TOO_FEW.capitalize()}: clips of {counted(groups, 'video')}, {fewest_groups()} are needed. "
            "The table 'clips' has them one by one."
        )
    return f"In brackets: 95 % confidence interval over clips of {counted(groups, 'video')}."


def _iou_of_clips(run: RunNumbers, pictures: Sequence[str]) -> dict[str, float | None]:
    """Clip -> mean IoU of its frames at the run's own threshold; None where it has none that is scored."""
    iou = dict(zip(pictures, run.images["iou"], strict=True))
    clips = run.run.record.clips.items()
    return {clip: _mean([iou[name] for name in found.pictures if name in iou]) for clip, found in clips}


def _rows(run: RunNumbers, pictures: tuple[str, ...], names: Sequence[str]) -> Iterator[Row]:
    iou = _iou_of_clips(run, pictures)
    for clip, found in run.run.record.clips.items():
        cells: dict[str, Cell] = {
            "clip": clip,
            "method": run.label,
            "iou": iou[clip],
            **{name: found.scores.get(name) for name in names if name != "flicker_mad"},
            "flicker": found.flicker,
            "flicker (truth)": found.true_flicker,
            "flicker at the edge": found.border_flicker,
            "flicker at the edge (truth)": found.true_border_flicker,
            "frames": len(found.pictures),
        }
        yield run.heading, cells


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
