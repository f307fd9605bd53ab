"""The floors that every method must beat: they never look at the picture."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.segmenter import Segmenter
from kolbench.types import Prediction

# half axes of the ellipse as shares of the frame: a person standing in the middle
ELLIPSE_HEIGHT = 0.45
ELLIPSE_WIDTH = 0.25


class AllForeground(Segmenter):
    """Alpha 1 everywhere."""

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) -> ones."""
        return Prediction(torch.ones_like(inputs[0][:, :1]))


class Ellipse(Segmenter):
    """Alpha 1 inside a centred, upright ellipse, 90 % of the frame high and 50 % wide."""

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) -> the ellipse."""
        image = inputs[0]
        batch, _, height, width = image.shape
        y = (torch.arange(height, device=image.device) + 0.5) / height - 0.5
        x = (torch.arange(width, device=image.device) + 0.5) / width - 0.5
        inside = (y[:, None] / ELLIPSE_HEIGHT) ** 2 + (x[None, :] / ELLIPSE_WIDTH) ** 2 <= 1
        return Prediction(inside.float().expand(batch, 1, height, width).clone())


class MeanMask(Segmenter):
    """The average training mask, stretched to the picture.

    Args:
        mean: (1, 1, h, w) float32 in [0, 1].
    """

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) -> the mean mask at that size."""
        image = inputs[0]
        size = (image.shape[-2], image.shape[-1])
        alpha = F.interpolate(self.mean, size, mode="bilinear", align_corners=False)
        return Prediction(alpha.clamp(0, 1).expand(len(image), 1, *size).clone())
