"""The one reader and writer of pictures: upright 8-bit arrays of colours."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from kolbench.errors import DataError
from kolbench.io import colour_profiles, decoding
from kolbench.io.decoding import Array, Decoded
from kolbench.io.files import write_atomically
from kolbench.types import UInt8Array

# of a frame whose file does not say
_USUAL_MILLISECONDS = 100
# what viewers play; the pages of other formats are not shown one after the other
_PLAYED = ("GIF", "PNG", "WEBP", "AVIF")


def read_rgb(path: str | Path) -> UInt8Array:
    """A picture file as (H, W, 3) uint8 RGB, upright by its EXIF orientation.

    Sixteen bits become eight by division by 257, rounded; transparency is flattened on white; pictures with
    another colour profile than sRGB are converted to it.

    Raises:
        DataError: the file is missing, empty, damaged, too large or no picture; says what it looks like.
    """
    return _rgb(decoding.decode_file(path))


def rgb_from_bytes(data: bytes, name: str) -> UInt8Array:
    """An encoded picture as (H, W, 3) uint8 RGB; see `read_rgb`. `name` stands in the errors."""
    return _rgb(decoding.decode(data, name))


def read_rgba(path: str | Path) -> UInt8Array:
    """A picture file as (H, W, 3) RGB or, where some of it is transparent, (H, W, 4) RGBA uint8.

    Alpha is straight, and what cannot be seen keeps the file's colours; the rest and errors as `read_rgb`.
    """
    return _rgba(decoding.decode_file(path))


def rgba_from_bytes(data: bytes, name: str) -> UInt8Array:
    """An encoded picture as (H, W, 3 or 4) uint8; see `read_rgba`. `name` stands in the errors."""
    return _rgba(decoding.decode(data, name))


def as_rgb(picture: str | Path | Image.Image | UInt8Array) -> UInt8Array:
    """A file, a PIL image or an array as (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file cannot be read, or the array is not (H, W, 3) uint8.
    """
    if isinstance(picture, str | Path):
        return read_rgb(picture)
    if isinstance(picture, Image.Image):
        return _rgb(Decoded(_loaded(picture), None, f"the {picture.mode} image"))
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise DataError(
            f"The array is {array.shape} {array.dtype}, but an image is (H, W, 3) uint8 RGB, levels 0..255."
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


def frames_in(path: str | Path) -> int:
    """How many frames a viewer plays of a GIF, PNG, WebP or AVIF file; 1 of every other picture.

    Decodes no pixels. The second picture of an MPO photograph and the pages of a TIFF are no frames, nor is
    the picture of an APNG that stands in for the animation where it is not played.

    Raises:
        DataError: as `read_rgb`, so far as the header tells.
    """
    with decoding.opened(Path(path)) as file, decoding.header(file, str(path)) as image:
        if image.format not in _PLAYED:
            return 1
        return int(getattr(image, "n_frames", 1) - getattr(image, "default_image", False))


class Played(NamedTuple):
    """A frame of an animation. rgba: (H, W, 4) uint8. milliseconds: how long it is shown, at least 1."""

    rgba: UInt8Array
    milliseconds: int


def animation(path: str | Path) -> Iterator[Played]:
    """The frames of a GIF, APNG, WebP or AVIF, each as it is shown, one by one.

    Raises:
        DataError: as `read_rgb`, or a frame is damaged.
    """
    with decoding.opened(Path(path)) as file, decoding.header(file, str(path)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            if number == 0 and getattr(image, "default_image", False):
                continue
            shown = colour_profiles.to_srgb(image).convert("RGBA")
            # what viewers take where a file says nothing
            lasts = image.info.get("duration") or _USUAL_MILLISECONDS
            yield Played(np.array(shown), max(1, round(lasts)))


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


def _write(path: Path, array: Array, format_name: str, **options: Any) -> None:
    image = Image.fromarray(np.ascontiguousarray(array))
    write_atomically(path, lambda partial: image.save(partial, format=format_name, **options))


def _rgb(decoded: Decoded) -> UInt8Array:
    rgba = _rgba(decoded)
    if rgba.shape[2] == 3:
        return rgba
    alpha = rgba[..., 3:].astype(np.uint32)
    on_white = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return ((on_white + 127) // 255).astype(np.uint8)


def _rgba(decoded: Decoded) -> UInt8Array:
    image = decoded.image
    if decoded.deep is not None:
        pixels = _in_srgb(decoding.eight_bits(decoded.deep), image)
    elif image.mode in decoding.DEEP:
        pixels = np.repeat(decoding.eight_bits(decoding.deep_levels(decoded))[..., None], 3, axis=2)
    elif image.mode in decoding.OPAQUE | decoding.ALPHA:
        srgb = colour_profiles.to_srgb(image)
        # a copy, since Pillow's own memory is read-only
        pixels = np.array(srgb.convert("RGBA" if decoding.has_alpha(srgb) else "RGB"))
    else:
        raise DataError(f"{decoded.name} has the pixel mode {image.mode}; save it as RGB.")
    is_opaque = pixels[..., 3:].min(initial=255) == 255
    return decoding.upright(pixels[..., :3] if is_opaque else pixels, image)


def _in_srgb(pixels: UInt8Array, image: Image.Image) -> UInt8Array:
    """Pixels (H, W, 3 or 4) of an image whose own ones have fewer bits."""
    profiled = Image.fromarray(pixels)
    profiled.info["icc_profile"] = image.info.get("icc_profile")
    return np.array(colour_profiles.to_srgb(profiled))
