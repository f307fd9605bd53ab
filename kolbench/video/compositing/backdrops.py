"""What `filter` does with the background: blur it, take its colour away, or put something in its place."""

import re
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import ImageColor

from kolbench.errors import ConfigError, nearest, require_between, require_choice
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing.ad import Placed, Placement, place
from kolbench.video.compositing.composite import behind, blurred_small, enlarged, rounded
from kolbench.video.compositing.planes import strips, thrice

FILTERS = ("blur", "grey", "colour", "image")
LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709

# frame (H, W, 3) uint8, alpha (H, W), foreground colours (H, W, 3) float32 or None -> (H, W, 3) uint8
Backdrop = Callable[[UInt8Array, Float32Array, Float32Array | None], UInt8Array]
Colour = tuple[int, int, int]


def make_backdrop(
    name: str, radius: float = 0.03, colour: str | Sequence[int] = "white", image: UInt8Array | None = None
) -> Backdrop:
    """A filter of the background by its name.

    Each takes a frame (H, W, 3) uint8, its alpha (H, W) float32 in [0, 1] and the foreground's colours
    (colours.estimate_foreground; None = the frame's own, with what they hold of the background at soft
    edges), and gives (H, W, 3) uint8, in which pixels of alpha 1 are those of the frame.

    Args:
        name: one of FILTERS. radius: of the blur, its standard deviation as a share of the frame's shorter
            side, in (0, 0.5]. colour: see parse_colour. image: (h, w, 3) RGB or (h, w, 4) RGBA uint8 that
            covers the frame; where it is transparent, the frame shows.

    Raises:
        ConfigError: no such filter, an option is out of range, or `image` is missing.
    """
    require_choice("filter", name, FILTERS)
    if name == "grey":
        return grey
    if name == "colour":
        return Behind(np.array([[parse_colour(colour)]], np.uint8))
    if name == "blur":
        return Blur(require_between("filter.radius", radius, 1e-4, 0.5))
    if image is None:
        raise ConfigError("filter=image needs an image: filter.image=FILE.")
    return Behind(image)


def grey(frame: UInt8Array, alpha: Float32Array, foreground: Float32Array | None = None) -> UInt8Array:
    """The background without colour, as the luma of BT.709.

    Luma is linear, so that of the background's part of a pixel is luma(frame - alpha F).
    """
    out = np.empty_like(frame)
    for rows in strips(frame):
        own, rest = _parts(frame, alpha, foreground, rows)
        own += cv2.transform(rest, np.array([LUMA] * 3, np.float32))
        out[rows] = _kept(frame[rows], alpha[rows], own)
    return out


class Blur:
    """The background out of focus, with none of the foreground's colours in it.

    A normalised convolution (Knutsson and Westin, 1993): the blurred (1 - alpha) B over the blurred
    1 - alpha, with (1 - alpha) B = frame - alpha F.

    Args:
        radius: standard deviation of the Gaussian as a share of the frame's shorter side.
    """

    def __init__(self, radius: float) -> None:
        self._radius = radius

    def __call__(
        self, frame: UInt8Array, alpha: Float32Array, foreground: Float32Array | None = None
    ) -> UInt8Array:
        """See make_backdrop."""
        height, width = alpha.shape
        deviation = self._radius * min(height, width)
        rest, weight = np.empty(frame.shape, np.float32), 1 - alpha
        for rows in strips(frame):
            rest[rows] = _parts(frame, alpha, foreground, rows)[1]
        # far inside the foreground there is no weight, and no need of any
        share = np.maximum(blurred_small(weight, deviation), np.float32(1e-6))
        spread: Float32Array = blurred_small(rest, deviation) / thrice(share)
        background = enlarged(spread, height, width)
        out = np.empty_like(frame)
        for rows in strips(frame):
            mixed, _ = _parts(frame, alpha, foreground, rows)
            mixed += background[rows] * thrice(weight[rows])
            out[rows] = _kept(frame[rows], alpha[rows], mixed)
        return out


class Behind:
    """A picture in place of the background, cut to the frame's aspect. image: (h, w, 3 or 4) uint8."""

    def __init__(self, image: UInt8Array) -> None:
        self._image = image
        self._placed: Placed | None = None

    def __call__(
        self, frame: UInt8Array, alpha: Float32Array, foreground: Float32Array | None = None
    ) -> UInt8Array:
        """See make_backdrop."""
        if self._placed is None or self._placed.coverage.shape != alpha.shape:
            whole = Placement(left=0, top=0, width=1, height=1, fit="cover")
            self._placed = place(self._image, (alpha.shape[0], alpha.shape[1]), whole)
        return behind(frame, alpha, *self._placed, foreground=foreground)


def parse_colour(colour: str | Sequence[int]) -> Colour:
    """RGB in 0..255 of `#00ff00`, `#0f0`, a CSS name such as `lime`, `0,255,0` or [0, 255, 0].

    Raises:
        ConfigError: it is none of these; names the nearest colour. CSS calls (0, 128, 0) green.
    """
    if not isinstance(colour, str | Sequence):
        raise ConfigError(_no_colour(colour))
    if not isinstance(colour, str):
        return _three_levels([str(level) for level in colour], colour)
    text = colour.strip().lower()
    if re.fullmatch(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", text) or text in ImageColor.colormap:
        red, green, blue = ImageColor.getrgb(text)[:3]
        return red, green, blue
    if "," in text:
        return _three_levels(text.split(","), colour)
    hint = nearest(text, ImageColor.colormap)
    meant = f" Did you mean {hint}?" if hint else ""
    raise ConfigError(_no_colour(colour) + meant)


def _three_levels(levels: Sequence[str], colour: object) -> Colour:
    if len(levels) == 3 and all(re.fullmatch(r"\s*\d{1,3}\s*", level) for level in levels):
        red, green, blue = (int(level) for level in levels)
        if max(red, green, blue) <= 255:
            return red, green, blue
    raise ConfigError(_no_colour(colour))


def _no_colour(colour: object) -> str:
    return (
        f"filter.colour={colour} is no colour: give #rrggbb, a CSS name such as white, or three levels "
        "from 0 to 255 such as [0,255,0]."
    )


def _parts(
    frame: UInt8Array, alpha: Float32Array, foreground: Float32Array | None, rows: slice
) -> tuple[Float32Array, Float32Array]:
    """alpha F, and what is left of the frame for (1 - alpha) B, (h, W, 3) float32 each."""
    seen = frame[rows].astype(np.float32)
    own = (seen if foreground is None else foreground[rows]) * thrice(alpha[rows])
    seen -= own
    return own, np.maximum(seen, 0, out=seen)


def _kept(frame: UInt8Array, alpha: Float32Array, mixed: Float32Array) -> UInt8Array:
    """Rounded to levels, with the frame's own where alpha is 1; overwrites `mixed`."""
    out = rounded(np.clip(mixed, 0, 255, out=mixed))
    cv2.copyTo(frame, (alpha == 1).astype(np.uint8), out)
    return out
