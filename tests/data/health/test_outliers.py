"""Outliers and quantiles, by hand."""

import math

import numpy as np
import pytest

from kolbench.data.health import outliers


def test_far_from_the_median_in_both_directions_and_not_at_the_border():
    values = [100.0, 400.0, 401.0, 25.0, 24.0, 100.0, 100.0]
    assert outliers.far_from_median(values, 4) == {2: 4.01, 4: 0.24}
    assert outliers.far_from_median([], 4) == {}


def test_below_a_share_of_the_median_that_is_known():
    values = [40.0, math.nan, 40.0, 9.0, 10.0, 48.0]
    assert outliers.below_median(values, 0.25) == {3: 0.225}
    assert outliers.below_median([math.nan, math.nan], 0.25) == {}
    assert outliers.below_median([0.0, 0.0, 1.0], 0.25) == {}


def test_quantiles_of_what_is_known():
    found = outliers.spread(np.array([4.0, math.nan, 0.0, 1.0, 3.0, 2.0]))
    assert list(found.values()) == pytest.approx([0, 0.2, 2, 3.8, 4])
    assert all(math.isnan(value) for value in outliers.spread(np.array([math.nan])).values())
