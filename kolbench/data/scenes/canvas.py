"""Paints in unit coordinates: shapes, soft relief shading, planes of colour, alpha and product."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Colour = tuple[float, float, float]
Fill = Callable[[Floats, Floats], Floats]  # unit x (w,), unit y (h,) -> (3, h, w) colours in [0, 255]

SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
SHADOW_TINT = (0.85, 1.0, 1.06)  # shading moves red least, so shadows stay warm


class Frame(NamedTuple):
    """A similarity from local to unit coordinates (x right, y down, the picture is [0, 1] x [0, 1])."""

    x: float
    y: float
    scale: float
    angle: float = 0.0
    flip: float = 1.0

    def at(self, points: npt.ArrayLike) -> Points:
        """Turns local (..., 2) into unit coordinates (..., 2)."""
        local = np.asarray(points, np.float64)
        cos, sin = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        turn = np.array([[self.flip * cos, self.flip * sin], [-sin, cos]])
        return np.asarray(local @ turn + (self.x, self.y))

    def child(self, x: float, y: float, scale: float = 1.0, angle: float = 0.0, flip: float = 1.0) -> "Frame":
        """Places a frame at local (x, y), turned by `angle` (radians) and scaled within this one."""
        origin = self.at((x, y))
        turned = self.angle + self.flip * angle
        return Frame(float(origin[0]), float(origin[1]), self.scale * scale, turned, self.flip * flip)

    def local(self, xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
        """Turns unit x (w,) and y (h,) into local u and v, each (h, w)."""
        cos, sin = math.cos(self.angle) / self.scale, math.sin(self.angle) / self.scale
        dx, dy = (xs - self.x)[None, :], (ys - self.y)[:, None]
        u = (cos * self.flip * dx + sin * self.flip * dy).astype(np.float32)
        return u, (cos * dy - sin * dx).astype(np.float32)

    def back(self, point: npt.ArrayLike) -> Points:
        """Turns unit (..., 2) into local coordinates (..., 2)."""
        delta = np.asarray(point, np.float64) - (self.x, self.y)
        cos, sin = math.cos(self.angle) / self.scale, math.sin(self.angle) / self.scale
        u = (cos * delta[..., 0] + sin * delta[..., 1]) * self.flip
        return np.stack([u, cos * delta[..., 1] - sin * delta[..., 0]], -1)


def smooth(points: npt.ArrayLike, steps: int = 6) -> Points:
    """Draws a closed Catmull-Rom curve (n * steps, 2) through corners (n, 2)."""
    knots = np.asarray(points, np.float64)
    around = np.concatenate([knots[-1:], knots, knots[:2]])
    count = len(knots)
    windows = np.stack([around[k : k + count] for k in range(4)], 1)
    return np.asarray((_catmull_rom(steps) @ windows).reshape(-1, 2))


@lru_cache(maxsize=8)
def _catmull_rom(steps: int) -> Points:
    """(steps, 4) weights of the four knots around a piece of curve."""
    t = np.linspace(0, 1, steps, endpoint=False)
    return 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], 1
    )


def mirrored(half: npt.ArrayLike) -> Points:
    """Closes the right half of an outline, given from top to bottom, to the symmetric outline."""
    right = np.asarray(half, np.float64)
    left = right[::-1] * (-1, 1)
    keep = np.abs(left[:, 0]) > 1e-9
    return np.concatenate([right, left[keep]])


def oval(x: float, y: float, rx: float, ry: float, angle: float = 0.0, steps: int = 24) -> Points:
    """Outlines an ellipse around (x, y), (steps, 2)."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[rx * cos, rx * sin], [-ry * sin, ry * cos]])
    return np.asarray(_circle(steps) @ turn + (x, y))


@lru_cache(maxsize=8)
def _circle(steps: int) -> Points:
    t = np.linspace(0, 2 * math.pi, steps, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], 1)


def rounded(width: float, height: float, radius: float, x: float = 0.0, y: float = 0.0) -> Points:
    """Outlines a rectangle with round corners around (x, y), (20, 2)."""
    radius = min(radius, width / 2, height / 2)
    arcs = _circle(20)[[0, 1, 3, 4, 5, 5, 6, 8, 9, 10, 10, 11, 13, 14, 15, 15, 16, 18, 19, 0]]
    return np.asarray(radius * arcs + _CORNERS * (width / 2 - radius, height / 2 - radius) + (x, y))


_CORNERS = np.repeat([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]], 5, axis=0)


class Shape:
    """A union of polygons, tapered limbs and strands in unit coordinates."""

    def __init__(self) -> None:
        self.polygons: list[Points] = []
        self.rings: list[tuple[Points, Points]] = []
        self.discs: list[tuple[float, float, float]] = []
        self.strands: list[tuple[Points, float, float]] = []

    def polygon(self, points: npt.ArrayLike) -> "Shape":
        """Adds a filled polygon (n, 2)."""
        self.polygons.append(np.asarray(points, np.float64))
        return self

    def ring(self, outer: Points, inner: Points) -> "Shape":
        """Adds what lies within `outer` (n, 2) but not within `inner` (m, 2)."""
        self.rings.append((outer, inner))
        return self

    def disc(self, centre: npt.ArrayLike, radius: float) -> "Shape":
        """Adds a filled circle around a point (2,)."""
        x, y = np.asarray(centre, np.float64)
        self.discs.append((float(x), float(y), radius))
        return self

    def limb(self, points: npt.ArrayLike, radii: Sequence[float], cut: bool = False) -> "Shape":
        """Adds discs at the points and their tapered connections; `cut` leaves the last end flat."""
        joints = np.asarray(points, np.float64).tolist()
        ends = len(joints) - int(cut)
        self.discs += [(x, y, r) for (x, y), r in zip(joints[:ends], radii[:ends], strict=True)]
        for (x0, y0), (x1, y1), r0, r1 in zip(joints[:-1], joints[1:], radii[:-1], radii[1:], strict=True):
            length = math.hypot(x1 - x0, y1 - y0)
            if length > 1e-9:
                u, v = (y0 - y1) / length, (x1 - x0) / length
                corners = (x0 + u * r0, y0 + v * r0), (x1 + u * r1, y1 + v * r1)
                others = (x1 - u * r1, y1 - v * r1), (x0 - u * r0, y0 - v * r0)
                self.polygons.append(np.array(corners + others))
        return self

    def hairs(self, lines: Points, width: float, opacity: float) -> "Shape":
        """Adds open lines (n, k, 2) of a width in unit coordinates; thinner than a pixel means fainter."""
        self.strands.append((lines, width, opacity))
        return self

    def bounds(self) -> tuple[float, float, float, float]:
        """Bounds the shape: left, top, right, bottom in unit coordinates."""
        lines = [lines.reshape(-1, 2) for lines, _, _ in self.strands]
        parts = [*self.polygons, *(outer for outer, _ in self.rings), *lines]
        if self.discs:
            parts.append(np.array([c for x, y, r in self.discs for c in ((x - r, y - r), (x + r, y + r))]))
        spots = parts[0] if len(parts) == 1 else np.concatenate(parts)
        x, y = spots[:, 0], spots[:, 1]
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    def moved(self, dx: float, dy: float) -> "Shape":
        """Copies the shape to elsewhere."""
        other, by = Shape(), np.array([dx, dy])
        other.polygons = [points + by for points in self.polygons]
        other.rings = [(outer + by, inner + by) for outer, inner in self.rings]
        other.discs = [(x + dx, y + dy, r) for x, y, r in self.discs]
        other.strands = [(lines + by, width, opacity) for lines, width, opacity in self.strands]
        return other


class Region(NamedTuple):
    """A rectangle of pixels and the coverage of a shape in it, (h, w) uint8."""

    rows: slice
    columns: slice
    mask: npt.NDArray[np.uint8]


class Light(NamedTuple):
    """Direction towards the light in the picture plane (a unit vector) and how strongly it models."""

    x: float
    y: float
    strength: float


def rasterise(shape: Shape, side: int, margin: float = 0.0) -> Region | None:
    """Computes a shape's coverage on side x side pixels, `margin` around it; None where it is outside."""
    left, top, right, bottom = shape.bounds()
    pad = math.ceil(margin) + 2
    x0, y0 = max(0, math.floor(left * side) - pad), max(0, math.floor(top * side) - pad)
    x1, y1 = min(side, math.ceil(right * side) + pad), min(side, math.ceil(bottom * side) + pad)
    if x1 <= x0 or y1 <= y0:
        return None
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    scale, offset = side * 2**SHIFT, np.array([x0 + 0.5, y0 + 0.5]) * 2**SHIFT

    def fixed(points: Points) -> npt.NDArray[np.int32]:
        return np.asarray(np.rint(points * scale - offset), np.int32)

    for points in shape.polygons:
        cv2.fillPoly(mask, [fixed(points)], 255, cv2.LINE_AA, SHIFT)
    for outer, inner in shape.rings:
        cv2.fillPoly(mask, [fixed(outer), fixed(inner)], 255, cv2.LINE_AA, SHIFT)
    for x, y, radius in shape.discs:
        centre = (round(x * scale - offset[0]), round(y * scale - offset[1]))
        cv2.circle(mask, centre, max(1, round(radius * scale)), 255, -1, cv2.LINE_AA, SHIFT)
    for lines, width, opacity in shape.strands:
        pixels = width * side
        value = round(255 * opacity * min(1.0, pixels))
        cv2.polylines(mask, list(fixed(lines)), False, value, max(1, round(pixels)), cv2.LINE_AA, SHIFT)
    return Region(slice(y0, y1), slice(x0, x1), mask)


def _blurred(mask: npt.NDArray[np.uint8], radius: float) -> Floats:
    """(h, w) uint8 -> float32, blurred over about `radius` pixels; a wide blur comes 2 or 4 times smaller."""
    step = 1 if radius < 6 else 2 if radius < 16 else 4
    plane = mask.astype(np.float32)
    if step > 1 and min(mask.shape) >= 4 * step:
        size = (mask.shape[1] // step, mask.shape[0] // step)
        plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
        radius /= step
    width = 2 * max(1, round(radius / 2)) + 1
    return np.asarray(cv2.blur(cv2.blur(plane, (width, width)), (width, width)), np.float32)


def _like(plane: Floats, mask: npt.NDArray[np.uint8]) -> Floats:
    if plane.shape == mask.shape:
        return plane
    return np.asarray(cv2.resize(plane, mask.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def relief(mask: npt.NDArray[np.uint8], radius: float, light: Light) -> Floats:
    """Shades a shape that bulges towards the viewer over `radius` pixels at its edge: brightness minus 1."""
    height = _blurred(mask, radius)
    steepness = light.strength * radius * height.shape[1] / mask.shape[1] / 2040
    shade = np.asarray(cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=-light.x * steepness), np.float32)
    shade += cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=-light.y * steepness)
    shade += height * np.float32(0.31 / 255)
    shade -= np.float32(0.31)
    return _like(shade, mask)


class Canvas:
    """A square picture under construction, nothing in it at first.

    planes: (5, side, side) float32: premultiplied RGB in [0, 255], alpha and product coverage in [0, 1].
    """

    def __init__(self, side: int, light: Light) -> None:
        self.side = side
        self.light = light
        self.planes: Floats = np.zeros((5, side, side), np.float32)
        self._holds = False
        self._axis = ((np.arange(side, dtype=np.float32) + 0.5) / side).astype(np.float32)

    def paint(
        self,
        shape: Shape,
        fill: Colour | Fill,
        depth: float = 0.0,
        opacity: float = 1.0,
        feather: float = 0.0,
        held: bool = False,
    ) -> None:
        """Lays a shape over what is there.

        Args:
            shape: what to cover.
            fill: one colour, or colours by position.
            depth: how far relief shading reaches in from the edge, in unit coordinates; 0 = flat.
            opacity: of the whole shape.
            feather: blur of its edge in unit coordinates.
            held: whether it belongs to a product.
        """
        region = rasterise(shape, self.side, feather * self.side * 1.5)
        if region is None:
            return
        blurs = feather * self.side > 0.4
        weight = _like(_blurred(region.mask, feather * self.side), region.mask) if blurs else region.mask
        weight = weight * np.float32(opacity / 255)
        self._holds |= held
        values = [*self._colours(fill, region, depth * self.side), 1.0]
        if self._holds:
            values.append(float(held))
        change = np.empty_like(weight)
        for plane, value in zip(self.planes, values, strict=False):
            part = plane[region.rows, region.columns]
            np.subtract(value, part, out=change)
            change *= weight
            part += change

    def _colours(self, fill: Colour | Fill, region: Region, depth: float) -> list[Floats | float]:
        if isinstance(fill, tuple):
            values: list[Floats | float] = [float(value) for value in fill]
        else:
            values = list(fill(self._axis[region.columns], self._axis[region.rows]))
        if depth < 0.7:
            return values
        shade = relief(region.mask, depth, self.light)
        return [
            value + np.float32(tint) * shade * value for value, tint in zip(values, SHADOW_TINT, strict=True)
        ]

    def cast(self, shape: Shape, blur: float, strength: float) -> None:
        """Darkens (strength > 0) or lightens (< 0) softly what is painted so far under the shape."""
        region = rasterise(shape, self.side, blur * self.side * 1.5)
        if region is None:
            return
        weight = _like(_blurred(region.mask, blur * self.side), region.mask) * np.float32(-strength / 255)
        for plane, tint in zip(self.planes[:3], SHADOW_TINT, strict=True):
            part = plane[region.rows, region.columns]
            part *= 1 + np.float32(tint) * weight
