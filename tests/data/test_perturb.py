"""Rough masks made up from the truth: outlines by hand, edits by hand, the IoU that is asked for."""

import cv2
import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from kolbench.data import augment, perturb
from kolbench.data.perturb import Edit, RoughFromMask
from kolbench.errors import ConfigError

ALL = perturb.ELEMENTS["fixed"]


def person(height=120, width=100):
    """A blob with a hole, as between arm and body."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (width // 3, height // 3), 20, 0, 360, 1, -1)
    cv2.circle(mask, (width // 2, height // 2), width // 8, 0, -1)
    return mask


def rough_of(transform, mask, seed):
    colours = torch.full((3, *mask.shape), 100, dtype=torch.uint8)
    layers, masks = augment.apply(transform, colours, torch.from_numpy(mask)[None], seed)
    assert torch.equal(masks[0], torch.from_numpy(mask))
    return layers["rough"]


def test_runs_begin_where_their_ends_are_closest():
    # twenty vertices: runs of two. A hairpin at vertex 7 brings 6 and 8 together, then 5 and 7 or 7 and 9
    x = [0, 10, 20, 30, 40, 50, 60, 65, 61, 90, 80, 80, 80, 60, 50, 40, 30, 20, 10, 0]
    y = [0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 30, 40, 50, 60, 60, 60, 60, 60, 60, 60]
    contour = np.stack((x, y), 1).astype(np.int32)
    squared = [(x[i] - x[i + 2]) ** 2 + (y[i] - y[i + 2]) ** 2 for i in range(18)]
    assert squared[6] == 2
    assert sorted(range(18), key=squared.__getitem__)[:2] == [6, 5]
    # a tenth of 18 starts, rounded up
    assert perturb.run_starts(contour).tolist() == [6, 5]
    assert perturb.without_run(contour, 6)[:, 0].tolist() == x[:6] + x[8:]


def test_ten_vertices_lose_one_and_leave_one_start():
    contour = np.stack((np.arange(10) ** 2, np.zeros(10)), 1).astype(np.int32)
    assert perturb.run_starts(contour).tolist() == [0]
    assert perturb.without_run(contour, 9).tolist() == contour[:9].tolist()


def test_an_outline_is_a_polygon_through_a_tenth_of_its_vertices():
    mask = np.zeros((60, 60), np.uint8)
    mask[10:50, 10:50] = 1
    torch.manual_seed(0)
    found = perturb.simplified(mask)
    # 156 vertices less 15, of which 14 are kept: a polygon through the square's edge stays inside of it
    assert not (found & ~mask & 1).any()
    assert 0.5 < found.sum() / mask.sum() < 1
    (outline,), _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    corners = len(cv2.approxPolyDP(outline, 1.0, True))
    assert 3 <= corners <= 14


def test_holes_come_back_filled_and_small_parts_go():
    mask = np.zeros((80, 80), np.uint8)
    mask[10:60, 10:60] = 1
    mask[30:40, 30:40] = 0
    mask[70:72, 70:72] = 1  # a contour of four vertices
    for seed in range(5):
        torch.manual_seed(seed)
        found = perturb.simplified(mask)
        assert found[31:39, 31:39].all()
        assert not found[65:, 65:].any()
    # nothing but small parts: the truth stays as it is
    mask[:65] = 0
    assert np.array_equal(perturb.simplified(mask), mask)


def test_nine_numbers_are_an_edit():
    draws = [0.5, 0.25, 0.999, 0.0, 0.2, 0.7, 0.4, 0.3, 0.999]
    found = perturb.drawn_edit(draws, (40, 20), ALL)
    # columns 10..19 of 20; row 10 of 40 alone
    assert found == Edit(10, 11, 10, 20, 1, True, perturb.ELLIPSE, 9)
    draws[4:9] = [0.25, 0.7, 0.5, 0.999, 0.0]
    assert perturb.drawn_edit(draws, (40, 20), ALL) == Edit(
        10, 11, 10, 20, None, False, perturb.HALF_WIDTH, 3
    )


def test_edits_by_hand():
    mask = np.zeros((8, 8), np.uint8)
    # the middle of rows 1..6 and columns 2..5 becomes 1 and grows by one pixel
    perturb.edit(mask, Edit(1, 7, 2, 6, 1, True, perturb.RECTANGLE, 3))
    expected = np.zeros((8, 8), np.uint8)
    expected[3:6, 3:6] = 1
    assert np.array_equal(mask, expected)
    # pixels outside of a rectangle play no part: its border erodes nothing
    perturb.edit(mask, Edit(3, 6, 3, 5, None, False, perturb.NO_ELEMENT, 9))
    assert np.array_equal(mask, expected)
    perturb.edit(mask, Edit(0, 8, 0, 8, None, False, perturb.RECTANGLE, 3))
    assert mask.sum() == 1
    assert mask[4, 4] == 1


def test_structuring_elements():
    assert perturb.element(perturb.RECTANGLE, 5).tolist() == np.ones((5, 5)).tolist()
    assert perturb.element(perturb.ELLIPSE, 5).sum() == 17
    assert perturb.element(perturb.HALF_HEIGHT, 9).shape == (4, 9)
    assert perturb.element(perturb.HALF_WIDTH, 9).shape == (9, 4)
    assert perturb.element(perturb.NO_ELEMENT, 9).tolist() == np.ones((3, 3)).tolist()
    assert perturb.HALF_WIDTH not in perturb.ELEMENTS["published"]
    assert all(perturb.element(kind, size).any() for kind in range(5) for size in range(3, 10))


@pytest.mark.parametrize("target", [0.8, 0.9])
def test_the_target_is_reached_against_the_simplified_mask(target):
    reached = []
    for seed in range(20):
        torch.manual_seed(seed)
        outline = perturb.simplified(person())
        made = perturb.edited_to(outline, target, ALL)
        reached.append((made & outline).sum() / (made | outline).sum())
        assert perturb.overlap(made, outline) == pytest.approx(reached[-1])
    assert max(reached) < target
    # four edits change little of a mask: the round before the last was above the target
    assert np.median(reached) > target - 0.12


def test_250_rounds_are_the_end(monkeypatch):
    rounds: list[tuple[object, ...]] = []

    def as_before(*given: object) -> float:
        rounds.append(given)
        return 1.0

    monkeypatch.setattr(
        perturb, "drawn_edit", lambda *given: Edit(0, 1, 0, 1, None, True, perturb.RECTANGLE, 3)
    )
    monkeypatch.setattr(perturb, "overlap", as_before)
    assert np.array_equal(perturb.edited_to(person(), 0.8, ALL), person())
    assert len(rounds) == 250


def test_the_seed_decides_the_draw_and_the_share_of_rough_masks_is_as_asked():
    mask, transform = person(), RoughFromMask()
    made = [rough_of(transform, mask, seed) for seed in range(30)]
    assert torch.equal(made[3], rough_of(transform, mask, 3))
    assert len({plane.numpy().tobytes() for plane in made}) == 30
    assert all(plane.shape == (1, 120, 100) and set(plane.unique().tolist()) == {0, 255} for plane in made)
    overlaps = [perturb.overlap(plane[0].numpy() // 255, mask) for plane in made]
    # the outline has lost nine tenths of its vertices before, and the hole is filled
    assert 0.55 < np.mean(overlaps) < 0.95
    assert min(overlaps) > 0.3


def test_nothing_is_ever_made_empty():
    mask = np.zeros((20, 20), np.uint8)
    mask[8:10, 8:10] = 1
    transform = RoughFromMask(iou=(0.0, 0.05))
    made = [rough_of(transform, mask, seed) for seed in range(40)]
    assert all(plane.any() for plane in made)
    # edits often erode so small a mask to nothing; the truth stands in its place
    assert any(torch.equal(plane[0], 255 * torch.from_numpy(mask)) for plane in made)


@pytest.mark.parametrize("value", [0, 1])
def test_an_empty_truth_stays_empty_and_a_full_one_is_changed(value):
    mask = np.full((40, 50), value, np.uint8)
    made = rough_of(RoughFromMask(), mask, 0)
    assert bool(made.any()) == bool(value)
    assert torch.equal(made[0], 255 * torch.from_numpy(mask)) == (not value)


def test_large_masks_are_changed_as_copies_of_a_side():
    large = person(480, 400)
    made = rough_of(RoughFromMask(side=100), large, 5)[0].numpy() // 255
    small = cv2.resize(large.astype(np.float32), (100, 120), interpolation=cv2.INTER_AREA) >= 0.5
    expected = rough_of(RoughFromMask(), small.astype(np.uint8), 5)[0].numpy() // 255
    assert made.shape == large.shape
    # the same changes, four times as large
    enlarged = expected.repeat(4, 0).repeat(4, 1)
    assert perturb.overlap(made, enlarged) > 0.97
    assert np.array_equal(rough_of(RoughFromMask(side=400), large, 5), rough_of(RoughFromMask(), large, 5))


def test_every_grey_level_is_foreground_officially():
    levels = np.zeros((40, 40), np.uint8)
    levels[5:35, 5:20] = 60
    levels[5:35, 20:35] = 200
    sample = {
        "image": tv_tensors.Image(torch.zeros(3, 40, 40)),
        "masks": tv_tensors.Mask(torch.zeros(2, 40, 40, dtype=torch.uint8)),
        "matte": tv_tensors.Mask(torch.from_numpy(levels)[None]),
    }
    for threshold, left_too in (("official", True), (128, False)):
        torch.manual_seed(0)
        rough = RoughFromMask(gt_threshold=threshold)(sample)["rough"][0] > 0
        assert bool(rough[15:25, 10:14].any()) == left_too
        assert rough[15:25, 24:30].float().mean() > 0.5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"iou": (0.9, 0.8)}, r"iou=\[0.9, 0.8\] must be two growing numbers in \[0, 1\]"),
        ({"element_choice": "fix"}, "element_choice=fix is not a choice; it is one of fixed, published"),
        ({"gt_threshold": 127}, "gt_threshold=127 is not a choice; it is one of official, 128"),
        ({"side": 0}, "side=0 must be at least 1 pixel"),
    ],
)
def test_values_out_of_range_are_named(options, told):
    with pytest.raises(ConfigError, match=f"RoughFromMask: {told}"):
        RoughFromMask(**options)
