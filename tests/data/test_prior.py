"""Priors made up from the truth."""

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from kolbench.data import augment
from kolbench.data.prior import CORNERS, PriorFromMask, affine_through
from kolbench.errors import ConfigError


def drawn(transform, masks, seed):
    colours = torch.full((3, *masks.shape[-2:]), 100, dtype=torch.uint8)
    layers, moved = augment.apply(transform, colours, masks, seed)
    return layers, moved


def square():
    masks = torch.zeros(2, 60, 80, dtype=torch.uint8)
    masks[0, 20:40, 30:50] = 1
    masks[1, 25:30, 35:40] = 1
    return masks


def test_the_affine_map_by_hand():
    # places half as large as their sources, moved by (1, -1)
    theta = affine_through(
        torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        torch.tensor([[1.0, -1.0], [3.0, -1.0], [1.0, 1.0]]),
    )
    torch.testing.assert_close(theta, torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, -1.0]]))
    torch.testing.assert_close(affine_through(CORNERS, CORNERS), torch.eye(2, 3))


def test_without_jitter_the_prior_is_the_mask_and_nothing_else_changes():
    masks = square()
    layers, moved = drawn(PriorFromMask(empty=0, jitter=0), masks, 0)
    assert torch.equal(layers["prior"], 255 * masks[:1])
    assert torch.equal(moved, masks)
    assert torch.equal(layers["image"], torch.full((3, 60, 80), 100, dtype=torch.uint8))


def test_half_of_all_priors_are_empty_and_the_others_are_near_the_mask():
    masks = square()
    priors = [drawn(PriorFromMask(), masks, seed)[0]["prior"] for seed in range(200)]
    empty = [not prior.any() for prior in priors]
    assert 75 <= sum(empty) <= 125
    shown = [prior for prior, nothing in zip(priors, empty, strict=True) if not nothing]
    overlaps = [
        float(((prior > 0) & (masks[:1] > 0)).sum() / ((prior > 0) | (masks[:1] > 0)).sum())
        for prior in shown
    ]
    # two corners jittered by 5 % of a side move the middle by at most a fifth of it
    assert 0.2 < min(overlaps) < 0.8
    assert max(overlaps) < 1
    assert all(set(prior.unique().tolist()) == {0, 255} for prior in shown)


def test_colours_change_behind_it_and_priors_do_not():
    masks = square()
    steps = v2.Compose([PriorFromMask(empty=0, jitter=0), v2.ColorJitter(brightness=(0.5, 0.5))])
    layers, _ = drawn(steps, masks, 0)
    assert layers["prior"].max() == 255
    assert layers["image"].max() == 50


def test_inactive_it_makes_none():
    sample = {"image": tv_tensors.Image(torch.zeros(3, 4, 4)), "masks": tv_tensors.Mask(torch.zeros(1, 4, 4))}
    assert PriorFromMask(active=False)(sample) is sample


@pytest.mark.parametrize("options", [{"empty": 1.5}, {"jitter": -0.1}, {"jitter": 0.3}])
def test_values_out_of_range_are_named(options):
    with pytest.raises(ConfigError, match=r"PriorFromMask: empty=.* must lie in \[0, 1\]"):
        PriorFromMask(**options)
