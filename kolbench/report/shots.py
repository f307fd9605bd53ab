"""Test images as the page and the sheets show them, read from run folders: small files that fit together."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from kolbench.errors import DataError
from kolbench.io import images, masks
from kolbench.metrics import scores
from kolbench.report.faces import SHOW, without_faces
from kolbench.report.numbers import RunNumbers
from kolbench.types import UInt8Array

TRUTH_CUTOFF = scores.cutoff_level(0.5)
_QUALITY = 85  # of JPEG
_OPTIMISED = 320  # px of the longer side, above which a smaller PNG is not worth its time
_TEXT_BYTES = 4 / 3  # of a byte as base64


class Reason(NamedTuple):
    """Why an image is shown. tag: in few words. detail: the numbers behind it."""

    tag: str
    detail: str


@dataclass(frozen=True)
class Shot:
    """A test image with its ground truth and the methods' alpha mattes, of one size (h, w).

    image: JPEG, perhaps smaller. truth: 8-bit grey PNG, 255 = foreground, grey where shrinking mixed both.
    alphas: label -> 8-bit grey PNG. product: the held product as `truth` has the foreground; None where there
    is none, or where run folders do not hold it. reasons: why it is shown.
    """

    name: str
    image: bytes
    truth: bytes
    alphas: dict[str, bytes]
    product: bytes | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def files(self) -> list[bytes]:
        """All of its files."""
        return [self.image, self.truth, *self.alphas.values(), *([self.product] if self.product else [])]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        width, height = Image.open(io.BytesIO(self.truth)).size
        return height, width


def text_bytes(shots: Iterable[Shot]) -> float:
    """How large shots are in a page, where files stand as base64."""
    return _TEXT_BYTES * sum(len(data) for shot in shots for data in shot.files)


def read_shot(
    name: str, runs: Sequence[RunNumbers], longest: int, faces: str = SHOW, reasons: tuple[Reason, ...] = ()
) -> Shot:
    """A test image from the run folders.

    Args:
        name: of the image.
        runs: whose alpha mattes are shown; image and ground truth are those of the first.
        longest: px of the longer side at most.
        faces: as `report.faces.without_faces` has it; persons are those of the ground truth and of all runs.
        reasons: why it is shown.

    Raises:
        DataError: a file is missing, damaged or of another shape, or its name leads out of its folder.
    """
    first = runs[0].run
    truth_file = below(first.root, first.truth_file(name))
    truth = _levels(truth_file)
    height, width = _within(truth.shape[0], truth.shape[1], longest)
    small = _shrunk(truth, height, width)
    alphas = {run.label: shrunk(below(run.run.root, run.run.alpha_file(name)), height, width) for run in runs}
    return Shot(
        name,
        _image(below(first.root, first.thumb_file(name)), small, list(alphas.values()), faces),
        png(small),
        {label: png(alpha) for label, alpha in alphas.items()},
        _product(name, runs, height, width),
        reasons,
    )


def below(folder: Path, path: Path) -> Path:
    """The path of a file in a run folder.

    Raises:
        DataError: the file does not exist, or its name leads out of the folder.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path} leads out of its run folder {folder}; remove that run.")
    if not path.is_file():
        raise DataError(f"{path} is missing: its run folder is not whole. Copy it again, or repeat the run.")
    return path


def shrunk(path: Path, height: int, width: int) -> UInt8Array:
    """An 8-bit grey PNG file, averaged down to (height, width) uint8.

    Raises:
        DataError: it cannot be read, or has another shape.
    """
    levels = _levels(path)
    if _is_askew(levels, height, width):
        raise DataError(
            f"{path} is {levels.shape[1]}x{levels.shape[0]} px and not of its image's shape "
            f"({width}x{height} px); repeat the run."
        )
    return _shrunk(levels, height, width)


def png(levels: UInt8Array) -> bytes:
    """(H, W) uint8 as a PNG file."""
    encoded = io.BytesIO()
    Image.fromarray(levels).save(encoded, "PNG", optimize=max(levels.shape) <= _OPTIMISED)
    return encoded.getvalue()


def jpeg(image: UInt8Array) -> bytes:
    """(H, W, 3) uint8 as a JPEG file."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=_QUALITY)
    return encoded.getvalue()


def _levels(path: Path) -> UInt8Array:
    """What evaluation wrote: 8-bit grey, whatever levels occur in it."""
    levels, _ = masks.read_alpha(path)
    if levels.dtype != np.uint8:
        raise DataError(f"{path} is no 8-bit grey image; repeat the run.")
    return np.asarray(levels, np.uint8)


def _image(path: Path, truth: UInt8Array, alphas: Sequence[UInt8Array], faces: str) -> bytes:
    """The image's own file where it may be shown as it is and is not too large, else another one."""
    data = path.read_bytes()
    found = images.rgb_from_bytes(data, str(path))
    height, width = truth.shape
    if _is_askew(found, height, width):
        raise DataError(
            f"{path} is {found.shape[1]}x{found.shape[0]} px and not of its ground truth's shape "
            f"({width}x{height} px); repeat the run."
        )
    is_larger = max(found.shape[:2]) > max(height, width)
    if faces == SHOW and not is_larger:
        return data
    if is_larger:
        found = np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    fitted = ((_resized(mask, found.shape[0], found.shape[1]) > TRUTH_CUTOFF) for mask in (truth, *alphas))
    return jpeg(without_faces(found, fitted, faces))


def _product(name: str, runs: Sequence[RunNumbers], height: int, width: int) -> bytes | None:
    """The held product, of the first run that kept it."""
    files = ((run.run.root, run.run.product_file(name)) for run in runs)
    found = next(((root, path) for root, path in files if path.is_file()), None)
    return None if found is None else png(shrunk(below(*found), height, width))


def _within(height: int, width: int, longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _is_askew(array: UInt8Array, height: int, width: int) -> bool:
    """Whether the shapes differ by more than rounding."""
    found_height, found_width = array.shape[0], array.shape[1]
    return bool(
        abs(found_height * width - found_width * height) > max(found_height, found_width, height, width)
    )


def _shrunk(levels: UInt8Array, height: int, width: int) -> UInt8Array:
    if levels.shape == (height, width):
        return levels
    return np.asarray(cv2.resize(levels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _resized(levels: UInt8Array, height: int, width: int) -> UInt8Array:
    return np.asarray(cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
