import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch import Tensor

from kolbench.errors import ConfigError
from kolbench.models.losses import bce, modnet, rsudisnet


def maps(*rows: list[float]) -> Tensor:
    """(1, 1, H, W) float32."""
    return torch.tensor(rows)[None, None]


ALPHA = maps([1.0, 1.0, 0.5, 0.0])
PREDICTED = maps([0.8, 1.0, 0.1, 0.5])  # absolute errors 0.2, 0, 0.4, 0.5
REGION = maps([0.0, 1.0, 1.0, 0.0])
IMAGE = torch.tensor([[-1.0, 0.5, 0.5, 1.0], [0.0, 1.0, -0.5, 0.2], [1.0, 0.0, 0.5, 0.0]])[None, :, None]
COLOURS = torch.tensor([[1.0, 0.5, 0.5, 1.0], [0.0, 1.0, 0.25, 0.2], [0.5, 0.0, 0.0, 0.0]])[None, :, None]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda: modnet.semantic_loss(PREDICTED, ALPHA), (0.04 + 0.16 + 0.25) / 4),
        (lambda: rsudisnet.semantic_loss(PREDICTED, ALPHA), (0.04 + 0.16 + 0.25) / 8),
        (lambda: modnet.detail_loss(PREDICTED, ALPHA, REGION), 0.4 / 4),
        (lambda: rsudisnet.detail_loss(PREDICTED, ALPHA, REGION), 0.4 / 4),
        (lambda: rsudisnet.detail_loss(PREDICTED, ALPHA, REGION, mask_mean="region"), 0.4 / 2),
        (lambda: rsudisnet.boundary_loss(PREDICTED, ALPHA, REGION), 0.4 / 4),
        (lambda: rsudisnet.alpha_loss(PREDICTED, ALPHA), 1.1 / 4),
        # column sums of the colours are 1.5, 1.5, 0.75, 1.2; twelve values
        (lambda: rsudisnet.composition_loss(PREDICTED, ALPHA, COLOURS), (0.3 + 0.3 + 0.6) / 12),
        # the paper's form: column sums of |image| are 2, 1.5, 1.5, 1.2
        (
            lambda: modnet.matte_loss(PREDICTED, ALPHA, REGION, IMAGE, boundary_gain=0),
            1.1 / 4 + (0.4 + 0.6 + 0.6) / 12,
        ),
        # the released form adds four times what lies inside the region
        (
            lambda: modnet.matte_loss(PREDICTED, ALPHA, REGION, IMAGE),
            1.1 / 4 + 4 * 0.4 / 4 + 1.6 / 12 + 4 * 0.6 / 12,
        ),
    ],
)
def test_hand_worked_losses(loss: Callable[[], Tensor], expected: float) -> None:
    value = loss()
    assert value.shape == ()
    assert float(value) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("gain", [0.0, 1.5, 4.0])
def test_matte_loss_equals_the_released_codes_four_terms(gain: float) -> None:
    draw = torch.Generator().manual_seed(1)
    p, g = torch.rand(2, 1, 9, 7, generator=draw), torch.rand(2, 1, 9, 7, generator=draw)
    region = (torch.rand(2, 1, 9, 7, generator=draw) > 0.6).float()
    image = torch.rand(2, 3, 9, 7, generator=draw) * 2 - 1
    inside = torch.where(region == 1, p, g)
    expected = (
        F.l1_loss(p, g)
        + gain * F.l1_loss(inside, g)
        + F.l1_loss(image * p, image * g)
        + gain * F.l1_loss(image * inside, image * g)
    )
    assert torch.allclose(modnet.matte_loss(p, g, region, image, gain), expected, atol=1e-6)


def test_rsudisnets_terms_make_modnets_matte_loss_on_a_picture_without_negative_values() -> None:
    ours = (
        rsudisnet.alpha_loss(PREDICTED, ALPHA)
        + rsudisnet.composition_loss(PREDICTED, ALPHA, COLOURS)
        + 4 * rsudisnet.boundary_loss(PREDICTED, ALPHA, REGION)
        + 4 * rsudisnet.composition_loss(PREDICTED * REGION, ALPHA * REGION, COLOURS)
    )
    assert torch.allclose(ours, modnet.matte_loss(PREDICTED, ALPHA, REGION, COLOURS), atol=1e-6)


def test_composition_loss_of_known_colours_is_the_difference_of_two_compositions() -> None:
    draw = torch.Generator().manual_seed(2)
    a, g = torch.rand(2, 1, 5, 6, generator=draw), torch.rand(2, 1, 5, 6, generator=draw)
    front, back = torch.rand(2, 3, 5, 6, generator=draw), torch.rand(2, 3, 5, 6, generator=draw)
    expected = F.l1_loss(a * front + (1 - a) * back, g * front + (1 - g) * back)
    assert torch.allclose(rsudisnet.composition_loss_fb(a, g, front, back), expected, atol=1e-6)
    on_black = rsudisnet.composition_loss_fb(a, g, front, torch.zeros_like(back))
    assert torch.allclose(on_black, rsudisnet.composition_loss(a, g, front), atol=1e-7)


DETAIL_LOSSES = [modnet.detail_loss, rsudisnet.detail_loss, rsudisnet.boundary_loss]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), share=st.floats(0, 1), which=st.sampled_from(DETAIL_LOSSES))
def test_detail_losses_are_zero_outside_the_region(
    seed: int, share: float, which: Callable[..., Tensor]
) -> None:
    draw = torch.Generator().manual_seed(seed)
    alpha = torch.rand(2, 1, 6, 5, generator=draw)
    region = (torch.rand(2, 1, 6, 5, generator=draw) < share).float()
    detail = torch.rand(2, 1, 6, 5, generator=draw).requires_grad_()
    which(detail, alpha, region).backward()
    assert detail.grad is not None
    assert torch.equal(detail.grad != 0, region == 1)
    right_inside = torch.where(region == 1, alpha, torch.rand(2, 1, 6, 5, generator=draw))
    assert which(right_inside, alpha, region).item() == 0


def test_detail_loss_of_a_region_is_guarded() -> None:
    nowhere = torch.zeros_like(REGION)
    assert float(rsudisnet.detail_loss(PREDICTED, ALPHA, nowhere, mask_mean="region")) == 0
    with pytest.raises(ConfigError, match=r"mask_mean=regoin .* Did you mean mask_mean=region\?"):
        rsudisnet.detail_loss(PREDICTED, ALPHA, REGION, mask_mean="regoin")


def test_alpha_above_one_is_pulled_back() -> None:
    raw = maps([1.4]).requires_grad_()
    rsudisnet.alpha_loss(raw, maps([1.0])).backward()
    assert raw.grad is not None
    assert float(raw.grad) == 1


def test_feature_loss_sums_the_levels_and_leaves_the_targets_alone() -> None:
    features = [torch.zeros(1, 2, 4, 4, requires_grad=True), torch.ones(1, 3, 2, 2, requires_grad=True)]
    targets = [torch.full((1, 2, 4, 4), 2.0, requires_grad=True), torch.full((1, 3, 2, 2), 0.5)]
    loss = rsudisnet.feature_loss(features, targets)
    assert loss.item() == 4 + 0.25
    loss.backward()
    assert targets[0].grad is None
    assert torch.equal(features[1].grad, torch.full((1, 3, 2, 2), 2 * 0.5 / 12))


def test_feature_loss_needs_matching_levels() -> None:
    with pytest.raises(ValueError, match="shorter"):
        rsudisnet.feature_loss([torch.zeros(1), torch.zeros(1)], [torch.zeros(1)])
    with pytest.raises(ValueError, match="at least one level"):
        rsudisnet.feature_loss([], [])


def test_cross_entropy_by_hand() -> None:
    logits = maps([0.0, math.log(3), -math.log(3)])
    # probabilities 1/2, 3/4, 1/4
    value = bce.binary_cross_entropy(logits, maps([1.0, 1.0, 1.0]))
    assert float(value) == pytest.approx((math.log(2) + math.log(4 / 3) + math.log(4)) / 3, abs=1e-6)


def test_cross_entropy_agrees_with_scikit_learn() -> None:
    draw = np.random.default_rng(3)
    logits, truth = draw.normal(0, 3, 60), draw.integers(0, 2, 60)
    ours = bce.binary_cross_entropy(torch.tensor(logits), torch.tensor(truth, dtype=torch.float64))
    assert float(ours) == pytest.approx(log_loss(truth, 1 / (1 + np.exp(-logits))), rel=1e-9)


def test_cross_entropy_of_a_band_of_half_has_the_floor_ln_2() -> None:
    half = torch.full((1, 1, 2, 2), 0.5)
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    loss = bce.binary_cross_entropy(logits, half)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), abs=1e-7)
    assert not logits.grad.any()


def test_cross_entropy_stays_finite_for_huge_logits() -> None:
    logits = maps([200.0, -200.0]).requires_grad_()
    loss = bce.binary_cross_entropy(logits, maps([0.0, 1.0]))
    loss.backward()
    assert loss.item() == 200
    assert torch.equal(logits.grad, maps([0.5, -0.5]))


def test_cross_entropy_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        bce.binary_cross_entropy(torch.zeros(2, 1, 3, 3), torch.zeros(2, 3, 3))


def test_deep_supervision_resizes_logits_bilinearly() -> None:
    small = maps([0.0, 4.0])
    # align_corners=False: centres of the four pixels lie at -0.25, 0.25, 0.75, 1.25 of the two
    large = maps([0.0, 1.0, 3.0, 4.0], [0.0, 1.0, 3.0, 4.0])
    target = maps([0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.5])
    losses = bce.deep_supervision([large, small, torch.zeros(1, 1, 1, 1)], target)
    assert len(losses) == 3
    assert torch.allclose(losses[1], losses[0], atol=1e-7)
    assert float(losses[2]) == pytest.approx(math.log(2), abs=1e-7)


def _apart(draw: torch.Generator, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Two float64 maps that differ everywhere, so that no absolute value has its kink there."""
    target = torch.rand(1, channels, 3, 3, dtype=torch.float64, generator=draw)
    sign = torch.where(torch.rand(1, channels, 3, 3, generator=draw) > 0.5, 1.0, -1.0)
    return (target + 0.3 * sign).requires_grad_(), target


@pytest.mark.parametrize(
    "name",
    [
        *("modnet_semantic", "modnet_detail", "matte", "semantic", "detail", "region"),
        *("alpha", "composition", "fb", "boundary", "features", "bce"),
    ],
)
def test_gradients_are_those_of_the_values(name: str) -> None:
    draw = torch.Generator().manual_seed(7)
    p, g = _apart(draw)
    region = (torch.rand(1, 1, 3, 3, generator=draw) > 0.4).double()
    image = torch.rand(1, 3, 3, 3, dtype=torch.float64, generator=draw) * 2 - 1
    back = torch.rand(1, 3, 3, 3, dtype=torch.float64, generator=draw)
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "modnet_semantic": lambda x: modnet.semantic_loss(x, g),
        "modnet_detail": lambda x: modnet.detail_loss(x, g, region),
        "matte": lambda x: modnet.matte_loss(x, g, region, image),
        "semantic": lambda x: rsudisnet.semantic_loss(x, g),
        "detail": lambda x: rsudisnet.detail_loss(x, g, region),
        "region": lambda x: rsudisnet.detail_loss(x, g, region, "region"),
        "alpha": lambda x: rsudisnet.alpha_loss(x, g),
        "composition": lambda x: rsudisnet.composition_loss(x, g, image.abs()),
        "fb": lambda x: rsudisnet.composition_loss_fb(x, g, image.abs(), back),
        "boundary": lambda x: rsudisnet.boundary_loss(x, g, region),
        "features": lambda x: rsudisnet.feature_loss([x, 2 * x], [g, g]),
        "bce": lambda x: torch.stack(bce.deep_supervision([x, x[..., :2, :2]], g)).sum(),
    }
    assert torch.autograd.gradcheck(losses[name], (p,))


def test_half_precision_maps_are_compared_in_full_precision() -> None:
    alpha = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    detail = (alpha + 0.01).bfloat16()
    region = torch.ones_like(alpha)
    for value in (
        rsudisnet.detail_loss(detail, alpha, region),
        modnet.matte_loss(detail, alpha, region, region.expand(2, 3, 64, 64)),
        rsudisnet.composition_loss(detail, alpha, region.expand(2, 3, 64, 64)),
    ):
        assert value.dtype == torch.float32
    assert float(rsudisnet.alpha_loss(detail, alpha)) == pytest.approx(0.01, abs=5e-4)
