"""PDNet's losses: golden values of the specification, hand-worked values, and both forms of L_sem."""

import math
import re

import pytest
import torch
from torch import Tensor

from kolbench.errors import ConfigError
from kolbench.models.losses import pdnet
from kolbench.models.losses.pdnet import LossOptions, Semantics

LN2 = math.log(2)
SIZE = (12, 16)


def block(top: int, bottom: int, left: int, right: int) -> Tensor:
    parts = torch.zeros(1, 1, 60, 60, dtype=torch.float64)
    parts[..., top:bottom, left:right] = 1
    return parts


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (block(0, 60, 0, 60), 0.666481),
        (block(10, 30, 10, 30), 0.073889),
        (block(7, 8, 50, 51), 0),
        (block(0, 0, 0, 0), 0),
        # by hand: two rows, 2/60 apart, each 1/60 from the centre
        (block(10, 12, 5, 6), 1 / 3600),
    ],
)
def test_geometric_loss_is_the_spread_about_the_centre(parts, expected):
    assert float(pdnet.geometric_loss(parts)) == pytest.approx(expected, abs=5e-7)
    # parts are summed, pictures averaged
    four = parts.expand(3, 4, 60, 60)
    assert float(pdnet.geometric_loss(four)) == pytest.approx(4 * expected, abs=2e-6)


def with_areas(*areas: float) -> Tensor:
    return torch.tensor(areas, dtype=torch.float64)[None, :, None, None]


@pytest.mark.parametrize(
    ("areas", "unbiased", "population"),
    [
        ((3, 0, 0, 0, 0), 0.2, 0.16),
        ((2, 2, 2, 2, 2), 0, 0),
        ((0, 0, 0, 0, 0), 0, 0),
        # squared deviations sum to 10, squared areas to 55
        ((1, 2, 3, 4, 5), 1 / 22, 10 / 55 / 5),
    ],
)
def test_area_loss_is_a_variance_of_shares(areas, unbiased, population):
    assert float(pdnet.area_loss(with_areas(*areas))) == pytest.approx(unbiased)
    assert float(pdnet.area_loss(with_areas(*areas), "population")) == pytest.approx(population)


def test_orthogonality_loss_counts_what_rows_share():
    same, apart = torch.ones(5, 8, dtype=torch.float64), 3 * torch.eye(5, 8, dtype=torch.float64)
    assert float(pdnet.orthogonality_loss(same)) == pytest.approx(20, abs=1e-5)
    assert float(pdnet.orthogonality_loss(apart)) == pytest.approx(0, abs=1e-12)
    # 60 degrees: both products are 1/2
    two = torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
    assert float(pdnet.orthogonality_loss(two)) == pytest.approx(0.5, abs=1e-6)


def test_weighted_cross_entropy_by_hand():
    logits, target = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    assert float(pdnet.weighted_cross_entropy(logits, target)) == pytest.approx(16 * LN2)
    assert float(pdnet.weighted_cross_entropy(logits, target, cap=3)) == pytest.approx(3 * LN2)
    target[:, :, :2] = 0.5
    assert float(pdnet.weighted_cross_entropy(logits, target)) == pytest.approx(16 / 9 * LN2)
    assert float(pdnet.weighted_cross_entropy(logits, target, cap=3)) == pytest.approx(16 / 9 * LN2)


def test_balanced_cross_entropy_by_hand():
    target = torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])
    # s = 3/4 on the foreground, 1/2, 1/2 and 1/4 behind it; eta = 3/4
    logits = torch.tensor([[[[math.log(3), 0.0, 0.0, -math.log(3)]]]])
    expected = 2 * (0.75 * -math.log(0.75) + 0.25 * (2 * LN2 - math.log(0.75))) / 4
    assert float(pdnet.balanced_cross_entropy(logits, target)) == pytest.approx(expected)
    # at p = 1/2 both classes weigh the same, whatever their shares
    assert float(pdnet.balanced_cross_entropy(0 * logits, target)) == pytest.approx(2 * 2 * 3 / 16 * LN2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LossOptions(), 16 / 9 * LN2 + 0.8 / 2),
        (LossOptions(wbce_cap=1.5, l1_weight=0), 1.5 * LN2),
        (LossOptions(wbce="balanced", l1_weight=1), LN2 + 1 / 2),
    ],
)
def test_mask_error_adds_the_absolute_error(options, expected):
    target = torch.zeros(1, 1, 4, 4)
    target[:, :, :2] = 1
    # of another size: logits are resized
    assert float(pdnet.mask_error(torch.zeros(1, 1, 2, 3), target, options)) == pytest.approx(expected)


def test_logits_are_resized_with_aligned_corners():
    logits = torch.tensor([[[[0.0, 4.0]]]])
    expected = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]).sigmoid().mean()
    found = pdnet.mask_error(logits, torch.zeros(1, 1, 1, 5), LossOptions(l1_weight=1, wbce_cap=1e-9))
    assert float(found) == pytest.approx(float(expected), abs=1e-6)


def grid(function, *sizes: int) -> Tensor:
    axes = [torch.arange(size, dtype=torch.float64) for size in sizes]
    return function(*torch.meshgrid(*axes, indexing="ij"))


class Formula:
    """The maps of the specification's section 5."""

    parts = grid(lambda b, k, i, j: torch.sin(0.3 * b + 0.7 * k + 0.11 * i + 0.13 * j), 2, 5, *SIZE).softmax(
        1
    )
    logits = grid(lambda b, k, i, j: 2 * torch.cos(0.2 * b + 0.17 * i - 0.23 * j), 2, 1, *SIZE)
    saliency = logits.sigmoid()
    mask = grid(lambda b, k, i, j: ((i - 6) ** 2 + (j - 8) ** 2 <= 16 + 9 * b).double(), 2, 1, *SIZE)
    features = grid(lambda b, c, i, j: torch.sin(0.5 * c + 0.05 * i * j + b), 2, 8, *SIZE)
    basis = grid(lambda k, c: torch.cos(0.9 * k + 0.4 * c).abs(), 5, 8)
    semantics = Semantics(features, basis)


def golden(value: float):
    return pytest.approx(value, abs=6e-10)


def test_golden_values_of_the_formula_maps():
    assert Formula.mask.sum((1, 2, 3)).tolist() == [49, 81]
    # the specification's figure has its weight, 384 / 131, in float32
    found = float(pdnet.weighted_cross_entropy(Formula.logits, Formula.mask))
    assert found == pytest.approx(2.473893608, abs=2e-7)
    assert float((Formula.saliency - Formula.mask).abs().mean()) == golden(0.470885261)
    for region, geo, sem, area in (
        (Formula.mask, 1.131483775, 0.385721962, 0.072638023),
        (Formula.saliency, 2.949103776, 0.431547620, 0.050732091),
    ):
        x = Formula.parts * region
        assert float(pdnet.geometric_loss(x)) == golden(geo)
        assert float(pdnet.area_loss(x)) == golden(area)
        assert float(pdnet.direct_semantic_loss(x, region, Formula.semantics)) == golden(sem)
    assert float(pdnet.orthogonality_loss(Formula.basis)) == golden(12.193588625)


@pytest.mark.parametrize("form", pdnet.FORMS)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, 15.462805117), ({"part_halving": "eq6", "lambda_orth": 0.0}, 2.510613623)],
)
def test_golden_part_loss(form, changes, expected):
    options = LossOptions(sem_form=form, **changes)
    terms = pdnet.part_terms(Formula.mask, Formula.saliency, Formula.parts, Formula.semantics, options)
    assert set(terms) == {"geo", "area", "sem", "orth"}
    assert float(torch.stack(list(terms.values())).sum()) == golden(expected)


@pytest.mark.parametrize(
    ("losses", "names"),
    [((), set()), (("geo",), {"geo"}), (("geo", "area"), {"geo", "area"}), (("sem",), {"sem", "orth"})],
)
def test_only_the_chosen_losses_count(losses, names):
    options = LossOptions(losses)
    given = (Formula.mask, Formula.saliency, Formula.parts)
    assert set(pdnet.part_terms(*given, Formula.semantics, options)) == names
    # without an extractor the semantics fall away
    assert set(pdnet.part_terms(*given, None, options)) == names - {"sem", "orth"}


@pytest.mark.parametrize("small", [(3, 4), (1, 1), (2, 1), (1, 5), (12, 16)])
def test_both_forms_of_the_semantic_loss_are_one_with_one_gradient(small):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    features, size = drawn(2, 7, *small), (13, 9) if small != (12, 16) else (12, 16)
    parts, region, basis = drawn(2, 3, *size), drawn(2, 1, *size), drawn(3, 7)
    inputs = [x.requires_grad_() for x in (parts, region, basis)]
    semantics = Semantics(features, basis)
    direct = pdnet.direct_semantic_loss(parts, region, semantics)
    factored = pdnet.factored_semantic_loss(parts, region, pdnet.factored(semantics, size))
    torch.testing.assert_close(direct, factored, rtol=0, atol=1e-10)
    for one, other in zip(*(torch.autograd.grad(x, inputs) for x in (direct, factored)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": ["geo", "aera"]}, "Did you mean model.losses=area"),
        ({"wbce": "plain"}, "model.wbce=plain is not a choice"),
        ({"wbce_cap": 0}, "model.wbce_cap=0 must be above 0"),
        ({"l1_weight": -1}, "model.l1_weight=-1 must be at least 0"),
        ({"part_halving": "half"}, "model.part_halving=half is not a choice"),
        ({"area_variance": "sample"}, "model.area_variance=sample is not a choice"),
        ({"sem_form": "dense"}, "model.sem_form=dense is not a choice"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        LossOptions(**changes)
