"""The losses of STDC-Seg (Fan et al., CVPR 2021, section 3.3; released code): hard pixels, and detail."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.models.losses.bce import binary_cross_entropy
from kolbench.models.losses.dice import soft_dice
from kolbench.models.losses.two_class import pixel_cross_entropy

OHEM_THRESHOLD = 0.7
OHEM_SHARE = 16
STRIDES = (1, 2, 4)
# tenths, so that the comparison with 0.1 is exact
DETAIL_TENTHS = (6, 3, 1)
DETAIL_THRESHOLD = 0.1


def ohem_cross_entropy(logits: Tensor, mask: Tensor, threshold: float = OHEM_THRESHOLD) -> Tensor:
    """Mean cross-entropy of the hard pixels alone (online hard example mining).

    Hard are those whose true class has a probability below `threshold`; where they are fewer than a
    sixteenth of the batch's pixels, the sixteenth that costs most.

    Args:
        logits: (B, 2, H, W) float, before the softmax; channel 1 is the foreground.
        mask: (B, 1, H, W) float in {0, 1}.
        threshold: in (0, 1).

    Returns:
        Scalar float32, at least 0.
    """
    costs = pixel_cross_entropy(logits, mask).flatten()
    hard = costs > -math.log(threshold)
    least = max(1, len(costs) // OHEM_SHARE)
    if int(hard.sum()) > least:
        return costs[hard].mean()
    return costs.topk(least).values.mean()


def detail_target(mask: Tensor) -> Tensor:
    """Marks where the mask has detail: Laplacians at strides 1, 2 and 4, thresholded, weighted and fused.

    The weights .6, .3 and .1 and the threshold of 0.1 let a pixel count where stride 1 or 2 sees an edge.
    Pixels outside the frame are background, so that the frame is an edge where an object leaves it.

    Args:
        mask: (B, 1, H, W) float in {0, 1}.

    Returns:
        (B, 1, H, W) float32 in {0, 1}: pixels of the mask beside its edge (stride 1), and 2x2 blocks there.
    """
    kernel = mask.new_full((1, 1, 3, 3), -1, dtype=torch.float32)
    kernel[..., 1, 1] = 8
    fused = torch.zeros_like(mask, dtype=torch.float32)
    for stride, tenths in zip(STRIDES, DETAIL_TENTHS, strict=True):
        edges = (F.conv2d(mask.float(), kernel, stride=stride, padding=1) > DETAIL_THRESHOLD).float()
        fused = fused + tenths * F.interpolate(edges, mask.shape[-2:], mode="nearest")
    return (fused > 10 * DETAIL_THRESHOLD).float()


def detail_losses(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and Dice of the detail head, unweighted.

    Args:
        logits: (B, 1, H, W) float, before the sigmoid.
        target: (B, 1, H, W) float in {0, 1}, `detail_target` of the mask.

    Returns:
        Two scalars: the mean over all pixels, and 1 - Dice with a smoothing of 1 pixel.
    """
    return binary_cross_entropy(logits, target), soft_dice(logits.float().sigmoid(), target)
