"""Which differences are real: paired tests, ranks, seeds.

Frames of one video are alike, so a group (a video, or a picture without one) is what is flipped and ranked
here, never a single frame. Higher values are better throughout: pass -values of an error.
NaN means "this score does not apply to this picture", and such pictures are left out.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from kolbench.report.intervals import (
    DECIMALS,
    SIGNIFICANCE,
    UNIT,
    Bounds,
    Interval,
    alike_columns,
    as_columns,
    difference_intervals,
    group_codes,
    group_sums,
)
from kolbench.types import Float64Array

# two-sided p is at least 2 / (FLIPS + 1): small enough for Holm's correction over the 190 pairs of 20 methods
FLIPS = 49_999
_FLIPS_AT_ONCE = 1000


class Difference(NamedTuple):
    """Method a minus method b on the pictures of both.

    interval: of the mean difference. p: of the paired permutation test. p_holm: corrected for all pairs.
    verdict: `a better`, `b better` or `inconclusive`.
    """

    a: str
    b: str
    interval: Interval
    p: float
    p_holm: float
    verdict: str


class Ranks(NamedTuple):
    """Methods ranked against each other, 1 = best.

    average: method -> mean rank, best first. critical: Nemenyi's critical difference at 5 %, None where
    there is no test. not_different: the largest sets of methods, best first, whose ranks do not differ
    significantly, each of at least two. p: of the Friedman test, NaN where there is no test.
    """

    average: dict[str, float]
    critical: float | None
    not_different: tuple[tuple[str, ...], ...]
    p: float


class Seeds(NamedTuple):
    """One score of runs that differ in their seed only.

    deviation: sample standard deviation (n - 1), NaN for one seed.
    """

    mean: float
    deviation: float
    lowest: float
    highest: float
    n: int


def differences(
    values: Mapping[str, Float64Array],
    groups: Sequence[str],
    seed: int = 0,
    *,
    bounds: Bounds = UNIT,
    flips: int = FLIPS,
) -> list[Difference]:
    """Every pair of methods on the same pictures: mean difference, test, and what may be said.

    The test flips the sign of all differences of a group at once (Fisher's paired permutation test), exactly
    where there are at most `flips` ways to do so: with 5 groups no p is below 2/32, so nothing is said. p is
    twice the smaller tail. Holm (1979) corrects over all pairs. One method is better only where the
    corrected p is below 5 % and the interval of the difference excludes 0.

    Args:
        values: method -> (N,) scores, higher is better. A picture that is NaN for one method of a pair is
            left out for both; a pair without a common picture is NaN throughout and outside the correction.
        groups, bounds: as in `mean_interval`; a difference lies between minus and plus the bounds' distance.
        seed: of random flips; the same seed gives the same p.
        flips: random sign flips where there are too many for the exact test.

    Returns:
        Pairs in the order of `values`.
    """
    pairs = list(combinations(values, 2))
    if not pairs:
        return []
    found = {f"{a}\n{b}": np.round(values[a] - values[b], DECIMALS) for a, b in pairs}
    reach = bounds[1] - bounds[0]
    mean = list(difference_intervals(found, groups, bounds=(-reach, reach)).values())
    p = _permutation_p(as_columns(found), groups, seed, flips)
    p_holm = holm(p)
    return [
        Difference(a, b, mean[row], float(p[row]), float(p_holm[row]), _verdict(mean[row], p_holm[row]))
        for row, (a, b) in enumerate(pairs)
    ]


def holm(p: Float64Array) -> Float64Array:
    """Holm's (1979) corrected p, in the given order, over those that are not NaN.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none is below one before it or above 1.

    Args:
        p: (M,) in [0, 1].
    """
    corrected = np.full_like(p, math.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]
    steps = np.arange(len(order), 0, -1) * p[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def ranks(values: Mapping[str, Float64Array], groups: Sequence[str]) -> Ranks:
    """Mean rank of each method, Friedman test, Nemenyi's critical difference (Demsar 2006, section 3.2).

    The tests need independent blocks, which frames of one video are not: a block is a group, in which the
    means over its pictures are ranked, ties sharing their mean rank. Every group counts the same, and
    without videos a block is a picture. Pictures that are NaN for any method are left out for all.

    Args:
        values: method -> (N,) scores, higher is better.
        groups: N names.

    Returns:
        Critical difference and p need 3 methods and 2 groups; without, they are None and NaN, and
        `not_different` is empty. Where the Friedman test does not reject at 5 %, `not_different` is one set
        of all methods; else the sets within the critical difference.
    """
    if not values:
        return Ranks({}, None, (), math.nan)
    from scipy import stats

    sums = _comparable_sums(values, groups)
    blocks = stats.rankdata(-sums, axis=1)
    averages = blocks.mean(0) if len(blocks) else np.full(len(values), math.nan)
    average = {
        method: float(averages[column])
        for column, method in sorted(enumerate(values), key=lambda entry: averages[entry[0]])
    }
    if len(values) < 3 or len(blocks) < 2:
        return Ranks(average, None, (), math.nan)
    p = float(stats.friedmanchisquare(*blocks.T).pvalue) if np.ptp(blocks, axis=1).any() else 1.0
    critical = _critical_difference(len(values), len(blocks))
    alike = (tuple(average),) if p >= SIGNIFICANCE else _not_different(average, critical)
    return Ranks(average, critical, alike, p)


def across_seeds(values: Sequence[float]) -> Seeds:
    """Mean, spread and range of one score over seeds; NaN values are left out.

    What seeds change is shown apart from what pictures change: more seeds make no more pictures.
    """
    kept = np.asarray([value for value in values if not math.isnan(value)], np.float64)
    if not len(kept):
        return Seeds(math.nan, math.nan, math.nan, math.nan, 0)
    deviation = float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
    return Seeds(float(kept.mean()), deviation, float(kept.min()), float(kept.max()), len(kept))


def _permutation_p(found: Float64Array, groups: Sequence[str], seed: int, flips: int) -> Float64Array:
    """(M,) two-sided p of the columns of (N, M) differences; NaN for a column without any."""
    codes, size = group_codes(groups, len(found))
    known = ~np.isnan(found)
    sums = group_sums(np.where(known, found, 0.0), codes, size)
    p = np.full(found.shape[1], math.nan)
    for rows, columns in alike_columns(group_sums(known.astype(np.float64), codes, size) > 0):
        p[columns] = _sign_flip_p(sums[np.ix_(rows, columns)], seed, flips)
    return p


def _sign_flip_p(sums: Float64Array, seed: int, flips: int) -> Float64Array:
    """(M,) two-sided p of the columns of (G, M) sums of differences within groups."""
    from scipy import stats

    if len(sums) < 2:
        return np.full(sums.shape[1], 1.0 if len(sums) else math.nan)

    # scipy flips a one for each group, so that one set of signs serves all pairs
    test = stats.permutation_test(
        (np.ones(len(sums)),),
        lambda signs, axis: signs @ sums,
        permutation_type="samples",
        n_resamples=flips,
        batch=_FLIPS_AT_ONCE,
        rng=seed,
    )
    return np.asarray(test.pvalue, np.float64)


def _verdict(difference: Interval, p_holm: float) -> str:
    if p_holm < SIGNIFICANCE and difference.low > 0:
        return "a better"
    if p_holm < SIGNIFICANCE and difference.high < 0:
        return "b better"
    return "inconclusive"


def _comparable_sums(values: Mapping[str, Float64Array], groups: Sequence[str]) -> Float64Array:
    """(G, M) sums over the pictures that have all M scores: they rank as means do."""
    rows = as_columns(values)
    codes, size = group_codes(groups, len(rows))
    kept = ~np.isnan(rows).any(-1)
    sums = group_sums(rows[kept], codes[kept], size)
    return np.round(sums[np.bincount(codes[kept], minlength=size) > 0], DECIMALS)


def _critical_difference(methods: int, blocks: int) -> float:
    """q sqrt(k (k + 1) / 6n), q of the studentised range at infinite degrees of freedom over sqrt(2)."""
    from scipy import stats

    q = stats.studentized_range.isf(SIGNIFICANCE, methods, math.inf) / math.sqrt(2)
    return float(q) * math.sqrt(methods * (methods + 1) / (6 * blocks))


def _not_different(average: Mapping[str, float], critical: float) -> tuple[tuple[str, ...], ...]:
    """The longest stretches, of at least two methods, whose mean ranks lie within the critical difference."""
    best_first = list(average)
    runs: list[tuple[str, ...]] = []
    reached = 0
    for start, first in enumerate(best_first):
        end = sum(average[name] - average[first] <= critical for name in best_first)
        if end > reached and end - start > 1:
            runs.append(tuple(best_first[start:end]))
        reached = max(reached, end)
    return tuple(runs)
