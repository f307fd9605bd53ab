"""The one reader and writer of pictures: upright 8-bit arrays, by an explicit table of pixel modes."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from kolbench.errors import DataError, nearest
from kolbench.files import write_atomically
from kolbench.types import UInt8Array

Array = npt.NDArray[Any]

_OPAQUE = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
_ALPHA = frozenset({"LA", "PA", "RGBA", "RGBa"})
_DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000"})

_EXIF_ORIENTATION = 0x0112
_UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}

# Masks whose levels lie mostly between black and white are photographs that lie in the wrong folder.
_PHOTOGRAPH_SHARE = 0.5
_MOST_CLASSES = 32
_JPEG_BLACK = 8
# how far the channels of a grey JPEG drift apart
_JPEG_TINT = 8
# what `_mask_levels` says it read -> the level that means 1, where that is not 255
_WHITE_LEVEL = {"bool": 1, "palette by index": 1, "RGB labels": 1, "16-bit": 65535}


class MaskReading(NamedTuple):
    """A mask and how its levels were understood.

    mask: (H, W) uint8 in {0, 1}. kind: such as `0/255`. warning: what may be wrong, or "".
    """

    mask: UInt8Array
    kind: str
    warning: str = ""


class _Decoded(NamedTuple):
    """image: decoded, not upright yet. deep: (H, W, 3 or 4) uint16 of a 16-bit colour PNG, else None."""

    image: Image.Image
    deep: Array | None
    name: str


def read_rgb(path: str | Path) -> UInt8Array:
    """A picture file as (H, W, 3) uint8 RGB, upright by its EXIF orientation.

    Sixteen bits become eight by division by 257, rounded; transparency is flattened on white; colour
    profiles are not applied.

    Raises:
        DataError: the file is missing, empty, damaged, too large or no picture; says what it looks like.
    """
    return _rgb(_decode(_bytes(Path(path)), str(path)))


def rgb_from_bytes(data: bytes, name: str) -> UInt8Array:
    """An encoded picture as (H, W, 3) uint8 RGB; see `read_rgb`. `name` stands in the errors."""
    return _rgb(_decode(data, name))


def read_rgba(path: str | Path) -> UInt8Array:
    """A picture file as (H, W, 3) RGB or, where some of it is transparent, (H, W, 4) RGBA uint8.

    Alpha is straight, and what cannot be seen keeps the file's colours; the rest and errors as `read_rgb`.
    """
    return _rgba(_decode(_bytes(Path(path)), str(path)))


def rgba_from_bytes(data: bytes, name: str) -> UInt8Array:
    """An encoded picture as (H, W, 3 or 4) uint8; see `read_rgba`. `name` stands in the errors."""
    return _rgba(_decode(data, name))


def as_rgb(picture: str | Path | Image.Image | UInt8Array) -> UInt8Array:
    """A file, a PIL image or an array as (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file cannot be read, or the array is not (H, W, 3) uint8.
    """
    if isinstance(picture, str | Path):
        return read_rgb(picture)
    if isinstance(picture, Image.Image):
        return _rgb(_Decoded(_loaded(picture), None, f"the {picture.mode} image"))
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise DataError(
            f"The array is {array.shape} {array.dtype}, but a picture is (H, W, 3) uint8 RGB, levels 0..255."
        )
    return array


def _loaded(image: Image.Image) -> Image.Image:
    try:
        image.load()
    except Exception as error:  # decoders raise whatever they stumble over
        raise DataError(
            f"The {image.mode} image {getattr(image, 'filename', '')} is damaged: {error}"
        ) from None
    return image


def read_mask(path: str | Path) -> UInt8Array:
    """A mask file as (H, W) uint8 in {0, 1}; see `inspect_mask`."""
    return inspect_mask(path).mask


def inspect_mask(path: str | Path) -> MaskReading:
    """A mask file, upright by its EXIF orientation, with how its levels were understood.

    An alpha channel that is not constant is the mask. Palettes of greys count as grey, others by index.
    Grey: 0/1, 0/255, 0/65535 and any 0/v; a constant 0 is empty, a constant 1, 255 or 65535 is full;
    few levels below one half are class indices, of which all but 0 are foreground; otherwise the cut
    is at one half, with a warning. Colours: black is background, everything else foreground.

    Raises:
        DataError: as `read_rgb`, and where the levels fit no kind of mask.
    """
    decoded = _decode(_bytes(Path(path)), str(path))
    levels, source = _mask_levels(decoded)
    lossy = decoded.image.format in _LOSSY
    reading = _binarise(_upright(levels, decoded.image), lossy, str(path))
    return reading._replace(kind=f"{source} {reading.kind}" if source else reading.kind)


def read_alpha(path: str | Path) -> tuple[Array, int]:
    """A matte file as levels (H, W), upright by its EXIF orientation, and the level that means 1.

    An alpha channel that is not 255 everywhere is the matte, else the grey levels are. 1 is meant by 255, by
    65535 in deep grey and float files, by 1 in two-valued files, colour palettes (by index) and flat labels.

    Raises:
        DataError: as `read_rgb`, and where the file is a colour picture without an alpha channel.
    """
    decoded = _decode(_bytes(Path(path)), str(path))
    levels, white = _alpha_levels(decoded)
    return _upright(levels, decoded.image), white


def mask_from_bytes(data: bytes, name: str) -> UInt8Array:
    """An encoded mask as (H, W) uint8 in {0, 1}: every level but 0 is foreground."""
    levels, _ = _mask_levels(_decode(data, name))
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
    hint = "Export the mask at the picture's own size."
    if image_size == mask_size[::-1]:
        hint = (
            "One is the other turned: probably the EXIF orientation was applied to one of them only. "
            "Save both upright, without an orientation tag."
        )
    raise DataError(
        f"{image_path} is {image_size[1]}x{image_size[0]} px, but {mask_path} is "
        f"{mask_size[1]}x{mask_size[0]} px. {hint}"
    )


def write_png(path: str | Path, array: UInt8Array | npt.NDArray[np.uint16]) -> None:
    """Writes (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA uint8, or (H, W) uint16, as PNG, atomically."""
    _write(Path(path), _require_png(array), "PNG")


def png_bytes(array: UInt8Array | npt.NDArray[np.uint16]) -> bytes:
    """The PNG file that `write_png` would write."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(_require_png(array))).save(file, format="PNG")
    return file.getvalue()


def _require_png(array: Array) -> Array:
    colours = array.ndim == 3 and array.shape[2] in (3, 4)
    deep = array.dtype == np.uint16 and array.ndim == 2
    if not deep and not (array.dtype == np.uint8 and (array.ndim == 2 or colours)):
        raise ValueError(f"{array.shape} {array.dtype} is not 8-bit grey, RGB or RGBA, nor 16-bit grey")
    return array


def write_jpeg(path: str | Path, array: UInt8Array, quality: int = 90) -> None:
    """Writes (H, W) grey or (H, W, 3) RGB uint8 as JPEG, atomically."""
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(f"{array.shape} {array.dtype} is not 8-bit grey or RGB")
    _write(Path(path), array, "JPEG", quality=quality)


def thumbnail(array: UInt8Array, longest: int) -> UInt8Array:
    """(H, W, C) uint8 with its long side at most `longest` px, the aspect kept."""
    scale = longest / max(array.shape[:2])
    if scale >= 1:
        return array
    size = (max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale)))
    return np.asarray(cv2.resize(array, size, interpolation=cv2.INTER_AREA), np.uint8).reshape(
        size[1], size[0], -1
    )


def _write(path: Path, array: Array, form: str, **options: Any) -> None:
    image = Image.fromarray(np.ascontiguousarray(array))
    write_atomically(path, lambda partial: image.save(partial, format=form, **options))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, siblings)
        meant = f" Did you mean {hint}?" if hint else ""
        raise DataError(f"{path} does not exist.{meant}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, but a picture file is needed.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}.") from None


def _decode(data: bytes, name: str) -> _Decoded:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return _Decoded(image, _deep_colour(data), name)
    except Image.DecompressionBombError:
        raise DataError(
            f"{name} has more pixels than Pillow's limit against decompression bombs "
            f"({2 * (Image.MAX_IMAGE_PIXELS or 0):,}). If you trust it, make it smaller first."
        ) from None
    except Exception as error:  # decoders raise whatever they stumble over
        # Pillow names the buffer, which says nothing to anybody
        said = "" if "BytesIO" in str(error) else f" ({error})"
        raise DataError(f"{name} cannot be read: {looks_like(data)}.{said}") from None


def looks_like(data: bytes) -> str:
    """What a file that is no readable picture seems to be, from its first bytes, and what to do."""
    start = data[:512].lstrip().lower()
    if not data:
        return "it is empty (0 bytes); copy or download it again"
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is a web page (HTML) with a picture's name; download the picture itself"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; run git lfs pull"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "it is a HEIC photograph; convert it to JPEG or PNG"
    if data[4:8] == b"ftyp" and data[8:12] != b"avif":
        return "it is a video; extract frames with task=prepare"
    if start.startswith((b"<?xml", b"<svg", b"<annotation")):
        return "it is XML, not a picture"
    if start.startswith((b"{", b"[")):
        return "it is JSON, not a picture"
    if data.startswith((b"PK\x03\x04", b"%PDF", b"\x1f\x8b")):
        return "it is an archive or a document, not a picture"
    for magic, kind in ((b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF"), (b"RIFF", "WebP")):
        if data.startswith(magic):
            return f"it is a {kind} that is truncated or damaged; copy or download it again"
    return "it is no picture format that is known here; save it as JPEG or PNG"


def _deep_colour(data: bytes) -> Array | None:
    # Pillow keeps the high byte of 16-bit colour PNGs only, so OpenCV decodes them
    is_deep_png = data.startswith(b"\x89PNG") and data[24] == 16 and data[25] in (2, 4, 6)
    if not is_deep_png:
        return None
    decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        return None
    order = [2, 1, 0, 3][: decoded.shape[2]]
    return np.asarray(decoded[..., order])


def _upright(array: Array, image: Image.Image) -> Array:
    turn = _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    return np.ascontiguousarray(turn(array) if turn else array)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in _ALPHA or (image.mode in _OPAQUE and "transparency" in image.info)


def _rgb(decoded: _Decoded) -> UInt8Array:
    rgba = _rgba(decoded)
    if rgba.shape[2] == 3:
        return rgba
    alpha = rgba[..., 3:].astype(np.uint32)
    on_white = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return ((on_white + 127) // 255).astype(np.uint8)


def _rgba(decoded: _Decoded) -> UInt8Array:
    image = decoded.image
    if decoded.deep is not None:
        pixels = _eight_bits(decoded.deep)
    elif image.mode in _DEEP:
        pixels = np.repeat(_eight_bits(_deep_levels(decoded))[..., None], 3, axis=2)
    elif image.mode in _OPAQUE | _ALPHA:
        # a copy, since Pillow's own memory is read-only
        pixels = np.array(image.convert("RGBA" if _has_alpha(image) else "RGB"))
    else:
        raise DataError(f"{decoded.name} has the pixel mode {image.mode}; save it as RGB.")
    is_opaque = pixels[..., 3:].min(initial=255) == 255
    return _upright(pixels[..., :3] if is_opaque else pixels, image)


def _eight_bits(levels: Array) -> UInt8Array:
    """0..65535 -> 0..255: 257 = 65535 / 255, rounded to the nearest."""
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _deep_levels(decoded: _Decoded) -> Array:
    """(H, W) levels in 0..65535 of a 16-bit, 32-bit integer or float image.

    Integers up to 255 in a 32-bit image are 8-bit levels; floats up to 1 are shares of white.
    """
    levels = np.asarray(decoded.image)
    if decoded.image.mode not in ("I", "F"):
        return levels
    low, high = float(levels.min()), float(levels.max())
    if not (low >= 0 and high <= 65535):
        raise DataError(
            f"{decoded.name} holds levels from {low:g} to {high:g}; save it with levels 0..255 or 0..65535."
        )
    if decoded.image.mode == "F" and high <= 1:
        levels = levels * 65535
    elif high <= 255:
        levels = levels * 257
    return np.asarray(np.rint(levels), np.uint16)


def _mask_levels(decoded: _Decoded) -> tuple[Array, str]:
    """(H, W) levels of a mask, 0 = background, and what they were taken from."""
    image = decoded.image
    if _has_alpha(image):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() != alpha.max():
            return alpha, "alpha channel"
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8), "bool"
    if image.mode == "P":
        return _palette_levels(image)
    if image.mode in ("I", *(_DEEP - {"I", "F"})):
        return np.asarray(image), "16-bit" if image.mode != "I" else ""
    if image.mode == "F":
        return _eight_bits(_deep_levels(decoded)), "float"
    if image.mode in ("L", "LA"):
        return np.asarray(image.getchannel(0)), ""
    if image.mode not in _OPAQUE | _ALPHA:
        raise DataError(f"{decoded.name} has the pixel mode {image.mode}; save the mask as 8-bit grey.")
    return _colour_levels(np.asarray(image.convert("RGB")), image.format in _LOSSY, decoded.name)


def _alpha_levels(decoded: _Decoded) -> tuple[Array, int]:
    """(H, W) levels of a matte and the level that means 1; see `read_alpha`."""
    image = decoded.image
    if _has_alpha(image):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            return alpha, 255
    if image.mode in ("I", "F"):
        return _deep_levels(decoded), 65535
    levels, source = _mask_levels(decoded)
    if source == "RGB" and np.ptp(np.asarray(image.convert("RGB")), axis=2).max() > _JPEG_TINT:
        raise DataError(f"{decoded.name} is a colour picture without an alpha channel, not a matte.")
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
    return (packed > 0).astype(np.uint8), "RGB labels"


def _found_levels(levels: Array) -> Array:
    if levels.dtype == np.uint8:
        return np.flatnonzero(np.bincount(levels.ravel(), minlength=256))
    return np.unique(levels)


def _binarise(levels: Array, lossy: bool, name: str) -> MaskReading:
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
    if low == top and top not in (0, 1, 255, 65535) and not nearly_white:
        raise DataError(
            f"{name} has the level {top} everywhere; a mask is 0 (or black) where there is nobody."
        )
    if found.size == 1 or (found.size == 2 and low == 0):
        unusual = f"levels 0 and {top}: {top} is taken as foreground" if top not in (0, 1, 255, 65535) else ""
        return MaskReading(foreground, f"0/{top}" if top else "empty", unusual)
    full = 255 if top <= 255 else 65535
    if 2 * top < full:
        if low == 0 and found.size <= _MOST_CLASSES and not lossy:
            warning = f"class indices 0..{top}: all but 0 are taken as foreground"
            return MaskReading(foreground, "class indices", warning)
        raise DataError(
            f"{name} has {found.size} levels from {low} to {top}: neither 0/1, nor 0/255, nor class "
            "indices with 0 as background. Save the mask as 0 and 255."
        )
    between = ((levels > full // 8) & (levels < full - full // 8)).mean()
    if between > _PHOTOGRAPH_SHARE:
        raise DataError(f"{name} is mostly of middle levels: it looks like a photograph, not like a mask.")
    warning = f"{found.size} levels{' (lossy file)' if lossy else ''}: cut at 0.5"
    return MaskReading((levels > full // 2).astype(np.uint8), "cut at 0.5", warning)
