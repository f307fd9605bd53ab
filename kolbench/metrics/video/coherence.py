"""How alphas change from one frame of a clip to the next, alone and against how the truth changes.

Alphas and truths are (H, W) float32 in [0, 1]; a region is (H, W) bool, and None means all pixels. Of a
region without a pixel every number is NaN. dtSSD and MESSDdt are of Erofeev et al. (BMVC 2015).
"""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.metrics.matte_error import transition
from kolbench.types import Float32Array

Plane = npt.NDArray[np.bool_]
Region = Plane | None

# px of the longer side at which the flow of a truth is looked for
FLOW_PX = 512


def dtssd(
    before: Float32Array,
    now: Float32Array,
    truth_before: Float32Array,
    truth_now: Float32Array,
    region: Region = None,
) -> float:
    """100 x root mean square of (alpha's change - truth's change) of a pair of frames; at most 200."""
    change: Any = cv2.subtract(cv2.subtract(now, before), cv2.subtract(truth_now, truth_before))
    inside = change if region is None else change[region]
    return 100 * float(cv2.norm(inside)) / math.sqrt(inside.size) if inside.size else math.nan


def messddt(
    before: Float32Array,
    now: Float32Array,
    truth_before: Float32Array,
    truth_now: Float32Array,
    flow: Float32Array,
    region: Region = None,
) -> float:
    """1000 x mean over pixels p of |squared error at p - squared error of the next frame at p + flow(p)|.

    Args:
        before, now, truth_before, truth_now: a pair of frames.
        flow: (H, W, 2) float32 pixels to the right and down, see `truth_flow`; rounded, and places outside of
            the frame are moved to its border.
        region: pixels p of the frame before.
    """
    if region is not None and not region.any():
        return math.nan
    height, width = before.shape
    # whole numbers, so the nearest pixel is the one that is meant; the border's stand for those beyond it
    to = np.rint(flow)
    to[..., 0] += np.arange(width, dtype=np.float32)
    to[..., 1] += np.arange(height, dtype=np.float32)[:, None]
    error, later = (cv2.subtract(*pair) ** 2 for pair in ((before, truth_before), (now, truth_now)))
    one_map: Any = None
    moved = cv2.remap(later, to, one_map, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    change: Any = cv2.absdiff(error, moved)
    return 1000 * float((change if region is None else change[region]).mean(dtype=np.float64))


def truth_flow(before: Float32Array, now: Float32Array, longest: int | None = FLOW_PX) -> Float32Array:
    """Flow of the truth between two frames, (H, W, 2) float32: pixels to the right and down.

    Farnebäck's on 8-bit alphas: pyramid of 5 levels, halved each time, window 10, 2 iterations, polynomials
    of 7 px and sigma 1.5, Gaussian weights. Approximate: Erofeev et al. took the flow of composited pictures.

    Args:
        before, now: the pair.
        longest: px of the longer side at which it is looked for; None = the frame's own, whatever it costs.
    """
    height, width = before.shape
    scale = min(1.0, longest / max(height, width)) if longest else 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [np.rint(cv2.resize(plane, size, interpolation=cv2.INTER_AREA) * 255) for plane in (before, now)]
    first, second = (np.asarray(plane, np.uint8) for plane in small)
    start: Any = None
    flow: Any = cv2.calcOpticalFlowFarneback(
        first, second, start, 0.5, 5, 10, 2, 7, 1.5, cv2.OPTFLOW_FARNEBACK_GAUSSIAN
    )
    if size != (width, height):
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
        flow *= np.array([width / size[0], height / size[1]], np.float32)
    return np.asarray(flow, np.float32)


def flicker_mad(before: Float32Array, now: Float32Array) -> float:
    """Mean |change of alpha| of a pair of frames, in [0, 1]. Rises with motion too."""
    change: Any = cv2.absdiff(now, before)
    return float(change.mean(dtype=np.float64))


def flicker_iou(before: Plane, now: Plane) -> float:
    """1 - IoU of the foregrounds, (H, W) bool, of a pair of frames; 0 where both are empty.

    Rises with motion too.
    """
    union = np.count_nonzero(before | now)
    return float(np.count_nonzero(before ^ now) / union) if union else 0.0


def flicker_excess(
    before: Float32Array, now: Float32Array, truth_before: Float32Array, truth_now: Float32Array
) -> float:
    """Mean of what alpha changes more than the truth: max(0, |change| - |truth's change|), in [0, 1]."""
    change: Any = cv2.subtract(cv2.absdiff(now, before), cv2.absdiff(truth_now, truth_before))
    return float(np.maximum(change, 0, out=change).mean(dtype=np.float64))


def soft(truth: Float32Array) -> Plane:
    """(H, W) bool: where the truth is neither 0 nor 1; nowhere in a binary one."""
    return (truth > 0) & (truth < 1)


def unknown_band(truth: Float32Array) -> Plane:
    """(H, W) bool: the `transition` of the truth's 8-bit levels, some px wide in a binary one too."""
    return transition(np.rint(truth * 255).astype(np.uint8))
