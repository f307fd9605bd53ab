"""Stretched levels by hand, and against stretching the maps themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolbench.metrics.stretch import Bounds, by_maximum, min_max, requantised, unstretched
from tests.helpers.counted import flat, of


def bounds_of(*levels: int) -> list[tuple[int, int]]:
    """(low, high) unstretched, by the extremes, by the maximum."""
    found = (stretch(flat(*levels)) for stretch in (unstretched, min_max, by_maximum))
    return [(int(low[0]), int(high[0])) for low, high in found]


@pytest.mark.parametrize(
    ("levels", "extremes", "maximum"),
    [
        ((20, 120, 50), (20, 120), (0, 120)),
        ((0, 255), (0, 255), (0, 255)),
        # maps of one level stay as they are; only a map of zeros has no maximum
        ((120, 120), (0, 255), (0, 120)),
        ((0, 0), (0, 255), (0, 255)),
        ((), (0, 255), (0, 255)),
    ],
)
def test_bounds_by_hand(levels: tuple[int, ...], extremes: object, maximum: object) -> None:
    assert bounds_of(*levels) == [(0, 255), extremes, maximum]


def test_values_and_levels_by_hand() -> None:
    counts = of(flat(20, 120), flat(70, 45))
    bounds = min_max(counts.fg + counts.bg)
    assert bounds.values()[0, [20, 45, 70, 120]] == pytest.approx([0, 0.25, 0.5, 1], abs=1e-15)
    moved = requantised(counts, bounds)
    # 255 / 4 and 255 / 2 are cut off to whole levels
    assert np.array_equal(moved.fg, flat(0, 255))
    assert np.array_equal(moved.bg, flat(127, 63))


def test_unstretched_counts_stay_as_they_are() -> None:
    counts = of(np.arange(256)[None], np.arange(256)[None, ::-1].copy())
    moved = requantised(counts, unstretched(counts.fg))
    assert np.array_equal(moved.fg, counts.fg)
    assert np.array_equal(moved.bg, counts.bg)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), low=st.integers(0, 254), width=st.integers(1, 255))
def test_histograms_are_stretched_as_their_maps_are(seed: int, low: int, width: int) -> None:
    levels = np.random.default_rng(seed).integers(low, min(low + width, 255) + 1, (2, 40))
    counts = of(*(np.stack([np.bincount(row, minlength=256) for row in half]) for half in (levels, levels)))
    bounds = min_max(counts.fg)
    lows, highs = levels.min(1, keepdims=True) / 255, levels.max(1, keepdims=True) / 255
    values = np.where(
        highs > lows, (levels / 255 - lows) / np.where(highs > lows, highs - lows, 1), levels / 255
    )
    for row in range(2):
        assert np.array_equal(bounds.values()[row, levels[row]], values[row])
        expected = np.bincount((values[row] * 255).astype(np.uint8), minlength=256)
        assert np.array_equal(requantised(counts, bounds).fg[row], expected)


def test_pictures_are_stretched_each_by_itself() -> None:
    both = np.concatenate([flat(10, 20), flat(0, 200)])
    assert [tuple(pair) for pair in np.stack(min_max(both), 1)] == [(10, 20), (0, 200)]
    assert list(Bounds(*min_max(both)).width) == [10, 200]
