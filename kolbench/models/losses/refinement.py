"""The losses of CascadePSP (Cheng et al., CVPR 2020, section 3.3; hkchengrex/CascadePSP)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.models.components.refinement import RefinementMaps
from kolbench.models.losses.bce import binary_cross_entropy

# weights of cross-entropy, absolute and squared error of each output
WEIGHTS = {
    "224": (0.0, 1.0, 1.0),
    "28": (1.0, 0.0, 0.0),
    "56": (0.5, 0.25, 0.25),
    "28_2": (1.0, 0.0, 0.0),
    "28_3": (1.0, 0.0, 0.0),
    "56_2": (0.5, 0.25, 0.25),
}
GRADIENT_WEIGHT = 5.0
# keeps the root's slope finite where nothing changes
EPSILON = 1e-4
SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))


def refinement_losses(maps: RefinementMaps, truth: Tensor) -> dict[str, Tensor]:
    """All terms of the six outputs, weighted; their sum is minimised.

    Cross-entropy learns truth > 0.5, the errors of the probabilities learn the truth as it is.

    Args:
        maps: of all three passes, none of them None.
        truth: (B, 1, H, W) float in [0, 1].

    Returns:
        `bce_NAME`, `l1_NAME` and `l2_NAME` of each output where their weight is not 0, and `gradient`.
    """
    binary = (truth > 0.5).float()
    terms: dict[str, Tensor] = {}
    for name, (entropy, absolute, squared) in WEIGHTS.items():
        logits = getattr(maps, f"out_{name}").float()
        if entropy:
            terms[f"bce_{name}"] = entropy * binary_cross_entropy(logits, binary)
        if absolute:
            terms[f"l1_{name}"] = absolute * F.l1_loss(logits.sigmoid(), truth)
        if squared:
            terms[f"l2_{name}"] = squared * F.mse_loss(logits.sigmoid(), truth)
    gradient = gradient_loss(maps.out_224.float().sigmoid(), truth)
    return {**terms, "gradient": GRADIENT_WEIGHT * gradient}


def gradient_loss(alpha: Tensor, truth: Tensor) -> Tensor:
    """How differently steep two maps are: the mean absolute difference of their slopes.

    Args:
        alpha, truth: (B, 1, H, W) float in [0, 1].

    Returns:
        Scalar, unweighted.
    """
    return F.l1_loss(slope(alpha), slope(truth))


def slope(x: Tensor) -> Tensor:
    """The steepness of a map after a 3x3 mean: sqrt(gx^2 + gy^2 + 1e-4) of Sobel's filters, divided by 4.

    Args:
        x: (B, 1, H, W) float; beyond the frame counts as 0, before and after the mean.

    Returns:
        (B, 1, H, W) float, at least 0.01.
    """
    smooth = F.avg_pool2d(x, 3, stride=1, padding=1)
    across = x.new_tensor(SOBEL) / 4
    both = F.conv2d(smooth, torch.stack((across, across.T))[:, None], padding=1)
    return (both.square().sum(1, keepdim=True) + EPSILON).sqrt()
