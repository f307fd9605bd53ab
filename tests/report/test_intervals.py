"""Intervals: by hand, against a plain loop over groups, and by simulation of their coverage."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from kolbench.report import intervals
from kolbench.report.intervals import Interval
from kolbench.types import Float64Array
from tests.helpers.made_up_scores import TRUE_MEAN, clustered, isclose

DRAWS = 2000


def names_of(groups: int) -> list[str]:
    return [f"video{number:02d}" for number in range(groups)]


def odds(place: float) -> float:
    return math.log(place / (1 - place))


def beta(rng: np.random.Generator, mean: float, first: float, groups: int) -> Float64Array:
    return rng.beta(first, first * (1 - mean) / mean, (DRAWS, groups))


def coverage_of_draws(found: dict[str, Interval], mean: float) -> float:
    """Share of the intervals that hold the mean; the ends are in order around the values."""
    rows = np.array(list(found.values()))
    assert (rows[:, 1] <= rows[:, 0]).all()
    assert (rows[:, 0] <= rows[:, 2]).all()
    return float(np.mean((rows[:, 1] <= mean) & (mean <= rows[:, 2])))


@pytest.mark.parametrize("groups", [6, 10, 20, 30])
@pytest.mark.parametrize("near_one", [False, True])
@pytest.mark.parametrize(
    ("mean", "first", "on_bound"),
    [
        (0.02, 0.5, 0),
        (0.05, 0.5, 0),
        (0.02, 1, 0),
        (0.035, 2, 0),
        (0.05, 5, 0),
        (0.03, 1, 0.5),
        (0.03, 2, 0.7),
    ],
)
def test_scores_near_0_and_1_are_covered_and_stay_in_range(
    mean: float, first: float, on_bound: float, near_one: bool, groups: int
) -> None:
    """Group means from a Beta distribution, a share of which stands exactly on the bound."""
    rng = np.random.default_rng(groups)
    low = beta(rng, mean / (1 - on_bound), first, groups) * (rng.random((DRAWS, groups)) >= on_bound)
    draws = 1 - low if near_one else low
    found = intervals.mean_intervals({str(row): draw for row, draw in enumerate(draws)}, names_of(groups))
    assert 0.90 <= coverage_of_draws(found, 1 - mean if near_one else mean) <= 0.99
    assert all(0 <= one.low <= one.high <= 1 for one in found.values())


@pytest.mark.parametrize("groups", [6, 10, 20, 30])
@pytest.mark.parametrize(
    ("a", "b", "on_zero"),
    [
        ((0.3, 5), (0.3, 5), 0),
        ((0.05, 1), (0.03, 1), 0),
        ((0.05, 0.5), (0.02, 2), 0),
        ((0.1, 1), (0.001, 5), 0.5),
    ],
)
def test_skewed_differences_are_covered_and_stay_in_range(
    a: tuple[float, float], b: tuple[float, float], on_zero: float, groups: int
) -> None:
    rng = np.random.default_rng(groups)
    draws = (beta(rng, *a, groups) - beta(rng, *b, groups)) * (rng.random((DRAWS, groups)) >= on_zero)
    found = intervals.difference_intervals(
        {str(row): draw for row, draw in enumerate(draws)}, names_of(groups)
    )
    # three standard errors of 2,000 draws below 90 %
    assert coverage_of_draws(found, (a[0] - b[0]) * (1 - on_zero)) >= 0.90 - 3 * math.sqrt(0.09 / DRAWS)
    assert all(-1 <= one.low <= one.high <= 1 for one in found.values())


def coverage(groups: int, sets: int, *, by_picture: bool = False) -> tuple[float, float]:
    """Share of intervals that hold the true mean of whole videos' frames, and their mean width."""
    found = []
    for seed in range(sets):
        values, names = clustered(groups, seed)
        names = [str(row) for row in range(len(values))] if by_picture else names
        found.append(intervals.mean_interval(values, names))
    inside = [low <= TRUE_MEAN <= high for _, low, high in found]
    return float(np.mean(inside)), float(np.mean([high - low for _, low, high in found]))


def test_intervals_over_groups_cover_the_truth_and_those_over_pictures_do_not() -> None:
    share, width = coverage(30, 300)
    naive_share, naive_width = coverage(30, 300, by_picture=True)
    assert 0.90 <= share <= 0.985
    assert naive_share < 0.7
    assert naive_width < 0.5 * width


@pytest.mark.parametrize("groups", [6, 10])
def test_intervals_of_few_groups_cover_too(groups: int) -> None:
    assert 0.90 <= coverage(groups, 300)[0] <= 0.985


def test_an_interval_worked_by_hand() -> None:
    """Six groups of one picture, five at 0.9 and one at 0.6: mean 0.85.

    Without half of a group the mean is (5.1 - x / 2) / 5.5: 4.65 / 5.5 five times, 4.8 / 5.5 once. Six log
    odds, of which one is off by d, have the standard deviation d / sqrt(6); t(5) = 2.5706 from a table.
    """
    found = intervals.mean_interval(np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.6]), names_of(6))
    step = odds(4.8 / 5.5) - odds(4.65 / 5.5)
    reach = 2.570582 * 11 / math.sqrt(6) * step / math.sqrt(6)
    ends = [1 / (1 + math.exp(-(odds(0.85) + side * reach))) for side in (-1, 1)]
    assert found == pytest.approx((0.85, *ends), abs=1e-6)


def test_intervals_are_those_of_a_plain_loop_over_groups_of_unlike_sizes() -> None:
    values, names = clustered(12, 3)
    values = values.clip(0, 1)
    groups = sorted(set(names))
    mine = {name: values[np.array(names) == name] for name in groups}
    half = []
    for name in groups:
        weights = {other: 0.5 if other == name else 1.0 for other in groups}
        summed = sum(weights[other] * mine[other].sum() for other in groups)
        half.append(odds(summed / sum(weights[other] * len(mine[other]) for other in groups)))
    error = np.std(half, ddof=1) * (12 - 0.5) / 0.5 / math.sqrt(12)
    reach = stats.t.ppf(0.975, 11) * error
    found = intervals.mean_interval(values, names)
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    for end, side in ((found.low, -1), (found.high, 1)):
        assert odds(end) == pytest.approx(odds(values.mean()) + side * reach, abs=1e-9)


def test_symmetric_differences_have_students_interval() -> None:
    draws = np.array([-0.3, -0.2, -0.1, 0.1, 0.2, 0.3]) + 0.05
    wanted = stats.ttest_1samp(draws, 0).confidence_interval()
    found = intervals.difference_intervals({"a": draws}, names_of(6))["a"]
    assert isclose(found, (0.05, *wanted))


def test_halls_interval_of_a_skewed_difference_worked_by_hand() -> None:
    """Five zeros and 0.6: mean 0.1, deviation 0.6 / sqrt(6), skewness 4 / sqrt(5) (a share of 1/6)."""
    found = intervals.difference_intervals({"a": np.array([0, 0, 0, 0, 0, 0.6])}, names_of(6))["a"]
    skewness, deviation = 4 / math.sqrt(5), 0.6 / math.sqrt(6)
    # g(w) = w + s w^2 / 3 + s^2 w^3 / 27 + s / 36 is t / sqrt(6) at the ends
    for end, side in ((found.low, 1), (found.high, -1)):
        w = (0.1 - end) / deviation
        g = w + skewness * w**2 / 3 + skewness**2 * w**3 / 27 + skewness / 36
        assert g == pytest.approx(side * 2.570582 / math.sqrt(6), abs=1e-6)
    turned = intervals.difference_intervals({"a": -np.array([0, 0, 0, 0, 0, 0.6])}, names_of(6))["a"]
    assert isclose(turned, (-found.value, -found.high, -found.low))


def test_mirrored_scores_have_the_mirrored_interval() -> None:
    values, names = clustered(20, 4)
    value, low, high = intervals.mean_interval(values, names)
    assert isclose(intervals.mean_interval(1 - values, names), (1 - value, 1 - high, 1 - low))


def test_other_bounds_stretch_the_interval() -> None:
    values, names = clustered(9, 4)
    wanted = intervals.mean_interval(values, names)
    found = intervals.mean_interval(10 * values - 3, names, bounds=(-3, 7))
    assert isclose(found, tuple(10 * number - 3 for number in wanted))


def test_a_score_outside_its_bounds_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"a mean of 1.5 lies outside"):
        intervals.mean_interval(np.full(6, 1.5), names_of(6))


@pytest.mark.parametrize("groups", [6, 40])
def test_a_constant_score_is_certain(groups: int) -> None:
    names = [f"video{row % groups}" for row in range(3 * groups)]
    found = intervals.mean_interval(np.full(3 * groups, 1 / 3), names)
    assert found.value == pytest.approx(1 / 3, abs=1e-15)
    assert found.low == found.value == found.high


@pytest.mark.parametrize(("groups", "certain"), [(6, 0.5407), (10, 0.6915), (20, 0.8316)])
def test_what_never_fails_here_may_fail_elsewhere(groups: int, certain: float) -> None:
    # n successes of n, from a table of Clopper and Pearson's intervals
    perfect = intervals.mean_interval(np.ones(groups), names_of(groups))
    assert perfect == pytest.approx((1, certain, 1), abs=5e-5)
    assert intervals.mean_interval(np.zeros(groups), names_of(groups)) == pytest.approx(
        (0, 0, 1 - certain), abs=5e-5
    )


@pytest.mark.parametrize("groups", [1, 2, 3, 5])
def test_under_six_groups_there_is_no_interval_but_each_group(groups: int) -> None:
    values, names = clustered(groups, 2)
    for found in (
        intervals.mean_interval(values, names),
        intervals.difference_intervals({"a": values - 0.5}, names)["a"],
    ):
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert not found.known
    each = intervals.group_means({"a": values}, names)["a"]
    assert list(each) == sorted(set(names))
    for name, mean in each.items():
        assert mean == pytest.approx(values[np.array(names) == name].mean(), abs=1e-12)


def test_groups_without_a_score_are_not_among_each() -> None:
    values = {"a": np.array([0.2, 0.4, math.nan]), "b": np.array([0.1, math.nan, 0.5])}
    assert intervals.group_means(values, ["v", "v", "w"]) == {
        "a": {"v": pytest.approx(0.3)},
        "b": {"v": 0.1, "w": 0.5},
    }


def test_no_picture_tells_nothing() -> None:
    for nothing in (np.array([]), np.array([math.nan, math.nan])):
        assert np.isnan(intervals.mean_interval(nothing, ["a", "b"][: len(nothing)])).all()


def test_pictures_without_a_score_are_left_out() -> None:
    values, names = clustered(12, 1)
    padded = np.concatenate([values, [math.nan] * 3])
    found = intervals.mean_interval(padded, [*names, names[0], "empty video", "empty video"])
    assert isclose(found, intervals.mean_interval(values, names))


def test_intervals_of_many_methods_are_those_of_each() -> None:
    values, names = clustered(15, 1)
    without_a_video = np.where(np.array(names) == names[0], math.nan, values)
    methods = {"a": values, "b": values**2, "c": without_a_video, "d": np.full_like(values, math.nan)}
    found = intervals.mean_intervals(methods, names)
    assert list(found) == list(methods)
    assert all(isclose(found[name], intervals.mean_interval(methods[name], names)) for name in methods)
    assert intervals.mean_intervals({}, names) == {}


def share(sums: Float64Array) -> Float64Array:
    """Part of the whole, the two in the last axis."""
    return sums[..., 0] / sums[..., 1]


def pooled(
    part: Float64Array, whole: Float64Array, names: list[str], score: Callable[..., Float64Array] = share
) -> Interval:
    counts = np.stack([part, whole], axis=1)
    return intervals.pooled_intervals({"only": counts}, score, names)["only"]


@pytest.mark.parametrize("groups", [6, 20])
def test_a_pooled_score_depends_on_sums_within_groups_only(groups: int) -> None:
    values, names = clustered(groups, 2)
    whole = np.random.default_rng(0).integers(1, 500, len(values)).astype(float)
    part = values * whole
    wanted = pooled(part, whole, names)
    assert wanted.value == pytest.approx(part.sum() / whole.sum(), abs=1e-12)
    assert wanted.low < wanted.value < wanted.high
    order = np.random.default_rng(1).permutation(len(part))
    changes = {
        "other units": (7 * part, 7 * whole, names),
        "other order": (part[order], whole[order], [names[row] for row in order]),
        "halved pictures": (np.tile(part / 2, 2), np.tile(whole / 2, 2), names * 2),
    }
    for change, changed in changes.items():
        assert isclose(pooled(*changed), wanted), change
    turned = pooled(part, whole, names, lambda sums: 1 - share(sums))
    assert isclose(turned, (1 - wanted.value, 1 - wanted.high, 1 - wanted.low))


def test_pooled_scores_near_1_are_covered_and_stay_in_range() -> None:
    """Shares of groups of unlike sizes; the truth is the share over many groups."""
    rng = np.random.default_rng(0)
    names, scores = names_of(8), []
    for _ in range(300):
        whole = rng.integers(200, 2000, 8).astype(float)
        scores.append(pooled((1 - rng.beta(1, 24, 8)) * whole, whole, names))
    inside = [one.low <= 0.96 <= one.high for one in scores]
    # three standard errors of 300 draws below 95 %
    assert np.mean(inside) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)
    assert all(0 <= one.low <= one.high <= 1 for one in scores)


@pytest.mark.parametrize("groups", [3, 18])
def test_a_mean_is_a_pooled_score_with_pictures_as_the_whole(groups: int) -> None:
    values, names = clustered(groups, 5)
    assert isclose(pooled(values, np.ones_like(values), names), intervals.mean_interval(values, names))
    counts = {"a": np.stack([values, np.ones_like(values)], axis=1)}
    each = intervals.pooled_by_group(counts, share, names)["a"]
    assert each == pytest.approx(intervals.group_means({"a": values}, names)["a"], abs=1e-12)


def test_pooled_intervals_of_many_methods_are_those_of_each() -> None:
    values, names = clustered(12, 6)
    counts = {
        name: np.stack([np.round(1000 * values**power), np.full(len(values), 1000)], axis=1).astype(np.int64)
        for name, power in (("a", 1), ("b", 2))
    }
    counts["a"][:, 0] = counts["a"][:, 0].clip(0, 1000)
    found = intervals.pooled_intervals(counts, share, names)
    assert list(found) == ["a", "b"]
    for name, own in counts.items():
        assert isclose(intervals.pooled_intervals({name: own}, share, names)[name], found[name])
    assert intervals.pooled_intervals({}, share, names) == {}


def test_a_pooled_score_that_one_group_alone_tells_has_no_interval() -> None:
    part, whole = np.eye(8)[0], 2 * np.eye(8)[0]

    def score(sums: Float64Array) -> Float64Array:
        return np.where(sums[..., 1] > 0, sums[..., 0] / np.maximum(sums[..., 1], 1), math.nan)

    found = pooled(part, whole, [str(row) for row in range(8)], score)
    assert isclose(found, (0.5, math.nan, math.nan))
