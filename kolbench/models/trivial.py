"""The baselines that every method must beat: they never look at the picture."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction

# half axes of the ellipse as shares of the frame: a person standing in the middle
ELLIPSE_HEIGHT = 0.45
ELLIPSE_WIDTH = 0.25


class AllForeground(Segmenter):
    """Alpha 1 everywhere."""

    def __init__(self) -> None:
        super().__init__()

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) -> ones."""
        return Prediction(torch.ones_like(inputs[0][:, :1]))


class Ellipse(Segmenter):
    """Alpha 1 inside a centred, upright ellipse, 90 % of the frame high and 50 % wide."""

    def __init__(self) -> None:
        super().__init__()

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
        mean: (1, 1, h, w) float32 in [0, 1]; None = `fit_mean` comes before the first prediction.
    """

    mean: Tensor | None

    def __init__(self, mean: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def fit_mean(self, mean: Tensor) -> None:
        """Takes the average training mask, (1, 1, h, w) float32 in [0, 1]."""
        self.mean = mean

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) -> the mean mask at that size.

        Raises:
            ConfigError: there is no mean mask yet.
        """
        if self.mean is None:
            raise ConfigError(
                "model=meanmask has no mean mask: it is the average of the training masks of a data set. "
                "Run it with task=fit, or call fit_mean first."
            )
        image = inputs[0]
        size = (image.shape[-2], image.shape[-1])
        mean = self.mean.to(image.device)
        alpha = F.interpolate(mean, size, mode="bilinear", align_corners=False)
        return Prediction(alpha.clamp(0, 1).expand(len(image), 1, *size).clone())
