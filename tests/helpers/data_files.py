"""Tiny pictures and masks on disk, in the layouts that sources read."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from kolbench.io import images

WIDTH, HEIGHT = 20, 12
SQUARE = [[2, 2], [8, 2], [8, 8], [2, 8]]


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Noise, (H, W, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def put(path: Path, array: np.ndarray) -> Path:
    """Writes a PNG or JPEG, by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (images.write_jpeg if path.suffix.lower() == ".jpg" else images.write_png)(path, array)
    return path


def folder(root: Path, names: list[str], products: tuple[str, ...] = ()) -> Path:
    """As data=folder reads it: masks of 6 x 6 px, products of 2 x 2 px inside."""
    for number, name in enumerate(names):
        put(root / "images" / f"{name}.png", picture(number))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[2:8, 3:9] = 255
        put(root / "masks" / f"{name}.png", mask)
    for name in products:
        product = np.zeros((HEIGHT, WIDTH), np.uint8)
        product[4:6, 5:7] = 255
        put(root / "products" / f"{name}.png", product)
    return root


def shape(
    label: str,
    points: object,
    shape_type: str = "polygon",
    group_id: object = None,
    **more: object,
) -> dict[str, object]:
    """One shape of a Labelme file."""
    return {"label": label, "points": points, "shape_type": shape_type, "group_id": group_id, **more}


def annotate(root: Path, name: str, shapes: list[object], image: bool = True, **fields: object) -> Path:
    """A Labelme file, with its picture unless told otherwise."""
    if image:
        put(root / f"{name}.png", picture())
    path = root / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"{Path(name).name}.png",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        **fields,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def bitmap(array: np.ndarray) -> str:
    """As Labelme stores the bitmap of a mask shape."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
