"""Mixes colours and surfaces: skin tones, hair colours, cloth patterns, noise."""

import colorsys
import math
from dataclasses import dataclass

import cv2
import numpy as np

from kolbench.data.scenes.canvas import Colour, Fill, Floats, Frame

Random = np.random.Generator

SKIN = (
    (247, 213, 192),
    (240, 194, 163),
    (224, 172, 130),
    (196, 138, 98),
    (150, 97, 64),
    (108, 68, 46),
    (78, 50, 38),
)
HAIR = (
    (30, 26, 27), (42, 31, 28), (66, 45, 34), (98, 66, 44), (128, 68, 42),
    (206, 170, 116), (150, 146, 142), (206, 118, 148), (84, 104, 160),
)  # fmt: skip
HAIR_CHANCES = (0.24, 0.2, 0.17, 0.12, 0.07, 0.1, 0.05, 0.03, 0.02)
PATTERNS = ("plain", "stripes", "bars", "checks", "dots", "print", "gradient")
PATTERN_CHANCES = (0.34, 0.13, 0.1, 0.13, 0.1, 0.1, 0.1)

_NOISE_SIDE = 128


def _tileable_noise() -> Floats:
    """(128, 128) smooth noise in about [-1, 1] that repeats without seams."""
    random = np.random.Generator(np.random.Philox(7))
    total = np.zeros((_NOISE_SIDE, _NOISE_SIDE), np.float32)
    for cells, weight in ((8, 1.0), (16, 0.55), (32, 0.3)):
        grid = np.pad(random.standard_normal((cells, cells)).astype(np.float32), 2, mode="wrap")
        step = _NOISE_SIDE // cells
        big = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += weight * big[2 * step : -2 * step, 2 * step : -2 * step]
    return np.asarray(np.clip(total / (2 * total.std()), -1, 1), np.float32)


NOISE = _tileable_noise()


def noise(u: Floats, v: Floats, cells: float, offset: float = 0.0) -> Floats:
    """Gives smooth noise in [-1, 1] at local coordinates, with about `cells` bumps per unit."""
    step = np.float32(cells * _NOISE_SIDE / 8)
    shift = np.float32(offset * _NOISE_SIDE)
    across = np.asarray(u * step + shift, np.float32)
    down = np.asarray(v * step + shift * np.float32(0.7), np.float32)
    return np.asarray(
        cv2.remap(NOISE, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32
    )


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Mixes a colour, `share` of the way from a to b."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def scaled(colour: Colour, factor: float) -> Colour:
    """Makes a colour darker (factor < 1) or lighter, within [0, 255]."""
    return (min(255.0, colour[0] * factor), min(255.0, colour[1] * factor), min(255.0, colour[2] * factor))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Makes a colour of hue, saturation and value in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return (255 * red, 255 * green, 255 * blue)


def skin_tone(random: Random) -> Colour:
    """Draws a skin colour anywhere between the lightest and the darkest."""
    place = random.uniform(0, len(SKIN) - 1.001)
    low = int(place)
    tone = mix(SKIN[low], SKIN[low + 1], place - low)
    return mix(
        tone, (tone[0], tone[1] * random.uniform(0.96, 1.03), tone[2] * random.uniform(0.93, 1.04)), 1.0
    )


def hair_colour(random: Random) -> Colour:
    """Draws a natural, grey or dyed hair colour."""
    return scaled(HAIR[random.choice(len(HAIR), p=HAIR_CHANCES)], random.uniform(0.85, 1.15))


def cloth_colour(random: Random) -> Colour:
    """Draws a cloth's colour: white, black, muted or strong."""
    kind = random.random()
    if kind < 0.14:
        return hsv(random.random(), random.uniform(0, 0.06), random.uniform(0.8, 0.93))
    if kind < 0.28:
        return hsv(random.random(), random.uniform(0, 0.25), random.uniform(0.12, 0.26))
    if kind < 0.7:
        return hsv(random.random(), random.uniform(0.15, 0.45), random.uniform(0.45, 0.9))
    return hsv(random.random(), random.uniform(0.48, 0.78), random.uniform(0.5, 0.88))


@dataclass(frozen=True)
class Fabric:
    """A pattern in two colours. scale: repeats per local unit; offset: phase and place in the noise."""

    pattern: str
    base: Colour
    second: Colour
    scale: float
    offset: float


def sample_fabric(random: Random, base: Colour | None = None) -> Fabric:
    """Draws a fabric whose second colour stands out from the first."""
    first = cloth_colour(random) if base is None else base
    second = cloth_colour(random)
    bright = sum(first) > 380
    if abs(sum(first) - sum(second)) < 120:
        second = scaled(second, 0.45) if bright else mix(second, (250, 248, 244), 0.65)
    pattern = str(random.choice(PATTERNS, p=PATTERN_CHANCES))
    return Fabric(pattern, first, second, random.uniform(3.0, 7.0), random.random())


def _soft(value: Floats, width: float) -> Floats:
    return np.asarray(np.clip(value / np.float32(width) + np.float32(0.5), 0, 1), np.float32)


def _pattern(fabric: Fabric, u: Floats, v: Floats) -> Floats | None:
    """Share of the second colour in [0, 1], (h, w); None where there is none."""
    turn = np.float32(2 * math.pi * fabric.scale)
    phase = np.float32(fabric.offset * 6)
    if fabric.pattern == "stripes":
        return _soft(np.sin(v * turn + phase), 0.6)
    if fabric.pattern == "bars":
        return _soft(np.sin(u * turn + phase) - np.float32(0.3), 0.6)
    if fabric.pattern == "checks":
        half = turn * np.float32(0.5)
        return np.float32(0.5) * (_soft(np.sin(u * half + phase), 0.5) + _soft(np.sin(v * half + phase), 0.5))
    if fabric.pattern == "dots":
        return _soft(np.cos(u * turn + phase) + np.cos(v * turn) - np.float32(1.0), 0.5)
    if fabric.pattern == "print":
        return _soft(noise(u, v, fabric.scale * 1.3, fabric.offset) - np.float32(0.25), 0.2)
    if fabric.pattern == "gradient":
        return np.asarray(np.clip(v * np.float32(0.5), 0, 1) * np.ones_like(u), np.float32)
    return None


def cloth(fabric: Fabric, frame: Frame, folds: float = 0.1) -> Fill:
    """Lays the fabric along a frame, with soft folds of the given strength."""

    def fill(xs: Floats, ys: Floats) -> Floats:
        u, v = frame.local(xs, ys)
        share = _pattern(fabric, u, v)
        shade = 1 + np.float32(folds) * noise(
            u, v * np.float32(0.6) + u * np.float32(0.2), 1.7, fabric.offset
        )
        if share is None:
            return np.stack([shade * np.float32(c) for c in fabric.base])
        pairs = zip(fabric.base, fabric.second, strict=True)
        return np.stack([(np.float32(a) + np.float32(b - a) * share) * shade for a, b in pairs])

    return fill


def gradient(top: Colour, bottom: Colour, frame: Frame, grain: float = 0.0, across: float = 3.0) -> Fill:
    """Blends from `top` at local v = 0 to `bottom` at v = 1, with streaky grain along u."""

    def fill(xs: Floats, ys: Floats) -> Floats:
        u, v = frame.local(xs, ys)
        share = np.clip(v, 0, 1)
        shade = 1 + np.float32(grain) * noise(u * np.float32(0.3), v * np.float32(across), 2.0, 0.37)
        return np.stack(
            [(np.float32(a) + np.float32(b - a) * share) * shade for a, b in zip(top, bottom, strict=True)]
        )

    return fill
