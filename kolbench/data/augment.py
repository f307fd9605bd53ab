"""Augments training samples by the few flips and crops of the papers, the same for image and masks."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from kolbench.errors import ConfigError

STRIDE = 16
KEYS = ("horizontal", "vertical", "crop")


def build(settings: Mapping[str, float], size: tuple[int, int]) -> v2.Transform:
    """Builds the transform of a recipe's `augment` entry.

    Args:
        settings: `horizontal` and `vertical`, probabilities of a flip; `crop`, the share of each side
            that a random crop keeps (1 = no crop; U2Net's 320 -> 288 is 0.9).
        size: (height, width) of the training input in pixels.

    Raises:
        ConfigError: an unknown key, or a value outside its range.
    """
    unknown = sorted(set(settings) - set(KEYS))
    if unknown:
        raise ConfigError(f"augment has no key {unknown[0]}; its keys are {', '.join(KEYS)}.")
    horizontal, vertical, crop = (
        float(settings.get(key, default)) for key, default in zip(KEYS, (0, 0, 1), strict=True)
    )
    if not (0 <= horizontal <= 1 and 0 <= vertical <= 1 and 0 < crop <= 1):
        raise ConfigError(f"augment={dict(settings)}: probabilities lie in [0, 1], crop in (0, 1].")
    steps: list[v2.Transform] = []
    if crop < 1:
        steps.append(v2.RandomCrop((_cropped(size[0], crop), _cropped(size[1], crop))))
    if vertical > 0:
        steps.append(v2.RandomVerticalFlip(vertical))
    if horizontal > 0:
        steps.append(v2.RandomHorizontalFlip(horizontal))
    return v2.Compose(steps) if steps else v2.Identity()


def _cropped(side: int, share: float) -> int:
    """The cropped side, a multiple of 16 as the semantic target demands: 320 -> 288 exactly, 128 -> 112."""
    return max(STRIDE, round(side * share / STRIDE) * STRIDE)


def apply(transform: v2.Transform, image: Tensor, masks: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Applies the same random geometry to (C, H, W) uint8 colours and (M, H, W) uint8 masks.

    `seed` alone decides the draw, whatever process or order it happens in; the global generator
    is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        out_image, out_masks = transform(tv_tensors.Image(image), tv_tensors.Mask(masks))
    return out_image.as_subclass(Tensor), out_masks.as_subclass(Tensor)
