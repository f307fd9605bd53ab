"""Key findings in sentences: what is significant, what is not, and what limits both."""

import math
from collections.abc import Mapping, Sequence

from kolbench.report import ranking
from kolbench.report.families import TITLES, leaders
from kolbench.report.numbers import Numbers, RunNumbers, numbers_of
from kolbench.report.pairwise import too_few_groups
from kolbench.report.ranking import Pair, Pairs
from kolbench.report.words import counted, listed, p_value, percent, percent_range, points, points_range
from kolbench.runs.finished import Comparison

# with more methods than this only the pairs with the best one are told; the table has them all
FEW = 6
# a share of GMACs below which one method is not called cheaper than another
_MUCH = 0.2
# mIoU points that a cheaper method may lie behind the best one and still be recommended
_LITTLE = 0.01
_NO_PRICE = "Costs cannot be compared: GMACs are not known of all methods"
NOTHING = "Only baselines were run: there is no method to compare."


def sentences(comparison: Comparison) -> list[str]:
    """Best method, pairs, baselines, cost, recommendation, and what limits them all.

    Runs that differ in their seed only are one method: it is better than another where each of its runs is
    significantly better than each run of the other. Methods that use ground truth are named as not ranked.
    """
    numbers = numbers_of(comparison)
    ranked = ranking.ranked_families(numbers)
    said = []
    if ranked:
        pairs = ranking.all_pairs(numbers, ranked)
        said += [_best(numbers, ranked, pairs), *_pairs(numbers, ranked, pairs), *_baselines(numbers, ranked)]
        said += [*_price(numbers, ranked), *_recommended(numbers, ranked, pairs), *_limits(numbers, ranked)]
        said += [sentence for family in TITLES for sentence in leaders(numbers, family)]
    return [*said, *_folds(numbers), *_helped(numbers)] or [NOTHING]


def key_findings(comparison: Comparison) -> list[str]:
    """The few of `sentences` that a terminal shows: best method, baselines, recommendation, limits."""
    numbers = numbers_of(comparison)
    ranked = ranking.ranked_families(numbers)
    if not ranked:
        return _helped(numbers) or [NOTHING]
    pairs = ranking.all_pairs(numbers, ranked)
    return [
        _best(numbers, ranked, pairs),
        *_baselines(numbers, ranked[:1]),
        *_recommended(numbers, ranked, pairs),
        *_too_few(numbers),
        *_helped(numbers),
    ]


def _helped(numbers: Numbers) -> list[str]:
    runs = [run for run in numbers.runs if run.run.truth_access != "none"]
    named = [f"{ranking.run_name(numbers, run)} ({_given(run)})" for run in runs]
    return [f"Not ranked: {listed(named)}."] if named else []


def _given(run: RunNumbers) -> str:
    return {"box": "uses ground-truth box", "mask": "oracle: uses the ground truth"}[run.run.truth_access]


def _folds(numbers: Numbers) -> list[str]:
    """That rows are cross-validations."""
    found = [ranking.run_name(numbers, run) for run in numbers.runs if run.run.fold_count]
    if not found:
        return []
    return [
        f"Cross-validation: {listed(found)}. Each image was tested once, by a training that had not seen it; "
        "the threshold is the median of the folds' own."
    ]


def _best(numbers: Numbers, ranked: Sequence[str], pairs: Pairs) -> str:
    """One method alone is no best one."""
    best = ranked[0]
    name, score = ranking.family_name(numbers, best), _score(numbers, best)
    if len(ranked) == 1:
        return f"{name}: {score}."
    alike = ranking.not_beaten_by(best, ranked, pairs)
    if not alike:
        return f"Best mIoU: {name}, {score}; significantly better than every other method."
    if len(alike) == len(ranked) - 1 and len(ranked) > FEW:
        return f"Best mIoU: {name}, {score}; not significantly better than any other method."
    others = listed([ranking.family_name(numbers, family) for family in alike], "or")
    return f"Best mIoU: {name}, {score}; not significantly better than {others}."


def _score(numbers: Numbers, family: str) -> str:
    runs = numbers.compared_families[family]
    if len(runs) > 1:
        low, high = (percent(pick(run.means["miou"] for run in runs)) for pick in (min, max))
        return f"{percent(ranking.mean_miou(runs))} % (mean of {len(runs)} seeds, {low} to {high} %)"
    found = numbers.miou[runs[0].label]
    if found.known:
        return f"{percent(found.value)} % (95 % CI {percent_range(found)})"
    groups = ", ".join(
        f"{name} {percent(value)}" for name, value in numbers.miou_by_group[runs[0].label].items()
    )
    return f"{percent(found.value)} % ({percent_range(found)}; group by group: {groups})"


def _pairs(numbers: Numbers, ranked: Sequence[str], pairs: Pairs) -> list[str]:
    """Significant differences first, then the others."""
    told = [pair for pair in pairs.values() if len(ranked) <= FEW or ranked[0] in (pair.a, pair.b)]
    claims = [_claim(numbers, pair) for pair in told if pair.winner]
    ties = [_tie(numbers, pair) for pair in told if not pair.winner]
    rest = [] if len(told) == len(pairs) else ["All other pairs are in the table of pairwise differences."]
    return [*claims, *ties, *rest]


def _claim(numbers: Numbers, pair: Pair) -> str:
    """Ranked families: the winner's mean is the higher one, so it is always the first of the pair."""
    a, b = (ranking.family_name(numbers, family) for family in (pair.a, pair.b))
    start = f"{a} is significantly better than {b}"
    if len(pair.found) == 1:
        return f"{start}: {_evidence(pair)}."
    values = [found.interval.value for found in pair.found]
    worst = max(found.p_holm for found in pair.found)
    return (
        f"{start} with every seed: {points(min(values))} to {points(max(values))} mIoU points "
        f"({len(values)} pairs of runs, largest {p_value(worst)})."
    )


def _evidence(pair: Pair) -> str:
    (only,) = pair.found
    return (
        f"{points(only.interval.value)} mIoU points (95 % CI {points_range(only.interval)}, "
        f"{p_value(only.p_holm)}, Holm-corrected)"
    )


def _tie(numbers: Numbers, pair: Pair) -> str:
    a, b = (ranking.family_name(numbers, family) for family in (pair.a, pair.b))
    start = f"No significant difference between {a} and {b}"
    if len(pair.found) == 1:
        return f"{start}: {_evidence(pair)}."
    held = sum(found.verdict == "a better" for found in pair.found)
    return f"{start}: {a} is significantly better in {held} of {len(pair.found)} pairs of seeds."


def images_in_words(comparison: Comparison) -> str:
    """How many test images there are, and what counts as independent."""
    images, groups = len(comparison.pictures), len(set(comparison.groups))
    if groups == images:
        return f"{counted(images, 'image')} treated as independent"
    return f"{counted(images, 'image')} from {counted(groups, 'independent group')}"


def _baselines(numbers: Numbers, ranked: Sequence[str]) -> list[str]:
    """A sentence for all methods of which the same is true."""
    alike: dict[tuple[tuple[str, bool], ...], list[str]] = {}
    for family in ranked:
        beaten = tuple(ranking.baselines_beaten(numbers, family).items())
        alike.setdefault(beaten, []).append(ranking.family_name(numbers, family))
    return [_baseline_sentence(names, dict(beaten)) for beaten, names in alike.items()]


def _baseline_sentence(families: Sequence[str], beaten: Mapping[str, bool]) -> str:
    names, verb = listed(families), "is" if len(families) == 1 else "are"
    if not beaten:
        return f"{names} {verb} not compared with a baseline."
    above = listed([baseline for baseline, holds in beaten.items() if holds])
    below = listed([baseline for baseline, holds in beaten.items() if not holds], "or")
    if not below:
        return f"{names} {verb} significantly better than every baseline: {above}."
    rest = f", but than {above}" if above else ""
    return f"{names} {verb} not significantly better than the baseline {below}{rest}."


def _price(numbers: Numbers, ranked: Sequence[str]) -> list[str]:
    """The cheapest methods."""
    if len(ranked) < 2:
        return []
    prices = _prices(numbers, ranked)
    if not prices:
        speed = (
            "; measured speeds are in the tables" if numbers.benchmarks else ", and speed was not measured"
        )
        return [f"{_NO_PRICE}{speed}."]
    lowest = min(prices, key=lambda family: prices[family])
    alike = [family for family in prices if not _much_less(prices, lowest, family)]
    cost = _cost(prices, lowest)
    if len(alike) == len(prices):
        return [f"All methods cost about the same: {cost}."]
    names = listed([ranking.family_name(numbers, family) for family in alike])
    return [f"Cheapest: {names}, {cost}{' or little more' if len(alike) > 1 else ''}."]


def _recommended(numbers: Numbers, ranked: Sequence[str], pairs: Pairs) -> list[str]:
    """The best method, or the cheapest of those that may be as good and surely are not far behind."""
    if len(ranked) < 2:
        return []
    best, alike = ranked[0], ranking.not_beaten_by(ranked[0], ranked, pairs)
    name, prices = ranking.family_name(numbers, best), _prices(numbers, ranked)
    baselines = ranking.baselines_beaten(numbers, best)
    if not baselines or not all(baselines.values()):
        why = "is not significantly better than every baseline" if baselines else "has no baseline beside it"
        return [f"Recommended: none, as the best, {name}, {why}."]
    if not alike:
        cost = f", at {_cost(prices, best)}" if prices else ""
        where = images_in_words(numbers.comparison)
        return [f"Recommended: {name}, significantly better than every other method on {where}{cost}."]
    behind = {family: _behind(pairs[frozenset((best, family))]) for family in alike}
    close = [family for family in alike if behind[family] <= _LITTLE and _much_less(prices, family, best)]
    if close:
        choice = min(close, key=lambda family: prices[family])
        return [
            f"Recommended: {ranking.family_name(numbers, choice)}, at most "
            f"{points(behind[choice]).removeprefix('+')} mIoU points behind {name}, at "
            f"{_cost(prices, choice)} instead of {_cost(prices, best)}."
        ]
    others = listed([ranking.family_name(numbers, family) for family in alike], "or")
    return [f"Recommended: {name}, for the best mIoU; it is not significantly better than {others}."]


def _behind(pair: Pair) -> float:
    """mIoU that the second may lie behind the first at most; infinite where nobody knows."""
    highest = max(found.interval.high for found in pair.found)
    return math.inf if math.isnan(highest) else highest


def _cost(prices: Mapping[str, float], family: str) -> str:
    return f"{prices[family]:.2f} GMACs an image"


def _much_less(prices: Mapping[str, float], family: str, other: str) -> bool:
    """Whether its price is known and clearly lower."""
    return bool(prices) and prices[family] < (1 - _MUCH) * prices[other]


def _prices(numbers: Numbers, ranked: Sequence[str]) -> dict[str, float]:
    """Family -> GMACs per image; empty where they are not known of all."""
    known = {family: _gmacs(numbers.compared_families[family][0]) for family in ranked}
    found = {family: price for family, price in known.items() if price is not None}
    return found if len(found) == len(known) else {}


def _gmacs(run: RunNumbers) -> float | None:
    cost = run.run.record.cost
    macs = cost.macs if cost else None
    return None if macs is None else macs / 1e9


def _limits(numbers: Numbers, ranked: Sequence[str]) -> list[str]:
    """What the findings above do not cover."""
    said = [*numbers.stand_ins, *_too_few(numbers)]
    if numbers.recorded_baselines:
        said.append(
            "Of baselines without a run of their own only the mean is known: a method is called better where "
            "its whole interval lies above that mean."
        )
    trained = [name for name in ranked if numbers.compared_families[name][0].run.record.training]
    single = [name for name in trained if len(numbers.compared_families[name]) == 1]
    if single:
        names = listed([ranking.family_name(numbers, family) for family in single])
        said.append(
            f"{names} {'was' if len(single) == 1 else 'were'} trained once: intervals are over test images, "
            "not over seeds of the training."
        )
    for family in (family for family in trained if family not in single):
        values = [run.means["miou"] for run in numbers.compared_families[family]]
        name = ranking.family_name(numbers, family)
        spread = points(max(values) - min(values)).removeprefix("+")
        said.append(f"Seeds alone change {name} by {spread} mIoU points.")
    budgets = {numbers.compared_families[name][0].run.record.budget for name in trained}
    if len(budgets) > 1:
        said.append(
            f"Budgets differ ({listed(sorted(budgets))}): this compares trainings as well as methods."
        )
    return said


def _too_few(numbers: Numbers) -> list[str]:
    told = too_few_groups(numbers)
    return [told] if told else []
