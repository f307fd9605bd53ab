"""Batches as the 8-bit arrays that OpenCV works on."""

import numpy as np
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
