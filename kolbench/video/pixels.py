"""Between decoded or encoded pixel formats and 8-bit RGB(A), with the right matrix, range and transfer."""

from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kolbench.types import UInt8Array

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# numbers of ITU-T H.273, as FFmpeg uses them
BT709 = 1
LIMITED, FULL = 1, 2
SRGB_TRANSFER = 13
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
# matrices that swscale knows: BT.709, FCC, BT.601 (625, 525), SMPTE 240M, BT.2020 (both)
KNOWN_MATRICES = frozenset({1, 4, 5, 6, 7, 9, 10})
RGB_MATRIX = 0
# swscale's own numbers for the two that are assumed where nothing is said
SWS_BT709, SWS_BT601 = 1, 5


def square_size(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """(width, height) of a picture with square pixels, the longer way: none of its lines or columns is lost.

    Args:
        aspect: width by height of one of its pixels; None = not said, square.
    """
    if aspect is None or aspect <= 0 or aspect == 1:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


class Pixels:
    """Converts frame after frame; keeps what swscale sets up for the first (seconds for HDR).

    Args:
        aspect: width by height of a pixel as the frames lie in the file; they come out with square ones, see
            `square_size`.
    """

    def __init__(self, aspect: Fraction | None = None) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._aspect = aspect
        self._convert = VideoReformatter()
        self._narrow = VideoReformatter()
        # without these, chroma is neither interpolated nor rounded: 3.5 levels of error on average, not 0.9
        self._exactly = (
            Interpolation.BILINEAR
            | Interpolation.ACCURATE_RND
            | Interpolation.FULL_CHR_H_INT
            | Interpolation.FULL_CHR_H_INP
        )

    def to_rgb(self, frame: "VideoFrame") -> UInt8Array:
        """A decoded frame of any pixel format -> (H, W, 3) uint8 full-range RGB, as it lies in the file.

        Matrix and range follow the stream's tags; where there is none the matrix is BT.709 for pictures
        above standard definition (wider than 1279 or taller than 576), else BT.601. PQ and HLG are
        brought to sRGB by swscale.
        """
        return self._to(frame, "rgb24")

    def to_rgba(self, frame: "VideoFrame") -> UInt8Array:
        """As `to_rgb`, and with straight alpha, (H, W, 4), where the pixel format has an alpha channel."""
        return self._to(frame, "rgba" if _has_alpha(frame) else "rgb24")

    def _to(self, frame: "VideoFrame", pixel_format: str) -> UInt8Array:
        if frame.color_trc in HDR_TRANSFERS:
            converted = self._from_hdr(frame, pixel_format)
        else:
            converted = self._to_full_range(frame, pixel_format)
        return np.ascontiguousarray(converted.to_ndarray(), np.uint8)

    def _to_full_range(self, frame: "VideoFrame", pixel_format: str) -> "VideoFrame":
        width, height = square_size(frame.width, frame.height, self._aspect)
        return self._convert.reformat(
            frame,
            width,
            height,
            format=pixel_format,
            src_colorspace=_assumed_matrix(frame),
            dst_color_range=FULL,
            interpolation=self._exactly,
            threads=1,
        )

    def _from_hdr(self, frame: "VideoFrame", pixel_format: str) -> "VideoFrame":
        # in one step swscale goes through packed 16-bit RGB, and loses channels where chroma is interpolated
        wide = self._to_full_range(frame, "gbrap16le" if pixel_format == "rgba" else "gbrp16le")
        wide.color_trc, wide.color_primaries = frame.color_trc, frame.color_primaries
        return self._narrow.reformat(
            wide,
            format=pixel_format,
            dst_color_trc=SRGB_TRANSFER,
            dst_color_primaries=BT709,
            dst_color_range=FULL,
            threads=1,
        )

    def from_rgb(self, image: UInt8Array, pixel_format: str) -> "VideoFrame":
        """(H, W, 3) RGB or (H, W, 4) RGBA uint8 -> a frame in BT.709 and limited range, as it is tagged."""
        import av

        frame = av.VideoFrame.from_ndarray(image, format="rgb24" if image.shape[2] == 3 else "rgba")
        converted = self._convert.reformat(
            frame,
            format=pixel_format,
            dst_colorspace=SWS_BT709,
            dst_color_range=LIMITED,
            interpolation=self._exactly,
            threads=1,
        )
        converted.color_trc = converted.color_primaries = BT709
        return converted


def _assumed_matrix(frame: "VideoFrame") -> int | None:
    """What to convert from where the tag says nothing that swscale knows; None where the tag stands."""
    if frame.colorspace in KNOWN_MATRICES or frame.colorspace == RGB_MATRIX or frame.format.is_rgb:
        return None
    return SWS_BT709 if frame.width >= 1280 or frame.height > 576 else SWS_BT601


def _has_alpha(frame: "VideoFrame") -> bool:
    return any(component.is_alpha for component in frame.format.components)


def pad_to_even(image: UInt8Array) -> UInt8Array:
    """(H, W, C) -> both sides even, the last row and column repeated; 4:2:0 halves both sides."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)
