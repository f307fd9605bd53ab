"""Region similarity J of DAVIS (Perazzi et al., CVPR 2016), and J or F over the frames of a clip.

Dataset values are means over clips of these, never over frames (davis2017-evaluation, Pont-Tuset et al.).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kolbench.types import Float64Array, Int64Array

Plane = npt.NDArray[np.bool_]

# which ends of a clip J and F leave out: none; its first and last frame, as the tables of DAVIS-2016; its
# first and last annotated frame, as those of MVPS
TRIMS = ("none", "davis2016", "mvps")
UNTRIMMED = TRIMS[0]
# a frame counts as found above it
RECALLED = 0.5
_BINS = 4


class Statistics(NamedTuple):
    """Of J or F over n frames.

    mean: in [0, 1]. recall: share of frames above 0.5. decay: mean of the first quarter less that of the
    last, in [-1, 1]; 0 of fewer than 4 frames. short: whether there are fewer than 4.
    """

    mean: float
    recall: float
    decay: float
    short: bool


def region_j(predicted: Plane, truth: Plane, void: Plane | None = None) -> float:
    """Intersection over union of (H, W) bool each, less the pixels of `void`; 1 where the union is empty."""
    if void is not None:
        predicted, truth = predicted & ~void, truth & ~void
    union = np.count_nonzero(predicted | truth)
    return float(np.count_nonzero(predicted & truth) / union) if union else 1.0


def statistics_of(values: Float64Array) -> Statistics:
    """Mean, recall and decay of (n,) values of the frames that are scored, in time.

    Raises:
        ValueError: there is no value.
    """
    if not len(values):
        raise ValueError("no frame is scored")
    short = len(values) < _BINS
    decay = 0.0 if short else _decay(values)
    return Statistics(float(values.mean()), float((values > RECALLED).mean()), decay, short)


def bin_edges(frames: int) -> Int64Array:
    """(5,) int64: the first frame of each quarter and the last of all; quarters share their edges.

    64 bits: the official code's 8 wrap around after 256 frames.
    """
    # numpy rounds halves to the even number, which the summand keeps from happening
    return np.asarray(np.round(np.linspace(1, frames, _BINS + 1) + 1e-10), np.int64) - 1


def _decay(values: Float64Array) -> float:
    edges = bin_edges(len(values))
    first, last = (values[edges[i] : edges[i + 1] + 1] for i in (0, _BINS - 1))
    return float(first.mean() - last.mean())


def scored_frames(annotated: npt.NDArray[np.bool_], trim: str = UNTRIMMED) -> npt.NDArray[np.bool_]:
    """(n,) bool of a clip's frames, in time -> (n,) bool: which of those with a truth J and F are of.

    Args:
        annotated: frames with a truth.
        trim: one of `TRIMS`.

    Raises:
        ValueError: `trim` is none of them.
    """
    if trim not in TRIMS:
        raise ValueError(f"trim={trim} is none of {', '.join(TRIMS)}")
    kept = annotated.copy()
    if trim == "davis2016":
        kept[[0, -1][: len(kept)]] = False
    if trim == "mvps":
        kept[np.flatnonzero(annotated)[[0, -1]] if annotated.any() else []] = False
    return kept
