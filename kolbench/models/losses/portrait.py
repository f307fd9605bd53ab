"""Losses of PortraitNet (Zhang et al., Computers & Graphics 80, 2019), RCRNet and SINet: edges, two views."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError
from kolbench.models.losses.two_class import cross_entropy, pixel_cross_entropy
from kolbench.types import Batch

BAND_PX = 4
GAMMA = 2.0


@dataclass(frozen=True)
class TwoViewWeights:
    """Weights of the edges and of the consistency, and its temperature (RCRNet, equation 5: beta, alpha, T).

    Raises:
        ConfigError: a number is out of range.
    """

    edge: float
    consistency: float
    temperature: float

    def __post_init__(self) -> None:
        if min(self.edge, self.consistency) < 0 or self.temperature <= 0:
            raise ConfigError(
                "model.edge_weight and model.consistency_weight must be at least 0, and model.temperature "
                "above 0."
            )


def views_of(batch: Batch) -> Tensor:
    """(B, 3, H, W) altered pictures; behind them the B clean ones of a batch that has them (KeepClean)."""
    return torch.cat([batch[name] for name in ("image", "clean") if name in batch])


def two_view_losses(
    logits: Tensor, edge: Tensor | None, mask: Tensor, weights: TwoViewWeights
) -> dict[str, Tensor]:
    """Losses of PortraitNet's released code and of RCRNet's equation 5, whose networks see one or both views.

    Args:
        logits: (B or 2 B, 2, H, W) float, before the softmax, of `views_of` the batch.
        edge: the same of the edges; None where the network has no such head.
        mask: (B, 1, H, W) float in {0, 1}.

    Returns:
        `mask`, the cross-entropy, with two views the sum over both; `edge`, the focal loss on the band of
        4 px, of the altered view alone; `consistency`, where there are two. All weighted.
    """
    views = logits.chunk(len(logits) // len(mask))
    terms = {"mask": torch.stack([cross_entropy(view, mask) for view in views]).sum()}
    if edge is not None:
        terms["edge"] = weights.edge * focal_loss(edge[: len(mask)], edge_band(mask))
    if len(views) == 1:
        return terms
    altered, clean = views
    consistency = consistency_loss(altered, clean, weights.temperature)
    return {**terms, "consistency": weights.consistency * consistency}


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
