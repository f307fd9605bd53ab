"""Losses of PortraitNet (Zhang et al., Computers & Graphics 80, 2019), RCRNet and SINet: edges, two views."""

import torch.nn.functional as F
from torch import Tensor

from kolbench.models.losses.two_class import pixel_cross_entropy

BAND_PX = 4
GAMMA = 2.0


def edge_band(mask: Tensor, width: int = BAND_PX) -> Tensor:
    """Marks the pixels near the edge of the mask, half of the width to each side.

    The mask dilated width / 2 times by a 3x3 square, minus the mask eroded as often; the released code draws
    contours 4 px thick at 224 px. Where an object leaves the frame there is no edge.

    Args:
        mask: (B, 1, H, W) float in {0, 1}.
        width: pixels across a straight edge, even.

    Returns:
        (B, 1, H, W) float in {0, 1}.
    """
    grown, kept = mask, -mask
    for _ in range(width // 2):
        grown = F.max_pool2d(grown, 3, stride=1, padding=1)
        kept = F.max_pool2d(kept, 3, stride=1, padding=1)
    return grown + kept


def focal_loss(logits: Tensor, target: Tensor, gamma: float = GAMMA) -> Tensor:
    """Cross-entropy of two classes that counts sure pixels less (Lin et al. 2017).

    The mean of -(1 - p)^gamma ln p, p the probability of a pixel's true class; both factors have a gradient,
    unlike in the released code.

    Args:
        logits: (B, 2, H, W) float, before the softmax; channel 1 is the class that `target` marks.
        target: (B, 1, H, W) float in {0, 1}.
        gamma: at least 0; 0 gives the cross-entropy.

    Returns:
        Scalar float32, mean over all pixels.
    """
    log_p = logits.float().log_softmax(1).gather(1, target.long())
    return -((1 - log_p.exp()) ** gamma * log_p).mean()


def band_cross_entropy(logits: Tensor, mask: Tensor, width: int) -> Tensor:
    """Mean cross-entropy of the mask near its edge (SINet, ext_portrait_segmentation); all else is ignored.

    Args:
        logits: (B, 2, H, W) float, before the softmax; channel 1 is the foreground.
        mask: (B, 1, H, W) float in {0, 1}. width: of the band, see `edge_band`.

    Returns:
        Scalar float32, mean over the band of the whole batch; 0 where no picture has an edge.
    """
    band = edge_band(mask, width)[:, 0]
    return (pixel_cross_entropy(logits, mask) * band).sum() / band.sum().clamp(min=1)


def consistency_loss(altered: Tensor, clean: Tensor, temperature: float = 1.0) -> Tensor:
    """How far the prediction on the altered picture is from that on the clean one.

    T squared times KL(clean || altered) of their softmaxes at temperature T, divided by all elements, classes
    included, as the released code does. The clean picture is the teacher and gets no gradient.

    Args:
        altered, clean: (B, 2, H, W) float logits of the same pictures with and without changed colours.
        temperature: above 0.

    Returns:
        Scalar float32.
    """
    teacher = F.softmax(clean.detach().float() / temperature, 1)
    pupil = F.log_softmax(altered.float() / temperature, 1)
    return F.kl_div(pupil, teacher, reduction="none").mean() * temperature**2
