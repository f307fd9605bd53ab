"""Lights a scene and takes it with a camera: vignette, white balance, blur, noise, JPEG."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np
import numpy.typing as npt

from kolbench.data.scenes.canvas import Floats, Light
from kolbench.data.scenes.fabric import Random

UInt8Array = npt.NDArray[np.uint8]
REFERENCE_SIDE = 256  # pixels; the blur is given at this size
# 256 quantiles of the standard normal distribution: noise from one random byte a value is fast
NORMAL = np.array([NormalDist().inv_cdf((level + 0.5) / 256) for level in range(256)], np.float32)


@dataclass(frozen=True)
class Camera:
    """How a scene is lit and taken.

    exposure: factor of all colours. balance: factor of each channel. slope: change of brightness from
    the middle to the edge, (x, y). vignette: loss in the corners. blur: standard deviation in pixels of
    a 256 px picture. noise: standard deviation in grey levels at mid-grey. quality: of the JPEG.
    """

    dim: bool
    exposure: float
    balance: tuple[float, float, float]
    slope: tuple[float, float]
    vignette: float
    blur: float
    noise: float
    quality: int
    light: Light


def sample_camera(random: Random) -> Camera:
    """Draws how bright a scene is and how good its camera."""
    dim = bool(random.random() < 0.28)
    warmth, green = random.normal(0, 0.07 if dim else 0.045), random.normal(0, 0.015)
    side = random.uniform(-1, 1)
    towards = np.array([side, -math.sqrt(1.2 - side * side)])
    towards /= np.linalg.norm(towards)
    return Camera(
        dim=dim,
        exposure=random.uniform(0.4, 0.62) if dim else random.uniform(0.88, 1.08),
        balance=(1 + warmth, 1 + green, 1 - warmth),
        slope=(side * random.uniform(0.0, 0.2), -random.uniform(-0.03, 0.14)),
        vignette=random.uniform(0.0, 0.28),
        blur=random.uniform(0.0, 0.75),
        noise=random.uniform(4.0, 9.0) if dim else random.uniform(0.8, 4.5),
        quality=int(random.integers(68, 97)),
        light=Light(float(towards[0]), float(towards[1]), random.uniform(0.55, 1.0)),
    )


def to_bytes(colours: Floats) -> UInt8Array:
    """Rounds colours and limits them to 0..255, in the same shape."""
    limited = np.clip(colours, 0, 255)
    return np.asarray(np.rint(limited, out=limited).astype(np.uint8))


def lighting(camera: Camera, side: int) -> Floats:
    """Computes the factors (3, side, side) of light and lens, the same for fore- and background."""
    axis = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side) * 2 - 1
    ramp = 1 + np.float32(camera.slope[0]) * axis[None, :] + np.float32(camera.slope[1]) * axis[:, None]
    corner = (axis[None, :] ** 2 + axis[:, None] ** 2) * np.float32(0.5)
    even = ramp * (1 - np.float32(camera.vignette) * corner) * np.float32(camera.exposure)
    return np.stack([even * np.float32(factor) for factor in camera.balance])


def take(camera: Camera, composite: UInt8Array, random: Random) -> UInt8Array:
    """Takes a lit composite as the camera does: blur, noise that grows with brightness, JPEG.

    Args:
        camera: its blur, noise and quality.
        composite: (H, W, 3) uint8 RGB.
        random: source of the noise.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = composite.astype(np.float32)
    sigma = camera.blur * composite.shape[1] / REFERENCE_SIDE
    if sigma > 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    grain = NORMAL[random.integers(0, 256, picture.shape, np.uint8)]
    grain *= picture * np.float32(camera.noise * 0.45 / 128) + np.float32(camera.noise * 0.55)
    noisy = to_bytes(picture + grain)
    _, code = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR_RGB), np.uint8)
