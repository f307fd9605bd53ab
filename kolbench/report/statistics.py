"""Which numbers are certain and which differences are real: intervals, paired tests, ranks, seeds.

Frames of one video are alike, so a group (a video, or a picture without one) is what is drawn, flipped
and ranked here, never a single frame. Higher values are better throughout: pass -values of an error.
NaN means "this score does not apply to this picture", and such pictures are left out.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kolbench.types import Float64Array, Int64Array

# of every test; intervals hold the rest, 95 %
SIGNIFICANCE = 0.05
RESAMPLES = 4999
# two-sided p is at least 2 / (FLIPS + 1): small enough for Holm's correction over the 190 pairs of 20 methods
FLIPS = 49_999
# sums in another order differ in their last bits only, and must count as ties
_DECIMALS = 12
_FLIPS_AT_ONCE = 1000

Statistic = Callable[[Float64Array], Float64Array]
Ends = tuple[Float64Array, Float64Array]


class Interval(NamedTuple):
    """A number with its 95 % confidence interval; low and high are NaN where fewer than 2 groups tell it."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """Method a minus method b on the pictures of both.

    interval: of the mean difference. p: of the paired permutation test. p_holm: corrected for all pairs.
    verdict: `a better`, `b better` or `cannot tell`.
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
    there is no test. not_different: the largest sets of methods, best first, that cannot be told apart,
    each of at least two. p: of the Friedman test, NaN where there is no test.
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


def fewest_groups(pairs: int = 1) -> int:
    """How many groups can make one of so many differences significant, and allow to resample them.

    The signs of n groups flip in 2 ** n ways, so no two-sided p is below 2 / 2 ** n, and Holm's first is
    `pairs` times that. No bootstrap leaves the range of n values, and where these are symmetric their centre
    lies outside of it as often.
    """
    return math.floor(math.log2(2 * pairs / SIGNIFICANCE)) + 1


def interval(
    values: Float64Array, groups: Sequence[str], seed: int = 0, *, resamples: int = RESAMPLES
) -> Interval:
    """Mean over pictures, with a bootstrap interval over groups.

    A group counts with all its pictures, so groups of many frames weigh more, as they do in the mean.

    Args:
        values: (N,) scores; NaN where the score does not apply.
        groups: N names.
        seed: the same seed gives the same interval.
        resamples: bootstrap samples.

    Returns:
        BCa interval (Efron 1987, Better bootstrap confidence intervals), percentiles where that is
        undefined; the level is expanded as a plain bootstrap is too narrow for few groups (Hesterberg 2015,
        What teachers should know about the bootstrap). Under 6 groups Student's t interval of the jackknife,
        as no resampling of so few holds 95 %; it is wide and may leave [0, 1]. Zero wide where all groups
        agree; NaN, NaN where one group holds all pictures; all NaN without a picture.
    """
    return intervals({"": values}, groups, seed, resamples=resamples)[""]


def intervals(
    values: Mapping[str, Float64Array], groups: Sequence[str], seed: int = 0, *, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """`interval` of each method, from one set of resamples: the same numbers, sooner."""
    if not values:
        return {}
    return dict(zip(values, _mean_intervals(_columns(values), groups, seed, resamples), strict=True))


def pooled_intervals(
    counts: Mapping[str, npt.NDArray[np.floating | np.integer]],
    statistic: Statistic,
    groups: Sequence[str],
    seed: int = 0,
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Interval]:
    """A score of counts that are summed over pictures first, of each method, with intervals as in `interval`.

    Args:
        counts: method -> (N, K) counts of each picture, such as TP, FP, FN, TN; K alike, none NaN.
        statistic: maps sums (..., K) float64 to scores (...). Where it is NaN for a resample, the interval
            cannot be had and is NaN, NaN.
        groups, seed, resamples: as in `interval`.
    """
    if not counts:
        return {}
    rows = np.stack([np.asarray(part, np.float64) for part in counts.values()], axis=1)
    pictures, *shape = rows.shape
    codes, size = _coded(groups, pictures)
    totals = _group_sums(rows.reshape(pictures, -1), codes, size)

    def scores(sums: Float64Array) -> Float64Array:
        return statistic(sums.reshape(*sums.shape[:-1], *shape))

    return dict(zip(counts, _group_intervals(totals, scores, seed, resamples), strict=True))


def differences(
    values: Mapping[str, Float64Array],
    groups: Sequence[str],
    seed: int = 0,
    *,
    resamples: int = RESAMPLES,
    flips: int = FLIPS,
) -> list[Difference]:
    """Every pair of methods on the same pictures: mean difference, test, and what may be said.

    The test flips the sign of all differences of a group at once (Fisher's paired permutation test), exactly
    where there are at most `flips` ways to do so: with 5 groups no p is below 2/32, so nothing is said. p is
    twice the smaller tail. Holm (1979) corrects over all pairs. One method is better only where the
    corrected p is below 5 % and the bootstrap interval of the difference excludes 0.

    Args:
        values: method -> (N,) scores, higher is better. A picture that is NaN for one method of a pair is
            left out for both; a pair without a common picture is NaN throughout and outside the correction.
        groups, seed, resamples: as in `interval`.
        flips: random sign flips where there are too many for the exact test.

    Returns:
        Pairs in the order of `values`.
    """
    pairs = list(combinations(values, 2))
    if not pairs:
        return []
    found = _columns({f"{a}\n{b}": np.round(values[a] - values[b], _DECIMALS) for a, b in pairs})
    mean = _mean_intervals(found, groups, seed, resamples)
    p = _permutation_p(found, groups, seed, flips)
    p_holm = _holm(p)
    return [
        Difference(a, b, mean[row], float(p[row]), float(p_holm[row]), _verdict(mean[row], p_holm[row]))
        for row, (a, b) in enumerate(pairs)
    ]


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
    alike = (tuple(average),) if p >= SIGNIFICANCE else _not_different(list(average), list(values), blocks)
    return Ranks(average, _critical_difference(len(values), len(blocks)), alike, p)


def across_seeds(values: Sequence[float]) -> Seeds:
    """Mean, spread and range of one score over seeds; NaN values are left out.

    What seeds change is shown apart from what pictures change: more seeds make no more pictures.
    """
    kept = np.asarray([value for value in values if not math.isnan(value)], np.float64)
    if not len(kept):
        return Seeds(math.nan, math.nan, math.nan, math.nan, 0)
    deviation = float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
    return Seeds(float(kept.mean()), deviation, float(kept.min()), float(kept.max()), len(kept))


def _mean_intervals(values: Float64Array, groups: Sequence[str], seed: int, resamples: int) -> list[Interval]:
    """Of each column of (N, M), without its NaN.

    Columns that miss the same groups share their resamples, so that no column depends on the others.
    """
    codes, size = _coded(groups, len(values))
    known = ~np.isnan(values)
    sums = [
        _group_sums(side, codes, size) for side in (np.where(known, values, 0.0), known.astype(np.float64))
    ]
    found: dict[int, Interval] = {}
    for rows, columns in _alike(sums[1] != 0):
        totals = np.concatenate([side[np.ix_(rows, columns)] for side in sums], axis=1)
        found |= zip(columns.tolist(), _group_intervals(totals, _halves_ratio, seed, resamples), strict=True)
    return [found[column] for column in range(values.shape[1])]


def _alike(present: npt.NDArray[np.bool_]) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Rows that are present in a set of columns, and these columns, of (G, M)."""
    patterns, which = np.unique(present, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        yield np.flatnonzero(pattern), np.flatnonzero(which.ravel() == number)


def _halves_ratio(sums: Float64Array) -> Float64Array:
    """(..., 2M) sums, then the numbers of pictures -> (..., M) means."""
    part, whole = np.split(sums, 2, axis=-1)
    ratio: Float64Array = np.divide(part, whole, out=np.full_like(part, math.nan), where=whole != 0)
    return ratio


def _group_intervals(totals: Float64Array, statistic: Statistic, seed: int, resamples: int) -> list[Interval]:
    """Intervals of M scores of summed counts, by what the number of groups allows.

    Args:
        totals: (G, K) sums within each group.
        statistic: (..., K) sums of groups -> (..., M) scores.
    """
    values = statistic(totals.sum(0))
    if len(totals) < 2:
        lows = highs = np.full_like(values, math.nan)
    elif len(totals) < fewest_groups():
        lows, highs = _jackknife_ends(values, totals, statistic)
    else:
        lows, highs = _bootstrap_ends(values, totals, statistic, seed, resamples)
    return [Interval(*(float(number) for number in row)) for row in zip(values, lows, highs, strict=True)]


def _jackknife_ends(values: Float64Array, totals: Float64Array, statistic: Statistic) -> Ends:
    """(M,) each: value -+ t(n - 1) standard errors of Tukey's jackknife, one group left out at a time."""
    from scipy import stats

    size = len(totals)
    without = np.round(statistic(totals.sum(0) - totals), _DECIMALS)
    error = (size - 1) / math.sqrt(size) * without.std(0, ddof=1)
    reach = stats.t.isf(SIGNIFICANCE / 2, size - 1) * error
    return values - reach, values + reach


def _bootstrap_ends(
    values: Float64Array, totals: Float64Array, statistic: Statistic, seed: int, resamples: int
) -> Ends:
    """(M,) each: BCa, and percentiles where that is undefined, of scores when groups are drawn again."""
    from scipy import stats

    # scipy draws numbers of groups, so that one set of resamples serves all scores
    def drawn_scores(drawn: Int64Array, axis: int = -1) -> Float64Array:
        scores = np.round(statistic(_times_drawn(drawn, len(totals)) @ totals), _DECIMALS)
        return np.moveaxis(scores, -1, 0)

    data, tail = (np.arange(len(totals)),), _expanded_tail(len(totals), resamples)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            data, drawn_scores, n_resamples=resamples, confidence_level=1 - 2 * tail, method="BCa", rng=seed
        )
    drawn = found.bootstrap_distribution
    percentiles = np.quantile(drawn, (tail, 1 - tail), axis=-1)
    ends = np.array(found.confidence_interval)
    ends = np.where(np.isnan(ends).any(0), percentiles, ends)
    lows, highs = np.where(np.ptp(drawn, axis=-1) == 0, values, ends)
    return lows, highs


def _times_drawn(drawn: Int64Array, size: int) -> Int64Array:
    """(..., n) numbers of drawn groups -> (..., size) how often each group was drawn."""
    rows = drawn.reshape(-1, drawn.shape[-1])
    cells = rows + size * np.arange(len(rows))[:, None]
    return np.bincount(cells.ravel(), minlength=size * len(rows)).reshape(*drawn.shape[:-1], size)


def _expanded_tail(size: int, resamples: int) -> float:
    """Phi(-sqrt(n / (n - 1)) t(n - 1)), at which percentiles of n groups are as wide as Student's interval.

    At least one resample: less cannot be read off.
    """
    from scipy import stats

    reach = math.sqrt(size / (size - 1)) * stats.t.isf(SIGNIFICANCE / 2, size - 1)
    return max(float(stats.norm.sf(reach)), 1 / (resamples + 1))


def _permutation_p(found: Float64Array, groups: Sequence[str], seed: int, flips: int) -> Float64Array:
    """(M,) two-sided p of the columns of (N, M) differences; NaN for a column without any."""
    codes, size = _coded(groups, len(found))
    known = ~np.isnan(found)
    sums = _group_sums(np.where(known, found, 0.0), codes, size)
    p = np.full(found.shape[1], math.nan)
    for rows, columns in _alike(_group_sums(known.astype(np.float64), codes, size) > 0):
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


def _holm(p: Float64Array) -> Float64Array:
    """p corrected over those that are not NaN."""
    from statsmodels.stats.multitest import multipletests

    corrected = np.full_like(p, math.nan)
    tested = ~np.isnan(p)
    if tested.any():
        corrected[tested] = multipletests(p[tested], method="holm")[1]
    return corrected


def _verdict(difference: Interval, p_holm: float) -> str:
    if p_holm < SIGNIFICANCE and difference.low > 0:
        return "a better"
    if p_holm < SIGNIFICANCE and difference.high < 0:
        return "b better"
    return "cannot tell"


def _comparable_sums(values: Mapping[str, Float64Array], groups: Sequence[str]) -> Float64Array:
    """(G, M) sums over the pictures that have all M scores: they rank as means do."""
    rows = _columns(values)
    codes, size = _coded(groups, len(rows))
    kept = ~np.isnan(rows).any(-1)
    sums = _group_sums(rows[kept], codes[kept], size)
    return np.round(sums[np.bincount(codes[kept], minlength=size) > 0], _DECIMALS)


def _critical_difference(methods: int, blocks: int) -> float:
    """q sqrt(k (k + 1) / 6n), q of the studentised range at infinite degrees of freedom over sqrt(2)."""
    from scipy import stats

    q = stats.studentized_range.isf(SIGNIFICANCE, methods, math.inf) / math.sqrt(2)
    return float(q) * math.sqrt(methods * (methods + 1) / (6 * blocks))


def _not_different(
    best_first: Sequence[str], columns: Sequence[str], blocks: Float64Array
) -> tuple[tuple[str, ...], ...]:
    """Nemenyi's p grows as mean ranks come closer, so alike methods are neighbours in the order of ranks."""
    import pandas as pd
    from scikit_posthocs import posthoc_nemenyi_friedman

    p = posthoc_nemenyi_friedman(pd.DataFrame(blocks, columns=list(columns)))
    runs: list[tuple[str, ...]] = []
    reached = 0
    for start, first in enumerate(best_first):
        end = max(i for i, name in enumerate(best_first) if p.loc[first, name] >= SIGNIFICANCE) + 1
        if end > reached and end - start > 1:
            runs.append(tuple(best_first[start:end]))
        reached = max(reached, end)
    return tuple(runs)


def _columns(values: Mapping[str, Float64Array]) -> Float64Array:
    """(N, M), a column for each method."""
    return np.stack([np.asarray(column, np.float64) for column in values.values()], axis=1)


def _coded(groups: Sequence[str], pictures: int) -> tuple[Int64Array, int]:
    """(N,) number of each picture's group, and how many groups there are."""
    if len(groups) != pictures:
        raise ValueError(f"{pictures} pictures but {len(groups)} groups")
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return codes.astype(np.int64), len(names)


def _group_sums(rows: Float64Array, codes: Int64Array, size: int) -> Float64Array:
    """(N, K) -> (G, K) sums over the pictures of each group."""
    sums = np.zeros((size, rows.shape[1]))
    np.add.at(sums, codes, rows)
    return sums
