"""The upper part of every known person is blurred or covered, and nothing else."""

import numpy as np
import pytest

from kolbench.report.faces import upper_parts, without_faces


def mask_of(height, width, *boxes):
    mask = np.zeros((height, width), bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        # a whole figure, three times as tall as wide: a fifth of 90 rows, and 2 px around
        ((5, 95, 40, 70), (3, 25, 38, 72)),
        # a portrait: six tenths of 40 rows
        ((50, 90, 10, 50), (48, 76, 8, 52)),
        # at the edges of the image
        ((0, 100, 0, 100), (0, 66, 0, 100)),
    ],
)
def test_upper_parts_by_hand(person, expected):
    (part,) = upper_parts(mask_of(100, 100, person))
    assert (part == mask_of(100, 100, expected)).all()


def test_each_region_has_its_own_part_and_specks_have_none():
    mask = mask_of(100, 100, (10, 40, 5, 15), (50, 80, 60, 70), (90, 93, 90, 93))
    first, second = upper_parts(mask)
    assert (first == mask_of(100, 100, (9, 17, 4, 16))).all()
    assert (second == mask_of(100, 100, (49, 57, 59, 71))).all()


def test_a_part_follows_the_outline_and_fills_what_a_method_missed():
    # a head of 40 rows above shoulders, with a face that was missed
    mask = mask_of(200, 100, (10, 50, 40, 60), (50, 190, 30, 70))
    mask[20:30, 45:55] = False
    (part,) = upper_parts(mask)
    # six tenths of the 40 columns are fewer rows than a fifth of 180
    assert (part == mask_of(200, 100, (6, 50, 36, 64))).all()


def test_covered_parts_are_flat_and_the_rest_is_as_it_was():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (100, 100, 3), np.uint8)
    masks = (mask_of(100, 100, (5, 95, 10, 40)), mask_of(100, 100, (5, 95, 60, 90)))
    covered = without_faces(image, masks, "hide")
    inside = mask_of(100, 100, (3, 25, 8, 42), (3, 25, 58, 92))
    assert (covered[inside] == 128).all()
    assert (covered[~inside] == image[~inside]).all()
    blurred = without_faces(image, masks, "blur")
    assert (blurred[~inside] == image[~inside]).all()
    # of 22 rows and 34 columns of noise, three by five means are left
    assert len(np.unique(np.diff(blurred[3:25, 8:42].astype(int), axis=1))) < 40
    assert blurred[inside].std() < image[inside].std() / 3
    assert without_faces(image, masks, "show") is image
