"""The scoring kernel: one pass over an alpha leaves 256 counts per class, from which scores follow.

What follows from no count is computed from the same 8-bit levels: `value_arrays`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kolbench.errors import KolbenchError
from kolbench.metrics.counts import LEVELS, Counts
from kolbench.types import Float64Array, UInt8Array


class Counter(Protocol):
    """What a score asks for beside fg, bg and product: see `kolbench.metrics.score.ExtraCounts`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the histograms."""

    @property
    def count(self) -> Callable[[Tensor, Tensor], Tensor]:
        """(H, W) uint8 levels and (H, W) bool mask -> (len(names), 256) int64."""


class Valuer(Protocol):
    """What a score asks for that no histogram gives: see `kolbench.metrics.score.ExtraValues`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the values."""

    @property
    def of(self) -> Callable[[UInt8Array, UInt8Array], tuple[float, ...]]:
        """(H, W) uint8 levels and (H, W) uint8 truth -> len(names) floats."""

    @property
    def needs_alpha(self) -> bool:
        """Whether the truth must be a true alpha."""


def level_counts(
    alpha: Tensor,
    mask: Tensor,
    inside: Tensor | None = None,
    keep: Tensor | None = None,
    extra: Sequence[Counter] = (),
) -> Counts:
    """Counts the pixels of each class at each level round(255 alpha), the level that a saved PNG would have.

    Exact and deterministic on every device: integers only. Halves are rounded to even, as torch and numpy do.

    Args:
        alpha: (B, 1, H, W) float in [0, 1], the prediction.
        mask: (B, 1, H, W) in {0, 1}, any dtype; the binary truth.
        inside: (B, 1, H, W) in {0, 1}, any dtype; the product mask. None counts no product.
        keep: (B, 1, H, W) in {0, 1}, any dtype; the pixels that count at all. None keeps all.
        extra: what else is to be counted; of all pixels, whatever `keep` says.

    Returns:
        Counts of the B pictures, in the computer's memory.

    Raises:
        ValueError: the shapes differ.
        KolbenchError: alpha is NaN or outside [0, 1] somewhere.
    """
    for name, plane in (("mask", mask), ("inside", inside), ("keep", keep)):
        if plane is not None and plane.shape != alpha.shape:
            raise ValueError(f"{name} has shape {tuple(plane.shape)}, alpha {tuple(alpha.shape)}")
    alpha = alpha.detach()
    _require_unit_range(alpha)
    # picture by picture, as each then stays in the processor's cache
    rows = [
        _counts_of(
            alpha[i], mask[i], None if inside is None else inside[i], None if keep is None else keep[i]
        )
        for i in range(len(alpha))
    ]
    counts = (torch.stack(rows) if rows else torch.zeros(0, 4, LEVELS, dtype=torch.int64)).cpu().numpy()
    arrays = {
        "fg": counts[:, 1] + counts[:, 3],
        "bg": counts[:, 0] + counts[:, 2],
        "product": counts[:, 2] + counts[:, 3],
    }
    for counter in extra:
        empty = torch.zeros(0, len(counter.names), LEVELS, dtype=torch.int64)
        found = [extra_of(counter, levels_of(alpha[i, 0]), mask[i, 0]) for i in range(len(alpha))]
        planes = (torch.stack(found) if found else empty).cpu().numpy()
        arrays |= {name: planes[:, row] for row, name in enumerate(counter.names)}
    return Counts.of(arrays)


def levels_of(alpha: Tensor) -> Tensor:
    """The 8-bit level round(255 alpha), uint8, of alphas in [0, 1] of any shape; halves to even."""
    return (alpha.float() * (LEVELS - 1)).round_().to(torch.uint8)


def truth_levels(mask: Tensor, matte: Tensor | None) -> Tensor:
    """The 8-bit levels of the truth as `truths/` keeps it: of a true alpha, else 0 and 255.

    Args:
        mask: (B, 1, H, W) in {0, 1}, any dtype.
        matte: (B, 1, H, W) float in [0, 1], or None.

    Returns:
        (B, H, W) uint8.
    """
    return (mask != 0).byte().mul_(LEVELS - 1)[:, 0] if matte is None else levels_of(matte)[:, 0]


def value_arrays(
    levels: Sequence[UInt8Array], truths: Sequence[UInt8Array], wanted: Sequence[Valuer]
) -> Mapping[str, Float64Array]:
    """(N,) float64 by name, of N alphas (H, W) and their truths, by everything that is wanted.

    Raises:
        KolbenchError: a function does not give one number for each of its names.
    """
    found: dict[str, Float64Array] = {}
    for valuer in wanted:
        rows = [_values_of(valuer, level, truth) for level, truth in zip(levels, truths, strict=True)]
        columns = np.array(rows, np.float64).reshape(len(rows), len(valuer.names)).T
        found |= dict(zip(valuer.names, columns, strict=True))
    return found


def _values_of(valuer: Valuer, levels: UInt8Array, truth: UInt8Array) -> tuple[float, ...]:
    found = valuer.of(levels, truth)
    if not isinstance(found, tuple) or len(found) != len(valuer.names):
        raise KolbenchError(
            f"The values {', '.join(valuer.names)} of a score are {found!r}; its function must give a tuple "
            f"of {len(valuer.names)} floats."
        )
    return found


def extra_of(counter: Counter, levels: Tensor, mask: Tensor) -> Tensor:
    """(len(names), 256) int64 that a score asks for, of levels (H, W) uint8 and mask (H, W) in {0, 1}.

    Raises:
        KolbenchError: its function gives something else.
    """
    found = counter.count(levels, mask != 0)
    if found.shape != (len(counter.names), LEVELS) or found.is_floating_point():
        raise KolbenchError(
            f"The counts {', '.join(counter.names)} of a score are {tuple(found.shape)} {found.dtype}; its "
            f"function must give ({len(counter.names)}, {LEVELS}) integers."
        )
    return found.long()


def _counts_of(alpha: Tensor, mask: Tensor, inside: Tensor | None, keep: Tensor | None) -> Tensor:
    """(4, 256) int64 of one picture; row 2 [inside] + [mask]."""
    bins = 4 * LEVELS
    codes = (alpha.float() * (LEVELS - 1)).round_().to(torch.int16)
    codes.add_(mask != 0, alpha=LEVELS)
    if inside is not None:
        codes.add_(inside != 0, alpha=2 * LEVELS)
    if keep is not None:
        codes.masked_fill_(keep == 0, bins)
    return torch.bincount(codes.flatten(), minlength=bins + 1)[:bins].view(4, LEVELS)


def _require_unit_range(alpha: Tensor) -> None:
    if not alpha.numel():
        return
    low, high = (float(bound) for bound in alpha.aminmax())
    if low >= 0 and high <= 1:
        return
    bad = ~((alpha >= 0) & (alpha <= 1)).flatten(1)
    picture = int(bad.any(1).nonzero()[0, 0])
    value = float(alpha.flatten(1)[picture][bad[picture]][0])
    cause = (
        "its training diverged or its weights are damaged: use an earlier checkpoint or a lower learning rate"
        if value != value
        else "predict() must give alpha in [0, 1]: clamp it there"
    )
    raise KolbenchError(f"The method gave an alpha of {value:g} for image {picture} of the batch; {cause}.")
