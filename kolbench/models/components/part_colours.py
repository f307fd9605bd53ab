"""The parts that a network finds, painted over the picture."""

import numpy as np
import torch
from torch import Tensor

from kolbench.types import UInt8Array

# RGB, 0 to 255; told apart with deutan and protan vision too, repeated from the eighth part on
PART_COLOURS = (
    (230, 159, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (86, 180, 233),
    (213, 94, 0),
)
# outside the foreground the picture stays in grey, darker
_BACKGROUND_SHARE = 0.35
_COLOUR_SHARE = 0.65


def painted_parts(image: Tensor, parts: Tensor, foreground: Tensor) -> UInt8Array:
    """Each pixel of the foreground in the colours of its parts, mixed as it belongs to them.

    Args:
        image: (3, H, W) float in [0, 1].
        parts: (p, H, W) float in [0, 1], how far each pixel belongs to each part.
        foreground: (1, H, W) bool.

    Returns:
        (H, W, 3) uint8: the picture's luma below the colours; outside the foreground luma alone, darkened.
    """
    luma = (image * image.new_tensor((0.299, 0.587, 0.114))[:, None, None]).sum(0, keepdim=True) * 255
    colours = parts.new_tensor([PART_COLOURS[part % len(PART_COLOURS)] for part in range(len(parts))])
    shares = parts / parts.sum(0, keepdim=True).clamp(min=1e-6)
    mixed = torch.einsum("phw,pc->chw", shares, colours)
    inside = _COLOUR_SHARE * mixed + (1 - _COLOUR_SHARE) * luma
    shown = torch.where(foreground, inside, _BACKGROUND_SHARE * luma.expand_as(mixed))
    return np.asarray(shown.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy(), np.uint8)
