"""Where an ad stands in a frame, and which picture of it shows when."""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.errors import ConfigError, DataError, require_between, require_choice
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.frame import Frame

FITS = ("contain", "cover", "stretch")
UNITS = ("fraction", "pixel")

# how far beyond the frame, in frames, a corner may lie
_BEYOND = 2.0
# quads that are no upright rectangle are drawn so many times larger, then averaged
_OVERSAMPLING = 2
# seconds that frame times may be off by rounding
_TICK = 1e-6
_ASSUMED_FRAME = 1 / 25

Matrix = npt.NDArray[np.float64]


class Placed(NamedTuple):
    """An ad where it stands in a frame of H x W pixels.

    layer: (H, W, 3) uint8 RGB, its colours, not multiplied by coverage; 0 far outside the ad.
    coverage: (H, W) float32 in [0, 1], the share of each pixel that the ad covers, its own alpha included.
    """

    layer: UInt8Array
    coverage: Float32Array


@dataclass(frozen=True)
class Placement:
    """A box or four corners in the frame, and how an ad of another aspect is fitted in.

    Attributes:
        left, top, width, height: the box in shares of the frame's width and height; by default it stands left
            of the middle, x from 0.05 to 0.45 and y from 0.1 to 0.6. Its edges come to whole pixels.
        corners: four points (x, y) clockwise from the ad's top left, in place of the box: the ad is seen in
            the perspective of the convex quadrangle between them, which may reach out of the frame.
        units: of the corners: `fraction` of the frame's width and height, or `pixel`; (0, 0) is the outer
            corner of the top left pixel.
        fit: `contain` shows the whole ad, centred; `cover` fills the place and cuts off what is too much;
            `stretch` fills it with the whole ad. A quadrangle's aspect is that of its mean side lengths.

    Raises:
        ConfigError: an option is out of range, or the corners are not convex and clockwise.
    """

    left: float = 0.05
    top: float = 0.1
    width: float = 0.4
    height: float = 0.5
    corners: Sequence[Sequence[float]] | None = None
    units: str = "fraction"
    fit: str = "contain"

    def __post_init__(self) -> None:
        require_choice("placement.units", self.units, UNITS)
        require_choice("placement.fit", self.fit, FITS)
        if self.corners is not None:
            _check_corners(self.corners, self.units)
            return
        for first, extent in (("left", "width"), ("top", "height")):
            start = require_between(f"placement.{first}", getattr(self, first), 0, 1)
            share = require_between(f"placement.{extent}", getattr(self, extent), 0, 1)
            if not 0 < share <= 1 - start + 1e-9:
                raise ConfigError(
                    f"placement.{extent}={share:g} must be above 0 and, with placement.{first}={start:g}, "
                    f"end in the frame: at most {1 - start:g}."
                )

    def quad(self, frame_size: tuple[int, int]) -> Matrix:
        """(4, 2) corners x, y in pixels of a frame of (height, width), clockwise from the ad's top left."""
        height, width = frame_size
        if self.corners is not None:
            scale = (width, height) if self.units == "fraction" else (1, 1)
            return np.array([[float(v) for v in corner] for corner in self.corners]) * scale
        x0, x1 = _whole_edges(self.left * width, (self.left + self.width) * width, width)
        y0, y1 = _whole_edges(self.top * height, (self.top + self.height) * height, height)
        return _rectangle(x0, y0, x1, y1)


def _whole_edges(start: float, end: float, size: int) -> tuple[int, int]:
    """The nearest pixel edges, at least one pixel apart, inside the frame."""
    first = min(round(start), size - 1)
    return first, max(first + 1, min(round(end), size))


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> Matrix:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def _check_corners(corners: Any, units: str) -> None:
    shape = "four pairs [x, y], clockwise from the ad's top left"
    try:
        points = np.array(corners, np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"placement.corners={corners} must be {shape}.") from None
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise ConfigError(f"placement.corners={corners} must be {shape}.")
    if units == "fraction" and (points.min() < -_BEYOND or points.max() > 1 + _BEYOND):
        raise ConfigError(
            f"placement.corners={corners} lie far outside the frame, whose sides are 1 long; set "
            "placement.units=pixel if they are in pixels."
        )
    if units == "fraction" and ((points.max(axis=0) <= 0) | (points.min(axis=0) >= 1)).any():
        raise ConfigError(f"placement.corners={corners} lie outside the frame, which goes from 0 to 1.")
    turns = _turns(points)
    if (turns < 0).all():
        raise ConfigError(
            f"placement.corners={corners} go anticlockwise, which would mirror the ad; give them {shape}."
        )
    if not (turns > 0).all():
        raise ConfigError(
            f"placement.corners={corners} make no convex quadrangle; give {shape}, no three in one line."
        )


def _turns(points: Matrix) -> Matrix:
    """(4,) cross products of the sides that meet in each corner; all above 0 = convex and clockwise."""
    sides = np.roll(points, -1, axis=0) - points
    following = np.roll(sides, -1, axis=0)
    return np.asarray(sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0])


def place(ad: UInt8Array, frame_size: tuple[int, int], placement: Placement) -> Placed:
    """An ad's picture where it stands in a frame.

    Edges are antialiased by the share of each pixel inside; a much larger picture is averaged down first.

    Args:
        ad: (h, w, 3) RGB or (h, w, 4) RGBA uint8, straight alpha. frame_size: (height, width) in pixels.

    Raises:
        ConfigError: no pixel of the place lies inside the frame, or it is less than a pixel large.
    """
    ad, target = _fitted(ad, placement.quad(frame_size), placement.fit)
    box = _box_inside(target, frame_size, placement)
    upright = (target == _rectangle(*target[0].round(), *target[2].round())).all()
    colours = _premultiplied(ad)
    if upright:
        drawn = _resized(colours, target, box)
        coverage = np.ones(drawn.shape[:2], np.float32)
    else:
        drawn = _warped(colours, target, box)
        coverage = _quad_coverage(target, box)
    if drawn.shape[2] == 4:
        coverage *= np.clip(drawn[..., 3] / 255, 0, 1)
        drawn = drawn[..., :3] * (255 / np.maximum(drawn[..., 3:], 1e-3))
        drawn = np.clip(np.rint(drawn), 0, 255)
    top, bottom, left, right = box
    layer = np.zeros((*frame_size, 3), np.uint8)
    whole = np.zeros(frame_size, np.float32)
    layer[top:bottom, left:right] = drawn
    whole[top:bottom, left:right] = coverage
    return Placed(layer, whole)


Box = tuple[int, int, int, int]  # top, bottom, left, right


def _box_inside(quad: Matrix, frame_size: tuple[int, int], placement: Placement) -> Box:
    """The part of the frame that holds the quadrangle."""
    left, top = np.floor(quad.min(axis=0)).astype(int)
    right, bottom = np.ceil(quad.max(axis=0)).astype(int)
    box = max(0, top), min(frame_size[0], bottom), max(0, left), min(frame_size[1], right)
    height, width = frame_size
    if box[0] >= box[1] or box[2] >= box[3]:
        raise ConfigError(
            f"placement.corners={placement.corners} lie outside the frame of {width}x{height} px."
        )
    if _turns(quad).sum() < 4:  # four times the area
        raise ConfigError(
            f"placement.corners={placement.corners} enclose less than a pixel of the frame of "
            f"{width}x{height} px; are they meant with placement.units=fraction?"
        )
    return int(box[0]), int(box[1]), int(box[2]), int(box[3])


def _fitted(ad: UInt8Array, quad: Matrix, fit: str) -> tuple[UInt8Array, Matrix]:
    """The part of the ad that is shown, and the quadrangle that it fills."""
    height, width = ad.shape[:2]
    long, tall = _mean_sides(quad)
    if fit == "cover":
        scale = max(long / width, tall / height)
        shown_width = min(width, max(1, round(long / scale)))
        shown_height = min(height, max(1, round(tall / scale)))
        x, y = (width - shown_width) // 2, (height - shown_height) // 2
        return ad[y : y + shown_height, x : x + shown_width], quad
    if fit == "contain":
        scale = min(long / width, tall / height)
        # whole pixels of margin keep a box on the pixel grid, where it stays sharp
        x = _margin(long, scale * width)
        y = _margin(tall, scale * height)
        inner = _rectangle(x, y, long - x, tall - y)
        to_frame = _homography(_rectangle(0, 0, long, tall), quad)
        return ad, np.round(cv2.perspectiveTransform(inner[None], to_frame)[0], 6)
    return ad, quad


def _margin(outer: float, inner: float) -> int:
    """Whole pixels on both sides of something centred, of which one pixel or two are left at least."""
    return max(0, min(round((outer - inner) / 2), math.floor((outer - 1) / 2)))


def _mean_sides(quad: Matrix) -> tuple[float, float]:
    """Mean length of top and bottom, mean length of left and right."""
    lengths = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float(lengths[0] + lengths[2]) / 2, float(lengths[1] + lengths[3]) / 2


def _homography(source: Matrix, target: Matrix) -> Matrix:
    return np.asarray(cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32)))


def _premultiplied(ad: UInt8Array) -> Any:
    """RGB as it is; RGBA as float32, colours multiplied by alpha, so that hidden colours do not mix in.

    RGBA that is opaque everywhere comes as RGB, so that an alpha channel alone changes no pixel.
    """
    if ad.shape[2] == 3:
        return ad
    if ad[..., 3].min() == 255:
        return np.ascontiguousarray(ad[..., :3])
    colours = ad.astype(np.float32)
    colours[..., :3] *= colours[..., 3:] / 255
    return colours


def _resized(ad: Any, target: Matrix, box: Box) -> Any:
    """(h, w, C) of the box, for an upright target on the pixel grid."""
    (x0, y0), (x1, y1) = target[0].astype(int), target[2].astype(int)
    top, bottom, left, right = box
    whole = cv2.resize(_shrunk(ad, target, 1), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    return whole[top - y0 : bottom - y0, left - x0 : right - x0]


def _shrunk(ad: Any, target: Matrix, scale: int) -> Any:
    """Averaged down to what the target resolves, by its longer sides; never enlarged."""
    lengths = np.linalg.norm(np.roll(target, -1, axis=0) - target, axis=1) * scale
    height, width = ad.shape[:2]
    small_width = min(width, max(1, math.ceil(max(lengths[0], lengths[2]) - 1e-6)))
    small_height = min(height, max(1, math.ceil(max(lengths[1], lengths[3]) - 1e-6)))
    if (small_height, small_width) == (height, width):
        return ad
    return cv2.resize(ad, (small_width, small_height), interpolation=cv2.INTER_AREA)


def _warped(ad: Any, target: Matrix, box: Box) -> Any:
    """(h, w, C) of the box, filled beyond the ad's edges with the colours there."""
    scale = _OVERSAMPLING
    ad = _shrunk(ad, target, scale)
    top, bottom, left, right = box
    height, width = ad.shape[:2]
    outer = _homography(_rectangle(0, 0, width, height), (target - (left, top)) * scale)
    # OpenCV counts from pixel centres, the corners from pixel edges
    to_edges = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    size = ((right - left) * scale, (bottom - top) * scale)
    drawn = cv2.warpPerspective(
        ad,
        np.linalg.inv(to_edges) @ outer @ to_edges,
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.resize(drawn, (right - left, bottom - top), interpolation=cv2.INTER_AREA)


def _quad_coverage(quad: Matrix, box: Box) -> Float32Array:
    """(h, w) share of each pixel of the box inside the quadrangle, by its distance from each side."""
    top, bottom, left, right = box
    x = np.arange(left, right, dtype=np.float32)[None] + 0.5
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5
    coverage = np.ones((bottom - top, right - left), np.float32)
    for corner, following in zip(quad, np.roll(quad, -1, axis=0), strict=True):
        along = (following - corner) / max(float(np.linalg.norm(following - corner)), 1e-9)
        inside = along[0] * (y - corner[1]) - along[1] * (x - corner[0])
        # a pixel is this wide across a side of that direction
        coverage *= np.clip(inside / np.abs(along).sum() + 0.5, 0, 1).astype(np.float32)
    return coverage


class Ad(Protocol):
    """A still or moving ad."""

    def at(self, seconds: float) -> UInt8Array:
        """(h, w, 3 or 4) uint8 shown at a time; the same array as long as the picture does not change."""

    def close(self) -> None:
        """Gives back what is open."""


@dataclass(frozen=True, eq=False)
class AdStill:
    """A picture. image: (h, w, 3) RGB or (h, w, 4) RGBA uint8."""

    image: UInt8Array

    def at(self, seconds: float) -> UInt8Array:
        """The picture."""
        del seconds
        return self.image

    def close(self) -> None:
        """Nothing is open."""


class AdVideo:
    """A clip that begins again when it ends; it is read in order, and one frame ahead is kept.

    Args:
        frames: opens the clip at its first frame; called again for each round, and when time goes back.
        length: seconds of a round; without it the last frame shows as long as the one before it.
    """

    def __init__(self, frames: Callable[[], Iterable[Frame]], length: float | None = None) -> None:
        self._frames = frames
        self._length = length
        self._round = 0.0  # when the present round began
        self._stream: Iterator[Frame] = iter(())
        self._before, self._shown, self._next = self._opened()

    def at(self, seconds: float) -> UInt8Array:
        """(h, w, 3 or 4) uint8, the frame on display, with alpha where the clip's frames have it.

        Raises:
            DataError: the clip has no frame.
        """
        if seconds + _TICK < self._round + self._shown.seconds:
            self._round = 0.0
            self._restart()
        while True:
            self._advance(seconds)
            if self._next is not None:
                return self._shown.image
            rounds = math.floor((seconds - self._round + _TICK) / self._round_length())
            if rounds < 1:
                return self._shown.image
            self._round += rounds * self._round_length()
            self._restart()

    def close(self) -> None:
        """Closes the clip."""
        if isinstance(self._stream, Generator):
            self._stream.close()

    def _advance(self, seconds: float) -> None:
        while self._next is not None and self._round + self._next.seconds <= seconds + _TICK:
            self._before, self._shown = self._shown, self._next
            self._next = next(self._stream, None)

    def _round_length(self) -> float:
        """Seconds from the first frame to the end of the last, which is shown now."""
        if self._length is not None and self._length > self._shown.seconds:
            return self._length
        last = self._shown.seconds - self._before.seconds
        return self._shown.seconds + (last if last > 0 else _ASSUMED_FRAME)

    def _restart(self) -> None:
        self.close()
        self._before, self._shown, self._next = self._opened()

    def _opened(self) -> tuple[Frame, Frame, Frame | None]:
        """The frames before, on display and ahead."""
        self._stream = iter(self._frames())
        first = next(self._stream, None)
        if first is None:
            raise DataError("The ad's video has no frame; is it damaged, or sound only?")
        return first, first, next(self._stream, None)
