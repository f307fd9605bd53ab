"""How a network wants its pictures: resized and normalised, and its alpha brought back to their size."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError, require_choice

RESIZE_MODES = ("stretch", "shortest_edge")
# names of earlier versions, in saved configurations and sidecars
OLD_RESIZE_MODES = {"squash": "stretch", "short_side": "shortest_edge"}
# a line of pixels enlarged to a network's full height would take many gigabytes
LONGEST_SIDES = 8
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputSpec:
    """Resize and normalisation of a network.

    Attributes:
        size: side length in pixels, a multiple of `multiple`.
        resize_mode: `stretch` gives size x size, aspect ignored; `shortest_edge` makes the shorter side
            `size` and keeps the aspect (ZHKKKe/MODNet, onnx/inference_onnx.py, without its exception for
            pictures between) up to 1:8; the longer side of a thinner picture is shrunk to 8 `size`.
        multiple: both sides are rounded down to a multiple of it (`shortest_edge` only).
        mean, std: per channel (x - mean) / std.
        divide_by_max: divide each image by its own maximum first (U2Net, data_loader.py ToTensorLab).
        resample: `bilinear` (with antialiasing when shrinking) or `area`.
    """

    size: int
    resize_mode: str = "stretch"
    multiple: int = 32
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    divide_by_max: bool = False
    resample: str = "bilinear"

    def __post_init__(self) -> None:
        require_choice("resize_mode", self.resize_mode, RESIZE_MODES)
        require_choice("resample", self.resample, ("bilinear", "area"))
        if self.size < 1 or self.size % self.multiple:
            raise ConfigError(
                f"model.size={self.size} (budget.size, unless typed) is not a positive multiple of "
                f"{self.multiple}; the nearest is {max(1, round(self.size / self.multiple)) * self.multiple}."
            )

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which a picture of the given size goes through the network."""
        if self.resize_mode == "stretch":
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

    def preprocess(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] at the picture's size -> (B, 3, *input_size(H, W)), normalised."""
        height, width = image.shape[-2:]
        return self.normalise(resize(image, self.input_size(height, width), self.resample))

    def postprocess(self, alpha: Tensor, height: int, width: int) -> Tensor:
        """(B, 1, h, w) network output -> (B, 1, height, width) float32, clamped to [0, 1]."""
        return resize(alpha.float(), (height, width), self.resample).clamp(0, 1)


def current_resize_mode(name: str) -> str:
    """A resize mode by today's name; other words are returned as they are."""
    return OLD_RESIZE_MODES.get(name, name)


def with_prior(image: Tensor, prior: Tensor | None) -> Tensor:
    """Puts what the frame before showed behind the colours of a picture (RCRNet, section 4.2.2).

    Args:
        image: (B, 3, h, w) float.
        prior: (B, 1, h', w') float, the foreground's probability, resized where its size is another; None,
            where no frame is before it, is 0.

    Returns:
        (B, 4, h, w) float.
    """
    if prior is None:
        return torch.cat((image, torch.zeros_like(image[:, :1])), 1)
    return torch.cat((image, resize(prior, (image.shape[-2], image.shape[-1]))), 1)


def minmax(alpha: Tensor) -> Tensor:
    """(B, 1, H, W) -> each map brought to [0, 1] by its own extremes; a constant map stays as it is."""
    low = alpha.amin(dim=(1, 2, 3), keepdim=True)
    high = alpha.amax(dim=(1, 2, 3), keepdim=True)
    spread = high - low
    return torch.where(spread > 0, (alpha - low) / spread.clamp(min=torch.finfo(alpha.dtype).tiny), alpha)


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
