"""Measures of one picture, by hand."""

import math

import numpy as np
import pytest

from kolbench.data.health import measures
from kolbench.types import Sample


def grid(*rows: str) -> np.ndarray:
    return np.array([[int(cell) for cell in row] for row in rows], np.uint8)


def test_objects_are_connected_over_corners_too():
    mask = grid("110001", "110000", "001000", "000000", "000011")
    # the square with the pixel at its corner, the pair, the single pixel
    assert measures.object_areas(mask).tolist() == [5, 2, 1]
    assert measures.object_areas(np.zeros((3, 4), np.uint8)).tolist() == []


def test_large_objects_have_one_per_cent_and_a_quarter_of_the_largest():
    areas = np.array([4000, 1000, 999, 100])
    assert measures.large_objects(areas, 20_000) == 2
    # 1 % of 200000 is 2000
    assert measures.large_objects(areas, 200_000) == 1
    assert measures.large_objects(areas[3:], 20_000) == 0
    assert measures.large_objects(areas[:0], 20_000) == 0


def test_specks_are_below_a_fifth_of_a_thousandth_and_never_the_largest():
    assert measures.small_objects(np.array([500, 3, 2, 1]), 10_000) == 1
    assert measures.small_objects(np.array([1]), 10_000) == 0


def test_steepness_is_the_length_of_the_central_difference():
    # 3 to the right and 4 down, everywhere
    rows, columns = np.mgrid[:5, :6]
    assert measures.steepness((4 * rows + 3 * columns).astype(np.uint8)) == pytest.approx(
        np.full((5, 6), 5.0)
    )
    step = np.repeat(np.array([[10, 10, 110, 110]], np.uint8), 3, axis=0)
    assert measures.steepness(step)[1].tolist() == [0, 50, 50, 0]


def test_sharpness_is_the_steepest_within_two_pixels_of_the_edge():
    # 512 px wide, so that nothing is resized
    mask = np.zeros((64, 512), np.uint8)
    mask[:, 256:] = 1
    levels = np.full((64, 512), 20, np.uint8)
    levels[:, 256:] = 120
    image = np.dstack([levels] * 3)
    assert measures.edge_sharpness(image, mask) == 50
    # the edge's pixels are columns 255 and 256, of which 256 sees the steep columns 258 and 259, and 255 not
    moved = np.roll(image, 3, axis=1)
    moved[:, :10] = 20
    assert measures.edge_sharpness(moved, mask) == 25
    far = np.roll(image, 40, axis=1)
    far[:, :60] = 20
    assert measures.edge_sharpness(far, mask) == 0
    assert math.isnan(measures.edge_sharpness(image, np.zeros_like(mask)))


def test_a_product_outside_is_counted_in_its_own_pixels():
    mask, product = grid("1110", "1110"), grid("0111", "0001")
    assert measures.product_outside(mask, product) == 2 / 4
    assert measures.product_outside(mask, np.zeros_like(mask)) == 0


def test_all_of_a_picture():
    mask = np.zeros((40, 50), np.uint8)
    mask[10:40, 10:30] = 1
    product = np.zeros_like(mask)
    product[20:30, 10:20] = 1
    image = np.full((40, 50, 3), 9, np.uint8)
    found = measures.measure(Sample(image, mask, product))
    # 20 of the 176 outermost pixels; one flat colour has no edge and no entropy
    assert [*found] == pytest.approx([40, 50, 600 / 2000, 100 / 2000, 20 / 176, 1, 0, 0, 0])
    assert math.isnan(measures.measure(Sample(image, mask)).product)
