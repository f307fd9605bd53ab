"""The numbers of each frame of a clip as it goes by, with two frames in memory at most."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kolbench.metrics.boundary_f import boundary_f
from kolbench.metrics.video import coherence
from kolbench.metrics.video.accuracy import region_j
from kolbench.types import Float32Array

FOREGROUND = 0.5  # alpha from which a pixel counts as foreground
ACCURACY = ("j", "f")
AGAINST_TRUTH = ("dtssd", "dtssd_unknown", "messddt", "messddt_whole", "flicker_excess")
ALONE = ("flicker_mad", "flicker_iou")
# of a frame; those of a pair of frames stand with the later one
COLUMNS = (*ACCURACY, *AGAINST_TRUTH, *ALONE)


class _Frame(NamedTuple):
    alpha: Float32Array
    truth: Float32Array | None


class ClipMeter:
    """Scores the frames of one clip, given in time."""

    def __init__(self) -> None:
        self._before: _Frame | None = None

    def push(self, alpha: Float32Array, truth: Float32Array | None) -> dict[str, float]:
        """The numbers of the next frame, by `COLUMNS`; NaN where one does not apply.

        Args:
            alpha: (H, W) float32 in [0, 1], which nobody writes into afterwards.
            truth: the same; None where the frame has none, which its pairs are then without.
        """
        before, now = self._before, _Frame(alpha, truth)
        self._before = now
        pair = {} if before is None else _of_pair(before, now)
        return {**dict.fromkeys(COLUMNS, math.nan), **_accuracy(now), **pair}

    def end(self) -> None:
        """The next frame begins another clip, or comes after a cut."""
        self._before = None


def _accuracy(frame: _Frame) -> Mapping[str, float]:
    if frame.truth is None:
        return {}
    planes = np.asarray(frame.alpha >= FOREGROUND), np.asarray(frame.truth >= FOREGROUND)
    return {"j": region_j(*planes), "f": boundary_f(*planes)}


def _of_pair(before: _Frame, now: _Frame) -> dict[str, float]:
    planes = np.asarray(before.alpha >= FOREGROUND), np.asarray(now.alpha >= FOREGROUND)
    alone = {
        "flicker_mad": coherence.flicker_mad(before.alpha, now.alpha),
        "flicker_iou": coherence.flicker_iou(*planes),
    }
    if before.truth is None or now.truth is None:
        return alone
    pair = before.alpha, now.alpha, before.truth, now.truth
    flow = coherence.truth_flow(before.truth, now.truth)
    return alone | {
        "dtssd": coherence.dtssd(*pair),
        "dtssd_unknown": coherence.dtssd(*pair, coherence.unknown_band(before.truth)),
        "messddt": coherence.messddt(*pair, flow, coherence.soft(before.truth)),
        "messddt_whole": coherence.messddt(*pair, flow),
        "flicker_excess": coherence.flicker_excess(*pair),
    }
