"""Whether mask files are binary or true alphas: what `data.truth` asks for, and how `auto` decides.

A binary mask that was antialiased, resized or stored as JPEG has grey pixels in lines along its edges, a few
pixels wide. An alpha has grey areas: hair, blur, glass. So those grey pixels are counted around which a whole
square of 5x5 pixels is grey. Their share of all grey pixels, measured: at most 0.015 in 61 masks of
street_kol after JPEG of quality 30, resizing by 0.5 to 4, or a Gaussian of 1 px; 0.24 (median), and in 21 at
least 0.02, in the 27 alphas of alphamatting.com. A mask that was feathered more widely counts as an alpha
(0.27 at 2 px).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from kolbench.io.masks import MatteReading
from kolbench.types import ALPHA, BINARY, Float32Array

AUTO = "auto"
TRUTHS = (AUTO, BINARY, ALPHA)
GREY = (0.05, 0.95)
SQUARE_PX = 5
SOFT_SHARE = 0.02
# of the masks looked at; an alpha of something with hard edges looks like a mask
ALPHA_SHARE = 0.25


class Verdict(NamedTuple):
    """truth: `binary` or `alpha`. note: what was seen, a line to print."""

    truth: str
    note: str


def soft_share(alpha: Float32Array) -> float:
    """The share of grey pixels that lie in the middle of 5x5 grey ones.

    Args:
        alpha: (H, W) in [0, 1]; grey lies between 0.05 and 0.95.

    Returns:
        In [0, 1]; 0 where nothing is grey.
    """
    grey = ((alpha > GREY[0]) & (alpha < GREY[1])).astype(np.uint8)
    square = np.ones((SQUARE_PX, SQUARE_PX), np.uint8)
    # what lies outside of the frame is not known to be grey
    inner: Any = cv2.erode(grey, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return float(inner.sum()) / max(1, int(grey.sum()))


def has_soft_edges(reading: MatteReading) -> bool:
    """Whether a mask looks like a true alpha; a lossy file never does, as it holds no exact alpha."""
    return not reading.lossy and soft_share(reading.alpha) >= SOFT_SHARE


def judged(asked: str, readings: Sequence[MatteReading]) -> Verdict:
    """What masks are taken for.

    Args:
        asked: one of `TRUTHS`. readings: a sample of the masks, the same on every machine.

    Returns:
        `alpha` under `auto` where at least a quarter of them have soft edges.
    """
    soft, count = sum(map(has_soft_edges, readings)), len(readings)
    seen = f"soft edges in {soft} of {count} masks looked at"
    if asked == BINARY:
        return Verdict(BINARY, "masks are taken as binary")
    if asked == ALPHA:
        hard = "" if soft else "; alphas of hard edges are scored all the same"
        return Verdict(ALPHA, f"data.truth=alpha: masks are true alphas ({seen}{hard})")
    if count and soft >= ALPHA_SHARE * count:
        return Verdict(
            ALPHA,
            f"{seen}: true alphas, so matting scores are possible; data.truth=binary takes them as binary",
        )
    if all(reading.hard for reading in readings):
        return Verdict(BINARY, f"masks: two levels at most in {count} looked at: taken as binary")
    return Verdict(BINARY, f"masks: {seen}: taken as binary; data.truth=alpha takes them as true alphas")
