"""Faces in images that others will see: the upper part of every known person, blurred or covered."""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.types import UInt8Array

SHOW, BLUR, HIDE = "show", "blur", "hide"
FACES = (BLUR, HIDE, SHOW)
# what is covered of a region's height at least, and of its median width where a person is seen from near
_OF_HEIGHT, _OF_WIDTH = 0.2, 0.6
_MARGIN = 0.1  # of the covered height, on each side
_LEAST_AREA = 16  # pixels; no face can be seen in a smaller region
_CELLS = 3  # what remains of a blurred face's height
_COVER = 128  # grey level
BoolArray = npt.NDArray[np.bool_]


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
    for part in (part for mask in persons for part in upper_parts(mask)):
        rows, columns = (slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(part))
        seen, covered = changed[rows, columns], part[rows, columns]
        seen[covered] = _COVER if faces == HIDE else _blurred(seen)[covered]
    return changed


def upper_parts(mask: BoolArray) -> list[BoolArray]:
    """Where the head of each connected region of a mask (H, W) may be, (H, W) bool each.

    Of a whole figure, far taller than wide, that is the upper fifth; of a portrait, which is about as wide as
    tall, more than half. Holes of a row belong to it, since methods miss faces, and a margin does.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    known = enumerate(stats.tolist()[1:], start=1)
    return [
        _upper_part(labels == number, top, tall)
        for number, (_, top, _, tall, area) in known
        if area >= _LEAST_AREA
    ]


def _upper_part(region: BoolArray, top: int, tall: int) -> BoolArray:
    wide = float(np.median(region.sum(axis=1)[top : top + tall]))
    covered = max(1, round(max(_OF_HEIGHT * tall, _OF_WIDTH * min(wide, tall))))
    rows = np.zeros(region.shape, np.uint8)
    for row in range(top, min(top + covered, len(region))):
        columns = np.flatnonzero(region[row])
        rows[row, columns[0] : columns[-1] + 1] = 1
    margin = max(1, round(_MARGIN * covered))
    return np.asarray(cv2.dilate(rows, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)) > 0)


def _blurred(part: UInt8Array) -> UInt8Array:
    """A part of which no more than a few cells of mean colour remain, drawn into each other."""
    height, width = part.shape[:2]
    cells = (max(1, round(width * _CELLS / height)), min(_CELLS, height))
    small = cv2.resize(np.ascontiguousarray(part), cells, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
