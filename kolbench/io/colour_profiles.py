"""Pictures with a colour profile of their own, such as Display P3 or Adobe RGB, brought to sRGB."""

import io
import threading
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

# the pixel modes that a profile of a colour space is for; others are converted to RGB first
_MODES = {"RGB": ("RGB",), "CMYK": ("CMYK",), "GRAY": ("L",)}
# profiles that differ by so few levels from sRGB are sRGB, of which many versions are about
_SAME = 2
_STEPS = (0, 51, 102, 153, 204, 255)

_lock = threading.Lock()
_seen: Counter[str] = Counter()


def to_srgb(image: Image.Image) -> Image.Image:
    """The picture as it looks, in sRGB and without a profile.

    Args:
        image: decoded, of 8 bits a channel. One without a profile, of sRGB, or with a profile that is broken
            or for another kind of pixels comes back as it is. Transparency is kept.
    """
    profile = image.info.get("icc_profile")
    found = _transform(profile) if isinstance(profile, bytes) else None
    if found is None:
        return image
    modes, transform, name = found
    colours = image if image.mode in modes else image.convert(modes[0])
    converted = ImageCms.applyTransform(colours, transform)
    assert converted is not None  # a new image, as none is changed in place
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        converted.putalpha(image.convert("RGBA").getchannel("A"))
    with _lock:
        _seen[name] += 1
    return converted


def other_profile(image: Image.Image) -> str:
    """The name of the profile that `to_srgb` converts from; "" where it would leave the picture as it is."""
    profile = image.info.get("icc_profile")
    found = _transform(profile) if isinstance(profile, bytes) else None
    return "" if found is None else found[2]


def notes() -> list[str]:
    """A sentence on the pictures that `to_srgb` converted since the last call, where it converted any."""
    with _lock:
        if not _seen:
            return []
        named = ", ".join(sorted(_seen))
        count = _seen.total()
        _seen.clear()
    pictures = "1 image has" if count == 1 else f"{count:,} images have"
    return [f"{pictures} another colour profile than sRGB ({named}); converted to sRGB"]


@lru_cache(maxsize=32)
def _transform(profile: bytes) -> tuple[tuple[str, ...], Any, str] | None:
    """Modes that it takes, the transform to sRGB, and the profile's name; None where none can be made."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        modes = _MODES.get(source.profile.xcolor_space.strip())
        if modes is None:
            return None
        made = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            modes[0],
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        name = ImageCms.getProfileDescription(source).strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if _is_srgb(made, modes[0]) else (modes, made, name or "unnamed")


def _is_srgb(transform: Any, mode: str) -> bool:
    """Whether it leaves a grid of colours as it is."""
    if mode == "CMYK":
        return False
    axes = np.meshgrid(*[_STEPS] * 3, indexing="ij") if mode == "RGB" else [np.array([_STEPS])]
    levels = np.stack(axes, -1).reshape(1, -1, len(axes)).astype(np.uint8)
    given = Image.fromarray(levels if mode == "RGB" else levels[..., 0])
    found = np.asarray(ImageCms.applyTransform(given, transform), np.int16)
    return bool(np.abs(found - levels.astype(np.int16)).max() <= _SAME)
