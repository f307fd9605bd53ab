"""The portrait losses by hand-worked values."""

import math

import pytest
import torch

from kolbench.models.losses import portrait


def logits_of(probability: float) -> torch.Tensor:
    """(1, 2, 1, 1) logits whose second class has this probability."""
    return torch.tensor([0.0, math.log(probability / (1 - probability))]).view(1, 2, 1, 1)


def test_the_mask_loss_is_the_mean_of_minus_log_of_the_true_class() -> None:
    logits = torch.cat([logits_of(0.8), logits_of(0.8)], 3)
    mask = torch.tensor([[[[1.0, 0.0]]]])
    assert portrait.mask_loss(logits, mask).item() == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2)


def test_consistency_is_a_divergence_from_the_clean_picture() -> None:
    altered, clean = logits_of(0.5).requires_grad_(), logits_of(0.9).requires_grad_()
    # per pixel, divided by the two classes too
    divergence = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    loss = portrait.consistency_loss(altered, clean)
    assert loss.item() == pytest.approx(divergence / 2, rel=1e-5)
    loss.backward()
    assert clean.grad is None
    assert altered.grad is not None
    assert portrait.consistency_loss(clean, clean).item() == pytest.approx(0, abs=1e-7)
    # at temperature 2, 0.9 becomes sqrt(9) / (1 + sqrt(9)) = 0.75
    soft = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert portrait.consistency_loss(altered, clean, 2).item() == pytest.approx(4 * soft / 2, rel=1e-5)


def test_the_edge_loss_cares_little_for_what_is_sure() -> None:
    edge = torch.ones(1, 1, 1, 1)
    assert portrait.edge_loss(logits_of(0.6), edge).item() == pytest.approx(-(0.4**2) * math.log(0.6))
    assert portrait.edge_loss(logits_of(0.6), 1 - edge).item() == pytest.approx(-(0.6**2) * math.log(0.4))
    assert portrait.edge_loss(logits_of(0.6), edge, gamma=0).item() == pytest.approx(-math.log(0.6))


def test_the_band_is_four_pixels_wide_and_stays_within_the_picture() -> None:
    mask = torch.zeros(1, 1, 20, 30)
    mask[..., 10:] = 1
    band = portrait.edge_band(mask)
    assert band.sum(3).unique().tolist() == [4]
    assert band[0, 0, 0].nonzero().flatten().tolist() == [8, 9, 10, 11]
    # a mask that touches the border has no edge there
    assert portrait.edge_band(torch.ones(1, 1, 8, 8)).sum() == 0
    square = torch.zeros(1, 1, 12, 12)
    square[..., 4:8, 4:8] = 1
    assert portrait.edge_band(square).sum() == 8 * 8
    assert portrait.edge_band(square, reach=1).sum() == 6 * 6 - 2 * 2
