"""Derives training targets from a mask: band, transition region, semantic map, instances.

All of it runs per sample, after resizing and augmentation, at the training input size: a band of 2 px
made at 1080p would vanish at 512 px. Metrics never read these targets, but the binary mask.
"""

import math
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError, require_choice
from kolbench.io.masks import near_edge
from kolbench.types import Float32Array, UInt8Array

BAND_PX = 2
REGION_REFERENCE_PX = 512
SEMANTIC_STRIDE = 16
# corner, edge and centre of MODNet's 3x3 Gaussian of sigma 0.8; they sum to 1
_BLUR = (
    (0.06261, 0.12500, 0.06261),
    (0.12500, 0.24956, 0.12500),
    (0.06261, 0.12500, 0.06261),
)
_MIN_INSTANCE_PX = 64
_MIN_INSTANCE_SHARE = 0.001
_MOST_INSTANCES = 20
COMPONENTS = ("auto", "components", "merge")


def band(mask: UInt8Array) -> Float32Array:
    """Lays a band of 0.5 on the mask's edge, 1 px inside and 1 px outside (RSUDISNet, section 4: 2 px).

    Args:
        mask: (H, W) uint8 in {0, 1}.

    Returns:
        (H, W) float32 in {0, 0.5, 1}. Where an object leaves the frame there is no edge.
    """
    alpha = mask.astype(np.float32)
    alpha[near_edge(mask, 1)] = 0.5
    return alpha


def transition_region(mask: UInt8Array, width: int) -> UInt8Array:
    """Marks m_d, the pixels near the edge of the mask, half of the width to each side.

    Dilation and erosion with a square of 2 (width // 2) + 1 pixels differ there: 31x31 for 30 px.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        width: pixels across a straight edge, at least 2; an odd width gives one pixel less.

    Returns:
        (H, W) uint8 in {0, 1}. Where an object leaves the frame there is no edge.

    Raises:
        ValueError: the width is below 2.
    """
    if width < BAND_PX:
        raise ValueError(f"a transition region of {width} px cannot hold the band of {BAND_PX} px")
    return near_edge(mask, width // 2).astype(np.uint8)


def scaled_region(region_px_at_512: int, shorter_side: int) -> int:
    """Scales the width of the transition region to an input size, so that it covers the same share.

    Rounded to the nearest even number (halves go up), as a square reaches equally far to both sides, and
    never below the 2 px of the band, which the region must hold: 30 px at 512 are 8 px at 128.

    Args:
        region_px_at_512: pixels where the shorter side is 512; 30 in MODNet's and RSUDISNet's papers.
        shorter_side: of the input size, in pixels.

    Raises:
        ConfigError: the width at 512 is below 2.
    """
    if region_px_at_512 < BAND_PX:
        raise ConfigError(
            f"data.region_px={region_px_at_512} cannot hold the band of {BAND_PX} px at the mask's edge. "
            f"Use 30, as the papers do, or at least {BAND_PX}."
        )
    half = region_px_at_512 * shorter_side / (2 * REGION_REFERENCE_PX)
    return max(BAND_PX, 2 * math.floor(half + 0.5))


def semantic_target(alpha: Tensor) -> Tensor:
    """Computes G(alpha), what MODNet's low-resolution branch learns (released trainer; RSUDISNet, eq. 1).

    Bilinear resize by 1/16 (align_corners=False, no antialiasing, so the mean of the four central pixels
    of each 16x16 block), then a 3x3 Gaussian blur of sigma 0.8 with reflected borders.

    Args:
        alpha: (B, 1, H, W) float in [0, 1], both sides multiples of 16 and at least 32.

    Returns:
        (B, 1, H/16, W/16) float in [0, 1].

    Raises:
        ValueError: a side is no multiple of 16 or below 32 (a map of 1 px has no reflection).
    """
    height, width = alpha.shape[-2:]
    if height % SEMANTIC_STRIDE or width % SEMANTIC_STRIDE or min(height, width) < 2 * SEMANTIC_STRIDE:
        raise ValueError(f"sides must be multiples of 16 and at least 32, got {height}x{width}")
    size = (height // SEMANTIC_STRIDE, width // SEMANTIC_STRIDE)
    coarse = F.interpolate(alpha, size, mode="bilinear", align_corners=False)
    blurred = F.conv2d(F.pad(coarse, (1, 1, 1, 1), mode="reflect"), alpha.new_tensor(_BLUR)[None, None])
    return blurred.clamp(max=1)  # rounding of the kernel's sum


def derive(mask: UInt8Array, region_px: int, matte: UInt8Array | None = None) -> dict[str, Tensor]:
    """Derives all training targets of one sample.

    Args:
        mask: (H, W) uint8 in {0, 1} at the training input size, sides multiples of 16 and at least 32.
        region_px: width of the transition region at this size, see `scaled_region`.
        matte: (H, W) uint8, the true alpha from 0 to 255, which is the target then instead of mask and band;
            whatever is soft in it belongs to the transition region.

    Returns:
        Entries of types.Batch without the batch axis, float32: `alpha` and `transition` (1, H, W),
        `semantic` (1, H/16, W/16).
    """
    soft = band(mask) if matte is None else matte.astype(np.float32) / np.float32(255)
    alpha = torch.from_numpy(soft).unsqueeze(0)
    region = torch.from_numpy(transition_region(mask, region_px)).unsqueeze(0).float()
    if matte is not None:
        region[(alpha > 0) & (alpha < 1)] = 1
    return {"alpha": alpha, "transition": region, "semantic": semantic_target(alpha[None])[0]}


def instance_labels(mask: UInt8Array, min_area: int | None = None, most: int = _MOST_INSTANCES) -> UInt8Array:
    """Labels the 8-connected components of a binary mask, for sources that do not label persons.

    The mask is closed with a 3x3 square before labelling, so that a gap of 1 or 2 px does not split a
    person; the gap itself stays background.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        min_area: smaller components become background; pixels, default max(64, 0.1 % of the frame).
        most: at most so many of the largest are kept, up to 255.

    Returns:
        (H, W) uint8, 0 = background, 1 = the largest component, 2 = the next ...
    """
    if min_area is None:
        min_area = max(_MIN_INSTANCE_PX, math.ceil(_MIN_INSTANCE_SHARE * mask.size))
    closed = cv2.morphologyEx(np.ascontiguousarray(mask), cv2.MORPH_CLOSE, _square(3))
    found: tuple[int, Any] = cv2.connectedComponents(closed, connectivity=8)
    count, components = found
    areas = np.bincount(components[mask > 0], minlength=count)
    largest = np.argsort(-areas, kind="stable")[:most]
    kept = largest[areas[largest] >= max(1, min_area)]
    renamed = np.zeros(count, np.uint8)
    renamed[kept] = np.arange(1, len(kept) + 1)
    labels: UInt8Array = renamed[components] * (mask > 0)
    return labels


def person_labels(mask: UInt8Array, known: UInt8Array | None = None, components: str = "auto") -> UInt8Array:
    """Labels which pixel belongs to which person, as far as the data tells.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        known: (H, W) uint8, 0 = background, 1.. = persons; None where the source does not know them.
        components: `auto` takes the known persons, else the components of the mask; `components` always
            takes these; `merge` makes one person of the whole mask, for sets that show one person each,
            whom something in front may cut into parts.

    Returns:
        (H, W) uint8, 0 = background, any other value = one person.

    Raises:
        ConfigError: an unknown choice.
    """
    require_choice("model.components", components, COMPONENTS)
    if components == "merge":
        return (mask > 0).astype(np.uint8)
    if components == "auto" and known is not None:
        return known
    return instance_labels(mask)


def _square(side: int) -> UInt8Array:
    return np.ones((side, side), np.uint8)
