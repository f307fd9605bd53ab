"""Who is ranked, and who is significantly better than whom; runs that differ in the seed are one method."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from kolbench.report.intervals import Interval, mean_interval
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.statistics import Difference
from kolbench.runs.method_names import shown_label, told_apart

# both names -> what is known of the two
Pairs = Mapping[frozenset[str], "Pair"]


@dataclass(frozen=True)
class Pair:
    """All runs of one family against all runs of another. winner: the family that won every pair of runs."""

    a: str
    b: str
    found: tuple[Difference, ...]
    winner: str | None

    @property
    def difference(self) -> float:
        """Mean mIoU of a minus b, over all pairs of their runs."""
        return math.fsum(each.interval.value for each in self.found) / len(self.found)


def ranked_families(numbers: Numbers) -> list[str]:
    """Families of fully automatic methods, the highest mIoU first; baselines are none of them."""
    looking = [
        family
        for family, runs in numbers.compared_families.items()
        if runs[0].run.truth_access == "none" and not runs[0].is_baseline
    ]
    return sorted(looking, key=lambda family: -mean_miou(numbers.compared_families[family]))


def mean_miou(runs: Sequence[RunNumbers]) -> float:
    """Mean of the runs' mIoU."""
    return math.fsum(run.means["miou"] for run in runs) / len(runs)


def family_interval(numbers: Numbers, runs: Sequence[RunNumbers]) -> Interval:
    """Mean mIoU with its 95 % interval over groups; each image counts with its mean over the runs."""
    if len(runs) == 1:
        return numbers.miou[runs[0].label]
    values = np.mean(np.stack([run.images["miou"] for run in runs]), axis=0)
    return mean_interval(values, numbers.comparison.groups)


def all_pairs(numbers: Numbers, families: Sequence[str]) -> Pairs:
    """Every two of the families, the first named as `a`."""
    return {frozenset(names): pair_of(numbers, *names) for names in combinations(families, 2)}


def pair_of(numbers: Numbers, a: str, b: str) -> Pair:
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


def not_beaten_by(best: str, families: Sequence[str], pairs: Pairs) -> list[str]:
    """The others than which a family is not significantly better."""
    return [name for name in families if name != best and pairs[frozenset((best, name))].winner != best]


def family_name(numbers: Numbers, family: str) -> str:
    """What people read of a family: the authors' name of its method, and what tells it from others."""
    return told_apart({each: runs[0].run.method for each, runs in numbers.families.items()})[family]


def run_name(numbers: Numbers, run: RunNumbers) -> str:
    """What people read of a run: as `family_name`, with its seed where others have another."""
    return told_apart({each.label: each.run.method for each in numbers.runs})[run.label]


def baseline_name(recorded: str) -> str:
    """What people read of a baseline that runs recorded, perhaps with the run that did."""
    return shown_label(recorded, recorded.split()[0])


def baselines_beaten(numbers: Numbers, family: str) -> dict[str, bool]:
    """Baseline, as people read it -> whether the family is significantly better.

    By verdict where the baseline was run; else its mean must lie below the whole interval.
    """
    runs = numbers.compared_families[family]
    beaten = {
        family_name(numbers, baseline): pair_of(numbers, family, baseline).winner == family
        for baseline, others in numbers.compared_families.items()
        if others[0].is_baseline
    }
    recorded = {
        baseline_name(name): all(numbers.miou[run.label].low > row["miou"] for run in runs)
        for name, row in numbers.recorded_baselines.items()
    }
    return beaten | recorded
