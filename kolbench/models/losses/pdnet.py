"""The losses of PDNet (papers/pdnet.txt): weighted masks, and parts that are compact and of one size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError, require_choice
from kolbench.models.components.blocks import resize_aligned

GEO, AREA, SEM, ORTH = "geo", "area", "sem", "orth"
PART_LOSSES = (GEO, AREA, SEM)
WEIGHTED = ("cosnet", "balanced")
VARIANCES = ("unbiased", "population")
FORMS = ("factored", "direct")
# shares of the maps under the true mask and under the predicted one
HALVINGS = {
    "official": {GEO: (1.0, 0.5), SEM: (1.0, 0.5), AREA: (0.5, 0.5)},
    "eq6": dict.fromkeys(PART_LOSSES, (0.5, 0.5)),
}
EPSILON = 1e-7
SMALLEST_LENGTH = 1e-12


@dataclass(frozen=True)
class LossOptions:
    """What is minimised; the defaults are the released code's.

    Attributes:
        losses: of the parts, any of `geo`, `area` and `sem` (table 3).
        wbce: `cosnet`, see `weighted_cross_entropy`, or `balanced`, see `balanced_cross_entropy`.
        wbce_cap: the largest weight of `cosnet`; None = none.
        l1_weight: of the mean absolute error beside each cross-entropy.
        target_weight, reference_weight: of all but the final map, for the frame and for its reference.
        part_halving: shares of both masks: `official`, or `eq6`, one half each.
        lambda_orth: of the orthogonality of the part basis, which `sem` brings.
        area_variance: `unbiased`, divided by p - 1, or `population`, by p.
        sem_form: `factored`, or `direct`, equal and far more memory.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
    """

    losses: Sequence[str] = PART_LOSSES
    wbce: str = "cosnet"
    wbce_cap: float | None = 1000.0
    l1_weight: float = 0.8
    target_weight: float = 0.8
    reference_weight: float = 0.64
    part_halving: str = "official"
    lambda_orth: float = 1.0
    area_variance: str = "unbiased"
    sem_form: str = "factored"

    def __post_init__(self) -> None:
        for name in self.losses:
            require_choice("model.losses", name, PART_LOSSES)
        require_choice("model.wbce", self.wbce, WEIGHTED)
        require_choice("model.part_halving", self.part_halving, HALVINGS)
        require_choice("model.area_variance", self.area_variance, VARIANCES)
        require_choice("model.sem_form", self.sem_form, FORMS)
        for name in ("l1_weight", "target_weight", "reference_weight", "lambda_orth"):
            if getattr(self, name) < 0:
                raise ConfigError(f"model.{name}={getattr(self, name)} must be at least 0.")
        if self.wbce_cap is not None and self.wbce_cap <= 0:
            raise ConfigError(f"model.wbce_cap={self.wbce_cap} must be above 0, or null for none.")


class Semantics(NamedTuple):
    """What L_sem compares parts with: features (B, C, h, w), without gradient, and a basis (p, C) >= 0."""

    features: Tensor
    basis: Tensor


def weighted_cross_entropy(
    logits: Tensor, target: Tensor, cap: float | None = None, added: float = 1.0
) -> Tensor:
    """Mean binary cross-entropy times w = N / (n + added), the same for all pixels (released code).

    Args:
        logits: (B, 1, H, W) float, before the sigmoid.
        target: (B, 1, H, W) float in [0, 1].
        cap: the largest w. Without, a batch of N pixels and no foreground has w = N / added.
        added: 1 in PDNet's code, 0 in COSNet's.

    Returns:
        Scalar. N are all pixels of the batch, n those whose target is at least 0.5.
    """
    weight = target.numel() / ((target >= 0.5).sum(dtype=target.dtype) + added)
    if cap is not None:
        weight = weight.clamp(max=cap)
    return weight * F.binary_cross_entropy_with_logits(logits, target)


def balanced_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Twice the mean of -eta y ln s - (1 - eta)(1 - y) ln(1 - s) (COSNet's paper).

    Args:
        logits: (B, 1, H, W) float, before the sigmoid.
        target: (B, 1, H, W) float y in [0, 1].

    Returns:
        Scalar. eta is the background's share of the batch, the mean of 1 - y.
    """
    background = 1 - target.mean()
    costs = background * target * F.logsigmoid(logits)
    costs = costs + (1 - background) * (1 - target) * F.logsigmoid(-logits)
    return -2 * costs.mean()


def mask_error(logits: Tensor, target: Tensor, options: LossOptions) -> Tensor:
    """E: the cross-entropy that `options` choose, and `l1_weight` times the mean absolute error.

    Args:
        logits: (B, 1, h, w) float, resized to the target's size as logits.
        target: (B, 1, H, W) float in [0, 1].

    Returns:
        Scalar.
    """
    logits = resize_aligned(logits, target.shape[-2:])
    entropy = (
        weighted_cross_entropy(logits, target, options.wbce_cap)
        if options.wbce == "cosnet"
        else balanced_cross_entropy(logits, target)
    )
    return entropy + options.l1_weight * (logits.sigmoid() - target).abs().mean()


def geometric_loss(parts: Tensor) -> Tensor:
    """L_geo: the spread of each part about its centre, in squared half sides of the picture (SCOPS).

    Args:
        parts: (B, p, H, W) float, at least 0.

    Returns:
        Scalar: summed over the parts, averaged over the batch; a part that is empty costs 0. Coordinates run
        from -1 in steps of 2 / H and 2 / W.
    """
    height, width = parts.shape[-2:]
    rows = (torch.arange(height, device=parts.device, dtype=parts.dtype) * (2 / height) - 1)[:, None]
    columns = torch.arange(width, device=parts.device, dtype=parts.dtype) * (2 / width) - 1
    total = parts.sum((2, 3), keepdim=True) + EPSILON
    centre_y = (parts * rows).sum((2, 3), keepdim=True) / total
    centre_x = (parts * columns).sum((2, 3), keepdim=True) / total
    distance = (rows - centre_y) ** 2 + (columns - centre_x) ** 2
    return (parts * distance / total).sum((1, 2, 3)).mean()


def area_loss(parts: Tensor, variance: str = "unbiased") -> Tensor:
    """L_area: the variance over the parts of their areas, divided by the length of the vector of areas.

    Args:
        parts: (B, p, H, W) float, at least 0; p at least 2.
        variance: of VARIANCES.

    Returns:
        Scalar, averaged over the batch; 0 where all parts have one area.
    """
    areas = F.normalize(parts.sum((2, 3)), dim=1, eps=SMALLEST_LENGTH)
    return areas.var(1, correction=1 if variance == "unbiased" else 0).mean()


def orthogonality_loss(basis: Tensor) -> Tensor:
    """L_orth: the squared Frobenius norm of Wn Wn^T - I, the rows of Wn brought to length 1 (SCOPS).

    Args:
        basis: (p, C) float, at least 0.

    Returns:
        Scalar; 0 where all rows are orthogonal.
    """
    unit = basis / (basis.square().sum(1, keepdim=True) + EPSILON).sqrt()
    identity = torch.eye(len(basis), device=basis.device, dtype=basis.dtype)
    return (unit @ unit.T - identity).square().sum()


class FactoredSemantics(NamedTuple):
    """What the factored L_sem needs of `Semantics` at the size of the parts.

    products: (B, p, H, W), each row of the basis times the resized features. lengths: (B, 1, H, W), squared
    lengths of the resized features. gram: (p, p), products of the basis's rows. channels: C.
    """

    products: Tensor
    lengths: Tensor
    gram: Tensor
    channels: int


def factored(semantics: Semantics, size: Sequence[int]) -> FactoredSemantics:
    """Resizes what is left of the features once the basis is multiplied in, p channels instead of C.

    Resizing is linear, so that this is what the direct form multiplies out to.
    """
    features, basis = semantics
    products = resize_aligned(F.conv2d(features, basis[:, :, None, None]), size)
    return FactoredSemantics(products, _squared_lengths(features, size), basis @ basis.T, features.shape[1])


def factored_semantic_loss(parts: Tensor, region: Tensor, semantics: FactoredSemantics) -> Tensor:
    """L_sem without a map of C channels; see `direct_semantic_loss`.

    Args:
        parts: X, (B, p, H, W) float. region: Y, (B, 1, H, W) float.
    """
    explained = (parts * torch.einsum("kl,blhw->bkhw", semantics.gram, parts)).sum(1, keepdim=True)
    mixed = region * (parts * semantics.products).sum(1, keepdim=True)
    squares = explained - 2 * mixed + region.square() * semantics.lengths
    return squares.mean() / semantics.channels


def direct_semantic_loss(parts: Tensor, region: Tensor, semantics: Semantics) -> Tensor:
    """L_sem: how far the parts' basis vectors are from the features of the region (SCOPS).

    Args:
        parts: X, (B, p, H, W) float. region: Y, (B, 1, H, W) float.

    Returns:
        Scalar, the mean over pixels and channels of (sum_k X^k w_k - Y V)^2; V are the features, resized.
    """
    features = resize_aligned(semantics.features, parts.shape[-2:])
    explained = torch.einsum("bkhw,kc->bchw", parts, semantics.basis)
    return (explained - region * features).square().mean()


def part_terms(
    mask: Tensor, saliency: Tensor, parts: Tensor, semantics: Semantics | None, options: LossOptions
) -> dict[str, Tensor]:
    """The losses of one frame's parts, under the true mask (equation 5) and under the predicted one.

    Args:
        mask: G, (B, 1, H, W) float in [0, 1]. saliency: S, the same.
        parts: D, (B, p, H, W) float in [0, 1].
        semantics: what `sem` compares with; None = without `sem`.

    Returns:
        Scalars by name, weighted: those of `options.losses`, and `orth` beside `sem`. Their sum is the loss.
    """
    regions = (mask, saliency)
    terms: dict[str, Tensor] = {}
    if GEO in options.losses:
        terms[GEO] = _shared(GEO, options, [geometric_loss(parts * region) for region in regions])
    if AREA in options.losses:
        areas = [area_loss(parts * region, options.area_variance) for region in regions]
        terms[AREA] = _shared(AREA, options, areas)
    if SEM in options.losses and semantics is not None:
        costs = _semantic_losses(
            [(parts * region, region) for region in regions], semantics, options.sem_form
        )
        terms[SEM] = _shared(SEM, options, costs)
        terms[ORTH] = options.lambda_orth * orthogonality_loss(semantics.basis)
    return terms


def _shared(name: str, options: LossOptions, costs: Sequence[Tensor]) -> Tensor:
    """The costs under both masks by their shares."""
    true, predicted = HALVINGS[options.part_halving][name]
    return true * costs[0] + predicted * costs[1]


def _semantic_losses(pairs: Sequence[tuple[Tensor, Tensor]], semantics: Semantics, form: str) -> list[Tensor]:
    if form == "direct":
        return [direct_semantic_loss(parts, region, semantics) for parts, region in pairs]
    prepared = factored(semantics, pairs[0][0].shape[-2:])
    return [factored_semantic_loss(parts, region, prepared) for parts, region in pairs]


@torch.no_grad()
def _squared_lengths(features: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, 1, *size): squared lengths of the resized features, which are never made.

    Along a row, a point at share f between a and b has |(1-f)a + fb|^2 = (1-f)|a|^2 + f|b|^2 - f(1-f)|a-b|^2.
    """
    height, width = size
    columns = features.shape[-1]
    rows = resize_aligned(features, (height, columns))
    between = resize_aligned(rows.square().sum(1, keepdim=True), size)
    if columns == 1:
        return between
    steps = (rows[..., 1:] - rows[..., :-1]).square().sum(1, keepdim=True)
    place = torch.arange(width, device=rows.device, dtype=torch.float64) * ((columns - 1) / max(1, width - 1))
    left = place.long().clamp(max=columns - 2)
    share = (place - left).to(rows.dtype)
    return between - share * (1 - share) * steps[..., left]
