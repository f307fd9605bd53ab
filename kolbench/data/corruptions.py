"""What happens to pictures on their way to a viewer, in five severities, the same whenever a picture is read.

`corrupt=KIND severity=1..5` changes the picture alone; `crop` cuts picture and truth alike.

| kind     | what it does, and how far at severity           | 1    | 2   | 3    | 4    | 5    |
|----------|-------------------------------------------------|------|-----|------|------|------|
| `jpeg`   | JPEG with 4:2:0 chroma: its quality             | 60   | 40  | 25   | 15   | 8    |
| `blur`   | Gaussian: px where the shorter side is 512 px   | 1    | 2   | 3    | 4.5  | 6    |
| `noise`  | Gaussian: standard deviation in 8-bit levels    | 5    | 10  | 20   | 35   | 50   |
| `dark`   | levels times                                    | 0.7  | 0.5 | 0.35 | 0.25 | 0.15 |
| `crop`   | a window: share of height and of width          | 0.9  | 0.8 | 0.7  | 0.6  | 0.5  |
| `resize` | shrunk and enlarged again: share of both sides  | 0.75 | 0.5 | 0.35 | 0.25 | 0.15 |
| `social` | shrunk: px of the shorter side at most          | 1080 | 720 | 540  | 480  | 360  |
|          | then JPEG with 4:2:0 chroma: its quality        | 80   | 65  | 50   | 35   | 22   |

`social` is what a platform's re-encoding does: it shrinks a larger picture by averaging, sharpens it mildly
(unsharp mask of 1 px, 30 %), encodes it, and brings it back to its own size, as a full screen does. Blocks of
8x8 px with halved chroma are what JPEG and the intra frames of H.264 share; no more of H.264 is imitated. The
numbers are ours, not those of a platform.

Noise and the place of `crop` are drawn from the run's seed and the picture's name alone (a clip has one
window for all of its frames), and the same for every severity: windows lie in each other, noise only grows.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from kolbench.config.schema import CORRUPTIONS, CROP, SEVERITIES
from kolbench.data.dataset import seed_for
from kolbench.errors import require_choice, require_whole
from kolbench.types import Sample, UInt8Array

JPEG_QUALITY = (60, 40, 25, 15, 8)
# px of a picture whose shorter side is BLUR_SIDE
BLUR_SIGMA = (1.0, 2.0, 3.0, 4.5, 6.0)
BLUR_SIDE = 512
# of levels in 0 to 255
NOISE_STD = (5, 10, 20, 35, 50)
DARK_FACTOR = (0.7, 0.5, 0.35, 0.25, 0.15)
CROP_SHARE = (0.9, 0.8, 0.7, 0.6, 0.5)
RESIZE_SHARE = (0.75, 0.5, 0.35, 0.25, 0.15)
SOCIAL_SIDE = (1080, 720, 540, 480, 360)
SOCIAL_QUALITY = (80, 65, 50, 35, 22)
SHARPEN_SIGMA, SHARPEN_AMOUNT = 1.0, 0.3


class Window(NamedTuple):
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Corruption:
    """One kind at one severity, as the run's seed draws it.

    Raises:
        ConfigError: there is no such kind or severity.
    """

    kind: str
    severity: int
    seed: int

    def __post_init__(self) -> None:
        require_choice("corrupt", self.kind, CORRUPTIONS)
        require_whole("severity", self.severity, 1, SEVERITIES)

    def of(self, sample: Sample, name: str, clip: str = "") -> Sample:
        """A picture with its truth, corrupted.

        Args:
            sample: of H x W px. name: of the picture. clip: whose frame it is, "" = of none.

        Returns:
            The same sample with another `image`; `crop` cuts all of its parts.
        """
        if self.kind == CROP:
            share = CROP_SHARE[self.severity - 1]
            return cropped(sample, window(sample.mask.shape, share, self._rng(clip or name)))
        return sample._replace(image=self._image(sample.image, name))

    def words(self) -> str:
        """What is said of it before a run."""
        what = "images and their truths are" if self.kind == CROP else "images are"
        return (
            f"corrupt={self.kind} severity={self.severity}: the test {what} corrupted, as seed={self.seed} "
            "draws it; validation images, which choose the threshold, stay as they are"
        )

    def _image(self, image: UInt8Array, name: str) -> UInt8Array:
        level = self.severity - 1
        match self.kind:
            case "jpeg":
                return jpeg(image, JPEG_QUALITY[level])
            case "blur":
                return blur(image, BLUR_SIGMA[level])
            case "noise":
                return noise(image, NOISE_STD[level], self._rng(name))
            case "dark":
                return dark(image, DARK_FACTOR[level])
            case "resize":
                return resize(image, RESIZE_SHARE[level])
            case _:
                return social(image, SOCIAL_SIDE[level], SOCIAL_QUALITY[level])

    def _rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng(seed_for("corrupt", self.kind, self.seed, name))


def jpeg(image: UInt8Array, quality: int) -> UInt8Array:
    """(H, W, 3) uint8 RGB, written as JPEG of a quality in [1, 100] with 4:2:0 chroma and read again."""
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
    ]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    decoded: Any = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return _uint8(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def blur(image: UInt8Array, sigma: float) -> UInt8Array:
    """(H, W, 3) uint8 RGB behind a Gaussian of `sigma` px of a picture whose shorter side is 512 px."""
    own = sigma * min(image.shape[:2]) / BLUR_SIDE
    return _uint8(cv2.GaussianBlur(image, (0, 0), own, borderType=cv2.BORDER_REFLECT))


def noise(image: UInt8Array, std: float, rng: np.random.Generator) -> UInt8Array:
    """(H, W, 3) uint8 RGB with Gaussian noise of a standard deviation in levels, cut to [0, 255]."""
    drawn = rng.standard_normal(image.shape, np.float32)
    return _levels(image + std * drawn)


def dark(image: UInt8Array, factor: float) -> UInt8Array:
    """(H, W, 3) uint8 RGB with all levels times a factor in [0, 1], halves rounded to even."""
    return _levels(image * np.float64(factor))


def resize(image: UInt8Array, share: float) -> UInt8Array:
    """(H, W, 3) uint8 RGB shrunk by averaging to a share of both sides, and cubically back to its size."""
    height, width = image.shape[:2]
    small = _shrunk(image, max(1, round(share * height)), max(1, round(share * width)))
    return _enlarged(small, height, width)


def social(image: UInt8Array, side: int, quality: int) -> UInt8Array:
    """(H, W, 3) uint8 RGB as a platform shows it: shrunk, sharpened, encoded, and at its own size again.

    Args:
        image: of any size. side: px of the shorter side at most; a smaller picture is not shrunk. quality:
            of the JPEG, in [1, 100].
    """
    height, width = image.shape[:2]
    share = min(1.0, side / min(height, width))
    small = _shrunk(image, max(1, round(share * height)), max(1, round(share * width)))
    return _enlarged(jpeg(_sharpened(small), quality), height, width)


def window(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> Window:
    """A window of a share of height and width, at least 1 px, uniformly anywhere in a picture of (H, W)."""
    height, width = (max(1, round(share * length)) for length in shape)
    down, right = rng.random(2)
    return Window(round(down * (shape[0] - height)), round(right * (shape[1] - width)), height, width)


def cropped(sample: Sample, at: Window) -> Sample:
    """The part of a picture and of all that is known of it that lies in a window."""
    rows, columns = slice(at.top, at.top + at.height), slice(at.left, at.left + at.width)
    parts = (None if part is None else np.ascontiguousarray(part[rows, columns]) for part in sample)
    return Sample(*parts)  # type: ignore[arg-type]  # each part keeps its type


def _sharpened(image: UInt8Array) -> UInt8Array:
    """An unsharp mask: what a Gaussian takes away is added once more, in part."""
    levels = image.astype(np.float32)
    soft = cv2.GaussianBlur(levels, (0, 0), SHARPEN_SIGMA, borderType=cv2.BORDER_REFLECT)
    return _levels(levels + SHARPEN_AMOUNT * (levels - soft))


def _shrunk(image: UInt8Array, height: int, width: int) -> UInt8Array:
    return _uint8(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def _enlarged(image: UInt8Array, height: int, width: int) -> UInt8Array:
    return _uint8(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC))


def _levels(levels: Any) -> UInt8Array:
    return _uint8(np.clip(np.rint(levels), 0, 255))


def _uint8(levels: Any) -> UInt8Array:
    return np.asarray(levels, np.uint8)
