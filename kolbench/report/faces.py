"""Faces in images that others will see: the upper part of every known person, blurred or covered."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.types import UInt8Array

SHOW, BLUR, HIDE = "show", "blur", "hide"
FACES = (BLUR, HIDE, SHOW)
# of a region's height, what is covered at least; of its width, for persons seen from near
_OF_HEIGHT, _OF_WIDTH = 0.2, 0.6
_MARGIN = 0.1  # of the covered height, on each side
_LEAST_AREA = 16  # pixels; no face can be seen in a smaller region
_CELLS = 3  # what remains of a blurred face's height
_COVER = 128  # grey level
BoolArray = npt.NDArray[np.bool_]


class Box(NamedTuple):
    """Rows top to bottom and columns left to right, the last ones not included."""

    top: int
    bottom: int
    left: int
    right: int


def without_faces(image: UInt8Array, persons: Iterable[BoolArray], faces: str) -> UInt8Array:
    """The image with the upper part of every person blurred or covered.

    Nothing detects faces: persons that are in none of the masks stay as they are.

    Args:
        image: (H, W, 3) uint8.
        persons: masks (H, W), each of one person or several.
        faces: `blur`, `hide`, or `show`, which changes nothing.

    Returns:
        (H, W, 3) uint8; a copy unless `faces` is `show`.
    """
    if faces == SHOW:
        return image
    changed = image.copy()
    for box in {box for mask in persons for box in upper_parts(mask)}:
        part = changed[box.top : box.bottom, box.left : box.right]
        part[:] = _COVER if faces == HIDE else _blurred(part)
    return changed


def upper_parts(mask: BoolArray) -> list[Box]:
    """Where the head of each connected region of a mask may be: its upper fifth, or more where it is wide.

    Of a whole figure, three times as tall as wide, that is the upper fifth; of a portrait, which is about as
    wide as tall, the upper three fifths.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    height, width = mask.shape
    boxes = []
    for number, (left, top, wide, tall, area) in enumerate(stats.tolist()[1:], start=1):
        if area < _LEAST_AREA:
            continue
        covered = max(1, round(max(_OF_HEIGHT * tall, _OF_WIDTH * min(wide, tall))))
        margin = max(1, round(_MARGIN * covered))
        rows = labels[top : top + covered, left : left + wide] == number
        columns = left + np.flatnonzero(rows.any(axis=0))
        boxes.append(
            Box(
                max(0, top - margin),
                min(height, top + covered),
                max(0, int(columns[0]) - margin),
                min(width, int(columns[-1]) + 1 + margin),
            )
        )
    return boxes


def _blurred(part: UInt8Array) -> UInt8Array:
    """A part of which no more than a few cells of mean colour remain, drawn into each other."""
    height, width = part.shape[:2]
    cells = (max(1, round(width * _CELLS / height)), min(_CELLS, height))
    small = cv2.resize(np.ascontiguousarray(part), cells, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
