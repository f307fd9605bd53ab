"""Bytes of a picture file -> decoded pixels, by an explicit table of pixel modes."""

import importlib
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from kolbench.errors import DataError, nearest
from kolbench.io.stand_ins import PAGE, stand_in
from kolbench.types import UInt8Array

Array = npt.NDArray[Any]

# Pillow's pixel modes: eight bits or less without and with alpha, and more than eight bits of grey
OPAQUE = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
ALPHA = frozenset({"LA", "PA", "RGBA", "RGBa"})
DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})

_EXIF_ORIENTATION = 0x0112
# how a JPEG XL file begins, bare or in a container
_JXL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
# texts beside the pixels, XMP among them: Pillow stops at 1 MB, which real files exceed
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 << 20
_UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


class Decoded(NamedTuple):
    """A decoded file of H x W pixels, not upright yet.

    image: in one of Pillow's pixel modes. deep: (H, W, 3 or 4) uint16 of a 16-bit colour PNG, else None.
    name: stands in the errors.
    """

    image: Image.Image
    deep: Array | None
    name: str


def decode_file(path: str | Path) -> Decoded:
    """A picture file, decoded.

    Raises:
        DataError: the file is missing, empty, damaged, too large or no picture; says what it looks like.
    """
    with opened(Path(path)) as file:
        data = file.read()
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Decoded:
    """An encoded picture, decoded; errors as `decode_file`."""
    with header(io.BytesIO(data), name) as image:
        image.load()
        return Decoded(image, _deep_colour(data), name)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, open for reading; what the system says against it becomes a DataError."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, siblings)
        meant = f" Did you mean {hint}?" if hint else ""
        raise DataError(f"{path} does not exist.{meant}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, but an image file is needed.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}.") from None


@contextmanager
def header(file: IO[bytes], name: str) -> Iterator[Image.Image]:
    """The picture in an open file, no pixel decoded yet; whatever its decoder raises becomes a DataError."""
    try:
        with _broken_exif_unsaid():
            image = _opened(file)
        yield image
    except Image.DecompressionBombError:
        raise DataError(
            f"{name} has more pixels than Pillow's limit against decompression bombs "
            f"({2 * (Image.MAX_IMAGE_PIXELS or 0):,}). If you trust it, make it smaller first."
        ) from None
    except Exception as error:  # decoders raise whatever they stumble over
        # the unidentified are told by the name of Pillow's buffer
        said = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        file.seek(0)
        raise DataError(f"{name} cannot be read: {looks_like(file.read(512))}.{said}") from None


def _opened(file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        file.seek(0)
        if not _register(file.read(32)):
            raise
        file.seek(0)
        return Image.open(file)


def _register(start: bytes) -> bool:
    """Whether a decoder that Pillow lacks is installed for a file that begins like this; it is then ready."""
    try:
        if _is_heic(start):
            from pillow_heif import register_heif_opener

            register_heif_opener()
            return True
        if start.startswith(_JXL):
            importlib.import_module("pillow_jxl")
            return True
    except ImportError:
        pass
    return False


def _is_heic(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")


def looks_like(data: bytes) -> str:
    """What a file that is no readable picture seems to be, from its first bytes, and what to do."""
    if not data:
        return "it is empty (0 bytes); copy or download it again"
    if instead := stand_in(data):
        page = "it is a web page (HTML) with an image's name; download the image itself"
        return page if instead == PAGE else instead
    start = data[:512].lstrip().lower()
    for kind, is_it in (("HEIC", _is_heic(data)), ("JPEG XL", data.startswith(_JXL))):
        if is_it and not _register(data):
            return f"it is {kind}; pip install 'kolbench[heif]', or convert it to JPEG or PNG"
        if is_it:
            return f"it is a {kind} that is truncated or damaged; copy or download it again"
    if data[4:8] == b"ftyp" and data[8:12] != b"avif":
        return "it is a video; extract frames with task=prepare"
    if start.startswith((b"<?xml", b"<svg", b"<annotation")):
        return "it is XML, not an image"
    if start.startswith((b"{", b"[")):
        return "it is JSON, not an image"
    if data.startswith((b"PK\x03\x04", b"%PDF", b"\x1f\x8b")):
        return "it is an archive or a document, not an image"
    for magic, kind in ((b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF"), (b"RIFF", "WebP")):
        if data.startswith(magic):
            return f"it is a {kind} that is truncated or damaged; copy or download it again"
    return "it is no image format that is known here; save it as JPEG or PNG"


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


def upright(array: Array, image: Image.Image) -> Array:
    """(H, W) or (H, W, C) levels of any dtype, turned as the image's EXIF orientation says; contiguous."""
    turn = _UPRIGHT.get(orientation(image))
    return np.ascontiguousarray(turn(array) if turn else array)


def orientation(image: Image.Image) -> int:
    """What EXIF says of it, from 1 to 8; 1, upright, where it says nothing or its bytes are broken."""
    with _broken_exif_unsaid():
        try:
            return int(image.getexif().get(_EXIF_ORIENTATION, 1))
        except Exception:  # Pillow reads it when asked, and raises whatever it stumbles over
            return 1


@contextmanager
def _broken_exif_unsaid() -> Iterator[None]:
    """Pillow warns of each broken byte, again for each file; the picture is as good without."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL.TiffImagePlugin")
        yield


def has_alpha(image: Image.Image) -> bool:
    """Whether it can be transparent: by a channel, by its palette, or at one colour."""
    return image.mode in ALPHA or (image.mode in OPAQUE and "transparency" in image.info)


def eight_bits(levels: Array) -> UInt8Array:
    """Levels of any shape, 0..65535 -> 0..255: by 257 = 65535 / 255, rounded to the nearest."""
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def deep_levels(decoded: Decoded) -> Array:
    """(H, W) uint16 levels in 0..65535 of a 16-bit, 32-bit integer or float image.

    Integers up to 255 in a 32-bit image are 8-bit levels; floats up to 1 are shares of white.

    Raises:
        DataError: a level is below 0, above 65535 or no number.
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
