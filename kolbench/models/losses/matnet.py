"""The loss of MATNet's six maps, its boundaries and its hard background (tfzhou/MATNet)."""

import torch
import torch.nn.functional as F
from torch import Tensor

# sides of the published masks, on which its distances in pixels are
PUBLISHED_SIDE = 480
BOUNDARY_RADIUS, FAR_FROM_MASK, SPREAD = 2, 5, 2
BOUNDARY_WEIGHT = 0.2
# of sums of a picture in [0, 1]: below it there is no edge
ROUNDING = 1e-4
_LUMA = (0.299, 0.587, 0.114)


def weighted_error(logits: Tensor, target: Tensor, hardness: Tensor) -> Tensor:
    """Mean over pixels of (1 + n) times the binary cross-entropy, not divided by the weights' sum.

    Args:
        logits: (B, 1, H, W) float, before the sigmoid. target: (B, 1, H, W) in [0, 1].
        hardness: n, (B, 1, H, W) in [0, 1].
    """
    costs = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return ((1 + hardness) * costs).mean()


def boundary_target(mask: Tensor, radius: int) -> Tensor:
    """Where a pixel of the other kind lies within a distance, on both sides of the mask's edge.

    Args:
        mask: (B, 1, H, W) in [0, 1], foreground from 0.5 on. radius: in pixels; the picture's end is no edge.

    Returns:
        (B, 1, H, W) in {0, 1}.
    """
    foreground = (mask >= 0.5).to(torch.float32)
    disk = _disk(radius, mask.device)
    near = [F.conv2d(part, disk, padding=radius) > 0.5 for part in (foreground, 1 - foreground)]
    return (near[0] & near[1]).to(mask.dtype)


def hard_background(image: Tensor, mask: Tensor, boundary: Tensor) -> Tensor:
    """n: where the background has edges of its own, away from the mask.

    Edges are Sobel's on the luma smoothed with sigma 1; the released code has those of a network (HED).

    Args:
        image: (B, 3, H, W) in [0, 1]. mask: (B, 1, H, W) in [0, 1]. boundary: (B, 1, H, W) in {0, 1}.

    Returns:
        (B, 1, H, W) in [0, 1], its maximum 1 in each picture that has such an edge; 0 on the boundary.
    """
    outer, inner = window(FAR_FROM_MASK, mask), window(SPREAD, mask)
    kept = away_from(edges(image), mask, outer, inner)
    largest = kept.amax((1, 2, 3), keepdim=True)
    return torch.where(largest > ROUNDING, kept / largest.clamp(min=ROUNDING), 0) * (1 - boundary)


def away_from(found: Tensor, mask: Tensor, outer: int, inner: int) -> Tensor:
    """Values (B, 1, H, W) off a mask dilated by a square, then spread by another; sides odd, in pixels."""
    near = F.max_pool2d((mask >= 0.5).to(found.dtype), outer, 1, outer // 2)
    return F.max_pool2d(found * (1 - near), inner, 1, inner // 2)


def edges(image: Tensor) -> Tensor:
    """Length of the gradient of a picture's smoothed luma: (B, 3, H, W) in [0, 1] -> (B, 1, H, W)."""
    luma = (image * image.new_tensor(_LUMA)[None, :, None, None]).sum(1, keepdim=True)
    places = torch.arange(-3, 4, device=image.device, dtype=image.dtype)
    bell = torch.exp(-(places**2) / 2)
    bell = bell / bell.sum()
    smooth = F.conv2d(F.pad(luma, (3, 3, 3, 3), mode="replicate"), (bell[:, None] * bell)[None, None])
    across = image.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([across, across.T])[:, None]
    gradient = F.conv2d(F.pad(smooth, (1, 1, 1, 1), mode="replicate"), kernels)
    lengths: Tensor = gradient.norm(dim=1, keepdim=True)
    return lengths


def radius_at(mask: Tensor) -> int:
    """The boundary's radius at a mask's size (B, 1, H, W), in pixels, at least 1."""
    return max(1, round(BOUNDARY_RADIUS * min(mask.shape[-2:]) / PUBLISHED_SIDE))


def window(reach: int, mask: Tensor) -> int:
    """The side of the square that reaches so many published pixels, at a mask's size."""
    return 2 * round(reach * min(mask.shape[-2:]) / PUBLISHED_SIDE) + 1


def _disk(radius: int, device: torch.device) -> Tensor:
    places = torch.arange(-radius, radius + 1, device=device)
    inside = places[:, None] ** 2 + places**2 <= radius**2
    return inside.to(torch.float32)[None, None]
