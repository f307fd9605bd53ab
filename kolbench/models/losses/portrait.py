"""Losses of PortraitNet and RCRNet (equation 5 of its paper), unweighted, and their targets.

Logits are (B, 2, H, W) float, foreground second; masks (B, 1, H, W) float in {0, 1}.
"""

import torch.nn.functional as F
from torch import Tensor


def mask_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """L_m: cross-entropy of the two classes, mean over pixels; a scalar."""
    return F.cross_entropy(logits, mask[:, 0].long())


def consistency_loss(altered: Tensor, clean: Tensor, temperature: float = 1.0) -> Tensor:
    """L_c: how far the prediction on the altered picture is from that on the clean one.

    T squared times KL(clean || altered) of their softmaxes at temperature T, divided by all elements, classes
    included, as the released code does. The clean picture is the teacher and gets no gradient.

    Args:
        altered, clean: logits of the same picture with and without changed colours.

    Returns:
        Scalar.
    """
    teacher = F.softmax(clean.detach() / temperature, 1)
    pupil = F.log_softmax(altered / temperature, 1)
    return F.kl_div(pupil, teacher, reduction="none").mean() * temperature**2


def edge_loss(logits: Tensor, edge: Tensor, gamma: float = 2.0) -> Tensor:
    """L_e: focal loss -(1 - p)^gamma log p of the true class, edge or none, mean over pixels.

    Args:
        logits: of the edge head, edges second. edge: (B, 1, H, W) float in {0, 1}, such as `edge_band` gives.

    Returns:
        Scalar; the factor has a gradient too.
    """
    true_log = F.log_softmax(logits, 1).gather(1, edge.long())
    return -((1 - true_log.exp()) ** gamma * true_log).mean()


def edge_band(mask: Tensor, reach: int = 2) -> Tensor:
    """The band along a mask's edge: pixels within `reach` of it on either side, by 3x3 squares.

    The released code draws contours 4 px wide at 224 px; a reach of 2 gives the same width.

    Returns:
        (B, 1, H, W) float in {0, 1}.
    """
    side = 2 * reach + 1
    # outside of the picture is neither: max_pool2d pads with the lowest value
    dilated = F.max_pool2d(mask, side, 1, reach)
    eroded = -F.max_pool2d(-mask, side, 1, reach)
    return dilated - eroded
