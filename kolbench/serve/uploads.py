"""Uploaded bytes as pictures, with bounds that a page needs; small copies to look at; examples."""

import io
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kolbench.data.scenes.scene import make_scene
from kolbench.errors import DataError
from kolbench.io import decoding, images
from kolbench.types import UInt8Array
from kolbench.video.compositing.renderings import cutout

MOST_PIXELS = 40_000_000
PREVIEW_SIDE = 1536
# Pillow opens more, some of it by running other programs
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
# of these, what viewers play: the pages of a TIFF are no frames
ANIMATED = ("AVIF", "GIF", "PNG", "WEBP")

# scenes of one series that show what the page is for
EXAMPLE_SEED = 7
EXAMPLES = (20, 7, 11, 16, 19)
EXAMPLE_SIDE = 768
THUMBNAIL_SIDE = 160
# the scene of the before and after that is seen first, and its side
SHOWN_SCENE, SHOWN_SIDE = 7, 560
# the scene whose room stands behind others
ROOM_SCENE = 11

_OVERSAMPLING = 2
_WHITE, _YELLOW, _PLUM = (255, 255, 255), (255, 205, 70), (90, 25, 80)


class Upload(NamedTuple):
    """What an uploaded file holds.

    image: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA with straight alpha; upright. animated: whether the file
    has more frames, of which this is the first.
    """

    image: UInt8Array
    animated: bool = False


def decode(data: bytes, name: str) -> Upload:
    """An uploaded picture in RGB; its size is looked at before it is decoded.

    Args:
        data: the file. name: what the errors call it, such as `The image`.

    Raises:
        DataError: it is no picture, of a format that is not taken, damaged, or above MOST_PIXELS.
    """
    animated = _inspect(data, name)
    return Upload(images.rgb_from_bytes(data, name), animated)


def decode_ad(data: bytes, name: str) -> Upload:
    """The same, but in RGBA where the file has transparency.

    Raises:
        DataError: see `decode`.
    """
    animated = _inspect(data, name)
    return Upload(images.rgba_from_bytes(data, name), animated)


def _inspect(data: bytes, name: str) -> bool:
    """Refuses what is not taken; whether it is animated."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            format_name, (width, height) = image.format, image.size
            animated = format_name in ANIMATED and bool(getattr(image, "is_animated", False))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(_too_large(name)) from None
    except Exception:  # decoders raise whatever they stumble over
        raise DataError(f"{name} cannot be read: {decoding.looks_like(data)}.") from None
    if format_name not in FORMATS:
        raise DataError(
            f"{name} is of the format {format_name}, which is not taken here; save it as JPEG or PNG."
        )
    if width * height > MOST_PIXELS:
        raise DataError(_too_large(f"{name} of {width}x{height} px"))
    return animated


def _too_large(name: str) -> str:
    return f"{name} has more than {MOST_PIXELS // 1_000_000} million pixels; make it smaller first."


def preview(array: UInt8Array) -> UInt8Array:
    """(H, W) or (H, W, C) uint8 with its longest side at most PREVIEW_SIDE."""
    small = images.thumbnail(array, PREVIEW_SIDE)
    return small.reshape(*small.shape[:2], *array.shape[2:])


def example_picture(number: int, side: int = EXAMPLE_SIDE) -> UInt8Array:
    """(side, side, 3) uint8, a drawn KOL with a product; `number` counts EXAMPLES from 0."""
    return make_scene(EXAMPLE_SEED, EXAMPLES[number], side).image


@cache
def example_thumbnails() -> list[bytes]:
    """A small JPEG of each example."""
    return [_jpeg(example_picture(number, THUMBNAIL_SIDE)) for number in range(len(EXAMPLES))]


@cache
def example_before_after() -> tuple[bytes, bytes]:
    """A JPEG of a drawn scene, and a WebP of its ground truth: true colours and true alpha matte."""
    scene = make_scene(EXAMPLE_SEED, SHOWN_SCENE, SHOWN_SIDE)
    file = io.BytesIO()
    Image.fromarray(cutout(scene.image, scene.alpha, scene.foreground.astype(np.float32))).save(
        file, "WEBP", quality=85
    )
    return _jpeg(scene.image), file.getvalue()


def example_background() -> UInt8Array:
    """(EXAMPLE_SIDE, EXAMPLE_SIDE, 3) uint8, a drawn room with nobody in it."""
    return make_scene(EXAMPLE_SEED, ROOM_SCENE, EXAMPLE_SIDE).background


def _jpeg(image: UInt8Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=85)
    return file.getvalue()


def example_ad() -> UInt8Array:
    """(600, 800, 4) uint8 RGBA, a drawn advertisement with rounded corners."""
    width, height = 800 * _OVERSAMPLING, 600 * _OVERSAMPLING
    across = np.linspace(0, 0.6, width)[None, :, None] + np.linspace(0, 0.4, height)[:, None, None]
    start, end = np.array([255, 94, 58]), np.array([130, 40, 160])
    ad = Image.fromarray(np.rint(start + across * (end - start)).astype(np.uint8))
    shape = Image.new("L", ad.size)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, width - 1, height - 1), 96, fill=255)
    draw = ImageDraw.Draw(ad)
    draw.ellipse([side * _OVERSAMPLING for side in (490, 320, 830, 660)], _YELLOW)
    for text, size, x, y, ink in (
        ("NEW", 200, 56, 56, _WHITE),
        ("this season", 80, 64, 290, _WHITE),
        ("-30 %", 92, 545, 425, _PLUM),
    ):
        font = ImageFont.load_default(size * _OVERSAMPLING)
        draw.text((x * _OVERSAMPLING, y * _OVERSAMPLING), text, ink, font)
    ad.putalpha(shape)
    return np.array(ad.reduce(_OVERSAMPLING))
