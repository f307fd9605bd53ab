"""Contour F of DAVIS: figures of the authors' code, dilation by SciPy, and worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from kolbench.metrics.scores.contour import boundary_f, contour, reach, values
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


def test_a_contour_lies_to_the_upper_left() -> None:
    plane = np.zeros((5, 6), bool)
    plane[2:4, 2:4] = True
    drawn = ["......", ".###..", ".#.#..", ".###..", "......"]
    assert contour(plane).tolist() == [[sign == "#" for sign in row] for row in drawn]


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


def test_alpha_and_truth_are_cut_at_a_half() -> None:
    levels = np.where(TRUTH, 128, 127).astype(np.uint8)
    assert values(levels, levels) == (1,)
    assert values(levels, np.full_like(levels, 127)) == (0,)
