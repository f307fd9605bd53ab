"""The upper part of every known person is blurred or covered, and nothing else."""

import numpy as np
import pytest

from kolbench.report.faces import Box, upper_parts, without_faces


def mask_of(height, width, *boxes):
    mask = np.zeros((height, width), bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        # a whole figure, three times as tall as wide: a fifth of 90 rows, and 2 px around
        ((5, 95, 40, 70), Box(3, 23, 38, 72)),
        # a portrait: six tenths of 40 rows
        ((50, 90, 10, 50), Box(48, 74, 8, 52)),
        # at the edges of the image
        ((0, 100, 0, 100), Box(0, 60, 0, 100)),
    ],
)
def test_boxes_by_hand(person, expected):
    assert upper_parts(mask_of(100, 100, person)) == [expected]


def test_each_region_has_its_own_box_and_specks_have_none():
    mask = mask_of(100, 100, (10, 40, 5, 15), (50, 80, 60, 70), (90, 93, 90, 93))
    assert upper_parts(mask) == [Box(9, 16, 4, 16), Box(49, 56, 59, 71)]


def test_a_box_is_as_wide_as_the_upper_part_alone():
    # a head above shoulders
    mask = mask_of(100, 100, (10, 30, 45, 55), (30, 100, 30, 70))
    (box,) = upper_parts(mask)
    assert (box.top, box.bottom) == (8, 34)
    assert (box.left, box.right) == (28, 72)
    assert upper_parts(mask_of(200, 100, (10, 50, 45, 55), (50, 190, 30, 70))) == [Box(6, 46, 41, 59)]


def test_covered_parts_are_flat_and_the_rest_is_as_it_was():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (100, 100, 3), np.uint8)
    masks = (mask_of(100, 100, (5, 95, 10, 40)), mask_of(100, 100, (5, 95, 60, 90)))
    covered = without_faces(image, masks, "hide")
    inside = mask_of(100, 100, (3, 23, 8, 42), (3, 23, 58, 92))
    assert (covered[inside] == 128).all()
    assert (covered[~inside] == image[~inside]).all()
    blurred = without_faces(image, masks, "blur")
    assert (blurred[~inside] == image[~inside]).all()
    # of 20 rows and 34 columns of noise, three by five means are left
    assert len(np.unique(np.diff(blurred[3:23, 8:42].astype(int), axis=1))) < 40
    assert blurred[inside].std() < image[inside].std() / 3
    assert without_faces(image, masks, "show") is image
