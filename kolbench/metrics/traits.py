"""What makes a picture hard, measured from the picture and its truth: what scenario tags follow from."""

from dataclasses import dataclass, fields

import cv2
import numpy as np

from kolbench.metrics.texture import glcm_entropy
from kolbench.types import Float32Array, Float64Array, UInt8Array

# the longer side at which all but the entropy is measured
LONGER_SIDE = 512
# bands inside and outside the edge of the foreground, in pixels at that size
_BAND = 8
# components of the truth that count as people: of the picture, and of the largest one
_LEAST_AREA, _LEAST_OF_LARGEST = 0.01, 0.2


@dataclass(frozen=True)
class Traits:
    """Of one picture; NaN where something does not apply.

    glcm_entropy: bits, see `texture.glcm_entropy`. luma: mean, 0 to 255. foreground: share of the pixels.
    people: persons one by one where the truth knows them, else large components of it: those of at least 1 %
    of the picture and a fifth of the largest. edge_contrast: along the edge of the foreground, the mean
    distance of the colours up to 8 px inside and outside in CIELAB; NaN without an edge. product: share of
    the foreground that is held; NaN where nothing is. cut: share of the left, right and upper border of the
    picture that is foreground.
    """

    glcm_entropy: float
    luma: float
    foreground: float
    people: float
    edge_contrast: float
    product: float
    cut: float


NAMES = tuple(each.name for each in fields(Traits))


def traits_of(
    image: UInt8Array, truth: UInt8Array, product: UInt8Array | None = None, persons: int | None = None
) -> Traits:
    """Measures one picture.

    Args:
        image: (H, W, 3) uint8 RGB. truth: (H, W) uint8 in {0, 1}. product: the same of what is held; None =
            not known. persons: their number, where the truth knows them one by one.
    """
    entropy = glcm_entropy(image)
    held = np.zeros_like(truth) if product is None else product
    pixels, held_pixels = int(truth.sum()), int((held & truth).sum())
    small, small_truth = _reduced(image, truth)
    return Traits(
        glcm_entropy=entropy,
        luma=float(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).mean()),
        foreground=float(truth.mean()),
        people=float(people(small_truth) if persons is None else persons),
        edge_contrast=edge_contrast(small, small_truth),
        product=held_pixels / pixels if held_pixels else float("nan"),
        cut=cut_by_the_frame(truth),
    )


def people(truth: UInt8Array) -> int:
    """How many large components an (H, W) truth in {0, 1} has, see `Traits.people`."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(truth, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        return 0
    return int(((areas >= _LEAST_AREA * truth.size) & (areas >= _LEAST_OF_LARGEST * areas.max())).sum())


def edge_contrast(image: UInt8Array, truth: UInt8Array) -> float:
    """Mean distance in CIELAB between the colours inside and outside, along the edge of the foreground.

    At each pixel of the edge, the mean colour of the foreground in the 17 x 17 square around it is compared
    with that of the background; 2.3 is just noticed, 100 is black against white.

    Args:
        image: (h, w, 3) uint8 RGB. truth: (h, w) uint8 in {0, 1}.
    """
    inside = truth.astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    edge = (cv2.dilate(truth, kernel) - cv2.erode(truth, kernel)) > 0
    if not edge.any() or truth.all():
        return float("nan")
    lab = np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    difference = np.asarray(_local_mean(lab, inside) - _local_mean(lab, 1 - inside))
    return float(np.linalg.norm(difference[edge], axis=-1).mean())


def cut_by_the_frame(truth: UInt8Array) -> float:
    """Share of the left, right and upper border that is foreground; portraits leave by the lower one."""
    border = np.concatenate([truth[:, 0], truth[:, -1], truth[0, 1:-1]])
    return float(border.mean())


def _local_mean(lab: Float32Array, weight: Float32Array) -> Float64Array:
    """(h, w, 3) mean over the square around each pixel of the pixels that count."""
    side = 2 * _BAND + 1
    border = cv2.BORDER_CONSTANT
    total = cv2.boxFilter(lab * weight[..., None], -1, (side, side), normalize=False, borderType=border)
    number = cv2.boxFilter(weight, -1, (side, side), normalize=False, borderType=border)
    return np.asarray(total / np.maximum(number, 1e-6)[..., None], np.float64)


def _reduced(image: UInt8Array, truth: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    scale = LONGER_SIDE / max(truth.shape)
    if scale >= 1:
        return image, truth
    height, width = (max(1, round(side * scale)) for side in truth.shape)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    nearest = cv2.resize(truth, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(small, np.uint8), np.asarray(nearest, np.uint8)
