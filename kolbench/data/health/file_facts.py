"""What a picture's file says beside its pixels: size, orientation, colour profile."""

from pathlib import Path
from typing import NamedTuple

from kolbench.io import colour_profiles, decoding

UPRIGHT = 1
# orientations that swap height and width
_SIDEWAYS = (5, 6, 7, 8)


class FileFacts(NamedTuple):
    """Of a file.

    height, width: in pixels, upright. orientation: by EXIF, 1 to 8; 1 = it is upright as it is. profile: name
    of the colours' profile, "" where they are sRGB or have none.
    """

    height: int
    width: int
    orientation: int = UPRIGHT
    profile: str = ""


def facts(path: Path) -> FileFacts:
    """Reads a file's header; no pixel is decoded.

    Raises:
        DataError: as decoding.decode_file, so far as the header tells.
    """
    with decoding.opened(path) as file, decoding.header(file, str(path)) as image:
        turned = decoding.orientation(image)
        width, height = image.size[::-1] if turned in _SIDEWAYS else image.size
        return FileFacts(height, width, turned, colour_profiles.other_profile(image))
