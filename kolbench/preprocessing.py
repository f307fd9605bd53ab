"""How a network wants its pictures: resize rule and normalisation, and the way back."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError, require_choice

RULES = ("squash", "short_side")
# a line of pixels at a network's full height would be a canvas of many gigabytes
LONGEST_SIDES = 8
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputSpec:
    """Resize and normalisation of a network.

    Attributes:
        size: side length in pixels, a multiple of `multiple`.
        rule: `squash` gives size x size, aspect ignored; `short_side` makes the shorter side `size`
            and keeps the aspect (modnet.md section 5, without its exception for pictures between) up to
            1:8; the longer side of a thinner picture is squashed to 8 `size`.
        multiple: both sides are rounded down to a multiple of it (`short_side` only).
        mean, std: per channel (x - mean) / std.
        divide_by_max: divide each image by its own maximum first (U2Net, u2net.md section 5).
        resample: `bilinear` (with antialiasing when shrinking) or `area`.
    """

    size: int
    rule: str = "squash"
    multiple: int = 32
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    divide_by_max: bool = False
    resample: str = "bilinear"

    def __post_init__(self) -> None:
        require_choice("rule", self.rule, RULES)
        require_choice("resample", self.resample, ("bilinear", "area"))
        if self.size < 1 or self.size % self.multiple:
            raise ConfigError(
                f"model.size={self.size} (budget.size, unless typed) is not a positive multiple of "
                f"{self.multiple}; the nearest is {max(1, round(self.size / self.multiple)) * self.multiple}."
            )

    def canvas(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which a picture of the given size goes through the network."""
        if self.rule == "squash":
            return self.size, self.size
        scale, longest = self.size / min(height, width), LONGEST_SIDES * self.size
        return (
            rounded_down(min(int(height * scale + 1e-6), longest), self.multiple),
            rounded_down(min(int(width * scale + 1e-6), longest), self.multiple),
        )

    def normalise(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same shape, as the network expects its values."""
        if self.divide_by_max:
            peak = image.amax(dim=(1, 2, 3), keepdim=True)
            image = image / torch.where(peak > 0, peak, torch.ones_like(peak))
        mean = image.new_tensor(self.mean).view(1, 3, 1, 1)
        std = image.new_tensor(self.std).view(1, 3, 1, 1)
        return (image - mean) / std

    def encode(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] at the picture's size -> normalised network input on the canvas."""
        height, width = image.shape[-2:]
        return self.normalise(resize(image, self.canvas(height, width), self.resample))

    def decode(self, alpha: Tensor, height: int, width: int) -> Tensor:
        """(B, 1, h, w) network output -> (B, 1, height, width) float32, clamped to [0, 1]."""
        return resize(alpha.float(), (height, width), self.resample).clamp(0, 1)


def rounded_down(side: int, multiple: int) -> int:
    """The largest multiple that is not above `side`, at least `multiple` itself."""
    return max(multiple, side - side % multiple)


def resize(image: Tensor, size: tuple[int, int], resample: str = "bilinear") -> Tensor:
    """(B, C, H, W) float -> (B, C, *size); the input itself where the size is right already."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    if resample == "area":
        return F.interpolate(image, size, mode="area")
    shrinks = size[0] < image.shape[-2] or size[1] < image.shape[-1]
    return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=shrinks)
