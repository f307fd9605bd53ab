"""Numbers that describe one picture with its mask; each function measures one thing."""

from typing import Any, NamedTuple

import cv2
import numpy as np

from kolbench.data.mask_files import edge_share
from kolbench.io.masks import near_edge
from kolbench.metrics.texture import glcm_entropy
from kolbench.types import Float64Array, Int64Array, Sample, UInt8Array

# of the picture: a smaller object is a speck, and a larger one may be a person
SPECK_SHARE = 0.0002
PERSON_SHARE = 0.01
# of the largest object's area: a second object of so much may be a second person
SECOND_SHARE = 0.25
# the size at which sharpness is measured, so that pictures of any size compare
LONGER_SIDE = 512


class Measures(NamedTuple):
    """Of one picture of height x width pixels.

    foreground: share of pixels, in [0, 1]. product: share of pixels, NaN where products are not labelled.
    edge: share of the outermost pixels that is foreground. objects: that are large enough to be persons.
    specks: objects that are too small to be anything. sharpness: see `edge_sharpness`. entropy: see
    metrics.texture.glcm_entropy.
    """

    height: int
    width: int
    foreground: float
    product: float
    edge: float
    objects: int
    specks: int
    sharpness: float
    entropy: float


def measure(sample: Sample) -> Measures:
    """All measures of a picture."""
    height, width = sample.mask.shape
    areas = object_areas(sample.mask)
    return Measures(
        height,
        width,
        foreground=float(sample.mask.mean()),
        product=float("nan") if sample.product is None else float(sample.product.mean()),
        edge=edge_share(sample.mask),
        objects=large_objects(areas, sample.mask.size),
        specks=small_objects(areas, sample.mask.size),
        sharpness=edge_sharpness(sample.image, sample.mask),
        entropy=glcm_entropy(sample.image),
    )


def object_areas(mask: UInt8Array) -> Int64Array:
    """Pixels of each connected object (8 neighbours) of a mask, (H, W) uint8 in {0, 1}; largest first."""
    found: Any = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask), connectivity=8)
    areas: Int64Array = np.sort(found[2][1:, cv2.CC_STAT_AREA].astype(np.int64))[::-1]
    return areas


def large_objects(areas: Int64Array, pixels: int) -> int:
    """How many objects may be persons.

    They have 1 % of the picture's `pixels` and a quarter of the largest object's area, at least.
    """
    if not areas.size:
        return 0
    return int((areas >= max(PERSON_SHARE * pixels, SECOND_SHARE * areas[0])).sum())


def small_objects(areas: Int64Array, pixels: int) -> int:
    """How many objects are specks: below 0.02 % of the picture's `pixels`, the largest object excepted."""
    return int((areas[1:] < SPECK_SHARE * pixels).sum())


def edge_sharpness(image: UInt8Array, mask: UInt8Array) -> float:
    """How steep the picture is where the mask has its edge, in grey levels a pixel.

    The mean over the mask's edge of the steepest luma gradient (central differences) within 2 pixels, the
    longer side made 512 pixels. It is low where a picture is blurred, or a mask belongs to another place.

    Args:
        image: (H, W, 3) uint8 RGB. mask: (H, W) uint8 in {0, 1}.

    Returns:
        From 0 to about 180; NaN where the mask has no edge.
    """
    scale = LONGER_SIDE / max(mask.shape)
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale != 1:
        grey = cv2.resize(grey, (width, height), interpolation=how)
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    edge = near_edge(mask, 1)
    if not edge.any():
        return float("nan")
    steepest: Any = cv2.dilate(steepness(np.asarray(grey, np.uint8)), np.ones((5, 5), np.uint8))
    return float(steepest[edge].mean())


def steepness(grey: UInt8Array) -> Float64Array:
    """(H, W) length of the gradient of (H, W) levels, by central differences, in levels a pixel."""
    levels = grey.astype(np.float64)
    down = np.gradient(levels, axis=0) if grey.shape[0] > 1 else np.zeros_like(levels)
    right = np.gradient(levels, axis=1) if grey.shape[1] > 1 else np.zeros_like(levels)
    return np.hypot(down, right)


def product_outside(mask: UInt8Array, product: UInt8Array) -> float:
    """The share of a product's pixels that lies outside of the mask, both (H, W) in {0, 1}; 0 without any."""
    total = int(product.sum())
    return float((product > mask).sum()) / total if total else 0.0
