"""Guided filtering of alpha by the picture (He, Sun, Tang, TPAMI 2013; He, Sun, Fast Guided Filter, 2015)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError, require_choice
from kolbench.preprocessing import resize
from kolbench.types import Float32Array, UInt8Array

GUIDES = ("rgb", "grey")
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
# rows that dozens of float maps hold at once
STRIP = 128


@dataclass(frozen=True)
class GuidedFilter:
    """Fast guided filter: in every window alpha becomes the linear function of the colours that fits it best.

    Attributes:
        radius: half the side of the window as a share of the picture's shorter side, in (0, 0.5]; at least
            one pixel.
        epsilon: ridge on the coefficients, a variance of levels in [0, 1]: edges of the picture whose
            contrast is well below its root are smoothed over (equation 5 of the first paper).
        subsample: the coefficients are found at this many times fewer pixels per axis, at most `radius`
            in pixels, and brought back bilinearly; 1 is the exact filter.
        guide: `rgb` (3x3 covariances, equation 19 of the first paper) or `grey` (BT.601 luma).

    Raises:
        ConfigError: an option is out of range.
    """

    radius: float = 0.01
    epsilon: float = 1e-4
    subsample: int = 4
    guide: str = "rgb"

    def __post_init__(self) -> None:
        require_choice("refiner.guide", self.guide, GUIDES)
        if not 0 < self.radius <= 0.5:
            raise ConfigError(
                f"refiner.radius={self.radius} must lie in (0, 0.5]: it is a share of the shorter side."
            )
        if not self.epsilon > 0:
            raise ConfigError(f"refiner.epsilon={self.epsilon} must be above 0.")
        if self.subsample < 1:
            raise ConfigError(f"refiner.subsample={self.subsample} must be at least 1.")

    def __call__(self, image: Tensor, alpha: Tensor) -> Tensor:
        """(B, 3, H, W), (B, 1, H, W) in [0, 1] -> refined (B, 1, H, W) in [0, 1]."""
        height, width = alpha.shape[-2:]
        guide = image.float() if self.guide == "rgb" else luma(image.float())
        small, radius = self._subsampled(height, width)
        slope, offset = linear_coefficients(
            resize(guide, small), resize(alpha.float(), small), radius, self.epsilon
        )
        slope, offset = resize(slope, (height, width)), resize(offset, (height, width))
        return ((slope * guide).sum(dim=1, keepdim=True) + offset).clamp(0, 1)

    @torch.no_grad()
    def refine_picture(self, image: UInt8Array, alpha: Float32Array) -> Float32Array:
        """The same for one picture, in strips of rows: no more than one float plane of its size at a time.

        Args:
            image: (H, W, 3) uint8 RGB. alpha: (H, W) float32 in [0, 1].

        Returns:
            (H, W) float32 in [0, 1], within 1e-4 of what the call gives, whose sums are rounded elsewhere.
        """
        height, width = alpha.shape
        small, radius = self._subsampled(height, width)
        guide = torch.empty((1, len(LUMA), *small))
        for channel in range(len(LUMA)):
            guide[0, channel] = resize(_plane(image[..., channel]).float().div_(255), small)[0, 0]
        grey = self.guide == "grey"
        maps = _coefficients_in_strips(
            luma(guide) if grey else guide, resize(_plane(alpha), small), radius, self.epsilon
        )
        if grey:
            slopes = maps[:1] * maps.new_tensor(LUMA).view(3, 1, 1)
            maps = torch.cat((slopes, maps[1:]))
        refined = np.empty((height, width), np.float32)
        for top in range(0, height, STRIP):
            bottom = min(top + STRIP, height)
            rows = linear_in_colours(rows_of(maps, height, width, top, bottom), image[top:bottom])
            refined[top:bottom] = rows.clamp_(0, 1).numpy()
        return refined

    def _subsampled(self, height: int, width: int) -> tuple[tuple[int, int], int]:
        """(height, width) at which the coefficients are found, and the radius there in pixels."""
        radius = max(1, round(self.radius * min(height, width)))
        step = min(self.subsample, radius)
        return (-(-height // step), -(-width // step)), max(1, round(radius / step))


def luma(image: Tensor) -> Tensor:
    """(B, 3, H, W) RGB -> (B, 1, H, W) grey."""
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def linear_coefficients(guide: Tensor, alpha: Tensor, radius: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Slope (B, C, H, W) and offset (B, 1, H, W) of alpha as a function of the guide, averaged over windows.

    Algorithm 1 of the first paper: in each window slope = (cov(guide) + epsilon)^-1 cov(guide, alpha).

    Args:
        guide: (B, C, H, W) float. alpha: (B, 1, H, W) float. radius: in pixels.
    """
    channels = guide.shape[1]
    mean_guide, mean_alpha = box_mean(guide, radius), box_mean(alpha, radius)
    cross = box_mean(guide * alpha, radius) - mean_guide * mean_alpha
    covariance = (box_mean(_pairs(guide), radius) - _pairs(mean_guide)).movedim(1, -1)
    matrices = covariance.reshape(*covariance.shape[:-1], channels, channels)
    ridge = epsilon * torch.eye(channels, dtype=guide.dtype, device=guide.device)
    solved: Tensor = torch.linalg.solve(matrices + ridge, cross.movedim(1, -1).unsqueeze(-1))
    slope = solved.squeeze(-1).movedim(-1, 1)
    offset = mean_alpha - (slope * mean_guide).sum(dim=1, keepdim=True)
    return box_mean(slope, radius), box_mean(offset, radius)


def _coefficients_in_strips(guide: Tensor, alpha: Tensor, radius: int, epsilon: float) -> Tensor:
    """Slopes and offset as of `linear_coefficients`, for one picture: (C + 1, H, W)."""
    channels, height, width = (int(side) for side in guide.shape[1:])
    found = guide.new_empty((channels + 1, height, width))
    # a mean of means reaches twice as far as one
    halo = 2 * radius
    # of a wide window a strip is higher, so that never more than half of the work is done for its halo
    strip = max(STRIP, 2 * halo)
    for top in range(0, height, strip):
        bottom = min(top + strip, height)
        first, last = max(0, top - halo), min(height, bottom + halo)
        rows = linear_coefficients(guide[:, :, first:last], alpha[:, :, first:last], radius, epsilon)
        found[:, top:bottom] = torch.cat(rows, dim=1)[0, :, top - first : bottom - first]
    return found


def linear_in_colours(maps: Tensor, image: UInt8Array) -> Tensor:
    """Slopes of R, G, B and an offset, (4, H, W), on (H, W, 3) uint8 -> (H, W) float32, of any value."""
    colours = torch.from_numpy(image)
    found = maps[3]
    for channel, slope in enumerate(maps[:3]):
        found = torch.addcmul(found, slope, colours[..., channel].float(), value=1 / 255)
    return found


def rows_of(maps: Tensor, height: int, width: int, top: int, bottom: int) -> Tensor:
    """Rows `top` to `bottom` of (C, h, w) maps enlarged bilinearly to height x width -> (C, rows, width).

    As F.interpolate with align_corners=False gives them, without the rest of the large maps.
    """
    count = maps.shape[1]
    place = (torch.arange(top, bottom, dtype=torch.float64) + 0.5) * (count / height) - 0.5
    place = place.clamp(min=0, max=count - 1)
    above = place.floor().long()
    below = (above + 1).clamp(max=count - 1)
    share = (place - above).float()[None, :, None]
    rows = torch.lerp(maps[:, above], maps[:, below], share)
    return F.interpolate(rows[None], (bottom - top, width), mode="bilinear", align_corners=False)[0]


def _plane(values: UInt8Array | Float32Array) -> Tensor:
    """(H, W) -> (1, 1, H, W)."""
    return torch.from_numpy(values)[None, None]


def _pairs(guide: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C * C, H, W), the products of all pairs of channels."""
    return (guide.unsqueeze(1) * guide.unsqueeze(2)).flatten(1, 2)


def box_mean(maps: Tensor, radius: int) -> Tensor:
    """(B, C, H, W) -> the mean over (2 radius + 1)^2 windows; at the frame, over the pixels inside only."""
    side = 2 * radius + 1
    # the number of pixels inside is a product of rows and columns, so two passes are exact
    rows = F.avg_pool2d(maps, (side, 1), stride=1, padding=(radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), stride=1, padding=(0, radius), count_include_pad=False)
