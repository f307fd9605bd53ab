"""The papers' networks built small, made lively, and batches that train them."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from kolbench.engine.cost import count_macs
from kolbench.models.modnet import MODNetSegmenter
from kolbench.models.rsudisnet import RSUDISNetSegmenter
from kolbench.models.u2net import U2NetSegmenter
from kolbench.segmenter import Segmenter
from kolbench.types import Batch

Network = TypeVar("Network", bound=nn.Module)

SLIM = {"channels": 16, "mid": 8, "gt_mid": 8, "tail": 320}

METHODS: dict[str, Callable[[], Segmenter]] = {
    "u2net": lambda: U2NetSegmenter(64),
    "u2netp": lambda: U2NetSegmenter(64, variant="p"),
    "modnet": lambda: MODNetSegmenter(64),
    "modnet-easpp": lambda: MODNetSegmenter(64, context="easpp", loss="paper"),
    "rsudisnet": lambda: RSUDISNetSegmenter(128),
    "rsudisnet-other": lambda: RSUDISNetSegmenter(
        128, variant="i", context="easpp", hr_rsu7_1=True, fusion_image=True, alpha_head="sigmoid", **SLIM
    ),
    "rsudisnet-bare": lambda: RSUDISNetSegmenter(128, lambda_f=0, side_outputs=False, **SLIM),
}


def make(name: str, seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return METHODS[name]()


def settled(module: Network, image: Tensor) -> Network:
    """The module in evaluation mode, its batch norms with the statistics of these pictures."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
    with torch.no_grad():
        module.train()(image)
    return module.eval()


def lively(name: str) -> Segmenter:
    """A method whose batch norms know their inputs, so that its alpha is neither flat nor saturated."""
    segmenter = make(name)
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        segmenter.losses(batch_for(segmenter))
    return segmenter.eval()


def batch_for(segmenter: Segmenter, count: int = 2, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    height, width = segmenter.training_input_size(100, 100)
    image = torch.rand(count, 3, height, width, generator=generator)
    mask = torch.zeros(count, 1, height, width)
    mask[:, :, height // 4 : -height // 4, width // 3 : -width // 3] = 1
    edge = torch.zeros_like(mask)
    edge[:, :, height // 4 - 1 : height // 4 + 1] = 1
    alpha = torch.where(edge > 0, torch.full_like(mask, 0.5), mask)
    transition = nn.functional.max_pool2d(edge, 7, stride=1, padding=3)
    semantic = nn.functional.avg_pool2d(alpha, 16)
    return {"image": image, "mask": mask, "alpha": alpha, "transition": transition, "semantic": semantic}


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv_macs(module: nn.Module, channels_in: int, size: int, method: str = "forward") -> int:
    """Multiply-accumulates of a module's Conv2d alone, as portrait papers count, for one square picture."""
    place = next(module.parameters()).device
    return count_macs(module, torch.zeros(1, channels_in, size, size, device=place), True, method)


def shaken(module: Network, seed: int = 0) -> Network:
    """The module in evaluation mode, its norms, PReLUs and biases no longer at their first values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("running_mean") or (tensor.ndim == 1 and name.endswith("bias")):
                tensor.uniform_(-0.3, 0.3, generator=generator)
            elif tensor.ndim == 1:
                tensor.uniform_(0.2, 1.2, generator=generator)
    return module.eval()


def leaves(module: nn.Module) -> list[Any]:
    """The layers that hold no others, in the order in which they were made."""
    return [part for part in module.modules() if not list(part.children())]


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    """What a batch norm makes of (B, C, H, W) in evaluation mode, written out."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def unreached(segmenter: Segmenter, batch: Batch) -> list[str]:
    """Trainable parameters whose gradient of the summed losses is missing or all 0."""
    terms = segmenter.train().losses(batch)
    torch.stack(list(terms.values())).sum().backward()
    return [
        n for n, p in segmenter.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
