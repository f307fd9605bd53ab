"""Makes procedural KOL scenes in which all is known exactly: alpha, true colours, product, instances, tags.

People of varied build, skin and clothing, with soft hair, hold a product in front of body or face. A scene
depends on (seed, index) alone; its size changes nothing but the number of pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.data.scenes.backgrounds import draw_background
from kolbench.data.scenes.camera import lighting, take, to_bytes
from kolbench.data.scenes.canvas import Canvas, Floats, Frame, Shape, oval, rounded
from kolbench.data.scenes.figure import draw_person
from kolbench.data.scenes.plan import Plan, generator, make_plan, own_palette
from kolbench.data.scenes.pose import pose_at
from kolbench.errors import ConfigError

UInt8Array = npt.NDArray[np.uint8]

OVERSAMPLING = 2  # foregrounds are drawn so many times larger, then averaged
LEAST_SIZE = 32
PLAN, PLATE, NOISE = 0, 1, 2  # streams of randomness of a scene


class Scene(NamedTuple):
    """One scene of H x W pixels with its whole truth.

    image: (H, W, 3) uint8 RGB: the composite after the camera's blur, noise and JPEG.
    alpha: (H, W) float32 in [0, 1], true matte of all KOLs and what they hold.
    foreground: (H, W, 3) uint8 true colours as lit, extended smoothly to where alpha is 0.
    background: (H, W, 3) uint8, the clean plate as lit, with the shadows that fall on it.
    product: (H, W) uint8 in {0, 1}, visible product pixels, a subset of alpha >= 0.5.
    instances: (H, W) uint8, 0 = background, 1.. = persons with their held things (alpha >= 0.5).
    tags: what is in the scene: product, position, background, people, lighting, framing, hair.
    """

    image: UInt8Array
    alpha: Floats
    foreground: UInt8Array
    background: UInt8Array
    product: UInt8Array
    instances: UInt8Array
    tags: tuple[str, ...]

    @property
    def composite(self) -> UInt8Array:
        """(H, W, 3) uint8, what stood before the camera: compose(alpha, foreground, background)."""
        return compose(self.alpha, self.foreground, self.background)


class _Figures(NamedTuple):
    """Premultiplied colours (3, s, s), alpha, product coverage and visible share of each person, (s, s)."""

    colours: Floats
    alpha: Floats
    product: Floats
    shares: list[Floats]


def make_scene(seed: int, index: int, size: int = 256) -> Scene:
    """Makes scene `index` of the series `seed`, size x size pixels.

    Raises:
        ConfigError: seed or index is negative, or size is below 32.
    """
    return make_clip(seed, index, 1, size)[0]


def make_clip(seed: int, index: int, frames: int, size: int = 256, fps: float = 25.0) -> list[Scene]:
    """Makes a scene that moves before a still camera: same people, product, plate; frame 0 is `make_scene`.

    Raises:
        ConfigError: seed or index is negative, size is below 32, frames below 1, or fps not positive.
    """
    if seed < 0 or index < 0 or size < LEAST_SIZE or frames < 1 or not fps > 0:
        raise ConfigError(
            f"synthetic scene seed={seed} index={index} size={size} frames={frames} fps={fps}: "
            f"seed and index start at 0, size at {LEAST_SIZE}, frames at 1, fps above 0."
        )
    plan = make_plan(generator(seed, index, PLAN))
    light = lighting(plan.camera, size)
    plate = _quantised(_plate(plan, generator(seed, index, PLATE), size) * light)
    return [
        _frame(plan, plate, light, frame / fps, generator(seed, index, NOISE, frame))
        for frame in range(frames)
    ]


def compose(alpha: Floats, foreground: UInt8Array, background: UInt8Array) -> UInt8Array:
    """Composes alpha F + (1 - alpha) B, rounded; (H, W) in [0, 1] and (H, W, 3) uint8 -> (H, W, 3) uint8."""
    back = background.astype(np.float32)
    mixed = back + alpha[..., None] * (foreground.astype(np.float32) - back)
    return to_bytes(mixed)


def _frame(plan: Plan, plate: UInt8Array, light: Floats, time: float, random: np.random.Generator) -> Scene:
    size = plate.shape[0]
    figures = _figures(plan, time, size)
    alpha = figures.alpha
    foreground = _quantised(_extended(figures.colours, alpha) * light)
    solid = alpha >= 0.5
    owner = np.argmax(np.stack(figures.shares), 0).astype(np.uint8) + 1
    scene = Scene(
        image=plate,
        alpha=alpha,
        foreground=foreground,
        background=plate,
        product=(solid & (figures.product >= 0.5)).astype(np.uint8),
        instances=np.where(solid, owner, 0).astype(np.uint8),
        tags=plan.tags,
    )
    return scene._replace(image=take(plan.camera, scene.composite, random))


def _figures(plan: Plan, time: float, size: int) -> _Figures:
    """All people at a time, the first in front, averaged down to size x size."""
    front: Floats | None = None
    shares: list[Floats] = []
    for person in plan.people:
        canvas = Canvas(size * OVERSAMPLING, plan.camera.light)
        draw_person(canvas, person, pose_at(person, time))
        planes = np.stack([cv2.resize(p, (size, size), interpolation=cv2.INTER_AREA) for p in canvas.planes])
        if front is None:
            front = planes
            shares.append(planes[3].copy())
        else:
            free = 1 - front[3]
            shares.append(free * planes[3])
            front += free * planes
    assert front is not None
    alpha = np.clip(front[3], 0, 1)
    alpha[alpha < 1 / 512] = 0
    alpha[alpha > 1 - 1 / 512] = 1
    return _Figures(front[:3], alpha, front[4], shares)


def _extended(colours: Floats, alpha: Floats) -> Floats:
    """(3, s, s) premultiplied -> true colours, continued smoothly where alpha is 0."""
    size = alpha.shape[0]
    planes = [*colours, alpha]
    known = np.full((3, 1, 1), 128.0, np.float32)
    for side in (max(2, size // 64), max(4, size // 8)):
        small = [cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes]
        weight = np.clip(small[3] * np.float32(50), 0, 1)
        wide = [cv2.resize(k, (side, side), interpolation=cv2.INTER_LINEAR) for k in known]
        known = np.stack(
            [
                w + weight * (c / np.maximum(small[3], np.float32(1e-6)) - w)
                for c, w in zip(small[:3], wide, strict=True)
            ]
        )
    around = [cv2.resize(k, (size, size), interpolation=cv2.INTER_LINEAR) for k in known]
    safe = np.maximum(alpha, np.float32(1 / 512))
    return np.stack([np.where(alpha > 0, c / safe, a) for c, a in zip(colours, around, strict=True)])


def _plate(plan: Plan, random: np.random.Generator, size: int) -> Floats:
    """(3, size, size) clean plate before lighting, with distractor and soft shadows of the people."""
    canvas = Canvas(size, plan.camera.light)
    draw_background(canvas, random, plan.background, own_palette(plan) if plan.own_colours else [])
    if plan.distractor is not None:
        draw_person(canvas, plan.distractor, pose_at(plan.distractor, 0.0))
    if plan.defocus * size > 0.3:
        for plane in canvas.planes[:3]:
            plane[:] = cv2.GaussianBlur(plane, (0, 0), plan.defocus * size, borderType=cv2.BORDER_REPLICATE)
    for person in plan.people:
        body = Frame(person.x, person.y, person.head, person.tilt)
        if plan.background == "outdoor":
            canvas.cast(Shape().polygon(body.at(oval(0.2, 6.0, 1.1, 0.2))), 0.2 * person.head, 0.45)
            continue
        shape = Shape().polygon(body.at(oval(0, -0.7, 0.42, 0.55)))
        shape.polygon(body.at(rounded(2.0 * person.look.shoulders, 6.0, 0.7, 0.0, 3.1)))
        away = (-0.3 * plan.camera.light.x * person.head, 0.12 * person.head)
        canvas.cast(shape.moved(*away), 0.3 * person.head, 0.26)
        canvas.cast(Shape().polygon(body.at(oval(0.0, 6.0, 0.9, 0.16))), 0.15 * person.head, 0.35)
    return canvas.planes[:3]


def _quantised(planes: Floats) -> UInt8Array:
    """(3, s, s) colours in [0, 255] -> (s, s, 3) uint8."""
    return np.asarray(cv2.merge(list(to_bytes(planes))), np.uint8)


def contact_sheet(scenes: Sequence[Scene], columns: int) -> UInt8Array:
    """Lays scenes out in rows, each above its alphas and above its products (orange) and outline (white).

    Args:
        scenes: at least one, all of one size.
        columns: scenes in a row.

    Returns:
        (H, W, 3) uint8 RGB, white where the last row is not full.

    Raises:
        ConfigError: no scenes, or columns below 1.
    """
    if not scenes or columns < 1:
        raise ConfigError(f"a contact sheet of {len(scenes)} scenes in {columns} columns: both start at 1.")
    size, rows = scenes[0].alpha.shape[0], -(-len(scenes) // columns)
    sheet = np.full((rows, 3, size, columns, size, 3), 255, np.uint8)
    for place, scene in enumerate(scenes):
        row, column = divmod(place, columns)
        matte = np.rint(scene.alpha * 255).astype(np.uint8)
        sheet[row, 0, :, column] = scene.image
        sheet[row, 1, :, column] = matte[..., None]
        sheet[row, 2, :, column] = _overlay(scene)
    return sheet.reshape(rows * 3 * size, columns * size, 3)


def _overlay(scene: Scene) -> UInt8Array:
    shown = scene.image.astype(np.float32)
    shown[scene.instances == 0] *= 0.45
    held = scene.product == 1
    shown[held] = 0.35 * shown[held] + 0.65 * np.array([255, 140, 0], np.float32)
    edge = cv2.morphologyEx(scene.instances, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    shown[edge] = 255
    return np.rint(shown).astype(np.uint8)
