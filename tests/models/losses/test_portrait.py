"""PortraitNet's edge target, focal loss and consistency of two views by hand."""

import math

import cv2
import numpy as np
import pytest
import torch

from kolbench.errors import ConfigError
from kolbench.models.losses.portrait import (
    TwoViewWeights,
    consistency_loss,
    edge_band,
    focal_loss,
    two_view_losses,
    views_of,
)
from kolbench.models.losses.two_class import cross_entropy


def test_a_straight_edge_has_a_band_of_4_px():
    mask = torch.zeros(1, 1, 8, 16)
    mask[..., 7:] = 1
    expected = torch.zeros_like(mask)
    expected[..., 5:9] = 1
    assert torch.equal(edge_band(mask), expected)
    expected.zero_()[..., 6:8] = 1
    assert torch.equal(edge_band(mask, width=2), expected)


def test_the_band_of_a_square_and_of_a_single_pixel():
    mask = torch.zeros(2, 1, 20, 20)
    mask[0, 0, 6:14, 6:14] = 1
    mask[1, 0, 9, 9] = 1
    expected = torch.zeros_like(mask)
    expected[0, 0, 4:16, 4:16] = 1
    expected[0, 0, 8:12, 8:12] = 0
    # erosion leaves nothing of a pixel, dilation makes 5x5 of it
    expected[1, 0, 7:12, 7:12] = 1
    assert torch.equal(edge_band(mask), expected)


def test_the_frame_is_no_edge():
    full = torch.ones(1, 1, 6, 6)
    assert not edge_band(full).any()
    assert not edge_band(1 - full).any()


def test_the_band_is_opencvs_dilation_minus_erosion():
    mask = (np.random.default_rng(0).random((24, 30)) > 0.9).astype(np.uint8)
    mask[8:, 10:22] = 1
    square = np.ones((3, 3), np.uint8)
    expected = cv2.dilate(mask, square, iterations=2) - cv2.erode(mask, square, iterations=2)
    found = edge_band(torch.from_numpy(mask)[None, None].float())
    assert np.array_equal(found[0, 0].numpy(), expected)
    assert 0 < expected.mean() < 1


def test_focal_loss_by_hand():
    # p of the true class: 3/4, 1/4 and 1/2
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [1.0, 1.0]]).T[None, :, None]
    target = torch.tensor([[[[1.0, 0.0, 1.0]]]])
    each = [math.log(4 / 3) / 16, math.log(4) * 9 / 16, math.log(2) / 4]
    assert focal_loss(logits, target).item() == pytest.approx(sum(each) / 3)
    assert focal_loss(logits, target, gamma=0).item() == pytest.approx(cross_entropy(logits, target).item())
    assert focal_loss(logits.bfloat16(), target).dtype == torch.float32


def test_focal_loss_has_the_gradient_of_both_factors():
    logits = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1).requires_grad_()
    focal_loss(logits, torch.ones(1, 1, 1, 1)).backward()
    p = 0.75
    # dp/dz = p (1 - p)
    expected = (2 * (1 - p) * math.log(p) - (1 - p) ** 2 / p) * p * (1 - p)
    assert logits.grad.flatten().tolist() == pytest.approx([-expected, expected])
    # wholly sure pixels cost nothing and break nothing
    sure = torch.tensor([0.0, 200.0]).view(1, 2, 1, 1).requires_grad_()
    focal_loss(sure, torch.ones(1, 1, 1, 1)).backward()
    assert torch.isfinite(sure.grad).all()


def logits_of(probability):
    """(1, 2, 1, 1) logits whose second class has this probability."""
    return torch.tensor([0.0, math.log(probability / (1 - probability))]).view(1, 2, 1, 1)


def test_consistency_is_a_divergence_from_the_clean_picture():
    altered, clean = logits_of(0.5).requires_grad_(), logits_of(0.9).requires_grad_()
    # per pixel, divided by the two classes too
    divergence = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    loss = consistency_loss(altered, clean)
    assert loss.item() == pytest.approx(divergence / 2, rel=1e-5)
    loss.backward()
    assert clean.grad is None
    assert altered.grad is not None
    assert consistency_loss(clean, clean).item() == pytest.approx(0, abs=1e-7)
    # at temperature 2, 0.9 becomes sqrt(9) / (1 + sqrt(9)) = 0.75
    soft = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert consistency_loss(altered, clean, 2).item() == pytest.approx(4 * soft / 2, rel=1e-5)


def test_losses_of_two_views_by_hand():
    # one picture of one pixel of foreground: 0.5 on the altered view, 0.9 on the clean one
    logits, mask = torch.cat([logits_of(0.5), logits_of(0.9)]), torch.ones(1, 1, 1, 1)
    # its edges are background: there is no other class inside the frame
    edge = torch.cat([logits_of(0.25), logits_of(0.8)])
    divergence = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    found = two_view_losses(logits, edge, mask, TwoViewWeights(0.1, 2, 1))
    expected = {
        "mask": math.log(2) - math.log(0.9),
        "edge": 0.1 * 0.25**2 * -math.log(0.75),
        "consistency": 2 * divergence / 2,
    }
    assert {name: term.item() for name, term in found.items()} == pytest.approx(expected, rel=1e-5)
    alone = two_view_losses(logits[:1], edge[:1], mask, TwoViewWeights(0.1, 2, 1))
    assert {name: term.item() for name, term in alone.items()} == pytest.approx(
        {"mask": math.log(2), "edge": expected["edge"]}, rel=1e-5
    )
    assert list(two_view_losses(logits, None, mask, TwoViewWeights(0.1, 2, 1))) == ["mask", "consistency"]


def test_the_altered_view_stands_before_the_clean_one():
    image, clean = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    assert torch.equal(views_of({"image": image}), image)
    assert torch.equal(views_of({"clean": clean, "image": image}), torch.cat([image, clean]))


@pytest.mark.parametrize("numbers", [(-1, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_weights_out_of_range_are_refused(numbers):
    with pytest.raises(ConfigError, match=r"model\.edge_weight and model\.consistency_weight"):
        TwoViewWeights(*numbers)
