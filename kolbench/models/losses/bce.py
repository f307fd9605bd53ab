"""Binary cross-entropy: on logits, alone or over the side outputs of a network, and on probabilities."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy; the logits form, which stays finite in mixed precision.

    Args:
        logits: (B, 1, H, W) float, before the sigmoid.
        target: (B, 1, H, W) float in [0, 1], of the same shape.

    Returns:
        Scalar, mean over all pixels of the batch. A target of 0.5 costs at least ln 2, not 0.

    Raises:
        ValueError: the shapes differ.
    """
    return F.binary_cross_entropy_with_logits(logits, target)


def probability_cross_entropy(probability: Tensor, target: Tensor, epsilon: float = 1e-7) -> Tensor:
    """Mean binary cross-entropy of probabilities, kept epsilon away from 0 and 1 as Keras does.

    Args:
        probability: (B, 1, H, W) float in [0, 1].
        target: (B, 1, H, W) float in [0, 1], of the same shape.
        epsilon: a pixel that is wholly wrong costs -ln(epsilon), 16.1.

    Returns:
        Scalar float32, mean over all pixels of the batch.

    Raises:
        ValueError: the shapes differ.
    """
    if probability.shape != target.shape:
        raise ValueError(f"shapes differ: {tuple(probability.shape)} and {tuple(target.shape)}")
    p, t = probability.float().clamp(epsilon, 1 - epsilon), target.float()
    # written out, for torch refuses its own form under autocast
    return -(t * p.log() + (1 - t) * (-p).log1p()).mean()


def deep_supervision(logits_maps: Sequence[Tensor], target: Tensor) -> list[Tensor]:
    """One cross-entropy per side output, in the order given (U2Net's supervision; RSUDISNet, eq. 8).

    Logits of another size are resized to the target's, bilinear with align_corners=False: the logits
    and not the probabilities, as U2Net does.

    Args:
        logits_maps: maps (B, 1, h, w) float, before the sigmoid.
        target: (B, 1, H, W) float in [0, 1].

    Returns:
        As many scalars as maps; the caller weights and sums them.
    """
    size = target.shape[-2:]
    return [binary_cross_entropy(_resized(logits, size), target) for logits in logits_maps]


def _resized(logits: Tensor, size: Sequence[int]) -> Tensor:
    if logits.shape[-2:] == tuple(size):
        return logits
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)
