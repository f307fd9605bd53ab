"""S-measure worked by hand; `test_parity.py` has it against public toolboxes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kolbench.metrics import scores
from kolbench.metrics.histogram import level_counts
from kolbench.metrics.scores import s_measure
from tests.helpers.counted import disk, planes, saved, two_pictures

pytestmark = pytest.mark.usefixtures("all_families")


def plane(*boxes: tuple[slice, slice], size: tuple[int, int] = (4, 4)) -> Tensor:
    found = torch.zeros(1, 1, *size)
    for box in boxes:
        found[(0, 0, *box)] = 1
    return found


def score(alpha: Tensor, mask: Tensor) -> float:
    counts = level_counts(alpha, mask, extra=scores.extra_counts())
    return float(scores.image_scores(counts, 0.5)["s_measure"][0])


CORNER = plane((slice(0, 2), slice(0, 2)))
LAST = plane((slice(3, 4), slice(3, 4)))
EMPTY, FULL = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
CASES = {
    "perfect": (CORNER, CORNER, 1),
    "perfect, and three quarters are empty": (LAST, LAST, 1),
    "empty truth": (FULL * 0.2, EMPTY, 0.8),
    "full truth": (FULL * 0.2, FULL, 0.2),
    "both empty": (EMPTY, EMPTY, 1),
    "both full": (FULL, FULL, 1),
    # the truth's mean row and column are 1/2, rounded to 0: the quarters meet at (1, 1), and only the first,
    # one pixel, is even in the truth: 0 / 0 counts as 1 there, 0 / more as 0 in the others
    "constant": (
        FULL * 0.2,
        CORNER,
        (0.25 * 2 * 0.2 / (0.2**2 + 1) + 0.75 * 2 * 0.8 / (0.8**2 + 1) + 1 / 16) / 2,
    ),
    # nothing found: the object part is right where nothing is, the region part as before
    "nothing predicted": (EMPTY, CORNER, (0.75 + 0) / 2 + (1 / 16) / 2),
}


@pytest.mark.parametrize("case", CASES)
def test_by_hand(case: str) -> None:
    alpha, mask, expected = CASES[case]
    assert score(alpha, mask) == pytest.approx(expected, abs=1e-12)


def test_a_quarter_by_hand() -> None:
    """Two rows of two: the truth is the left column, so the quarters are the columns of both rows."""
    mask = plane((slice(0, 2), slice(0, 1)), size=(2, 2))
    alpha = torch.tensor([[1.0, 0.2], [0.6, 0.2]])[None, None]
    # inside: mean 0.8, sample deviation 0.2 sqrt 2; outside, of 1 - alpha: mean 0.8, none
    inside = 2 * 0.8 / (0.8**2 + 1 + 0.2 * 2**0.5)
    outside = 2 * 0.8 / (0.8**2 + 1)
    # the quarters meet at row 1, column 1: each is one pixel, whose formula is 0 / 0
    assert score(alpha, mask) == pytest.approx(((inside + outside) / 2 + 1) / 2, abs=1e-12)
    # one more row of background below: mean row 1/2 is still 0, so the lower quarters have two pixels each
    mask, alpha = (
        torch.cat([mask, torch.zeros(1, 1, 1, 2)], 2),
        torch.cat([alpha, torch.zeros(1, 1, 1, 2)], 2),
    )
    outside_mean, outside_deviation = (0.8 + 0.8 + 1 + 1) / 4, (4 * 0.1**2 / 3) ** 0.5
    thing = inside / 3 + 2 / 3 * 2 * outside_mean / (outside_mean**2 + 1 + outside_deviation)
    # lower left: alpha 0.6, 0 and truth 1, 0, so means 0.3 and 0.5, variances 0.18 and 0.5, covariance 0.3;
    # lower right: alpha 0.2, 0 and an empty truth, 0 / more
    left = 4 * 0.3 * 0.5 * 0.3 / ((0.3**2 + 0.5**2) * (0.18 + 0.5))
    assert score(alpha, mask) == pytest.approx((thing + (1 + 1 + 2 * left + 0) / 6) / 2, abs=1e-12)


@pytest.mark.parametrize(
    ("rows", "expected"),
    # rounded to even, and one added
    [(slice(0, 1), 1), (slice(0, 2), 1), (slice(1, 3), 3), (slice(2, 4), 3), (slice(3, 4), 4)],
)
def test_the_centre_is_rounded_to_even(rows: slice, expected: int) -> None:
    mask = plane((rows, slice(1, 2)))[0, 0] == 1
    assert s_measure.centre(mask) == (expected, 2)
    assert s_measure.centre(mask.T) == (2, expected)


def test_an_empty_truth_has_a_centre() -> None:
    assert s_measure.centre(EMPTY[0, 0] == 1) == (1, 1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), height=st.integers(1, 12), width=st.integers(1, 12))
def test_the_quarters_are_those_of_the_picture(seed: int, height: int, width: int) -> None:
    alpha, mask, _ = planes(seed, 1, height, width)
    counts = level_counts(alpha, mask, extra=scores.extra_counts())
    quarters = s_measure.quarters_of(counts)[0]
    levels, truth = saved(alpha)[0, 0], mask[0, 0].numpy() == 1
    row, column = (int(part) for part in np.argwhere(truth).mean(0).round() + 1) if truth.any() else (1, 1)
    parts = [(y, x) for y in (slice(row), slice(row, None)) for x in (slice(column), slice(column, None))]
    for found, part in zip(quarters, parts, strict=True):
        assert np.array_equal(found[0], np.bincount(levels[part][~truth[part]], minlength=256))
        assert np.array_equal(found[1], np.bincount(levels[part][truth[part]], minlength=256))
    assert np.array_equal(quarters.sum(0), np.stack([counts.bg[0], counts.fg[0]]))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), height=st.integers(1, 9), width=st.integers(1, 9))
def test_it_lies_between_0_and_1(seed: int, height: int, width: int) -> None:
    alpha, mask, _ = planes(seed, 3, height, width)
    found = scores.image_scores(level_counts(alpha, mask, extra=scores.extra_counts()), 0.5)["s_measure"]
    assert ((found >= 0) & (found <= 1)).all()


def test_nearer_is_better() -> None:
    near, far = (score(disk(x, 30), disk(80, 30)) for x in (82, 100))
    assert 0 < far < near < score(disk(80, 30), disk(80, 30)) == pytest.approx(1, abs=1e-12)


def test_runs_whose_quarters_were_not_counted_have_none() -> None:
    assert "s_measure" not in scores.mean_scores(two_pictures(), 0.5)
