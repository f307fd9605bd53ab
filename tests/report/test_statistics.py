"""Paired tests and ranks: by hand, against scipy on single pictures, and by simulation."""

import itertools
import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from kolbench.report import intervals, statistics
from kolbench.report.intervals import Interval
from kolbench.report.statistics import Difference
from kolbench.types import Float64Array
from tests.helpers.made_up_scores import clustered, isclose

METHODS = ("a", "b", "c", "d")


def no_difference(seed: int) -> tuple[dict[str, Float64Array], list[str]]:
    """Methods that are equally good in truth, each with videos that it does well or badly."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(16), rng.integers(1, 8, 16))
    hard = rng.normal(0, 0.2, 16)[codes]
    made = {
        method: 0.7 + hard + rng.normal(0, 0.05, 16)[codes] + rng.normal(0, 0.02, len(codes))
        for method in METHODS
    }
    return made, [f"video{code}" for code in codes]


def one_picture_each(*rows: list[float]) -> tuple[dict[str, Float64Array], list[str]]:
    """Methods a, b, c ... with a row of scores each; every picture is a group."""
    values = {method: np.array(row) for method, row in zip(METHODS, rows, strict=False)}
    return values, [f"picture{number}" for number in range(len(rows[0]))]


@pytest.mark.parametrize(("pairs", "groups"), [(1, 6), (2, 7), (10, 9), (190, 13)])
def test_with_one_group_less_nothing_can_be_significant(pairs: int, groups: int) -> None:
    assert intervals.fewest_groups(pairs) == groups
    assert pairs * 2 / 2**groups < intervals.SIGNIFICANCE <= pairs * 2 / 2 ** (groups - 1)
    values = {"a": np.ones(groups), "b": np.zeros(groups)}
    (found,) = statistics.differences(values, [str(row) for row in range(groups)])
    assert found.p == pytest.approx(2 / 2**groups)


@pytest.mark.parametrize(
    ("a_minus_b", "p"),
    [
        ([0.1, 0.2, 0.3, 0.4], 2 / 16),  # of 16 ways to flip, one is as high
        ([0.3, 0.2, 0.1, -0.1], 6 / 16),  # 5 of at most 7: reached by +++-, +++ +, ++-+
        ([0.1, 0.1, -0.1, -0.1], 1),
        ([0.2, 0.2, 0.2, 0.0], 4 / 16),  # the flip of nothing doubles the one way
        ([0.1], 1),
    ],
)
def test_exact_p_of_few_groups(a_minus_b: list[float], p: float) -> None:
    values, names = one_picture_each(a_minus_b, [0.0] * len(a_minus_b))
    (found,) = statistics.differences(values, names)
    assert found.p == pytest.approx(p, abs=1e-12)
    assert found.p_holm == found.p
    assert found.verdict == "inconclusive"


def test_p_of_unequal_groups_is_that_of_all_flips_of_whole_groups() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(9), rng.integers(1, 12, 9))
    a, b = rng.normal(0.03, 0.1, (2, len(codes)))
    a = a + 0.02
    sums = np.array([(a - b)[codes == group].sum() for group in range(9)])
    flipped = [float(np.dot(signs, sums)) for signs in itertools.product((1, -1), repeat=9)]
    tails = [
        sum(value >= sums.sum() - 1e-9 for value in flipped),
        sum(value <= sums.sum() + 1e-9 for value in flipped),
    ]
    names = [f"video{code}" for code in codes]
    (exact,) = statistics.differences({"a": a, "b": b}, names)
    assert exact.p == pytest.approx(2 * min(tails) / 512, abs=1e-12)
    (drawn,) = statistics.differences({"a": a, "b": b}, names, flips=400)
    assert drawn.p != exact.p
    # 4 standard errors of a tail from 400 draws, doubled
    assert drawn.p == pytest.approx(exact.p, abs=8 * math.sqrt(exact.p / 2 / 400))


def test_holm_by_hand() -> None:
    # a - b: 0.5 six times; b - c: one of six against; a - c: 1 five times and a tie
    values, names = one_picture_each([1, 1, 1, 1, 1, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5, 0], [0, 0, 0, 0, 0, 0.5])
    found = {(d.a, d.b): d for d in statistics.differences(values, names)}
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    wanted = {("a", "b"): (2, 3 * 2), ("a", "c"): (4, 2 * 4), ("b", "c"): (14, 14)}
    for pair, (p, p_holm) in wanted.items():
        assert (found[pair].p * 64, found[pair].p_holm * 64) == pytest.approx((p, p_holm), abs=1e-9)
    # without b the pair a, c stands alone
    (alone,) = statistics.differences({"a": values["a"], "c": values["c"]}, names)
    assert alone.p_holm * 64 == pytest.approx(4, abs=1e-9)


@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 * 0.01, then 2 * 0.03, and 0.04 not below that
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.9, 0.6, 0.001], [1, 1, 0.003]),
        ([math.nan, 0.03, math.nan, 0.01], [math.nan, 0.03, math.nan, 0.02]),
        ([math.nan], [math.nan]),
        ([], []),
    ],
)
def test_holms_steps_by_hand(p: list[float], corrected: list[float]) -> None:
    found = statistics.holm(np.array(p, float))
    np.testing.assert_allclose(found, corrected, rtol=0, atol=1e-15)


def test_a_clear_difference_is_said_and_which_way() -> None:
    values, names = clustered(14, 8)
    noise = np.random.default_rng(0).normal(0, 0.01, len(values))
    found = statistics.differences({"low": values - 0.05 + noise, "high": values, "same": values}, names)
    by_pair = {(d.a, d.b): d for d in found}
    assert by_pair["low", "high"].verdict == "b better"
    assert by_pair["low", "same"].verdict == "b better"
    assert by_pair["high", "same"] == Difference("high", "same", Interval(0, 0, 0), 1, 1, "inconclusive")
    assert by_pair["low", "high"].interval.high < 0
    assert isclose(
        by_pair["low", "high"].interval, intervals.difference_intervals({"": noise - 0.05}, names)[""]
    )
    (turned,) = statistics.differences({"high": values, "low": values - 0.05 + noise}, names)
    assert turned.verdict == "a better"


def test_five_groups_allow_no_verdict() -> None:
    values, names = one_picture_each([0.9, 0.91, 0.9, 0.92, 0.9], [0.1, 0.11, 0.12, 0.1, 0.1])
    (found,) = statistics.differences(values, names)
    assert not found.interval.known
    assert found.p == pytest.approx(2 / 32, abs=1e-12)
    assert found.verdict == "inconclusive"


def test_a_verdict_needs_both_the_test_and_the_interval() -> None:
    seen = set()
    for seed in range(150):
        values, names = clustered(8, seed)
        zero = np.zeros_like(values)
        for shift in (0.7, 0.9):
            (found,) = statistics.differences({"a": values - shift, "b": zero}, names)
            sure = (found.p_holm < 0.05, found.interval.low > 0 or found.interval.high < 0)
            better = "a better" if found.interval.value > 0 else "b better"
            assert found.verdict == (better if all(sure) else "inconclusive")
            seen.add(sure)
    assert seen == set(itertools.product((True, False), repeat=2))


@pytest.mark.slow
def test_differences_are_seldom_found_where_there_are_none() -> None:
    families, pair_p, naive_p = [], [], []
    for seed in range(300):
        values, names = no_difference(seed)
        found = statistics.differences(values, names, seed, flips=999)
        families.append(any(d.verdict != "inconclusive" for d in found))
        pair_p.append(found[0].p)
        if seed < 100:
            pair = {method: values[method] for method in METHODS[:2]}
            pictures = [str(row) for row in range(len(names))]
            naive_p.append(statistics.differences(pair, pictures, seed, flips=999)[0].p)
    # 5 % and three standard errors of 300 draws
    assert np.mean(families) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(pair_p) <= level) == pytest.approx(
            level, abs=3 * math.sqrt(level * (1 - level) / 300)
        )
    assert np.mean(np.array(naive_p) <= 0.05) > 0.2


def test_what_is_hard_for_all_methods_cancels() -> None:
    values, names = no_difference(3)
    hard = np.random.default_rng(0).normal(0, 1, len(names))
    plain = statistics.differences(values, names)
    harder = statistics.differences({name: column + hard for name, column in values.items()}, names)
    for one, other in zip(plain, harder, strict=True):
        assert isclose(one.interval, other.interval)
        assert (one.p, one.p_holm, one.verdict) == (other.p, other.p_holm, other.verdict)


def test_pictures_that_one_method_lacks_are_left_out_of_its_pairs_only() -> None:
    values, names = no_difference(5)
    lacking = np.array([name in (names[0], names[-1]) for name in names]) | (np.arange(len(names)) % 7 == 0)
    holed = values | {"b": np.where(lacking, math.nan, values["b"])}
    kept = [name for name, lacks in zip(names, lacking, strict=True) if not lacks]
    full = {(d.a, d.b): d for d in statistics.differences(values, names)}
    part = statistics.differences({name: column[~lacking] for name, column in values.items()}, kept)
    fewer = {(d.a, d.b): d for d in part}
    for found in statistics.differences(holed, names):
        pair = (found.a, found.b)
        wanted = fewer[pair] if "b" in pair else full[pair]
        assert isclose(found.interval, wanted.interval)
        assert found.p == pytest.approx(wanted.p, abs=1e-12)


def test_a_pair_without_a_common_picture_is_outside_the_correction() -> None:
    rows = [0.9] * 8, [0.5] * 8, [math.nan] * 8
    found = statistics.differences(*one_picture_each(*rows))
    assert found[0].p_holm == found[0].p == pytest.approx(2 / 256, abs=1e-12)
    assert found[0].verdict == "a better"
    for lost in found[1:]:
        assert np.isnan([*lost.interval, lost.p, lost.p_holm]).all()
        assert lost.verdict == "inconclusive"


def test_one_method_has_no_pair() -> None:
    assert statistics.differences({"a": np.ones(3)}, ["x", "y", "z"]) == []


# C4.5 with and without tuning of m and cf, Demsar 2006, table 6: AUC on 14 data sets; 0.9751 is printed as
# 0.975 there, but ranked before the other 0.975
DEMSAR = """
0.763 0.768 0.771 0.798
0.599 0.591 0.590 0.569
0.954 0.971 0.968 0.967
0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898
0.936 0.931 0.916 0.931
0.661 0.668 0.609 0.685
0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875
1.000 1.000 1.000 1.000
0.940 0.962 0.965 0.962
0.619 0.666 0.614 0.669
0.972 0.981 0.9751 0.975
0.957 0.978 0.946 0.970
"""


def test_demsars_example() -> None:
    table = np.array([line.split() for line in DEMSAR.split("\n") if line], float)
    found = statistics.ranks(*one_picture_each(*table.T.tolist()))
    assert list(found.average) == ["d", "b", "c", "a"]
    assert list(found.average.values()) == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert found.critical == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert found.p == pytest.approx(stats.friedmanchisquare(*table.T).pvalue, abs=1e-12)
    # no two mean ranks are 1.25 apart
    assert found.not_different == (("d", "b", "c", "a"),)


def test_ranks_by_hand_with_ties() -> None:
    # ranks of a, b, c: 1 2 3; 1.5 1.5 3; 3 1.5 1.5; 2 2 2
    found = statistics.ranks(
        *one_picture_each([0.9, 0.8, 0.1, 0.5], [0.8, 0.8, 0.3, 0.5], [0.1, 0.2, 0.3, 0.5])
    )
    assert found.average == {"b": 1.75, "a": 1.875, "c": 2.375}
    assert list(found.average) == ["b", "a", "c"]
    assert found.not_different == (("b", "a", "c"),)
    # q = 3.314 / sqrt(2) from a table of the studentised range, k = 3
    assert found.critical == pytest.approx(3.314 / math.sqrt(2) * math.sqrt(3 * 4 / (6 * 4)), abs=1e-3)


def test_friedman_by_hand() -> None:
    # four pictures agree on the order: chi squared 8 with 2 degrees of freedom, p = exp(-4)
    found = statistics.ranks(*one_picture_each([0.9] * 4, [0.8] * 4, [0.1, 0.2, 0.3, 0.4]))
    assert found.average == {"a": 1, "b": 2, "c": 3}
    assert found.p == pytest.approx(math.exp(-4), abs=1e-12)
    # critical difference 1.66: 1 apart is not, 2 apart is different
    assert found.not_different == (("a", "b"), ("b", "c"))


def test_methods_are_alike_where_the_friedman_test_does_not_reject() -> None:
    places = np.array([[3, 2, 5, 1, 4], [3, 2, 4, 1, 5], [1, 4, 5, 2, 3], [5, 3, 4, 1, 2]])
    names = [str(row) for row in range(4)]
    found = statistics.ranks({f"m{column}": -places[:, column] for column in range(5)}, names)
    assert found.average == {"m3": 1.25, "m1": 2.75, "m0": 3, "m4": 3.5, "m2": 4.5}
    assert found.critical is not None
    assert found.critical < 4.5 - 1.25
    # chi squared with 4 degrees of freedom: 12 / (4 * 5 * 6) * sum of squared rank sums - 3 * 4 * 6 = 9
    assert found.p == pytest.approx(stats.chi2.sf(9, 4), abs=1e-12)
    assert found.p > 0.05
    assert found.not_different == (tuple(found.average),)


def test_methods_within_the_critical_difference_are_alike() -> None:
    rng = np.random.default_rng(1)
    values = {f"m{number}": rng.normal(0.03 * number, 0.1, 60) for number in range(12)}
    found = statistics.ranks(values, [str(row) for row in range(60)])
    names, places = list(found.average), list(found.average.values())
    assert found.critical is not None
    runs = [
        tuple(name for name, place in zip(names, places, strict=True) if 0 <= place - first <= found.critical)
        for first in places
    ]
    assert found.not_different == tuple(
        run for run in runs if len(run) > 1 and not any(set(run) < set(other) for other in runs)
    )
    assert len(found.not_different) > 2
    # the same by p: Nemenyi's is that of the studentised range
    scale = math.sqrt(12 * 13 / (6 * 60)) / math.sqrt(2)
    for a, b in itertools.combinations(names, 2):
        gap = abs(found.average[a] - found.average[b])
        p = stats.studentized_range.sf(gap / scale, 12, math.inf)
        assert (p >= 0.05) == any({a, b} <= set(alike) for alike in found.not_different)


def test_a_video_is_one_block_however_many_frames_it_has() -> None:
    values, names = one_picture_each([0.9, 0.5, 0.7, 0.9], [0.8, 0.6, 0.6, 0.5], [0.1, 0.2, 0.3, 0.6])
    once = statistics.ranks(values, names)
    frames = {name: np.concatenate([column, column[:1].repeat(50)]) for name, column in values.items()}
    assert statistics.ranks(frames, [*names, *names[:1] * 50]) == once
    # what is ranked is the mean of a video: a loses the first frame and wins the video
    frames = {"a": np.array([0.4, 0.9]), "b": np.array([0.5, 0.5]), "c": np.array([0.1, 0.1])}
    assert statistics.ranks(frames, ["video", "video"]).average == {"a": 1, "b": 2, "c": 3}


def test_ranks_leave_out_pictures_that_a_method_lacks() -> None:
    values, names = no_difference(1)
    lacking = np.arange(len(names)) % 3 == 0
    holed = values | {"c": np.where(lacking, math.nan, values["c"])}
    kept = [name for name, lacks in zip(names, lacking, strict=True) if not lacks]
    wanted = statistics.ranks({name: column[~lacking] for name, column in values.items()}, kept)
    assert statistics.ranks(holed, names) == wanted


@pytest.mark.parametrize(
    ("rows", "average"),
    [
        ([[0.9, 0.8], [0.5, 0.9]], {"a": 1.5, "b": 1.5}),
        ([[0.9], [0.5], [0.6]], {"a": 1, "c": 2, "b": 3}),
        ([[0.9, 0.1]], {"a": 1}),
    ],
)
def test_too_few_methods_or_groups_have_ranks_but_no_test(
    rows: list[list[float]], average: dict[str, float]
) -> None:
    found = statistics.ranks(*one_picture_each(*rows))
    assert found.average == average
    assert list(found.average) == list(average)
    assert (found.critical, found.not_different) == (None, ())
    assert math.isnan(found.p)


def test_ranks_of_nothing() -> None:
    assert statistics.ranks({}, []).average == {}
    none = statistics.ranks({name: np.full(2, math.nan) for name in METHODS}, ["x", "y"])
    assert np.isnan(list(none.average.values())).all()
    assert none.critical is None


def test_methods_that_always_tie_are_alike() -> None:
    found = statistics.ranks(*one_picture_each([0.9, 0.5], [0.9, 0.5], [0.9, 0.5]))
    assert found.p == 1
    assert found.not_different == (("a", "b", "c"),)


def test_seeds_by_hand() -> None:
    assert statistics.across_seeds([0.7, 0.8, 0.9]) == pytest.approx((0.8, 0.1, 0.7, 0.9, 3), abs=1e-12)
    one = statistics.across_seeds([0.7, math.nan])
    assert isclose(one[:3], (0.7, math.nan, 0.7))
    assert one.n == 1
    assert statistics.across_seeds([]).n == 0
    assert math.isnan(statistics.across_seeds([]).mean)


@pytest.mark.parametrize(
    "call",
    [
        lambda values, names: intervals.mean_interval(values, names),
        lambda values, names: intervals.pooled_intervals({"a": values[:, None]}, np.sum, names),
        lambda values, names: statistics.differences({"a": values, "b": values}, names),
        lambda values, names: statistics.ranks({"a": values, "b": values}, names),
    ],
)
def test_every_picture_needs_its_group(call: Callable[[Float64Array, list[str]], object]) -> None:
    with pytest.raises(ValueError, match="3 pictures but 2 groups"):
        call(np.ones(3), ["a", "b"])


def test_twenty_methods_on_1200_pictures_take_seconds() -> None:
    rng = np.random.default_rng(0)
    names = [f"video{row % 120}" for row in range(1200)]
    values = {f"m{number}": rng.normal(0.5 + 0.02 * number, 0.1, 1200) for number in range(20)}
    started = time.process_time()
    found = statistics.differences(values, names)
    assert len(intervals.mean_intervals(values, names)) == 20
    assert len(statistics.ranks(values, names).average) == 20
    assert time.process_time() - started < 10
    assert len(found) == 190
    # random flips are many enough for Holm's correction over all pairs
    assert found[18].verdict == "b better"
