"""The losses of RSUDISNet (its equations 1 to 11), unweighted; maps are (B, 1, H, W) float.

The caller weights them 3 (semantic), 10 (detail), 3 (alpha and composition), 1 (features), eq. 12.
The paper's "L1" is the mean absolute error here, its "L2" the mean squared one, as in released matting code.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import require_choice


def semantic_loss(semantic: Tensor, target: Tensor) -> Tensor:
    """L_s, eq. 1: half the mean squared error of the coarse map.

    Args:
        semantic: (B, 1, h, w) float in [0, 1], s_p.
        target: (B, 1, h, w) float in [0, 1], G(alpha), `targets.semantic_target`.

    Returns:
        Scalar, mean over all pixels.
    """
    return 0.5 * F.mse_loss(semantic, target)


def detail_loss(detail: Tensor, alpha: Tensor, transition: Tensor, mask_mean: str = "all") -> Tensor:
    """L_d, one term of eq. 2 to 4: absolute error inside the transition region; 0 outside it.

    Args:
        detail: (B, 1, H, W) float in [0, 1]: d_m or a side output of the detail branch.
        alpha: (B, 1, H, W) float in [0, 1], the true alpha.
        transition: (B, 1, H, W) float in {0, 1}, m_d.
        mask_mean: `all` divides by all pixels (as MODNet), `region` by the region's pixels of the batch;
            a batch without any region gives 0.

    Returns:
        Scalar.

    Raises:
        ConfigError: `mask_mean` is neither `all` nor `region`.
    """
    require_choice("mask_mean", mask_mean, ("all", "region"))
    error = transition * F.l1_loss(detail, alpha, reduction="none")
    if mask_mean == "all":
        return error.mean()
    return error.sum() / transition.sum().clamp(min=1)


def alpha_loss(alpha_map: Tensor, alpha: Tensor) -> Tensor:
    """L_alpha, the first part of eq. 5 and 6: mean absolute error over all pixels.

    Args:
        alpha_map: (B, 1, H, W) float, a8, a7 or a6; not clamped, so that values above 1 are pulled back.
        alpha: (B, 1, H, W) float in [0, 1], the true alpha.

    Returns:
        Scalar.
    """
    return F.l1_loss(alpha_map, alpha)


def composition_loss(alpha_map: Tensor, alpha: Tensor, image: Tensor) -> Tensor:
    """L_c, the second part of eq. 5 and 6, for natural pictures: mean of I |a - g|.

    The paper's composition needs the true foreground F and background B; with F := I and B := 0 it
    reduces to this form. The image is in [0, 1], else its negative values would mean weights below zero.

    Args:
        alpha_map: (B, 1, H, W) float.
        alpha: (B, 1, H, W) float in [0, 1], the true alpha.
        image: (B, 3, H, W) float in [0, 1], not normalised.

    Returns:
        Scalar, mean over pixels and channels.
    """
    return (image * F.l1_loss(alpha_map, alpha, reduction="none")).mean()


def composition_loss_fb(alpha_map: Tensor, alpha: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """L_c where the true colours are known: the difference of the two compositions, |(a - g)(F - B)|.

    Args:
        alpha_map: (B, 1, H, W) float.
        alpha: (B, 1, H, W) float in [0, 1], the true alpha.
        foreground, background: (B, 3, H, W) float in [0, 1], the true colours.

    Returns:
        Scalar, mean over pixels and channels.
    """
    contrast = F.l1_loss(foreground, background, reduction="none")
    return (contrast * F.l1_loss(alpha_map, alpha, reduction="none")).mean()


def boundary_loss(alpha_map: Tensor, alpha: Tensor, transition: Tensor) -> Tensor:
    """The released MODNet's extra boundary term, absent from RSUDISNet's paper: mean of m_d |a - g|.

    Args:
        alpha_map: (B, 1, H, W) float.
        alpha: (B, 1, H, W) float in [0, 1], the true alpha.
        transition: (B, 1, H, W) float in {0, 1}, m_d.

    Returns:
        Scalar, mean over all pixels.
    """
    return detail_loss(alpha_map, alpha, transition)


def feature_loss(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """L_f, eq. 9 to 11: sum over the levels of the mean squared error of the features.

    Args:
        features: the network's maps f_8, f_7, f_6, each (B, C, h, w) float.
        targets: the frozen ground-truth encoder's maps g_8, g_7, g_6, of the same shapes; detached here.

    Returns:
        Scalar.

    Raises:
        ValueError: the numbers of levels differ, or there are none.
    """
    if not features:
        raise ValueError("feature_loss needs at least one level")
    losses = [F.mse_loss(f, g.detach()) for f, g in zip(features, targets, strict=True)]
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total
