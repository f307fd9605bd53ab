"""A small data set for `data=folder`, and one with planted faults, each of which is named."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from kolbench.io import images

HEIGHT, WIDTH = 120, 90
Planted = set[tuple[str, str]]


def picture(seed: int, mask: np.ndarray) -> np.ndarray:
    """Broad random shapes, other than those of any other seed, with the foreground brighter by 60."""
    height, width = mask.shape
    patches = np.random.default_rng(seed).integers(0, 190, (9, 7, 3), np.uint8)
    broad = cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    return (np.minimum(broad, 190) + 60 * mask[..., None]).astype(np.uint8)


def person(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An ellipse, a little other for each seed; (height, width) uint8 in {0, 1}."""
    mask = np.zeros((height, width), np.uint8)
    axes = (width // 5 + seed % 5, height // 4 + seed // 5)
    cv2.ellipse(mask, (width // 2, height // 2), axes, 0, 0, 360, 1, -1)
    return mask


def pair(root: Path, name: str, seed: int) -> None:
    """An image and its mask, as PNG."""
    mask = person(seed)
    image(root, name, picture(seed, mask))
    put_mask(root, name, 255 * mask)


def image(root: Path, name: str, array: np.ndarray) -> Path:
    path = root / "images" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, array)
    return path


def put_mask(root: Path, name: str, levels: np.ndarray, folder: str = "masks") -> Path:
    path = root / folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, levels.astype(np.uint8))
    return path


def saved(array: np.ndarray, kind: str, **options: object) -> bytes:
    """A picture's file in Pillow's words."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def clean(root: Path, count: int) -> list[str]:
    """Pictures p00, p01, ..., the last twenty for testing and the twenty before for validation."""
    names = [f"p{number:02d}" for number in range(count)]
    for seed, name in enumerate(names):
        pair(root, name, seed)
    write_lists(root, names)
    return names


def write_lists(root: Path, names: list[str]) -> None:
    parts = {"train": names[:-40], "val": names[-40:-20], "test": names[-20:]}
    for split, listed in parts.items():
        (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in listed))
