"""Thresholds, and pixels by truth and prediction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolbench.errors import ConfigError
from kolbench.metrics import scores
from kolbench.metrics.confusion import at_thresholds
from kolbench.metrics.histogram import level_counts
from tests.helpers.counted import counted, flat, of, planes, saved


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), threshold=st.integers(0, 100).map(lambda percent: percent / 100))
def test_every_threshold_equals_thresholding_the_picture(seed: int, threshold: float) -> None:
    alpha, mask, product = planes(seed)
    counts = level_counts(alpha, mask, product)
    found = scores.confusion(counts, threshold)
    row = scores.image_scores(counts, threshold)
    for i, picture in enumerate(saved(alpha)):
        predicted, truth, held = picture > 255 * threshold, mask[i].numpy() == 1, product[i].numpy() == 1
        by_loop = (predicted & truth, predicted & ~truth, ~predicted & truth, ~predicted & ~truth)
        assert [int(part[i]) for part in found] == [region.sum() for region in by_loop]
        assert row["product_recall"][i] == pytest.approx(predicted[held].mean())


@pytest.mark.parametrize(
    ("threshold", "level"),
    [(0, 0), (0.1, 25), (0.2, 51), (0.5, 127), (3 * 0.2, 153), (0.1 + 0.7, 204), (1, 255)],
)
def test_cutoff_is_the_highest_background_level(threshold: float, level: int) -> None:
    assert scores.cutoff_level(threshold) == level


def test_cutoff_is_the_literal_comparison_for_every_hundredth() -> None:
    levels = np.arange(256)
    for percent in range(101):
        literal = levels > 255 * (percent / 100)
        assert np.array_equal(literal, levels > scores.cutoff_level(percent / 100))


def test_cutoff_of_a_levels_own_fraction_is_the_level() -> None:
    assert [scores.cutoff_level(level / 255) for level in range(256)] == list(range(256))


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan")])
def test_thresholds_outside_the_range_are_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        scores.confusion(of(flat(), flat()), threshold)


def test_several_thresholds_at_once_are_each_of_them() -> None:
    counts = counted(3, 4)
    at = at_thresholds(counts, [0.2, 0.7])
    for row, threshold in enumerate((0.2, 0.7)):
        alone = scores.confusion(counts, threshold)
        for part, other in zip(at.confusion, alone, strict=True):
            assert np.array_equal(part[row], other)
    assert np.array_equal(at.above("fg"), at.confusion.tp)
