"""The numbers of a report, each reckoned once: scores per picture, means, curves, differences."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache, partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from kolbench.config.schema import UNSMOOTHED
from kolbench.metrics import scores
from kolbench.report import layout
from kolbench.report.intervals import (
    Interval,
    fewest_groups,
    group_means,
    mean_intervals,
    pooled_by_group,
    pooled_intervals,
)
from kolbench.report.scenario_tags import tags_of
from kolbench.report.statistics import Difference, differences
from kolbench.runs.benchmark import Benchmark, latest_of
from kolbench.runs.corrupted import is_corrupted
from kolbench.runs.finished import Comparison, FinishedRun
from kolbench.runs.record import RunRecord
from kolbench.types import Float64Array, Int64Array

# the whole data set, training pictures included: see data.protocol
ALL = "all"
# its name in runs of earlier versions
ALL_BEFORE = "whole"

# pooled scores of the tables -> beta squared
POOLED_F = {"f0.3_pooled": 0.3, "f0.09_pooled": 0.09}

UNREFINED = "none"

MIOU = f"mIoU: {scores.DEFINITIONS['miou']}; each run at its own threshold."


class RunNumbers:
    """One run's numbers on the test pictures.

    Args:
        run: the run.
    """

    def __init__(self, run: FinishedRun) -> None:
        self.run = run
        self.label = run.label

    @cached_property
    def counts(self) -> scores.Counts:
        """Of the test pictures."""
        return self.run.test.counts

    @cached_property
    def images(self) -> dict[str, Float64Array]:
        """Scores of each picture at the run's own threshold."""
        return scores.image_scores(self.counts, self.run.threshold)

    @cached_property
    def means(self) -> dict[str, float]:
        """Mean scores at the run's own threshold."""
        return scores.mean_scores(self.counts, self.run.threshold)

    @cached_property
    def confusion(self) -> Int64Array:
        """(N, 4): TP, FP, FN and TN of each picture at the run's own threshold."""
        return np.stack(scores.confusion(self.counts, self.run.threshold), axis=-1)

    @cached_property
    def curve(self) -> dict[str, Float64Array]:
        """Mean scores at 0.1 to 0.9."""
        return scores.threshold_curve(self.counts, scores.THRESHOLDS)

    @cached_property
    def best(self) -> tuple[float, float]:
        """The threshold of the highest mIoU on the test pictures themselves, and that mIoU."""
        threshold = scores.best_threshold(self.counts)
        return threshold, scores.mean_scores(self.counts, threshold)["miou"]

    @cached_property
    def recorded_seconds(self) -> float:
        """Median seconds per test picture as they went by while it was scored: no benchmark."""
        return float(np.median(self.run.test.seconds))

    @cached_property
    def has_product(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: pictures with a held product."""
        held: npt.NDArray[np.bool_] = self.counts.product.sum(-1) > 0
        return held

    @property
    def is_baseline(self) -> bool:
        """Whether it is a run of a baseline."""
        return self.run.is_baseline

    @property
    def heading(self) -> str:
        """Of the block in which it stands in every table."""
        return layout.BASELINES if self.is_baseline else layout.HEADING_OF_TRUTH_ACCESS[self.run.truth_access]

    @cached_property
    def validation_miou(self) -> float | None:
        """Mean mIoU on the validation pictures at the run's own threshold; None where there are none."""
        if "val" not in self.run.scored:
            return None
        return scores.mean_scores(self.run.scored["val"].counts, self.run.threshold)["miou"]

    @cached_property
    def training_miou(self) -> float | None:
        """Mean mIoU on the training pictures at the run's own threshold; None where they were not scored.

        They are what `all` holds beside the validation and test pictures.
        """
        whole = self.run.scored.get(ALL, self.run.scored.get(ALL_BEFORE))
        if whole is None:
            return None
        held_out = {name for split in ("val", "test") for name in self._names(split)}
        rows = [row for row, name in enumerate(whole.names) if name not in held_out]
        return scores.mean_scores(whole.counts.rows(rows), self.run.threshold)["miou"] if rows else None

    def _names(self, split: str) -> Sequence[str]:
        return self.run.scored[split].names if split in self.run.scored else ()


class Numbers:
    """All numbers of one comparison; runs stand best first, by mIoU.

    Args:
        comparison: runs scored on the same pictures.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        runs = [RunNumbers(run) for run in comparison.runs]
        # of equal ones, the order of the comparison
        self.runs = tuple(sorted(runs, key=lambda run: -run.means["miou"]))
        self.of = {numbers.label: numbers for numbers in self.runs}
        self.corrupted = tuple(RunNumbers(run) for run in comparison.corrupted)

    @cached_property
    def miou(self) -> dict[str, Interval]:
        """Label -> mean mIoU at the run's own threshold, with its 95 % interval over groups."""
        return self.intervals({label: numbers.images["miou"] for label, numbers in self.of.items()})

    @cached_property
    def pooled(self) -> dict[str, dict[str, Interval]]:
        """Score of `POOLED_F` -> label -> its value at the run's own threshold, with its interval."""
        counts = {label: numbers.confusion for label, numbers in self.of.items()}
        return {
            score: pooled_intervals(counts, partial(f_of_sums, beta2=beta2), self.comparison.groups)
            for score, beta2 in POOLED_F.items()
        }

    @property
    def too_few_groups(self) -> bool:
        """Whether there is no interval, but the values of the groups one by one."""
        return len(set(self.comparison.groups)) < fewest_groups()

    @cached_property
    def miou_by_group(self) -> dict[str, dict[str, float]]:
        """Label -> group -> mean mIoU of its pictures."""
        return self.by_group({label: numbers.images["miou"] for label, numbers in self.of.items()})

    @cached_property
    def pooled_by_group(self) -> dict[str, dict[str, dict[str, float]]]:
        """Score of `POOLED_F` -> label -> group -> its value."""
        counts = {label: numbers.confusion for label, numbers in self.of.items()}
        return {
            score: pooled_by_group(counts, partial(f_of_sums, beta2=beta2), self.comparison.groups)
            for score, beta2 in POOLED_F.items()
        }

    def by_group(self, values: Mapping[str, Float64Array]) -> dict[str, dict[str, float]]:
        """Means over the pictures of each group; pictures that are NaN are left out."""
        return group_means(values, self.comparison.groups)

    def intervals(self, values: Mapping[str, Float64Array]) -> dict[str, Interval]:
        """Means over pictures with their 95 % intervals over groups; pictures that are NaN are left out."""
        return mean_intervals(values, self.comparison.groups)

    @cached_property
    def differences(self) -> list[Difference]:
        """mIoU per picture between all pairs of the runs that are compared; Holm's p over them all."""
        compared = {run.label: self.of[run.label].images["miou"] for run in self.comparison.compared}
        return differences(compared, self.comparison.groups) if len(compared) > 1 else []

    @cached_property
    def families(self) -> dict[str, list[RunNumbers]]:
        """Family -> its runs, one per seed."""
        found: dict[str, list[RunNumbers]] = {}
        for numbers in self.runs:
            found.setdefault(numbers.run.family, []).append(numbers)
        return found

    @cached_property
    def compared_families(self) -> dict[str, list[RunNumbers]]:
        """Family -> its runs that are compared, one per seed."""
        compared = {run.label for run in self.comparison.compared}
        found = {
            family: [run for run in runs if run.label in compared] for family, runs in self.families.items()
        }
        return {family: runs for family, runs in found.items() if runs}

    @property
    def stand_ins(self) -> list[str]:
        """A sentence where one training at several thresholds is one method, else none."""
        named = [f"{label} for {', '.join(others)}" for label, others in self.comparison.stand_ins.items()]
        if not named:
            return []
        return [
            f"One training at several thresholds counts once: {'; '.join(named)} (the threshold from "
            "validation, else the one nearest to 0.5)."
        ]

    @cached_property
    def benchmarks(self) -> dict[str, Benchmark]:
        """Label -> the last benchmark of the run's method and settings; runs without one are left out.

        Refining and smoothing cost time of their own, which no benchmark of the method has; such runs are
        left out.
        """
        known = self.comparison.benchmarks
        found = {
            numbers.label: latest_of(known, numbers.run.method, numbers.run.model, numbers.run.record.tta)
            for numbers in self.runs
            if known and _alone(numbers.run.record)
        }
        return {label: each for label, each in found.items() if each is not None}

    def not_run(self, methods: Iterable[str]) -> list[str]:
        """Those of some methods that no run is of."""
        here = {numbers.run.method for numbers in self.runs}
        return [method for method in methods if method not in here]

    @cached_property
    def tags(self) -> dict[str, Int64Array]:
        """Tag -> rows of its pictures, in alphabetical order. A picture may have several tags.

        By rule where nobody has tagged the pictures and they were measured; else empty.
        """
        words = next((run.test.tags for run in self.comparison.runs if any(run.test.tags)), None)
        if words is None:
            return tags_of(self.traits) if len(self.traits) else {}
        found: dict[str, list[int]] = {}
        for row, tags in enumerate(words):
            for tag in dict.fromkeys((tags or "").split()):
                found.setdefault(tag, []).append(row)
        return {tag: np.asarray(found[tag], np.int64) for tag in sorted(found)}

    @cached_property
    def tagged_by_rule(self) -> bool:
        """Whether `tags` follow from rules."""
        return bool(self.tags) and not any(any(run.test.tags) for run in self.comparison.runs)

    @cached_property
    def traits(self) -> pd.DataFrame:
        """What each test picture is like, by the first run that measured all; no rows where none did.

        Corrupted pictures are others: a run on darkened ones measures darkness that they do not have.
        """
        names = list(self.comparison.pictures)
        measured = (run.run.traits for run in self.runs if not is_corrupted(run.run))
        found = next((known for known in measured if set(names) <= set(known.index)), None)
        return pd.DataFrame() if found is None else found.loc[names]

    @cached_property
    def recorded_baselines(self) -> dict[str, Mapping[str, float]]:
        """Baseline -> its mean scores as the runs recorded them; named with a run where runs disagree.

        A baseline that is a run of the set is left out: its own row says more.
        """
        run_here = {numbers.run.method for numbers in self.runs if numbers.is_baseline}
        found: dict[str, Mapping[str, float]] = {}
        labels: dict[str, list[str]] = {}
        for numbers in self.runs:
            for name, row in numbers.run.record.baselines.items():
                if name in run_here:
                    continue
                known = labels.setdefault(name, [])
                label = next((label for label in known if _agree(found[label], row)), None)
                if label is None:
                    label = f"{name} of {numbers.label}" if known else name
                    known.append(label)
                # one run was asked for scores that another was not
                found[label] = {**found.get(label, {}), **row}
        return found


def _alone(record: RunRecord) -> bool:
    """Whether nothing follows the method, neither a refiner nor a smoother."""
    return (record.refiner or UNREFINED) == UNREFINED and record.smooth == UNSMOOTHED


def _agree(row: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two rows are alike in all scores that both have."""
    return all(row[name] == other[name] for name in row.keys() & other.keys())


def f_of_sums(sums: Float64Array, beta2: float) -> Float64Array:
    """F of summed TP, FP, FN, TN (..., 4) -> (...), as `metrics.scores` has it for whole sets of pictures."""
    tp, fp, fn, _ = np.moveaxis(sums, -1, 0)
    hits = (1 + beta2) * tp
    whole = hits + beta2 * fn + fp
    f: Float64Array = np.divide(hits, whole, out=np.ones_like(whole), where=whole > 0)
    return f


@lru_cache(maxsize=1)
def numbers_of(comparison: Comparison) -> Numbers:
    """The numbers of a test set, reckoned once however often they are asked for in a row."""
    return Numbers(comparison)
