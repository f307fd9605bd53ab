"""What moves between neighbouring frames of a clip, as pictures (optical flow by OpenCV's DIS)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np

from kolbench.errors import require_between, require_choice, require_whole
from kolbench.types import Float32Array, Float64Array, UInt8Array

COLOUR, VECTORS = "colour", "uv"
# DIS needs windows of 8 px at half size
SMALLEST = 12
# steps of the colour wheel from red to yellow, green, cyan, blue, magenta and back (Baker et al. 2011)
_WHEEL_STEPS = (15, 6, 4, 11, 13, 6)
_TINY = 1e-5
WHITE = 255


@dataclass(frozen=True)
class FlowOptions:
    """How flow is found and drawn.

    Attributes:
        size: shorter side in pixels at which it is found.
        floor: pixels; the largest motion of a frame counts as this at least, so that noise of a still clip is
            not drawn in full colours. 0: the released MATNet's way.
        form: `colour`: the direction as hue, the speed as saturation, white where nothing moves; `uv`: both
            components and their length, each of the frame's largest length.

    Raises:
        ConfigError: a value is out of range.
    """

    size: int = 256
    floor: float = 0.0
    form: str = COLOUR

    def __post_init__(self) -> None:
        require_whole("model.flow_size", self.size, SMALLEST, 4096)
        require_between("model.flow_floor", self.floor, 0, 1000)
        require_choice("model.flow_form", self.form, (COLOUR, VECTORS))

    @classmethod
    def of_model(cls, options: Mapping[str, Any]) -> Self:
        """From the keys `flow_size`, `flow_floor` and `flow_form` of a `model` group."""
        return cls(
            options.get("flow_size", cls.size),
            options.get("flow_floor", cls.floor),
            options.get("flow_form", cls.form),
        )


class ShotFlow:
    """The flow of the frames of one shot, each to the next; that of the last is the one before, turned round.

    Two grey frames are in memory.

    Args:
        options: see FlowOptions.
    """

    def __init__(self, options: FlowOptions) -> None:
        self.options = options
        self._grey: UInt8Array | None = None
        self._flow: Float32Array | None = None

    def push(self, image: UInt8Array) -> UInt8Array | None:
        """Takes the next frame (H, W, 3) uint8; gives the picture of the flow of the one before, if any."""
        before, self._grey = self._grey, small_grey(image, self.options.size)
        if before is None:
            return None
        self._flow = motion(before, self._grey)
        return drawn(self._flow, self.options)

    def end(self) -> UInt8Array:
        """The picture of the last frame's flow; the next frame is the first of another shot.

        Raises:
            ValueError: there was no frame.
        """
        if self._grey is None:
            raise ValueError("a shot without frames has no flow")
        still = np.zeros((*self._grey.shape, 2), np.float32)
        last = drawn(still if self._flow is None else -self._flow, self.options)
        self._grey = self._flow = None
        return last


def small_grey(image: UInt8Array, size: int) -> UInt8Array:
    """(H, W, 3) uint8 RGB as grey levels, its shorter side `size` pixels, or less where it is smaller."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = size / min(grey.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in grey.shape)
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def motion(before: UInt8Array, after: UInt8Array) -> Float32Array:
    """How far each pixel of a grey frame (h, w) uint8 has moved in the next one.

    (h, w, 2) float32, to the right and down in pixels; 0 where a side is too short for DIS.
    """
    if min(before.shape) < SMALLEST or before.shape != after.shape:
        return np.zeros((*before.shape, 2), np.float32)
    finder: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found: Float32Array = np.asarray(finder.calc(before, after, None), np.float32)
    return found


def drawn(flow: Float32Array, options: FlowOptions) -> UInt8Array:
    """A flow (h, w, 2) in pixels as a picture (h, w, 3) uint8, see FlowOptions."""
    u, v = (flow[..., axis].astype(np.float64) for axis in (0, 1))
    length = np.hypot(u, v)
    largest = max(float(length.max()) + _TINY, options.floor)
    if options.form == VECTORS:
        shares = np.stack([(u / largest + 1) / 2, (v / largest + 1) / 2, length / largest], axis=-1)
        return np.rint(255 * shares).astype(np.uint8)
    return colours(u / largest, v / largest)


def colours(u: Float64Array, v: Float64Array) -> UInt8Array:
    """Motions (h, w), x to the right and y down, of length 1 at most -> (h, w, 3) uint8."""
    wheel = _wheel()
    length = np.minimum(np.hypot(u, v), 1)[..., None]
    place = (np.arctan2(-v, -u) / math.pi + 1) / 2 * (len(wheel) - 1)
    first = np.floor(place).astype(int)
    share = (place - first)[..., None]
    hue = (1 - share) * wheel[first] + share * wheel[(first + 1) % len(wheel)]
    levels = np.floor(255 * (1 - length * (1 - hue)))
    return np.asarray(levels, np.uint8)


def _wheel() -> Float64Array:
    """(55, 3) in [0, 1]: between two primaries one channel rises or falls."""
    corners = np.array(
        [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], np.float64
    )
    parts = []
    for start, end, steps in zip(corners[:-1], corners[1:], _WHEEL_STEPS, strict=True):
        shares = np.floor(255 * np.arange(steps) / steps)[:, None] / 255
        # what falls is 1 less what rises in the published code
        parts.append(start + shares * (end - start))
    return np.concatenate(parts)
