"""Soft Dice loss on probabilities (Milletari et al., V-Net, 2016, with sums in place of squared sums)."""

import torch
from torch import Tensor


def soft_dice(probability: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - Dice of each picture, averaged over the batch.

    Dice = (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth), the sums over the pixels of one picture.
    `smooth` pixels keep the gradient alive where the target is empty: without it, any p costs 1 there.

    Args:
        probability: (B, 1, H, W) float in [0, 1]; logits go through a sigmoid first.
        target: (B, 1, H, W) float in [0, 1], of the same shape.
        smooth: in pixels, at least 0.

    Returns:
        Scalar in [0, 1], float32 at least: 0 where both agree or both are empty; disjoint maps of P and
        T pixels give 1 - smooth / (P + T + smooth), which is 1 at smooth = 0.

    Raises:
        ValueError: the shapes differ.
    """
    if probability.shape != target.shape:
        raise ValueError(f"shapes differ: {tuple(probability.shape)} and {tuple(target.shape)}")
    # sums of many pixels overflow half precision
    wide = torch.promote_types(probability.dtype, torch.float32)
    p, t = probability.to(wide).flatten(1), target.to(wide).flatten(1)
    total = p.sum(1) + t.sum(1) + smooth
    # both maps empty and smooth 0: the numerator of the loss is 0 as well, so any positive divisor will do
    loss = (total - 2 * (p * t).sum(1) - smooth) / total.clamp(min=torch.finfo(wide).tiny)
    return loss.mean()
