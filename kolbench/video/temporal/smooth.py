"""Alphas that flicker less: smoothing over time, with a new beginning at every cut."""

import math
from typing import Protocol

import cv2
import numpy as np

from kolbench.errors import ConfigError, require_between
from kolbench.types import Float32Array
from kolbench.video.temporal.flicker import FOREGROUND, FlickerMeter, Mask, foreground_of

# the 8-bit levels on either side of one half, so that a side is kept in a saved picture too
JUST_BACKGROUND = np.float32(127 / 255)
JUST_FOREGROUND = np.float32(128 / 255)
_LONGEST_TIME = 10.0  # seconds


class Smoother(Protocol):
    """Alphas in, smoothed alphas out: as many, in the same order, some of them later.

    Alphas are (H, W) float32 in [0, 1], all of one size; what comes out may be the array that went in, and
    the smoother may still need it: nobody writes into an alpha after it was pushed or came out.
    """

    def push(self, alpha: Float32Array, seconds: float) -> list[Float32Array]:
        """Takes the alpha of the frame at `seconds`; returns those that are final now, oldest first."""

    def flush(self) -> list[Float32Array]:
        """Returns what is held, oldest first; afterwards the smoother is as new."""


def without_outliers(
    before: Float32Array, alpha: Float32Array, after: Float32Array, tolerance: float
) -> Float32Array:
    """One-frame delay (OFD) of MODNet (Ke et al., AAAI 2022, section 3.4), pixel by pixel.

    Where |before - after| <= tolerance, |alpha - before| > tolerance and |alpha - after| > tolerance, alpha
    becomes (before + after) / 2; elsewhere it stays. All (H, W) float32 in [0, 1], as the result.
    """
    nearer: Float32Array = np.minimum(cv2.absdiff(alpha, before), cv2.absdiff(alpha, after))
    outlier = (nearer > tolerance) & (cv2.absdiff(before, after) <= tolerance)
    result = alpha.copy()
    result[outlier] = (before[outlier] + after[outlier]) / 2
    return result


def towards(before: Float32Array, alpha: Float32Array, weight: float) -> Float32Array:
    """weight x alpha + (1 - weight) x before; all (H, W) float32 in [0, 1], weight in [0, 1]."""
    mixed = np.float32(weight) * (alpha - before)
    mixed += before
    return np.clip(mixed, 0, 1, out=mixed)


def on_side(alpha: Float32Array, foreground: Mask) -> Float32Array:
    """Alpha with every pixel on the side that `foreground` (H, W) bool names.

    Pixels of the foreground that are below 0.5 become 128/255, pixels of the background from 0.5 on become
    127/255; all others stay. (H, W) float32 in [0, 1], as the result.
    """
    wrong = foreground_of(alpha) != foreground
    result = alpha.copy()
    result[wrong] = np.where(foreground[wrong], JUST_FOREGROUND, JUST_BACKGROUND)
    return result


class Unsmoothed:
    """Every alpha as it came, at once."""

    def push(self, alpha: Float32Array, seconds: float) -> list[Float32Array]:
        """The alpha itself."""
        return [alpha]

    def flush(self) -> list[Float32Array]:
        """Nothing is held."""
        return []


class OneFrameDelay:
    """Removes what differs for one frame only, one frame late; see `without_outliers`.

    The neighbours are the alphas as they were pushed; the first and the last one stay unchanged.

    Args:
        tolerance: C, from 0 to 1: up to that far two alphas count as equal.

    Raises:
        ConfigError: the tolerance is no number from 0 to 1.
    """

    def __init__(self, tolerance: float = 0.1) -> None:
        require_between("smooth.tolerance", tolerance, 0, 1)
        self.tolerance = tolerance
        self._before: Float32Array | None = None
        self._held: Float32Array | None = None

    def push(self, alpha: Float32Array, seconds: float) -> list[Float32Array]:
        """The first alpha comes out at once, every other one with the next push or flush."""
        before, held = self._before, self._held
        if before is None:
            self._before = alpha
            return [alpha]
        if held is None:
            self._held = alpha
            return []
        self._before, self._held = held, alpha
        return [without_outliers(before, held, alpha, self.tolerance)]

    def flush(self) -> list[Float32Array]:
        """The last alpha, unchanged, unless it was the first one."""
        held = self._held
        self._before = self._held = None
        return [] if held is None else [held]


class MovingAverage:
    """Exponential moving average over time, at once: out = w x alpha + (1 - w) x previous out.

    w = 1 - exp(-t / time_constant), where t is the time since the previous frame, so that the frame rate
    does not matter. It lags: after a sudden change, 37 % of the difference is left after time_constant.

    Args:
        time_constant: seconds, from 0.001 to 10.

    Raises:
        ConfigError: the time constant is out of range.
    """

    def __init__(self, time_constant: float = 0.04) -> None:
        require_between("smooth.time_constant", time_constant, 0.001, _LONGEST_TIME)
        self.time_constant = time_constant
        self._last: tuple[Float32Array, float] | None = None

    def push(self, alpha: Float32Array, seconds: float) -> list[Float32Array]:
        """The average up to this frame; a frame that takes no time changes nothing."""
        mixed = alpha
        if self._last is not None:
            before, then = self._last
            weight = -math.expm1(-max(0.0, seconds - then) / self.time_constant)
            mixed = towards(before, alpha, weight)
        self._last = mixed, seconds
        return [mixed]

    def flush(self) -> list[Float32Array]:
        """Nothing is held; the next alpha is a first one."""
        self._last = None
        return []


class Hysteresis:
    """Pixels change sides only where alpha is sure, at once.

    A pixel becomes foreground where alpha >= high and background where alpha <= low; in between it stays on
    the side it had, and in the first frame it is on the side of 0.5 where alpha is (foreground from 0.5 on).
    Alpha itself only changes where it is on the other side of 0.5 than the pixel; see `on_side`.

    Args:
        low: from 0 to 0.5 (exclusive). high: from 0.5 to 1.

    Raises:
        ConfigError: a threshold is out of range.
    """

    def __init__(self, low: float = 0.4, high: float = 0.6) -> None:
        require_between("smooth.low", low, 0, FOREGROUND)
        require_between("smooth.high", high, FOREGROUND, 1)
        if low == FOREGROUND:
            raise ConfigError(f"smooth.low={low} must lie below {FOREGROUND}.")
        self.low, self.high = low, high
        self._side: Mask | None = None

    def push(self, alpha: Float32Array, seconds: float) -> list[Float32Array]:
        """The alpha with every pixel on the side it keeps."""
        before = foreground_of(alpha) if self._side is None else self._side
        self._side = (alpha >= self.high) | (before & (alpha > self.low))
        return [on_side(alpha, self._side)]

    def flush(self) -> list[Float32Array]:
        """Nothing is held; the next alpha is a first one."""
        self._side = None
        return []


class Stabiliser:
    """Smooths the alphas of a clip shot by shot, and measures their flicker before and after.

    Where a new shot begins, what is held comes out first, and the smoother begins anew. As many alphas come
    out as went in, in the same order.

    Attributes:
        before, after: the flicker of the alphas as they came and as they went.
    """

    def __init__(self, smoother: Smoother) -> None:
        self.before, self.after = FlickerMeter(), FlickerMeter()
        self._smoother = smoother

    def push(self, alpha: Float32Array, seconds: float, is_cut: bool) -> list[Float32Array]:
        """Takes the alpha of a frame; returns the alphas that are final now, oldest first.

        Args:
            alpha: (H, W) float32 in [0, 1]. seconds: when its display begins. is_cut: whether a new shot
                begins with it, see Shots.
        """
        final = self._end_shot() if is_cut else []
        self.before.push(alpha)
        return final + self._measured(self._smoother.push(alpha, seconds))

    def flush(self) -> list[Float32Array]:
        """Returns what is held, oldest first; the next frame is a first one. Meters are kept."""
        return self._end_shot()

    def _end_shot(self) -> list[Float32Array]:
        final = self._measured(self._smoother.flush())
        self.before.cut()
        self.after.cut()
        return final

    def _measured(self, final: list[Float32Array]) -> list[Float32Array]:
        for alpha in final:
            self.after.push(alpha)
        return final
