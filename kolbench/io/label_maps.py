"""Label maps: mask files whose colours or class numbers say what each pixel is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from kolbench.errors import ConfigError, DataError
from kolbench.io import decoding
from kolbench.io.decoding import Array
from kolbench.types import UInt8Array

# how far a JPEG moves the levels of a flat colour
_LOSSY_TOLERANCE = 40
_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000"})
_SHOWN = 8

# a class number (a level of grey, or an index of a palette), or red, green, blue
Label = int | tuple[int, int, int]


def parse_labels(key: str, value: object) -> tuple[Label, ...]:
    """Colours (`#ff0000`, `red`) or class numbers, one or a list; none where `value` is None.

    Args:
        key: stands in the error.

    Raises:
        ConfigError: a value is neither.
    """
    if value is None:
        return ()
    listed = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple(_label(key, entry) for entry in listed)


def _label(key: str, value: object) -> Label:
    text = str(value).strip()
    if not isinstance(value, bool) and text.isdecimal():
        return int(text)
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise ConfigError(
            f"{key}={value} is neither a colour, such as '#ff0000' or red, nor a class number; several are "
            f'written \'{key}=["#ff0000","#00ff00"]\'.'
        ) from None
    return red, green, blue


def read_labels(path: Path, wanted: Sequence[Label]) -> UInt8Array:
    """Where a label map has one of some labels, (H, W) uint8 in {0, 1}, upright by its EXIF orientation.

    Colours count as they are in lossless files, and within 40 levels of each channel in lossy ones.

    Args:
        path: of the map. wanted: see `parse_labels`.

    Raises:
        DataError: as decoding.decode_file, or class numbers are asked of a file that has colours alone.
    """
    image = decoding.decode_file(path).image
    found = np.zeros((image.height, image.width), bool)
    numbers = [label for label in wanted if isinstance(label, int)]
    if numbers:
        found |= np.isin(_numbers(image, path), numbers)
    colours = [label for label in wanted if not isinstance(label, int)]
    if colours:
        pixels = np.asarray(image.convert("RGB"), np.int16)
        tolerance = _LOSSY_TOLERANCE if image.format in _LOSSY else 0
        for colour in colours:
            found |= (np.abs(pixels - np.array(colour, np.int16)) <= tolerance).all(axis=2)
    return decoding.upright(found.astype(np.uint8), image)


def _numbers(image: Image.Image, path: Path) -> Array:
    if image.mode in ("P", "L", "1") or image.mode in decoding.DEEP:
        return np.asarray(image)
    raise DataError(
        f"{path} holds colours ({image.mode}), no class numbers; name the colour, such as '#ff0000'."
    )


def colours_in(path: Path) -> str:
    """The commonest colours of a label map and their shares, such as `#ff0000 (12 %), #000000 (88 %)`."""
    return described(np.asarray(decoding.decode_file(path).image.convert("RGB"), np.uint8))


def described(colours: UInt8Array) -> str:
    """The commonest of (H, W, 3) uint8 RGB and their shares."""
    packed = colours.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    values, counts = np.unique(packed, return_counts=True)
    order = np.argsort(counts)[::-1]
    shares = [f"#{int(values[i]):06x} ({counts[i] / packed.size:.0%})" for i in order[:_SHOWN]]
    rest = len(order) - _SHOWN
    return ", ".join(shares) + (f" and {rest} more" if rest > 0 else "")
