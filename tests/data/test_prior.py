"""Priors made up from the truth."""

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from kolbench.data import augment
from kolbench.data.prior import (
    CORNERS,
    PriorFromMask,
    affine_through,
    moved_by,
    perspective_mapping,
    smeared,
    thin_plate_mapping,
)
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
    torch.testing.assert_close(affine_through(CORNERS[:3], CORNERS[:3]), torch.eye(2, 3))


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


def test_four_corners_come_to_where_they_are_sent():
    sources = CORNERS * 0.9 + torch.tensor([[0.1, 0.0], [0.0, 0.2], [-0.1, 0.05], [0.0, -0.1]])
    for make in (perspective_mapping, thin_plate_mapping):
        torch.testing.assert_close(make(CORNERS, sources)(CORNERS), sources, atol=1e-5, rtol=0)
        middle = torch.tensor([[0.3, -0.2]])
        torch.testing.assert_close(make(CORNERS, CORNERS)(middle), middle, atol=1e-5, rtol=0)


def test_a_projective_map_keeps_lines_straight_and_a_thin_plate_bends_them():
    sources = CORNERS.clone()
    sources[3] += torch.tensor([0.4, 0.3])
    line = torch.tensor([[-0.6, -0.4], [0.0, 0.1], [0.6, 0.6]])

    def area(points):
        (a, b, c) = points
        return float((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0])

    assert abs(area(perspective_mapping(CORNERS, sources)(line))) < 1e-5
    assert abs(area(thin_plate_mapping(CORNERS, sources)(line))) > 1e-3


def test_mappings_follow_one_another():
    ramp = torch.arange(8.0).repeat(4, 1)[None]
    right = lambda points: points + torch.tensor([0.25, 0.0])  # noqa: E731 - one column to the right
    torch.testing.assert_close(
        moved_by([right, right], ramp, "nearest")[0, 0], torch.tensor([2.0, 3, 4, 5, 6, 7, 0, 0])
    )
    assert moved_by([], ramp, "nearest") is ramp


def test_a_point_is_smeared_into_a_line_of_the_same_weight():
    plane = torch.zeros(1, 21, 21)
    plane[0, 10, 10] = 1
    for angle, cut in ((0.0, (10, slice(7, 14))), (torch.pi / 2, (slice(7, 14), 10))):
        found = smeared(plane, 7, float(angle))
        torch.testing.assert_close(found[0][cut], torch.full((7,), 1 / 7))
        assert float(found.sum()) == pytest.approx(1)


def test_the_picture_moves_instead_and_the_prior_stays():
    masks = square()
    layers, moved = drawn(PriorFromMask(empty=0, picture_moves=1), masks, 3)
    assert torch.equal(layers["prior"], 255 * masks[:1])
    assert not torch.equal(moved, masks)
    assert set(moved.unique().tolist()) == {0, 1}
    assert int(layers["image"].min()) >= 100
    assert int(layers["image"].max()) <= 128


def test_portraitnets_ways_give_priors_near_the_mask():
    masks = square()
    options = {"affine": 0.5, "perspective": 0.5, "thin_plate": 0.5, "motion_blur": 0.5}
    priors = [drawn(PriorFromMask(empty=0, **options), masks, seed)[0]["prior"] for seed in range(60)]
    soft = [bool(((prior > 0) & (prior < 255)).any()) for prior in priors]
    assert 15 <= sum(soft) <= 45
    assert 2 <= sum(torch.equal(prior, 255 * masks[:1]) for prior in priors) <= 14
    assert all(int(prior.max()) > 60 for prior in priors)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"empty": 1.5}, r"empty=1.5 must lie in \[0, 1\]"),
        ({"jitter": 0.3}, r"jitter=0.3 must lie in \[0, 0.25\]"),
        ({"thin_plate": -1}, r"thin_plate=-1 must lie in \[0, 1\]"),
    ],
)
def test_values_out_of_range_are_named(options, told):
    with pytest.raises(ConfigError, match=f"PriorFromMask: {told}"):
        PriorFromMask(**options)
