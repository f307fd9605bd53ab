"""Where one shot of a clip ends and the next begins, seen in a small copy of each frame."""

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.errors import require_between
from kolbench.types import Float32Array, UInt8Array

# Measured on the 600 frames of 8 real clips (davis_person): frames that follow each other differ by at most
# 0.05, every fourth frame by at most 0.19, any two frames of different clips by at least 0.37 (0.2 in grey).
THRESHOLD = 0.2
_LONGEST = 64  # pixels of the small copy's longer side
_ENOUGH = 640  # pixels of the longer side that are averaged into it
_BLUR = 2.0  # pixels there: what moves less than that is the same layout
_BINS = (16, 32, 32)  # of luma, Cr, Cb: chroma fills only a part of its range
_NOISE = 16.0  # squared levels added to each variance: two nearly flat frames have the same layout


class Glance(NamedTuple):
    """What is kept of a frame.

    size: height and width of the frame. histograms: shares of luma, Cr and Cb in 16, 32 and 32 equal bins.
    layout: blurred luma of the small copy, less its mean.
    """

    size: tuple[int, int]
    histograms: tuple[npt.NDArray[np.float64], ...]
    layout: Float32Array


def glance(image: UInt8Array) -> Glance:
    """What `difference` compares of an (H, W, 3) uint8 RGB frame: histograms and layout of a 64 px copy."""
    height, width = image.shape[:2]
    stride = max(1, max(height, width) // _ENOUGH)
    scale = min(1.0, _LONGEST / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sparse = np.ascontiguousarray(image[::stride, ::stride])
    small = cv2.resize(sparse, size, interpolation=cv2.INTER_AREA)
    channels = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb))
    histograms = tuple(
        np.histogram(channel, bins=bins, range=(0, 256))[0] / channel.size
        for channel, bins in zip(channels, _BINS, strict=True)
    )
    luma = cv2.GaussianBlur(channels[0].astype(np.float32), (0, 0), _BLUR)
    return Glance((height, width), histograms, luma - luma.mean())


def difference(before: Glance, after: Glance) -> float:
    """How different two frames look, in [0, 1]: the geometric mean of the change of colours and of layout.

    Change of colours: half the L1 distance of the histograms, of luma or of chroma (mean of Cr and Cb),
    whichever is greater. Change of layout: 1 - correlation of the blurred luma, at least 0 and at most 1.
    Both have to change: a flash alters the colours, a pan the layout, a cut alters both. Frames of
    different sizes differ by 1.
    """
    if before.size != after.size:
        return 1.0
    luma, red, blue = (
        0.5 * float(np.abs(a - b).sum()) for a, b in zip(before.histograms, after.histograms, strict=True)
    )
    colours = max(luma, (red + blue) / 2)
    return math.sqrt(colours * _change_of_layout(before.layout, after.layout))


def _change_of_layout(before: Float32Array, after: Float32Array) -> float:
    shared = float((before * after).mean()) + _NOISE
    spread = math.sqrt((float((before**2).mean()) + _NOISE) * (float((after**2).mean()) + _NOISE))
    return min(1.0, max(0.0, 1 - shared / spread))


class CutDetector:
    """Tells the first frame of a shot from the frame before it.

    Found are hard cuts to another view. No cut are: a dissolve over six frames or more, a fade to or from
    black over 25, a pan by up to a tenth of the frame's width per frame, light that halves or grows by a
    third at once. A faster fade is a cut at its last step into black; a flash that blows out large parts of
    the frame is a cut there and another on the way back. A cut to nearly the same view is missed: a jump cut
    where only the person moves, a zoom (always by 1.2, one of four by 1.5).

    Args:
        threshold: a cut is where `difference` exceeds it; from 0 to 1, where 1 means never.

    Raises:
        ConfigError: the threshold is no number from 0 to 1.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        require_between("cuts", threshold, 0, 1)
        self.threshold = threshold
        self._before: Glance | None = None

    def is_cut(self, image: UInt8Array) -> bool:
        """Whether a new shot begins with this frame, (H, W, 3) uint8 RGB; never with the first one."""
        before, self._before = self._before, glance(image)
        return before is not None and difference(before, self._before) > self.threshold

    def reset(self) -> None:
        """Forgets the frame before: the next one is a first one."""
        self._before = None


class Shots:
    """Tells where the shots of one clip begin: at cuts, and where time does not go forward.

    Attributes:
        cuts: seconds of the first frame of every shot but the first; one number per cut is all that grows.
    """

    def __init__(self, detector: CutDetector | None = None) -> None:
        self.cuts: list[float] = []
        self._detector = detector or CutDetector()
        self._seconds = -math.inf

    def is_cut(self, image: UInt8Array, seconds: float) -> bool:
        """Whether a new shot begins with this frame; never with the first one.

        Args:
            image: (H, W, 3) uint8 RGB. seconds: when its display begins; after a seek not later than that of
                the frame before.
        """
        # looked at in any case, as the next frame is compared with it
        is_cut = self._detector.is_cut(image) or seconds <= self._seconds
        self._seconds = seconds
        if is_cut:
            self.cuts.append(seconds)
        return is_cut
