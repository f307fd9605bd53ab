"""Transforms that torchvision.transforms.v2 lacks, or is about to: crops, shifts, JPEG, other backgrounds."""

import io
import math
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as v2f

from kolbench.errors import ConfigError
from kolbench.io.masks import majority
from kolbench.types import UInt8Array

_WHITE = 255


class Donors(Protocol):
    """Training pictures: colours (N, 3 or more, H, W) and masks (N, M, H, W), uint8, RGB and truth first.

    mattes: whether the last mask is the true alpha, 0 to 255.
    """

    colours: UInt8Array
    masks: UInt8Array
    mattes: bool


class Matte(tv_tensors.Mask):  # type: ignore[misc]  # torchvision has no types
    """A true alpha, (1, H, W) uint8 from 0 to 255: it moves as masks do, and nothing makes it binary."""


class RandomCropShare(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Crops at a random place to a share of each side, rounded to a multiple.

    U2Net's released code crops 320 to 288 px: 0.9.

    Args:
        share: of each side that is kept, in (0, 1].
        multiple: of pixels, at least 1; MODNet and RSUDISNet need 32.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, share: float, multiple: int = 16) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise ConfigError(f"RandomCropShare: share={share} does not lie in (0, 1].")
        if multiple < 1:
            raise ConfigError(f"RandomCropShare: multiple={multiple} must be at least 1.")
        self.share = share
        self.multiple = multiple

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The window, the same for all that is given."""
        height, width = v2f.get_size(flat_inputs[0])
        unit = self.multiple
        size = [max(unit, round(side * self.share / unit) * unit) for side in (height, width)]
        top, left = (
            int(torch.randint(0, whole - part + 1, size=())) if whole > part else 0
            for whole, part in zip((height, width), size, strict=True)
        )
        return {"top": top, "left": left, "height": min(size[0], height), "width": min(size[1], width)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The window of one input."""
        return v2f.crop(inpt, **params)


class RandomTrim(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Trims rows and columns off the borders, of each side by itself; a Resize behind it stretches the rest.

    Of a side of s pixels r are cut away, r drawn from [0, share s), the window's begin from [0, r): never all
    from the left, as in PDNet's released code.

    Args:
        share: of each side that is cut away at most, in (0, 1).

    Raises:
        ConfigError: the share is out of range.
    """

    def __init__(self, share: float = 0.125) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise ConfigError(f"RandomTrim: share={share} does not lie in (0, 1).")
        self.share = share

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The window, the same for all that is given."""
        (top, height), (left, width) = (self._window(side) for side in v2f.get_size(flat_inputs[0]))
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The window of one input."""
        return v2f.crop(inpt, **params)

    def _window(self, side: int) -> tuple[int, int]:
        """Begin and length of what is kept of a side in pixels."""
        cut = int(torch.randint(0, max(1, int(side * self.share)), size=()))
        return (int(torch.randint(0, cut, size=())) if cut else 0), side - cut


class ScaleAndShift(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Makes everything larger or smaller and moves it; what comes in at the borders is mirrored, truth too.

    Args:
        scale: [smallest, largest] factor; sizes between are drawn evenly on a logarithmic scale.
        shift: largest move, as a share of each side, in [0, 0.5].

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, scale: tuple[float, float] = (0.8, 1.25), shift: float = 0.1) -> None:
        super().__init__()
        if not (len(scale) == 2 and 0.1 <= scale[0] <= scale[1] <= 10 and 0 <= shift <= 0.5):
            raise ConfigError(
                f"ScaleAndShift: scale={list(scale)} must be two growing factors in [0.1, 10], and "
                f"shift={shift} lie in [0, 0.5]."
            )
        self.scale = (float(scale[0]), float(scale[1]))
        self.shift = shift

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The factor and the move, the same for all that is given."""
        low, high = (torch.tensor(bound).log() for bound in self.scale)
        factor = float((low + (high - low) * torch.rand(())).exp())
        # grid_sample counts from -1 to 1
        x, y = (2 * self.shift * (2 * torch.rand(2) - 1)).tolist()
        return {"theta": torch.tensor([[[1 / factor, 0, x], [0, 1 / factor, y]]])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One input at its new place: pictures bilinear, masks nearest."""
        mode = "nearest" if isinstance(inpt, tv_tensors.Mask) else "bilinear"
        planes = inpt.as_subclass(Tensor)[None].float()
        grid = F.affine_grid(params["theta"], list(planes.shape), align_corners=False)
        moved = F.grid_sample(planes, grid, mode, padding_mode="reflection", align_corners=False)
        return tv_tensors.wrap(moved[0].round().clamp(0, 255).to(inpt.dtype), like=inpt)


class Warp(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Turns, scales and moves about the middle, each with its own probability, in one resampling.

    What comes in at the borders is grey (128) in pictures and background in masks. RCRNet, section 4.2.2.

    Args:
        degrees: largest turn to either side, in [0, 180]. scale: [smallest, largest] factor.
        shift: largest move, as a share of each side, in [0, 0.5]. p: of each of the three, in [0, 1].

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        degrees: float = 45,
        scale: tuple[float, float] = (0.5, 1.5),
        shift: float = 0.25,
        p: float = 0.5,
    ) -> None:
        super().__init__()
        if not (0 <= degrees <= 180 and 0 <= shift <= 0.5 and 0 <= p <= 1):
            raise ConfigError(
                f"Warp: degrees={degrees} must lie in [0, 180], shift={shift} in [0, 0.5], p={p} in [0, 1]."
            )
        if not (len(scale) == 2 and 0.1 <= scale[0] <= scale[1] <= 10):
            raise ConfigError(f"Warp: scale={list(scale)} must be two growing factors in [0.1, 10].")
        self.degrees = degrees
        self.scale = (float(scale[0]), float(scale[1]))
        self.shift = shift
        self.p = p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The way from places in the result to places in the picture, the same for all that is given."""
        height, width = v2f.get_size(flat_inputs[0])
        turned, scaled, moved = (torch.rand(3) < self.p).tolist()
        angle = math.radians(self.degrees) * float(2 * torch.rand(()) - 1) * turned
        low, high = self.scale
        factor = low + (high - low) * float(torch.rand(())) if scaled else 1.0
        x, y = (2 * self.shift * (2 * torch.rand(2) - 1) * moved).tolist()
        cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
        # grid_sample counts from -1 to 1 along either side, whatever its length
        theta = [[cos, sin * height / width, x], [-sin * width / height, cos, y]]
        return {"theta": torch.tensor([theta])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One input at its new place: pictures bilinear, masks nearest."""
        is_mask = isinstance(inpt, tv_tensors.Mask)
        border = 0 if is_mask else 128
        planes = inpt.as_subclass(Tensor)[None].float() - border
        grid = F.affine_grid(params["theta"], list(planes.shape), align_corners=False)
        moved = F.grid_sample(
            planes, grid, "nearest" if is_mask else "bilinear", padding_mode="zeros", align_corners=False
        )
        return tv_tensors.wrap((moved[0] + border).round().clamp(0, 255).to(inpt.dtype), like=inpt)


class MajorityFilter(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Smooths the truth as PortraitNet's released code does, see `io.masks.majority`; pictures stay.

    The truth is the first of the masks. Products and persons are not smoothed but cut to it, so that they
    stay inside; a true alpha stays. It stands behind what moves pixels.

    Args:
        side: of the square in pixels, odd.

    Raises:
        ConfigError: the side is even or not positive.
    """

    def __init__(self, side: int = 5) -> None:
        super().__init__()
        if side < 1 or side % 2 == 0:
            raise ConfigError(f"MajorityFilter: side={side} must be an odd number of pixels.")
        self.side = side

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """(M, H, W) uint8 masks, the truth in {0, 1} and what lies inside of it; anything else as it is."""
        if not isinstance(inpt, tv_tensors.Mask) or isinstance(inpt, Matte):
            return inpt
        planes = inpt.as_subclass(Tensor)
        truth = torch.from_numpy(majority(planes[0].numpy(), self.side))[None]
        return tv_tensors.wrap(torch.cat([truth, planes[1:] * truth]), like=inpt)


class Sharpness(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Sharpens or smooths pictures by a factor drawn evenly, 1 being none; v2 has one of a fixed factor.

    Args:
        factor: [lowest, highest], at least 0.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, factor: tuple[float, float]) -> None:
        super().__init__()
        if not (len(factor) == 2 and 0 <= factor[0] <= factor[1]):
            raise ConfigError(f"Sharpness: factor={list(factor)} must be two growing numbers from 0 on.")
        self.factor = (float(factor[0]), float(factor[1]))

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The factor, the same for all that is given."""
        low, high = self.factor
        return {"sharpness_factor": low + (high - low) * float(torch.rand(()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One picture; masks stay as they are."""
        return inpt if isinstance(inpt, tv_tensors.Mask) else v2f.adjust_sharpness(inpt, **params)


class KeepClean(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Keeps the picture as it is at this step as `clean`; steps behind it change `image` and not `clean`.

    It stands behind all steps that move pixels. Losses that compare both views ask for it.
    """

    def forward(self, *inputs: Any) -> Any:
        """A sample, a dict of tv_tensors, with `clean` (3, H, W) uint8."""
        sample: dict[str, Any] = inputs[0]
        # transforms leave plain tensors alone where there are pictures
        return {**sample, "clean": sample["image"].as_subclass(Tensor).clone()}


class JPEGCompression(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Writes pictures as JPEG and reads them again; masks stay as they are.

    torchvision's own `v2.JPEG` rests on functions that torchvision is about to remove.

    Args:
        quality: [lowest, highest], as Pillow counts it, in [1, 100].

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, quality: tuple[int, int] = (35, 95)) -> None:
        super().__init__()
        if not (len(quality) == 2 and 1 <= quality[0] <= quality[1] <= 100):
            raise ConfigError(
                f"JPEGCompression: quality={list(quality)} must be two growing numbers in [1, 100]."
            )
        self.quality = (int(quality[0]), int(quality[1]))

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The quality, the same for all that is given."""
        return {"quality": int(torch.randint(self.quality[0], self.quality[1] + 1, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One picture, (3, H, W) uint8, after compression."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        file = io.BytesIO()
        Image.fromarray(inpt.permute(1, 2, 0).numpy()).save(file, "JPEG", **params)
        return tv_tensors.wrap(v2f.pil_to_tensor(Image.open(file)), like=inpt)


class ReplaceBackground(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Puts the person, with what is held, on the background of another training picture.

    The other picture's person is painted over from around it, and the picture is flipped in half of all
    draws. Edges are blended softly with the person's own colours, which are continued from inside the mask;
    where the true alpha is known, it blends instead. Works on a dict with `image` and `masks` and, where they
    are known, `foreground`, `background` and `matte`.

    Args:
        p: probability, in [0, 1].
        softness: standard deviation of the blended edge in pixels of the training picture, at least 0.

    Raises:
        ConfigError: a value is out of range.
    """

    donors: Donors | None = None

    def __init__(self, p: float = 0.5, softness: float = 0.8) -> None:
        super().__init__()
        if not (0 <= p <= 1 and softness >= 0):
            raise ConfigError(
                f"ReplaceBackground: p={p} must lie in [0, 1], and softness={softness} be at least 0."
            )
        self.p = p
        self.softness = softness

    def forward(self, *inputs: Any) -> Any:
        """A sample, a dict of tv_tensors, perhaps with another background."""
        sample: dict[str, Any] = inputs[0]
        if torch.rand(()) >= self.p or self.donors is None:
            return sample
        row, flip = int(torch.randint(len(self.donors.colours), ())), bool(torch.rand(()) < 0.5)
        size = list(sample["image"].shape[-2:])
        background = _person_removed(self.donors, row, size)
        background = background.flip(-1) if flip else background
        known, alpha = self._blending(sample)
        person = sample.get("foreground")
        if person is None:
            person = continued(sample["image"].as_subclass(Tensor).float(), known)
        image = alpha * person.as_subclass(Tensor).float() + (1 - alpha) * background
        changed = {**sample, "image": _as_image(image)}
        return {**changed, "background": _as_image(background)} if "background" in sample else changed

    def _blending(self, sample: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Where the person's own colours are seen, in {0, 1}, and the alpha to blend by, (1, H, W) both."""
        if "matte" in sample:
            matte = sample["matte"].as_subclass(Tensor)
            return (matte == _WHITE).float(), matte.float() / _WHITE
        mask = sample["masks"][:1].as_subclass(Tensor).float()
        return _eroded(mask), _blurred(mask, self.softness)


def _person_removed(donors: Donors, row: int, size: list[int]) -> Tensor:
    """(3, H, W) float colours of a training picture without its person, at another size."""
    colours = torch.tensor(donors.colours[row][:3])
    mask = torch.tensor(donors.masks[row])
    known = (mask[-1:] == 0).float() if donors.mattes else _eroded(1 - mask[:1].float())
    background = continued(colours.float(), known)
    if list(background.shape[-2:]) != size:
        background = v2f.resize(background, size, antialias=True)
    return background


def continued(colours: Tensor, known: Tensor) -> Tensor:
    """Colours as they are where known, and continued smoothly from around where they are not.

    Each level of a pyramid averages the known pixels of the finer one, until all are known.

    Args:
        colours: (C, H, W) float. known: (1, H, W) in {0, 1}.

    Returns:
        (C, H, W) float; where nothing at all is known, zeros.
    """
    known = known.float()
    if bool(known.all()) or min(colours.shape[-2:]) < 2:
        return colours * known
    weight = F.avg_pool2d(known[None], 2, ceil_mode=True, count_include_pad=False)[0]
    total = F.avg_pool2d((colours * known)[None], 2, ceil_mode=True, count_include_pad=False)[0]
    coarse = continued(total / weight.clamp(min=1e-6), (weight > 0).float())
    size = list(colours.shape[-2:])
    spread = F.interpolate(coarse[None], size, mode="bilinear", align_corners=False)[0]
    return known * colours + (1 - known) * spread


def _eroded(mask: Tensor) -> Tensor:
    """(1, H, W) in {0, 1}, less the pixels at its edge, whose colours are mixed."""
    return 1 - F.max_pool2d(1 - mask[None], 3, stride=1, padding=1)[0]


def _blurred(mask: Tensor, sigma: float) -> Tensor:
    if sigma == 0:
        return mask
    side = 2 * max(1, round(3 * sigma)) + 1
    blurred: Tensor = v2f.gaussian_blur(mask, [side, side], [sigma, sigma])
    return blurred


def _as_image(colours: Tensor) -> tv_tensors.Image:
    return tv_tensors.Image(colours.round().clamp(0, 255).to(torch.uint8))
