"""Made-up alphas, masks and products, and their counts."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from kolbench.metrics import scores
from kolbench.metrics.counts import Counts
from kolbench.metrics.histogram import level_counts


def planes(seed: int, n: int = 4, height: int = 13, width: int = 11) -> tuple[Tensor, Tensor, Tensor]:
    """Alphas that often saturate or lie on a level, masks that they follow more or less, products inside."""
    draw = torch.Generator().manual_seed(seed)
    shape = (n, 1, height, width)
    mask = (torch.rand(shape, generator=draw) > 0.6).float()
    alpha = (mask * 0.5 + torch.rand(shape, generator=draw) * 1.2 - 0.35).clamp(0, 1)
    on_level = torch.rand(shape, generator=draw) > 0.5
    alpha = torch.where(on_level, (alpha * 20).round() / 20, alpha)
    return alpha, mask, mask * (torch.rand(shape, generator=draw) > 0.5)


def saved(alpha: Tensor) -> np.ndarray:
    """The 8-bit picture that is saved of an alpha."""
    return (alpha * 255).round().to(torch.uint8).numpy()


def counted(seed: int, n: int) -> Counts:
    """Counts of made-up pictures."""
    return level_counts(*planes(seed, n))


def flat(*levels: int) -> np.ndarray:
    """One picture's counts: one pixel at each level named."""
    return np.bincount(np.array(levels, np.int64), minlength=256)[None]


def of(fg: np.ndarray, bg: np.ndarray, product: np.ndarray | None = None) -> Counts:
    """Counts of pictures without a product, unless it is given."""
    return Counts(fg, bg, np.zeros_like(fg) if product is None else product)


def scored(counts: Counts, at: float = 0.5) -> Mapping[str, float]:
    """The scores of one picture."""
    return {name: float(values[0]) for name, values in scores.image_scores(counts, at).items()}


def disk(x: int, radius: int) -> Tensor:
    """(1, 1, 120, 160) with a disk at height 60."""
    rows, columns = torch.meshgrid(torch.arange(120), torch.arange(160), indexing="ij")
    return ((rows - 60) ** 2 + (columns - x) ** 2 <= radius**2).float()[None, None]


def two_pictures() -> Counts:
    """At 0.5: (TP, FP, FN, TN) = (1, 1, 0, 2) and (4, 0, 4, 0); only the second has a product."""
    fg = np.concatenate([flat(255), flat(255, 255, 255, 255, 0, 0, 0, 0)])
    bg = np.concatenate([flat(255, 0, 0), flat()])
    return Counts(fg, bg, np.concatenate([flat(), flat(255, 0, 0, 0)]))
