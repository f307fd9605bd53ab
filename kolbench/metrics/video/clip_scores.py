"""The scores of a clip from the numbers of its frames, and of a data set from its clips."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from kolbench.metrics.boundary_f import TOLERANCE
from kolbench.metrics.matte_error import BAND_PX
from kolbench.metrics.video.accuracy import UNTRIMMED, scored_frames, statistics_of
from kolbench.metrics.video.coherence import FLOW_PX
from kolbench.metrics.video.meter import AGAINST_TRUTH, ALONE
from kolbench.types import Float64Array

DEFINITIONS: Mapping[str, str] = {
    "j_and_f": "mean of j_mean and f_mean",
    "j_mean": "J, intersection over union of alpha cut at 0.5 and the ground truth, averaged over the clip's "
    "frames; 1 where both are empty",
    "j_recall": "share of frames whose J is above 0.5",
    "j_decay": "mean J of the clip's first quarter less that of its last; 0 of fewer than 4 frames",
    "f_mean": "contour F of DAVIS, F of contour precision and recall within "
    f"{TOLERANCE:.1%} of the frame's diagonal, averaged over the clip's frames",
    "f_recall": "share of frames whose contour F is above 0.5",
    "f_decay": "as j_decay, of contour F",
    "jitter_j": "standard deviation of J over the clip's frames",
    "dtssd": "100 x root mean square of alpha's change less the ground truth's, averaged over pairs of "
    "frames",
    "dtssd_rvm": "as dtssd, with a first frame of 0 in the average, as Robust Video Matting's code has it",
    "dtssd_unknown": f"as dtssd, over pixels within {BAND_PX // 2} px of the ground truth's transition "
    "in the earlier frame",
    "messddt": "1000 x mean |squared error of a pixel - squared error where it has moved to|, over pixels "
    "whose ground truth is neither 0 nor 1; approximate: moved by the flow of the ground truth, "
    f"computed at {FLOW_PX} px at most",
    "messddt_whole": "as messddt, over all pixels",
    "flicker_mad": "mean change of a pixel's alpha from one frame to the next; rises with motion too",
    "flicker_iou": "1 - IoU of the foregrounds of one frame and the next; rises with motion too",
    "flicker_excess": "mean of what a pixel's alpha changes more than its ground truth does",
}
# what `DEFINITIONS` names is at least and at most
_SIGNED, _PERCENT = (-1.0, 1.0), (0.0, 200.0)
BOUNDS: Mapping[str, tuple[float, float]] = dict.fromkeys(DEFINITIONS, (0.0, 1.0)) | {
    **dict.fromkeys(("j_decay", "f_decay"), _SIGNED),
    **dict.fromkeys(("dtssd", "dtssd_rvm", "dtssd_unknown"), _PERCENT),
    **dict.fromkeys(("messddt", "messddt_whole"), (0.0, 1000.0)),
}


class ClipScores(NamedTuple):
    """Of one clip.

    scores: by the names of `DEFINITIONS`, without those that do not apply. frames: how many J and F are of.
    short: whether these are too few, but some, for a decay, which is 0 then.
    """

    scores: Mapping[str, float]
    frames: int
    short: bool


def clip_scores(frames: Mapping[str, Float64Array], trim: str = UNTRIMMED) -> ClipScores:
    """From the numbers of a clip's frames, in time.

    Args:
        frames: column of `meter.COLUMNS` -> (n,) float64, NaN where it does not apply; J and F do where the
            frame has a truth.
        trim: which ends J and F leave out, one of `TRIMS`; numbers of pairs of frames leave out none.

    Raises:
        ValueError: `trim` is none of them.
    """
    kept = scored_frames(~np.isnan(frames["j"]), trim)
    pairs = {name: _mean(frames[name]) for name in (*AGAINST_TRUTH, *ALONE)}
    compared = int(np.count_nonzero(~np.isnan(frames["dtssd"])))
    found = pairs | {"dtssd_rvm": pairs["dtssd"] * compared / (compared + 1)}
    short = False
    if kept.any():
        accuracy, short = _accuracy(frames["j"][kept], frames["f"][kept])
        found |= accuracy
    known = {name: found[name] for name in DEFINITIONS if not math.isnan(found.get(name, math.nan))}
    return ClipScores(known, int(np.count_nonzero(kept)), short)


def _accuracy(j: Float64Array, f: Float64Array) -> tuple[dict[str, float], bool]:
    region, outline = statistics_of(j), statistics_of(f)
    found = {
        **{f"j_{name}": getattr(region, name) for name in ("mean", "recall", "decay")},
        **{f"f_{name}": getattr(outline, name) for name in ("mean", "recall", "decay")},
        "j_and_f": (region.mean + outline.mean) / 2,
        "jitter_j": float(j.std()),
    }
    return found, region.short


def mean_over_clips(clips: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each score over the clips that have it, whatever their lengths."""
    rows = list(clips)
    found = {name: _mean(np.array([row.get(name, math.nan) for row in rows])) for name in DEFINITIONS}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _mean(values: Float64Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
