"""F, E and the like over all thresholds, worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolbench.metrics import saliency, scores
from kolbench.metrics.confusion import Confusion
from kolbench.metrics.counts import Counts
from kolbench.metrics.stretch import by_maximum, min_max, unstretched
from tests.helpers.counted import flat, of

pytestmark = pytest.mark.usefixtures("all_families")

# from level 0 on all four pixels are predicted, from 1 on three, from 201 on one
BY_HAND = of(flat(255, 200), flat(200, 0))
F_BY_HAND = [1.3 * 2 / (4 + 0.6)] + [1.3 * 2 / (3 + 0.6)] * 200 + [1.3 / (1 + 0.6)] * 55


def found_of(counts: Counts) -> dict[str, float]:
    return scores.mean_scores(counts, 0.5)


def test_the_f_curve_by_hand() -> None:
    curve = saliency.f_measure(saliency.at_every_level(BY_HAND))
    assert curve[:, 0] == pytest.approx(F_BY_HAND, abs=1e-15)
    found = found_of(BY_HAND)
    assert found["f_mean"] == pytest.approx(np.mean(F_BY_HAND), abs=1e-14)
    assert found["f_max"] == found["f_mean_pr"] == pytest.approx(1.3 / 1.6, abs=1e-15)
    assert found["f0.3_pooled_max"] == pytest.approx(1.3 / 1.6, abs=1e-15)
    # twice the mean is over 1, so only what is 1 is predicted
    assert found["f_adaptive"] == pytest.approx(1.3 / 1.6, abs=1e-15)


def test_three_ways_to_average_before_the_maximum() -> None:
    """Two pictures whose best thresholds differ: one wants level 100, the other has false positives there."""
    fg = np.concatenate([flat(100), flat(200)])
    bg = np.concatenate([flat(0), flat(100)])
    found = found_of(of(fg, bg))
    # from 1 to 100: F 1 and 1.3 / 2.3, P 1 and 1/2, R 1 and 1; from 101 to 200 pooled TP 1, FP 0, FN 1
    assert found["f_max"] == pytest.approx((1 + 1.3 / 2.3) / 2, abs=1e-15)
    assert found["f_mean_pr"] == pytest.approx(1.3 * 0.75 / (0.3 * 0.75 + 1), abs=1e-15)
    assert found["f0.3_pooled_max"] == pytest.approx(1.3 / (1.3 + 0.3), abs=1e-15)


def confusion(tp: int, fp: int, fn: int, tn: int) -> Confusion:
    return Confusion(*(np.array([part]) for part in (tp, fp, fn, tn)))


def test_e_measure_by_hand() -> None:
    # means 1/4 and 1/2; phi is 12/13 where both are set, -4/5 where one is, 4/5 where none is
    expected = ((25 / 13) ** 2 / 4 + 0.2**2 / 4 + 2 * 1.8**2 / 4) / 3
    assert saliency.e_measure(confusion(1, 0, 1, 2)) == pytest.approx([expected], abs=1e-14)


E_CASES = {
    # (tp, fp, fn, tn), the sum over pixels before it is divided by N - 1
    "perfect": ((2, 0, 0, 2), 4),
    "inverted": ((0, 2, 2, 0), 0),
    "empty truth, nothing predicted": ((0, 0, 0, 4), 4),
    "empty truth, one predicted": ((0, 1, 0, 3), 3),
    "full truth, one found": ((1, 0, 3, 0), 1),
    # phi is 0 everywhere
    "mixed truth, all predicted": ((2, 2, 0, 0), 1),
    "mixed truth, nothing predicted": ((0, 0, 2, 2), 1),
}


@pytest.mark.parametrize("case", E_CASES)
def test_e_measure_at_the_edges(case: str) -> None:
    counts, total = E_CASES[case]
    assert saliency.e_measure(confusion(*counts)) == pytest.approx([total / 3], abs=1e-14)


def test_e_measure_of_one_pixel_and_of_none_is_finite() -> None:
    assert saliency.e_measure(confusion(1, 0, 0, 0)) == [1]
    assert saliency.e_measure(confusion(0, 0, 0, 0)) == [0]


EDGES = {
    # truth, alpha: (fg, bg) -> f_max, f_mean, f_adaptive, e_max, e_mean, e_adaptive, mae_minmax
    "empty, nothing predicted": ((flat(), flat(0, 0, 0)), (0, 0, 0, 3 / 2, 3 / 2 * 255 / 256, 0, 0)),
    "empty, a constant half": ((flat(), flat(51, 51)), (0, 0, 0, 2, 2 * 204 / 256, 2, 0.2)),
    "full, all predicted": ((flat(255, 255), flat()), (1, 1, 1, 2, 2, 2, 0)),
    "full, nothing predicted": ((flat(0, 0), flat()), (1, 1 / 256, 1, 2, 2 / 256, 2, 1)),
    # a constant map below a half lies under twice its mean: nothing is predicted
    "mixed, constant": (
        (flat(51), flat(51)),
        (1.3 / 2.3, 1.3 / 2.3 * 52 / 256, 0, 0.5, 0.5, 0.5, 0.5),
    ),
}


@pytest.mark.parametrize("case", EDGES)
def test_the_edges_by_hand(case: str) -> None:
    (fg, bg), expected = EDGES[case]
    found = found_of(of(fg, bg))
    names = ("f_max", "f_mean", "f_adaptive", "e_max", "e_mean", "e_adaptive", "mae_minmax")
    assert [found[name] for name in names] == pytest.approx(expected, abs=1e-12)


def test_the_adaptive_threshold_by_hand() -> None:
    # the mean of 40, 100, 20 and 40 is 50: what reaches 100 is predicted, 100 itself included
    counts = of(flat(40, 100), flat(20, 40))
    histogram = counts.fg + counts.bg
    assert [int(part[0]) for part in saliency.adaptive(counts, unstretched(histogram))] == [1, 0, 1, 2]
    # from 20 to 100 the mean is 30 of 80: what reaches 80 again; by the maximum what reaches 100
    assert [int(part[0]) for part in saliency.adaptive(counts, min_max(histogram))] == [1, 0, 1, 2]
    assert [int(part[0]) for part in saliency.adaptive(counts, by_maximum(histogram))] == [1, 0, 1, 2]
    # stretched, 60 of 20 .. 100 is half: twice the mean of 1, 1/2, 1/2 and 0 is the whole
    counts = of(flat(100, 60), flat(60, 20))
    assert [int(part[0]) for part in saliency.adaptive(counts, min_max(counts.fg + counts.bg))] == [
        1,
        0,
        1,
        2,
    ]


def test_mae_of_the_stretched_map_by_hand() -> None:
    counts = of(flat(100, 60), flat(60, 20))
    assert found_of(counts)["mae_minmax"] == pytest.approx((0 + 0.5 + 0.5 + 0) / 4, abs=1e-15)
    # a map that is the same all over is not stretched
    assert found_of(of(flat(51), flat(51)))["mae_minmax"] == pytest.approx((0.8 + 0.2) / 2, abs=1e-15)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16))
def test_the_maximum_is_not_below_any_threshold(seed: int) -> None:
    draw = np.random.default_rng(seed)
    fg, bg = (draw.integers(0, 3, (3, 256)) * (draw.random((3, 256)) > 0.9) for _ in "ab")
    fg[:, 7] += 1
    curve = scores.threshold_curve(of(fg, bg), [level / 255 for level in range(255)])
    for single, highest in (("f0.3", "f_max"), ("f0.3_pooled", "f0.3_pooled_max")):
        assert curve[single].max() <= curve[highest][0] + 1e-15
    assert curve["f_mean"][0] <= curve["f_max"][0] <= 1
    assert curve["e_mean"][0] <= curve["e_max"][0]


def test_maxima_are_of_the_set_and_means_of_pictures() -> None:
    counts = of(np.concatenate([flat(255, 200), flat(10)]), np.concatenate([flat(200, 0), flat(90, 0)]))
    images = scores.image_scores(counts, 0.5)
    for name in ("f_mean", "f_adaptive", "e_mean", "e_adaptive", "mae_minmax"):
        assert found_of(counts)[name] == pytest.approx(images[name].mean(), abs=1e-15)
    for name in ("f_max", "e_max", "f_mean_pr", "f0.3_pooled_max"):
        assert name not in images
