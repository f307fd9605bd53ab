"""Between tensors and arrays: batches as the 8-bit arrays of OpenCV, label maps as boxes and masks."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kolbench.types import UInt8Array


def as_arrays(batch: Tensor) -> list[UInt8Array]:
    """The pictures or masks of a batch entry.

    Args:
        batch: (B, 3, H, W) in [0, 1], or (B, 1, H, W) in {0, 1}; on any device.

    Returns:
        B arrays: (H, W, 3) of 0..255, or (H, W) of 0 and 1.
    """
    if batch.shape[1] == 1:
        return list(np.asarray((batch[:, 0] > 0.5).to(torch.uint8).cpu().numpy(), np.uint8))
    levels = (batch.float() * 255).round().clamp(0, 255).to(torch.uint8)
    return list(np.asarray(levels.permute(0, 2, 3, 1).contiguous().cpu().numpy(), np.uint8))


def boxes_and_instances(labels: npt.NDArray[np.integer[Any]]) -> tuple[Tensor, Tensor]:
    """Boxes and masks of the instances, as torchvision's Mask R-CNN is trained with.

    Args:
        labels: (H, W) integers, 0 = background, any other value = one instance; a binary mask is one
            instance, `targets.instance_labels` makes several of it.

    Returns:
        boxes (N, 4) float32 tight x1, y1, x2, y2 in pixels, x2 and y2 exclusive (an instance 1 px wide has
        a width of 1), and masks (N, H, W) uint8 in {0, 1}, both in rising order of the label; N may be 0.
    """
    ids = np.unique(labels)
    masks = (labels[None] == ids[ids > 0][:, None, None]).astype(np.uint8)
    boxes = [_box(mask) for mask in masks]
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.from_numpy(masks)


def _box(mask: UInt8Array) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
