"""Cross-entropy of two classes, over all pixels or along the boundary of the mask."""

import torch.nn.functional as F
from torch import Tensor


def two_class_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of background and foreground.

    Args:
        logits: (B, 2, H, W) float, background first.
        mask: (B, 1, H, W) float in {0, 1}.

    Returns:
        Scalar, mean over all pixels of the batch.
    """
    return F.cross_entropy(logits, mask[:, 0].long())


def boundary_cross_entropy(logits: Tensor, mask: Tensor, side: int = 15) -> Tensor:
    """Mean cross-entropy along the boundary (SINet, ext_portrait_segmentation): all other pixels are ignored.

    Args:
        logits: (B, 2, H, W) float, background first.
        mask: (B, 1, H, W) float in {0, 1}.
        side: of the square that makes the band, see `boundary_band`; odd.

    Returns:
        Scalar, mean over the band's pixels of the whole batch; 0 where no picture has a boundary.
    """
    band = boundary_band(mask, side)[:, 0]
    losses = F.cross_entropy(logits, mask[:, 0].long(), reduction="none")
    return (losses * band).sum() / band.sum().clamp(min=1)


def boundary_band(mask: Tensor, side: int) -> Tensor:
    """Dilation minus erosion by a square: (B, 1, H, W) in {0, 1} -> the same shape, 1 in the band.

    Beyond the picture's border lies nothing, so a mask that touches it has no boundary there.
    """
    grown = F.max_pool2d(mask, side, stride=1, padding=side // 2)
    shrunk = -F.max_pool2d(-mask, side, stride=1, padding=side // 2)
    return grown - shrunk
