"""Contour F of DAVIS: figures of the authors' code, dilation by SciPy, pixel by pixel in Python."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from kolbench.metrics.boundary_f import boundary_f, contour, reach
from tests.helpers.counted import disk


def at(x: int, radius: int) -> np.ndarray:
    return np.asarray(disk(x, radius)[0, 0].numpy() == 1)


EMPTY, FULL = np.zeros((120, 160), bool), np.ones((120, 160), bool)
TRUTH = at(80, 30)


@pytest.mark.parametrize(
    ("predicted", "truth", "golden"),
    [
        (TRUTH, TRUTH, 1),
        (at(84, 30), TRUTH, 0.393443),
        (at(80, 27), TRUTH, 0.137931),
        (EMPTY, TRUTH, 0),
        (FULL, TRUTH, 0),
        (TRUTH, EMPTY, 0),
        (EMPTY, EMPTY, 1),
        (FULL, FULL, 1),
        # the border of the picture is no contour, so both have none
        (FULL, EMPTY, 1),
    ],
)
def test_equals_the_authors_figures(predicted: np.ndarray, truth: np.ndarray, golden: float) -> None:
    assert boundary_f(predicted, truth) == pytest.approx(golden, abs=5e-7)


@pytest.mark.parametrize(("size", "pixels"), [((480, 854), 8), ((120, 160), 2), ((1080, 1920), 18)])
def test_the_tolerance_is_a_share_of_the_diagonal(size: tuple[int, int], pixels: int) -> None:
    assert reach(*size) == pixels


def test_a_tolerance_from_1_on_is_pixels() -> None:
    assert reach(480, 854, 3) == 3
    column = np.arange(12)[None] >= np.array([[4]] * 6)
    # contours in columns 3 and 6
    moved = np.roll(column, 3, axis=1) & column
    assert boundary_f(column, moved, 3) == 1
    assert boundary_f(column, moved, 2) == 0


def test_a_contour_lies_to_the_upper_left() -> None:
    plane = np.zeros((5, 6), bool)
    plane[2:4, 2:4] = True
    drawn = ["......", ".###..", ".#.#..", ".###..", "......"]
    assert contour(plane).tolist() == [[sign == "#" for sign in row] for row in drawn]


def by_pixels(plane: np.ndarray) -> list[tuple[int, int]]:
    """The contour by the words of the specification: three neighbours, fewer at the last row and column."""
    height, width = plane.shape
    return [
        (y, x)
        for y in range(height)
        for x in range(width)
        if any(
            plane[y, x] != plane[y + down, x + right]
            for down, right in ((0, 1), (1, 0), (1, 1))
            if y + down < height and x + right < width
        )
    ]


def slowly(predicted: np.ndarray, truth: np.ndarray, radius: int) -> float:
    found, wanted = by_pixels(predicted), by_pixels(truth)

    def share(of: list[tuple[int, int]], near: list[tuple[int, int]]) -> float:
        if not of:
            return 1.0
        return sum(any(math.dist(a, b) <= radius for b in near) for a in of) / len(of)

    precision, recall = share(found, wanted), share(wanted, found)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16), tolerance=st.sampled_from([0.008, 0.02, 0.06]))
def test_equals_dilation_by_a_disk(seed: int, tolerance: float) -> None:
    draw = np.random.default_rng(seed)
    predicted, truth = (
        ndimage.gaussian_filter(draw.normal(size=(70, 90)), 4) > 0.01 for _ in ("predicted", "truth")
    )
    radius = reach(70, 90, tolerance)
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    element = np.hypot(rows, columns) <= radius
    found, wanted = contour(predicted), contour(truth)
    precision = (found & ndimage.binary_dilation(wanted, element)).sum() / found.sum()
    recall = (wanted & ndimage.binary_dilation(found, element)).sum() / wanted.sum()
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_f(predicted, truth, tolerance) == pytest.approx(expected, abs=1e-15)


MASKS = arrays(bool, st.tuples(st.just(9), st.just(11)))


@settings(deadline=None, max_examples=60)
@given(MASKS, MASKS, st.sampled_from([1, 2, 3]))
def test_equals_the_definition_pixel_by_pixel(predicted: np.ndarray, truth: np.ndarray, radius: int) -> None:
    assert boundary_f(predicted, truth, radius) == pytest.approx(slowly(predicted, truth, radius), abs=1e-12)
