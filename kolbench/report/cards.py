"""The three cards at the head of the report: the best method, held products, caveats."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kolbench.report import ranking
from kolbench.report.intervals import TOO_FEW
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.pairwise import too_few_groups
from kolbench.report.words import DASH, counted, listed, percent, percent_range

# held products in fewer images rank no methods
FEWEST_WITH_PRODUCT = 10
SMOKE = "smoke"
# names in a card; the others are counted
_MOST_NAMES = 3


@dataclass(frozen=True)
class Card:
    """kicker: what it is about. headline: in a few words. text: a sentence or two."""

    kicker: str
    headline: str
    text: str


def cards_of(numbers: Numbers) -> tuple[Card, Card, Card]:
    """Best mIoU, held products, caveats."""
    ranked = ranking.ranked_families(numbers)
    return _best_card(numbers, ranked), _product_card(numbers, ranked), _caveat_card(numbers, ranked)


def _best_card(numbers: Numbers, ranked: Sequence[str]) -> Card:
    if not ranked:
        return Card(
            "mIoU", "No fully automatic method", "Only baselines or methods that use ground truth were run."
        )
    best = ranked[0]
    runs = numbers.compared_families[best]
    found = ranking.family_interval(numbers, runs)
    interval = f"95 % CI {percent_range(found)}." if found.known else f"{TOO_FEW.capitalize()}."
    return Card(
        "Best mIoU" if len(ranked) > 1 else "mIoU",
        f"{ranking.family_name(numbers, best)} · {percent(found.value)} %",
        " ".join([interval, *_verdict(numbers, ranked), *_against_baselines(numbers, best)]),
    )


def _verdict(numbers: Numbers, ranked: Sequence[str]) -> list[str]:
    """How the best method stands to the others; nothing of one method alone."""
    if len(ranked) < 2:
        return []
    images = counted(len(numbers.comparison.pictures), "image")
    alike = ranking.not_beaten_by(ranked[0], ranked, ranking.all_pairs(numbers, ranked))
    if not alike:
        others = {2: "the other method", 3: "both other methods"}.get(
            len(ranked), f"all {len(ranked) - 1} other methods"
        )
        return [f"Significantly better than {others} on {images}."]
    if len(alike) == len(ranked) - 1 and len(alike) > _MOST_NAMES:
        return [f"Not significantly better than any other method on {images}."]
    names = [ranking.family_name(numbers, family) for family in alike]
    return [f"Not significantly better than {_first(names)} on {images}."]


def _first(names: Sequence[str], word: str = "or") -> str:
    if len(names) <= _MOST_NAMES:
        return listed(names, word)
    rest = len(names) - _MOST_NAMES + 1
    return listed([*names[: _MOST_NAMES - 1], counted(rest, "other")], word)


def _against_baselines(numbers: Numbers, best: str) -> list[str]:
    """A warning where a baseline is as good for all that is known."""
    held = [name for name, holds in ranking.baselines_beaten(numbers, best).items() if not holds]
    return [f"Not significantly better than the baseline {listed(held, 'or')}."] if held else []


def _product_card(numbers: Numbers, ranked: Sequence[str]) -> Card:
    """Recall of what is held, over the methods; no ranking of few images."""
    holding = {
        family: [run for run in numbers.compared_families[family] if run.has_product.any()]
        for family in ranked
    }
    recalls = {family: _recall(runs) for family, runs in holding.items() if runs}
    if not recalls:
        return Card("Held products", "Not labelled", "No test image has a mask of what is held.")
    images = int(next(runs for runs in holding.values() if runs)[0].has_product.sum())
    low, high = percent(min(recalls.values())), percent(max(recalls.values()))
    span = low if low == high else f"{low}{DASH}{high}"
    return Card("Held products", f"{span} % recall", " ".join(_product_sentences(numbers, recalls, images)))


def _recall(runs: Sequence[RunNumbers]) -> float:
    return float(np.mean([run.means["product_recall"] for run in runs]))


def _product_sentences(numbers: Numbers, recalls: dict[str, float], images: int) -> list[str]:
    where = counted(images, "image")
    baselines = _best_baseline_recall(numbers)
    if images < FEWEST_WITH_PRODUCT:
        held = f"Only {where} with a held product: no ranking."
    elif len(recalls) == 1:
        held = f"Share of the held product's pixels that is found, {where}."
    else:
        best = max(recalls, key=lambda family: recalls[family])
        held = f"Highest: {ranking.family_name(numbers, best)}, {where} with a held product."
    return [held, *baselines]


def _best_baseline_recall(numbers: Numbers) -> list[str]:
    known = {
        ranking.family_name(numbers, family): _recall(runs)
        for family, runs in numbers.families.items()
        if runs[0].is_baseline and runs[0].has_product.any()
    }
    known |= {
        ranking.baseline_name(name): row["product_recall"]
        for name, row in numbers.recorded_baselines.items()
        if "product_recall" in row
    }
    # all of the image holds every product, which says nothing
    shown = {name: value for name, value in known.items() if value < 1}
    if not shown:
        return []
    best = max(shown, key=lambda name: shown[name])
    return [f"{best} baseline: {percent(shown[best])} %."]


def _caveat_card(numbers: Numbers, ranked: Sequence[str]) -> Card:
    images, groups = len(numbers.comparison.pictures), len(set(numbers.comparison.groups))
    trained = [family for family in ranked if numbers.compared_families[family][0].run.record.training]
    seeds = [len(numbers.compared_families[family]) for family in trained]
    facts = [counted(images, "image"), *([counted(groups, "video")] if groups < images else [])]
    if seeds:
        fewest, most = min(seeds), max(seeds)
        facts.append(counted(fewest, "seed") if fewest == most else f"{fewest} to {most} seeds")
    return Card("Caveats", " · ".join(facts), " ".join(_caveats(numbers, ranked, trained)))


def _no_better_than_baselines(numbers: Numbers, families: Sequence[str]) -> list[str]:
    """Which methods a baseline may be as good as; the best one's own card says it of that one."""
    names = [
        ranking.family_name(numbers, family)
        for family in families
        if not all(ranking.baselines_beaten(numbers, family).values())
    ]
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [f"{_first(names, 'and')} {verb} not significantly better than every baseline."]


def _caveats(numbers: Numbers, ranked: Sequence[str], trained: Sequence[str]) -> list[str]:
    budgets = sorted({numbers.compared_families[family][0].run.record.budget for family in trained})
    said = []
    if any(numbers.compared_families[family][0].run.record.budget == SMOKE for family in ranked):
        said.append("Run with budget=smoke: the scores mean nothing.")
    elif len(budgets) > 1:
        said.append(f"Training budgets differ ({listed(budgets)}).")
    if told := too_few_groups(numbers):
        said.append(told)
    else:
        said += _no_better_than_baselines(numbers, ranked[1:])
    single = [family for family in trained if len(numbers.compared_families[family]) == 1]
    if single and len(said) < 2:
        said.append("Intervals are over test images, not over training seeds.")
    if not numbers.benchmarks:
        said.append("Speed was not measured.")
    elif any(found.machine.busy for found in numbers.benchmarks.values()):
        said.append("Speed was measured on a busy machine and is not ranked.")
    return said or ["Other data may change the order."]
