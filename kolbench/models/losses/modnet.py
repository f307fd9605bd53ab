"""The three losses of MODNet (Ke et al., arXiv 2011.11961, section 3; released trainer), unweighted.

Maps are (B, 1, H, W) float. The caller weights the terms: 10/10/1 in the released code, 1/10/1 in the paper.
"""

import torch.nn.functional as F
from torch import Tensor


def semantic_loss(semantic: Tensor, target: Tensor) -> Tensor:
    """L_s: mean squared error of the coarse map against the blurred 1/16 alpha.

    The paper writes one half of the squared norm; the released code has no half, and so has this.

    Args:
        semantic: (B, 1, h, w) float in [0, 1], the low-resolution branch's map.
        target: (B, 1, h, w) float in [0, 1], `targets.semantic_target` of the alpha.

    Returns:
        Scalar, mean over all pixels.
    """
    return F.mse_loss(semantic, target)


def detail_loss(detail: Tensor, alpha: Tensor, transition: Tensor) -> Tensor:
    """L_d: mean over ALL pixels of the absolute error inside the transition region; 0 outside it.

    Args:
        detail: (B, 1, H, W) float in [0, 1], the high-resolution branch's map.
        alpha: (B, 1, H, W) float in [0, 1], the true alpha.
        transition: (B, 1, H, W) float in {0, 1}, m_d.

    Returns:
        Scalar; it grows with the region's share of the frame.
    """
    return (transition * F.l1_loss(detail, alpha, reduction="none")).mean()


def matte_loss(
    matte: Tensor, alpha: Tensor, transition: Tensor, image: Tensor, boundary_gain: float = 4.0
) -> Tensor:
    """L_m: absolute error plus composition error, both with an extra weight in the transition region.

    With p_b = matte inside the transition region and alpha outside, the released code adds
    mean|p - g| + gain mean|p_b - g| + mean|I p - I g| + gain mean|I p_b - I g|. As p_b - g is p - g inside
    the region and 0 outside, that is one error map weighted by 1 + gain * transition.

    Args:
        matte: (B, 1, H, W) float in [0, 1], the fused prediction p.
        alpha: (B, 1, H, W) float in [0, 1], the true alpha g.
        transition: (B, 1, H, W) float in {0, 1}, m_d.
        image: (B, 3, H, W) float, normalised as the network sees it; its composition on black is I p.
        boundary_gain: 4 in the released code; 0 gives the paper's form.

    Returns:
        Scalar, means over all pixels (and the three channels).
    """
    error = F.l1_loss(matte, alpha, reduction="none") * (1 + boundary_gain * transition)
    return error.mean() + (image.abs() * error).mean()
