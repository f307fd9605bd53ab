"""Draws annotated shapes (polygons, rectangles, circles, bitmaps) as the mask and product mask they mean."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kolbench.errors import DataError
from kolbench.types import UInt8Array

POLYGONS = ("polygon", "oriented_rectangle")
IGNORED = ("point", "points", "line", "linestrip")
SHAPE_TYPES = (*POLYGONS, "rectangle", "circle", "mask", *IGNORED)

BoolArray = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
Point = tuple[float, float]


class Shape(NamedTuple):
    """One drawn shape.

    kind: `kol`, `product` or `background`. shape_type: one of SHAPE_TYPES. points: (N, 2) float x, y in
    pixels of the upright image; pixel (0, 0) covers [0, 1) x [0, 1). group: shapes with the same one are
    parts of one object. bitmap: (h, w) uint8 {0, 1} of a `mask` shape.
    """

    kind: str
    shape_type: str
    points: Points
    group: int | str | None = None
    bitmap: UInt8Array | None = None


def draw(shapes: Sequence[Shape], height: int, width: int) -> tuple[UInt8Array, UInt8Array]:
    """Draws the mask and the product mask that shapes mean, (height, width) uint8 in {0, 1} each.

    Shapes are painted in their order, and a background shape cuts out of what was painted before it:
    of shapes with the same group_id where it has one, else of all. The parts of a group are joined.
    The mask is the union of KOL and products. A point or line paints nothing.
    """
    layers: dict[tuple[str, int | str | None], BoolArray] = {}
    for shape in shapes:
        if shape.shape_type in IGNORED:
            continue
        covered = _cover(shape, height, width)
        if shape.kind == "background":
            for (_, group), layer in layers.items():
                if shape.group is None or shape.group == group:
                    layer &= ~covered
        else:
            layers.setdefault((shape.kind, shape.group), np.zeros((height, width), bool))
            layers[shape.kind, shape.group] |= covered
    empty = np.zeros((height, width), bool)
    product = np.logical_or.reduce([empty, *(a for (kind, _), a in layers.items() if kind == "product")])
    mask = np.logical_or.reduce([product, *layers.values()])
    return mask.astype(np.uint8), product.astype(np.uint8)


def require_drawn_size(where: str, said: tuple[object, object], size: tuple[int, int], remedy: str) -> None:
    """Requires that labels were drawn on a picture of its own size.

    Args:
        where: stands before the error. said: height and width that the labels tell. size: those of the
            upright picture. remedy: what to do, a sentence.

    Raises:
        DataError: they differ; says whether one is the other turned.
    """
    if said == size:
        return
    turned = " It was labelled before the EXIF orientation was applied." if said == size[::-1] else ""
    raise DataError(
        f"{where} was drawn on {said[1]}x{said[0]} px, but its image is {size[1]}x{size[0]} px."
        f"{turned} {remedy}"
    )


def box_corners(left: float, top: float, width: float, height: float, degrees: float, about: Point) -> Points:
    """Corners of a box that is turned clockwise about a point, (4, 2) float64 x, y."""
    corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    return turned(np.array(corners, np.float64), degrees, about)


def ellipse(centre: Point, radii: Point, degrees: float) -> Points:
    """The outline of an ellipse that is turned clockwise about its centre, (360, 2) float64 x, y."""
    angles = np.arange(360) * (np.pi / 180)
    outline = np.stack([centre[0] + radii[0] * np.cos(angles), centre[1] + radii[1] * np.sin(angles)], axis=1)
    return turned(outline, degrees, centre)


def turned(points: Points, degrees: float, about: Point) -> Points:
    """(N, 2) x, y, turned clockwise as seen on a picture, whose y points down."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray((points - about) @ np.array([[cosine, sine], [-sine, cosine]]) + about)


def whole(kind: str, bitmap: UInt8Array, group: int | str | None = None) -> Shape:
    """A `mask` shape that covers the picture, from (H, W) uint8 {0, 1}."""
    height, width = bitmap.shape
    return Shape(kind, "mask", np.array([[0.0, 0.0], [width - 1, height - 1]]), group, bitmap)


def _cover(shape: Shape, height: int, width: int) -> BoolArray:
    points = shape.points
    if shape.shape_type == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        y, x = np.mgrid[:height, :width] + 0.5
        return np.asarray((x - points[0, 0]) ** 2 + (y - points[0, 1]) ** 2 <= radius**2)
    if shape.bitmap is not None:
        return _place(shape.bitmap, points, height, width)
    if shape.shape_type == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return fill_polygon(points, height, width)


def fill_polygon(points: Points, height: int, width: int) -> BoolArray:
    """Marks the pixels whose centre lies in a polygon by the even-odd rule, (height, width) bool.

    Even-odd, as Labelme shows it: where an outline leads through a bridge around an inner outline,
    that is a hole.

    Args:
        points: (N, 2) x, y of the corners, N >= 3; may lie outside the picture.
    """
    toggles = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        # rows whose centre y + 0.5 the edge crosses, its upper end included and its lower end not
        first, last = np.ceil(np.array([min(y0, y1), max(y0, y1)]) - 0.5).astype(int).clip(0, height)
        rows = np.arange(first, last)
        crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        columns = np.ceil(crossing - 0.5).clip(0, width).astype(int)
        np.add.at(toggles, (rows, columns), 1)
    return np.asarray(np.cumsum(toggles, axis=1)[:, :width] % 2 == 1)


def _place(bitmap: UInt8Array, points: Points, height: int, width: int) -> BoolArray:
    """A bitmap at its box's upper left corner, cut at the image's borders."""
    covered = np.zeros((height, width), bool)
    left, top = (int(v) for v in np.rint(points.min(axis=0)))
    rows = slice(max(top, 0), min(top + bitmap.shape[0], height))
    columns = slice(max(left, 0), min(left + bitmap.shape[1], width))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = bitmap[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        covered[rows, columns] = part > 0
    return covered
