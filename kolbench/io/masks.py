"""The one reader of mask and matte files: (H, W) levels, and what they mean."""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from kolbench.errors import DataError
from kolbench.io import decoding
from kolbench.io.decoding import Array, Decoded
from kolbench.io.label_maps import described
from kolbench.types import Float32Array, UInt8Array

_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000"})

# Masks whose levels lie mostly between black and white are photographs that lie in the wrong folder.
_PHOTOGRAPH_SHARE = 0.5
_MOST_CLASSES = 32
_JPEG_BLACK = 8
# how far the channels of a grey JPEG drift apart
_JPEG_TINT = 8
# the kind of a mask that is cut at one half
_CUT = "cut at 0.5"
# what `_mask_levels` says it read -> the level that means 1, where that is not 255
_WHITE_LEVEL = {"bool": 1, "palette by index": 1, "RGB labels": 1, "16-bit": 65535}


class MaskReading(NamedTuple):
    """A mask and how its levels were understood.

    mask: (H, W) uint8 in {0, 1}. kind: such as `0/255`. warning: what may be wrong, or "".
    """

    mask: UInt8Array
    kind: str
    warning: str = ""


class MatteReading(NamedTuple):
    """A mask and the alpha that it was cut from.

    mask: (H, W) uint8 in {0, 1}. alpha: (H, W) float32 in [0, 1]; mask is alpha >= 0.5. kind: as MaskReading
    has it. hard: whether alpha is 0 or 1 everywhere. lossy: whether the format keeps no exact levels.
    """

    mask: UInt8Array
    alpha: Float32Array
    kind: str
    hard: bool
    lossy: bool


def read_mask(path: str | Path) -> UInt8Array:
    """A mask file as (H, W) uint8 in {0, 1}; see `inspect_mask`."""
    return inspect_mask(path).mask


def inspect_mask(path: str | Path) -> MaskReading:
    """A mask file, upright by its EXIF orientation, with how its levels were understood.

    An alpha channel that is not constant is the mask. Palettes of greys count as grey, others by index.
    Grey: 0/1, 0/255, 0/65535 and any 0/v; a constant 0 is empty, a constant 1, 255 or 65535 is full;
    few levels below one half are class indices, of which all but 0 are foreground; otherwise the cut
    is at one half, with a warning. Colours: black is background, everything else foreground; without any
    black it is a label map, see io.label_maps.

    Raises:
        DataError: as decoding.decode_file, and where the levels fit no kind of mask.
    """
    decoded = decoding.decode_file(path)
    return _inspected(decoded)[0]


def inspect_matte(path: str | Path, surely: bool = False) -> MatteReading:
    """A mask file that may be a matte: `inspect_mask`'s mask, and its alpha where that is cut at one half.

    Where a mask is not cut (two levels, class indices) the alpha is the mask.

    Args:
        path: of the file.
        surely: whether it is known to be a matte, so that what no mask can be passes, cut at one half: mostly
            middle levels, one middle level everywhere, many levels below one half.

    Raises:
        DataError: as `inspect_mask`.
    """
    decoded = decoding.decode_file(path)
    reading, levels = _inspected(decoded, surely)
    hard = not reading.kind.endswith(_CUT)
    alpha = reading.mask if hard else levels / np.float32(_full(levels))
    lossy = decoded.image.format in _LOSSY
    return MatteReading(reading.mask, alpha.astype(np.float32), reading.kind, hard, lossy)


def _inspected(decoded: Decoded, soft: bool = False) -> tuple[MaskReading, Array]:
    """A decoded mask as it is understood, and its levels (H, W), both upright; soft: see `_binarise`."""
    levels, source = _mask_levels(decoded)
    levels = decoding.upright(levels, decoded.image)
    reading = _binarise(levels, decoded.image.format in _LOSSY, decoded.name, soft)
    return reading._replace(kind=f"{source} {reading.kind}" if source else reading.kind), levels


def read_alpha(path: str | Path) -> tuple[Array, int]:
    """A matte file as levels (H, W), upright by its EXIF orientation, and the level that means 1.

    An alpha channel that is not 255 everywhere is the matte, else the grey levels are. 1 is meant by 255, by
    65535 in deep grey and float files, by 1 in two-valued files, colour palettes (by index) and flat labels.

    Raises:
        DataError: as decoding.decode_file, and where the file is a colour picture without an alpha channel.
    """
    decoded = decoding.decode_file(path)
    levels, white = _alpha_levels(decoded)
    return decoding.upright(levels, decoded.image), white


def mask_from_bytes(data: bytes, name: str) -> UInt8Array:
    """An encoded mask as (H, W) uint8 in {0, 1}: every level but 0 is foreground."""
    levels, _ = _mask_levels(decoding.decode(data, name))
    return (levels > 0).astype(np.uint8)


def require_same_size(
    image_path: str | Path, image: UInt8Array, mask_path: str | Path, mask: UInt8Array
) -> None:
    """Refuses a picture and a mask of different sizes.

    Raises:
        DataError: names both files and both sizes, as width x height.
    """
    image_size, mask_size = image.shape[:2], mask.shape[:2]
    if image_size == mask_size:
        return
    hint = "Export the mask at the image's own size."
    if image_size == mask_size[::-1]:
        hint = (
            "One is the other turned: probably the EXIF orientation was applied to one of them only. "
            "Save both upright, without an orientation tag."
        )
    raise DataError(
        f"{image_path} is {image_size[1]}x{image_size[0]} px, but {mask_path} is "
        f"{mask_size[1]}x{mask_size[0]} px. {hint}"
    )


def _mask_levels(decoded: Decoded) -> tuple[Array, str]:
    """(H, W) levels of a mask, 0 = background, and what they were taken from."""
    image = decoded.image
    if decoding.has_alpha(image):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() != alpha.max():
            return alpha, "alpha channel"
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8), "bool"
    if image.mode == "P":
        return _palette_levels(image)
    if image.mode == "F":
        return decoding.eight_bits(decoding.deep_levels(decoded)), "float"
    if image.mode in decoding.DEEP:
        return np.asarray(image), "16-bit" if image.mode != "I" else ""
    if image.mode in ("L", "LA"):
        return np.asarray(image.getchannel(0)), ""
    if image.mode not in decoding.OPAQUE | decoding.ALPHA:
        raise DataError(f"{decoded.name} has the pixel mode {image.mode}; save the mask as 8-bit grey.")
    return _colour_levels(np.asarray(image.convert("RGB")), image.format in _LOSSY, decoded.name)


def _alpha_levels(decoded: Decoded) -> tuple[Array, int]:
    """(H, W) levels of a matte and the level that means 1; see `read_alpha`."""
    image = decoded.image
    if decoding.has_alpha(image):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            return alpha, 255
    if image.mode in ("I", "F"):
        return decoding.deep_levels(decoded), 65535
    levels, source = _mask_levels(decoded)
    if source == "RGB" and np.ptp(np.asarray(image.convert("RGB")), axis=2).max() > _JPEG_TINT:
        raise DataError(f"{decoded.name} is a colour image without an alpha channel, not a matte.")
    return levels, _WHITE_LEVEL.get(source, 255)


def _palette_levels(image: Image.Image) -> tuple[Array, str]:
    indices = np.asarray(image)
    colours = np.asarray(image.convert("RGB"))
    if (colours == colours[..., :1]).all():
        return colours[..., 0], "grey palette"
    return (indices > 0).astype(np.uint8), "palette by index"


def _colour_levels(colours: UInt8Array, lossy: bool, name: str) -> tuple[Array, str]:
    if (colours == colours[..., :1]).all():
        return colours[..., 0], ""
    packed = colours.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    if lossy:
        return colours.max(axis=2), "RGB"
    if np.unique(packed).size > 256:
        raise DataError(f"{name} has hundreds of colours: it looks like a photograph, not like a mask.")
    if packed.min() > 0:
        raise DataError(
            f"{name} is coloured and nowhere black, so nothing would be background: it has "
            f"{described(colours)}. Say which colour is the person, as data.person_colour='#ff0000'."
        )
    return (packed > 0).astype(np.uint8), "RGB labels"


def _found_levels(levels: Array) -> Array:
    if levels.dtype == np.uint8:
        return np.flatnonzero(np.bincount(levels.ravel(), minlength=256))
    return np.unique(levels)


def _full(levels: Array) -> int:
    """The level that means 1 where levels are cut at one half."""
    return 255 if levels.max() <= 255 else 65535


def _binarise(levels: Array, lossy: bool, name: str, soft: bool = False) -> MaskReading:
    """Levels as a mask; soft: whether what only a matte can be is cut at one half, not refused."""
    found = _found_levels(levels)
    low, top = int(found[0]), int(found[-1])
    foreground = (levels > 0).astype(np.uint8)
    if low < 0:
        raise DataError(f"{name} has negative levels (down to {low}); save the mask as 0 and 255.")
    if lossy and 0 < top <= _JPEG_BLACK:
        return MaskReading(
            np.zeros_like(foreground), "empty", f"brightest level {top}: taken as empty; JPEG cannot hold 0/1"
        )
    nearly_white = lossy and top >= 255 - _JPEG_BLACK
    one_middle_level = low == top and top not in (0, 1, 255, 65535) and not nearly_white
    if one_middle_level and not soft:
        raise DataError(
            f"{name} has the level {top} everywhere; a mask is 0 (or black) where there is nobody."
        )
    if (found.size == 1 and not one_middle_level) or (found.size == 2 and low == 0):
        unusual = f"levels 0 and {top}: {top} is taken as foreground" if top not in (0, 1, 255, 65535) else ""
        return MaskReading(foreground, f"0/{top}" if top else "empty", unusual)
    full = _full(levels)
    if 2 * top < full:
        if low == 0 and found.size <= _MOST_CLASSES and not lossy:
            warning = f"class indices 0..{top}: all but 0 are taken as foreground"
            return MaskReading(foreground, "class indices", warning)
        if not soft:
            raise DataError(
                f"{name} has {found.size} levels from {low} to {top}: neither 0/1, nor 0/255, nor class "
                "indices with 0 as background. Save the mask as 0 and 255."
            )
    between = ((levels > full // 8) & (levels < full - full // 8)).mean()
    if between > _PHOTOGRAPH_SHARE and not soft:
        raise DataError(
            f"{name} is mostly of middle levels: it looks like a photograph, not like a mask. "
            "Where it is a true alpha, say data.truth=alpha."
        )
    warning = f"{found.size} levels{' (lossy file)' if lossy else ''}: cut at 0.5"
    return MaskReading((levels > full // 2).astype(np.uint8), _CUT, warning)


def majority(mask: UInt8Array, side: int) -> UInt8Array:
    """Gives each pixel the class that most pixels of the square around it have.

    A box blur whose rounding is the threshold, 13 or more of 25 pixels for a side of 5; at the borders the
    mask is mirrored about its outermost pixels, as cv2.blur does.

    Args:
        mask: (H, W) uint8 in {0, 1}. side: of the square in pixels, odd.

    Returns:
        (H, W) uint8 in {0, 1}.
    """
    whole = np.ascontiguousarray(mask)
    count: Any = cv2.boxFilter(
        whole, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_REFLECT_101
    )
    found: UInt8Array = (2 * count > side * side).astype(np.uint8)
    return found


def near_edge(mask: UInt8Array, radius: int) -> npt.NDArray[np.bool_]:
    """Whether a square of 2 radius + 1 pixels around each pixel sees both classes inside the frame.

    Args:
        mask: (H, W) uint8 in {0, 1}. radius: pixels.

    Returns:
        (H, W) bool. Where an object leaves the frame there is no edge.
    """
    whole, square = np.ascontiguousarray(mask), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    # replication repeats pixels that the square already covers: the frame itself makes no edge
    grown: Any = cv2.dilate(whole, square, borderType=cv2.BORDER_REPLICATE)
    shrunk: Any = cv2.erode(whole, square, borderType=cv2.BORDER_REPLICATE)
    near: npt.NDArray[np.bool_] = grown != shrunk
    return near
