"""Augments training samples by a list of torchvision.transforms.v2 objects, with the same draws for all."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from kolbench.data.flow import WHITE
from kolbench.data.transforms import Donors, Matte, ReplaceBackground
from kolbench.types import FLOW

# what stands at 0:3, 3:6 and 6:9 of a sample's colours
LAYERS = ("image", "foreground", "background")


def composed(steps: Sequence[v2.Transform], donors: Donors) -> v2.Transform:
    """One transform out of a recipe's `augment` list.

    Args:
        steps: in their order. donors: the training pictures that backgrounds are taken from.
    """
    for step in _all(steps):
        if isinstance(step, ReplaceBackground):
            step.donors = donors
    return v2.Compose(steps) if steps else v2.Identity()


def _all(steps: Sequence[object]) -> Iterator[object]:
    """The steps, and those inside of v2.RandomApply and its like."""
    for step in steps:
        yield step
        yield from _all(getattr(step, "transforms", ()))


def apply(
    transform: v2.Transform,
    colours: Tensor,
    masks: Tensor,
    seed: int,
    matte: bool = False,
    flow: Tensor | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """Applies the same random changes to (3 or 9, H, W) uint8 colours and (M, H, W) uint8 masks.

    The nine are the picture, its true foreground and its true background. `seed` alone decides the draw,
    whatever process or order it happens in; the global generator is left as it was. matte: whether the last
    mask is a true alpha, which moves as masks do. flow: a flow picture (3, H, W) uint8, which moves with the
    picture and keeps its colours; what comes in at the borders is white.

    Returns:
        `image`, with nine channels `foreground` and `background`, and `clean` where `KeepClean` is one of
        the steps, each (3, H, W) uint8; `prior` (1, H, W) uint8 where `PriorFromMask` is, `rough` where
        `RoughFromMask` is, `flow` (3, H, W) uint8 where it is given; and the masks.
    """
    layers = {
        name: tv_tensors.Image(layer) for name, layer in zip(LAYERS, torch.split(colours, 3), strict=False)
    }
    labels, mattes = (masks[:-1], masks[-1:]) if matte else (masks, None)
    truth: dict[str, tv_tensors.Mask] = {"masks": tv_tensors.Mask(labels)}
    if mattes is not None:
        truth["matte"] = Matte(mattes)
    if flow is not None:
        # masks are filled with 0 where a picture ends
        truth[FLOW] = Matte(WHITE - flow)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        changed = transform({**layers, **truth})
    moving = changed.pop(FLOW, None)
    moved = torch.cat([changed.pop(name).as_subclass(Tensor) for name in truth if name != FLOW])
    found = {name: layer.as_subclass(Tensor) for name, layer in changed.items()}
    return (found if moving is None else {**found, FLOW: WHITE - moving.as_subclass(Tensor)}), moved
