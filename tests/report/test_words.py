"""One rounding and one way of writing numbers in the whole report."""

import math

import pytest

from kolbench.metrics import scores
from kolbench.report import words
from kolbench.report.intervals import Interval


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.9787, "97.9"), (1.0, "100.0"), (0.0, "0.0"), (-0.00001, "0.0"), (math.nan, "\N{EN DASH}")],
)
def test_shares_are_written_in_per_cent(share, text):
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0213, "+2.1"), (-0.0213, "\N{MINUS SIGN}2.1"), (0.0001, "0.0"), (-0.0001, "0.0"), (0.0006, "+0.1")],
)
def test_differences_have_a_sign_unless_they_read_as_nothing(difference, text):
    assert words.points(difference) == text


def test_intervals_that_nobody_knows_are_said_to_be_missing():
    unknown = Interval(0.5, math.nan, math.nan)
    assert words.percent_range(unknown) == words.points_range(unknown) == "too few groups for an interval"
    assert words.percent_range(Interval(0.5, 0.25, 0.75)) == "25.0\N{EN DASH}75.0"
    assert words.points_range(Interval(0.5, -0.25, 0.75)) == "[\N{MINUS SIGN}25.0, +75.0]"


def test_singular_and_plural():
    assert [words.counted(number, "image") for number in (0, 1, 2, 1200)] == [
        *("0 images", "1 image", "2 images", "1,200 images"),
    ]
    assert words.counted(2, "category", "categories") == "2 categories"
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.listed(["a", "b"], "or") == "a or b"


def test_scores_know_which_way_is_better():
    assert [words.arrow(name) for name in ("miou", "mae", "sad", "method")] == ["↑", "↓", "↓", ""]
    assert words.is_share("miou")
    assert not words.is_share("sad")
    assert not words.is_share("method")


def test_every_named_score_is_one_of_ours():
    assert set(words._NAMES) <= set(scores.DEFINITIONS)


def test_parameters_in_millions():
    assert [words.millions(count) for count in (None, 0, 1_131_181, 9_999)] == [
        *("\N{EN DASH}", "\N{EN DASH}", "1.13 M", "9,999"),
    ]
