"""What the results allow to be said, in sentences, and nothing that they do not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from kolbench.report.families import TITLES, leaders
from kolbench.report.intervals import TOO_FEW, Interval, fewest_groups
from kolbench.report.layout import listed
from kolbench.report.numbers import Numbers, RunNumbers, numbers_of
from kolbench.report.statistics import Difference
from kolbench.runs.finished import Comparison

# with more methods than this only the pairs with the best one are told; the table has them all
FEW = 6
# a share of GMACs below which one method is not called cheaper than another
_MUCH = 0.2
# mIoU points that a cheaper method may lie behind the best one and still be recommended
_LITTLE = 1.0
_NO_PRICE = "What methods cost cannot be compared here: operations are not known of all"


@dataclass(frozen=True)
class Pair:
    """All runs of one family against all runs of another. winner: the family that won every pair of runs."""

    a: str
    b: str
    found: tuple[Difference, ...]
    winner: str | None


def sentences(comparison: Comparison) -> list[str]:
    """Best method, baselines, pairs, cost, recommendation, and what limits them all.

    Runs that differ in their seed only are one method: it beats another where each of its runs beats each
    run of the other. Methods that are given the truth are named as not compared.
    """
    numbers = numbers_of(comparison)
    ranked = _ranked(numbers)
    said = []
    if ranked:
        pairs = {frozenset(names): _pair(numbers, *names) for names in combinations(ranked, 2)}
        said.append(_best(numbers, ranked, pairs))
        said += _pairs(numbers, ranked, pairs)
        said += _baselines(numbers, ranked)
        said += _cost(numbers, ranked, pairs)
        said += _limits(numbers, ranked)
        said += [sentence for family in TITLES for sentence in leaders(numbers, family)]
    said += _folds(numbers)
    helped = [f"{run.label} ({_given(run)})" for run in numbers.runs if run.run.truth_access != "none"]
    if helped:
        said.append(f"Not compared, as the truth helps: {_listed(helped)}.")
    return said or ["Only baselines were run: there is no method to speak of."]


def _folds(numbers: Numbers) -> list[str]:
    """That rows are cross-validations."""
    found = [run.label for run in numbers.runs if run.run.fold_count]
    if not found:
        return []
    return [
        f"Cross-validation: {_listed(found)}. Each picture was tested once, by a training that had not seen "
        "it; the threshold is the median of the folds' own."
    ]


def _ranked(numbers: Numbers) -> list[str]:
    """Families that read the picture only and look at it, the highest mIoU first."""
    looking = [
        family
        for family, runs in numbers.compared_families.items()
        if runs[0].run.truth_access == "none" and not runs[0].is_baseline
    ]
    return sorted(looking, key=lambda family: -_miou(numbers.compared_families[family]))


def _miou(runs: Sequence[RunNumbers]) -> float:
    return math.fsum(run.means["miou"] for run in runs) / len(runs)


def _pair(numbers: Numbers, a: str, b: str) -> Pair:
    """The differences are turned so that each is a run of a minus a run of b."""
    sides = [{run.label for run in numbers.compared_families[family]} for family in (a, b)]
    found = []
    for difference in numbers.differences:
        if difference.a in sides[0] and difference.b in sides[1]:
            found.append(difference)
        elif difference.a in sides[1] and difference.b in sides[0]:
            found.append(_turned(difference))
    verdicts = {difference.verdict for difference in found}
    winner = {"a better": a, "b better": b}.get(verdicts.pop()) if len(verdicts) == 1 else None
    return Pair(a, b, tuple(found), winner)


def _turned(found: Difference) -> Difference:
    value, low, high = found.interval
    verdict = {"a better": "b better", "b better": "a better"}.get(found.verdict, found.verdict)
    return Difference(found.b, found.a, Interval(-value, -high, -low), found.p, found.p_holm, verdict)


def _best(numbers: Numbers, ranked: Sequence[str], pairs: dict[frozenset[str], Pair]) -> str:
    best = ranked[0]
    alike = _not_beaten_by(best, ranked, pairs)
    beside = ""
    if alike:
        beside = f"; against {_listed(alike)} it is inconclusive"
    elif len(ranked) > 1:
        beside = "; it beats every other method"
    return f"Highest mIoU: {best}, {_score(numbers, best)}{beside}."


def _not_beaten_by(best: str, ranked: Sequence[str], pairs: dict[frozenset[str], Pair]) -> list[str]:
    return [name for name in ranked if name != best and pairs[frozenset((best, name))].winner != best]


def _score(numbers: Numbers, family: str) -> str:
    runs = numbers.compared_families[family]
    if len(runs) > 1:
        low, high = (pick(run.means["miou"] for run in runs) for pick in (min, max))
        return f"{_miou(runs):.4f} (mean of {len(runs)} seeds, {low:.4f} to {high:.4f})"
    found = numbers.miou[runs[0].label]
    each = "" if found.known else f"; one by one: {listed(numbers.miou_by_group[runs[0].label])}"
    return f"{found.value:.4f} {_range(found, 4)}{each}"


def _pairs(numbers: Numbers, ranked: Sequence[str], pairs: dict[frozenset[str], Pair]) -> list[str]:
    """Claims first, then ties."""
    told = [pair for pair in pairs.values() if len(ranked) <= FEW or ranked[0] in (pair.a, pair.b)]
    claims = [_claim(pair) for pair in told if pair.winner]
    ties = [_tie(pair, _pictures(numbers.comparison)) for pair in told if not pair.winner]
    rest = [] if len(told) == len(pairs) else ["All other pairs stand in the table 'differences'."]
    return [*claims, *ties, *rest]


def _claim(pair: Pair) -> str:
    """Ranked families: the winner's mean is the higher one, so it is always the first of the pair."""
    if len(pair.found) == 1:
        (only,) = pair.found
        return f"{pair.a} beats {pair.b} by {_points(only.interval)} (Holm p {_p(only.p_holm)})."
    values = [100 * difference.interval.value for difference in pair.found]
    worst = max(difference.p_holm for difference in pair.found)
    return (
        f"{pair.a} beats {pair.b} with every seed, by {min(values):.2f} to {max(values):.2f} mIoU points "
        f"({len(values)} pairs of runs, Holm p at most {worst:.2g})."
    )


def _tie(pair: Pair, pictures: str) -> str:
    start = f"Inconclusive: {pair.a} against {pair.b} on {pictures}"
    if len(pair.found) == 1:
        (only,) = pair.found
        return f"{start}: {_points(only.interval)} (Holm p {_p(only.p_holm)})."
    held = sum(difference.verdict == "a better" for difference in pair.found)
    return f"{start}: {pair.a} is better in {held} of {len(pair.found)} pairs of seeds."


def _pictures(comparison: Comparison) -> str:
    groups = len(set(comparison.groups))
    if groups == len(comparison.pictures):
        return f"these {groups} pictures, each a group of its own"
    return f"these {len(comparison.pictures)} pictures of {_counted(groups, 'group')}"


def _beaten(numbers: Numbers, family: str) -> dict[str, bool]:
    """Baseline -> whether the family beats it: by verdict where it was run, else by its intervals."""
    runs = numbers.compared_families[family]
    beaten = {
        baseline: _pair(numbers, family, baseline).winner == family
        for baseline, others in numbers.compared_families.items()
        if others[0].is_baseline
    }
    recorded = numbers.recorded_baselines.items()
    return beaten | {
        f"{baseline} ({row['miou']:.4f})": all(numbers.miou[run.label].low > row["miou"] for run in runs)
        for baseline, row in recorded
    }


def _baselines(numbers: Numbers, ranked: Sequence[str]) -> list[str]:
    """A sentence for all methods of which the same is true."""
    alike: dict[tuple[tuple[str, bool], ...], list[str]] = {}
    for family in ranked:
        alike.setdefault(tuple(_beaten(numbers, family).items()), []).append(family)
    return [_baseline_sentence(families, dict(beaten)) for beaten, families in alike.items()]


def _baseline_sentence(families: Sequence[str], beaten: Mapping[str, bool]) -> str:
    names, one = _listed(families), len(families) == 1
    if not beaten:
        return f"No baseline stands beside {names}."
    above = _listed([baseline for baseline, holds in beaten.items() if holds])
    below = _listed([baseline for baseline, holds in beaten.items() if not holds])
    if not below:
        return f"{names} {'beats' if one else 'beat'} every baseline: {above}."
    rest = f"; {'it beats' if one else 'they beat'} {above}." if above else "."
    return f"{names} {'does' if one else 'do'} not beat {below} for certain{rest}"


def _cost(numbers: Numbers, ranked: Sequence[str], pairs: dict[frozenset[str], Pair]) -> list[str]:
    """The cheapest method, and the cheapest of those that may be the best and are surely not far behind."""
    if len(ranked) < 2:
        return []
    prices = _prices(numbers, ranked)
    price = {family: f"{gmacs:.2f} GMACs per picture" for family, gmacs in prices.items()}
    said = [_cheapest(prices, price) if prices else _no_price(numbers)]
    best, alike = ranked[0], _not_beaten_by(ranked[0], ranked, pairs)
    baselines = _beaten(numbers, best)
    if not baselines or not all(baselines.values()):
        why = "does not beat every baseline for certain" if baselines else "stands beside no baseline"
        return [*said, f"Recommended: none, as {best}, which has the highest mIoU, {why}."]
    if not alike:
        cost = f", for {price[best]}" if prices else ""
        return [
            *said,
            f"Recommended: {best}: it beats every other method on {_pictures(numbers.comparison)}{cost}.",
        ]
    behind = {family: _behind(pairs[frozenset((best, family))]) for family in alike}
    close = [family for family in alike if behind[family] <= _LITTLE and _much_less(prices, family, best)]
    if close:
        choice = min(close, key=lambda family: prices[family])
        return [
            *said,
            f"Recommended: {choice}: at most {behind[choice]:.2f} mIoU points behind {best}, which has the "
            f"highest mIoU, and takes {price[choice]} where {best} takes {price[best]}.",
        ]
    return [*said, f"Recommended: {best}, for the highest mIoU; against {_listed(alike)} it is inconclusive."]


def _behind(pair: Pair) -> float:
    """mIoU points that the second may lie behind the first at most; infinite where nobody knows."""
    highest = max(100 * found.interval.high for found in pair.found)
    return math.inf if math.isnan(highest) else highest


def _cheapest(prices: dict[str, float], price: dict[str, str]) -> str:
    lowest = min(prices, key=lambda family: prices[family])
    alike = [family for family in prices if not _much_less(prices, lowest, family)]
    if len(alike) == len(prices):
        return f"All cost about the same: {price[lowest]}."
    return f"Cheapest: {_listed(alike)}, {price[lowest]}{' or little more' if len(alike) > 1 else ''}."


def _no_price(numbers: Numbers) -> str:
    known = numbers.benchmarks
    speed = "; where speed was measured, the tables have it" if known else ", and speed is not measured"
    return f"{_NO_PRICE}{speed}."


def _much_less(prices: Mapping[str, float], family: str, other: str) -> bool:
    """Whether its price is known and clearly lower."""
    return bool(prices) and prices[family] < (1 - _MUCH) * prices[other]


def _prices(numbers: Numbers, ranked: Sequence[str]) -> dict[str, float]:
    """Family -> GMACs per picture; empty where they are not known of all."""
    known = {family: _gmacs(numbers.compared_families[family][0]) for family in ranked}
    found = {family: price for family, price in known.items() if price is not None}
    return found if len(found) == len(known) else {}


def _gmacs(run: RunNumbers) -> float | None:
    cost = run.run.record.cost
    macs = cost.macs if cost else None
    return None if macs is None else macs / 1e9


def _limits(numbers: Numbers, ranked: Sequence[str]) -> list[str]:
    """What the claims above do not cover."""
    said = [*numbers.stand_ins, *_too_few(numbers)]
    if numbers.recorded_baselines:
        said.append(
            "Baselines without a run of their own have no scores per picture: a method beats such a baseline "
            "where its whole interval lies above the baseline's mean."
        )
    trained = [name for name in ranked if numbers.compared_families[name][0].run.record.training]
    single = [name for name in trained if len(numbers.compared_families[name]) == 1]
    if single:
        said.append(
            f"One training {'each ' if len(single) > 1 else ''}of {_listed(single)}: another seed may change "
            "the order, and no interval here covers that."
        )
    for name in (name for name in trained if name not in single):
        values = [100 * run.means["miou"] for run in numbers.compared_families[name]]
        said.append(f"Seeds alone move {name} by {max(values) - min(values):.2f} mIoU points.")
    budgets = {numbers.compared_families[name][0].run.record.budget for name in trained}
    if len(budgets) > 1:
        said.append(f"Budgets differ ({_listed(sorted(budgets))}): training is compared with the methods.")
    return said


def _too_few(numbers: Numbers) -> list[str]:
    pairs, groups = len(numbers.differences), len(set(numbers.comparison.groups))
    if not pairs or groups >= fewest_groups(pairs):
        return []
    return [
        f"{_counted(groups, 'group')} of pictures cannot make any difference between "
        f"{_counted(pairs, 'pair')} of methods certain: score more videos, or compare fewer methods."
    ]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _given(run: RunNumbers) -> str:
    return {"box": "given the true box", "mask": "given the true mask"}[run.run.truth_access]


def _points(found: Interval) -> str:
    scaled = Interval(*(100 * number for number in found))
    return f"{scaled.value:.2f} mIoU points {_range(scaled, 2)}"


def _range(found: Interval, decimals: int) -> str:
    if not found.known:
        return f"({TOO_FEW})"
    return f"[{found.low:.{decimals}f}, {found.high:.{decimals}f}]"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"= {value:.4f}"


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
