"""Clip by clip: how much of the foreground is found, and how much the alphas flicker."""

import numpy as np

from kolbench.report.layout import Row, Table, definitions, table
from kolbench.report.numbers import Numbers, RunNumbers


def clips(numbers: Numbers) -> Table:
    """`clips`: a row per clip and method, without rows where the test pictures are no frames of clips."""
    rows = [row for run in numbers.runs for row in _rows(run, numbers.comparison.pictures)]
    rows.sort(key=lambda row: str(row[1]["clip"]))
    notes = [
        "iou: mean over the clip's frames, each run at its own threshold.",
        *definitions(["iou"]),
        "flicker: mean change of a pixel's alpha from one frame to the next, over all pixels; at the edge: "
        "over pixels near the edge of the foreground (at 0.5) of either frame. Both rise with motion too. "
        "Empty where a clip has one frame, or no frame an edge.",
        "(truth): the same of the true masks, so what motion alone makes; a matte that flickers less than "
        "its truth lags or misses.",
        "Clips are few and their frames alike: no interval is given.",
    ]
    return table("clips", "Clip by clip", rows, notes)


def _rows(run: RunNumbers, pictures: tuple[str, ...]) -> list[Row]:
    iou = dict(zip(pictures, run.images["iou"], strict=True))
    return [
        (
            run.heading,
            {
                "clip": clip,
                "method": run.label,
                "iou": _mean([iou[name] for name in found.pictures if name in iou]),
                "flicker": found.flicker,
                "flicker (truth)": found.true_flicker,
                "flicker at the edge": found.border_flicker,
                "flicker at the edge (truth)": found.true_border_flicker,
                "frames": len(found.pictures),
            },
        )
        for clip, found in run.run.record.clips.items()
    ]


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
