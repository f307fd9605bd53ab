"""Times of what is compared, measured in turn until they allow a figure; intervals that assume no shape."""

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from kolbench.inference.machine import Energy
from kolbench.runs.benchmark import Spread
from kolbench.types import Float64Array

Run = TypeVar("Run", bound=Hashable)
# of an interval
OUTSIDE = 0.05
RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True)
class Rule:
    """When to stop.

    least: rounds that are always counted. most: of them, however much times spread. within: the share of its
    median that both ends of its 95 % interval must lie in, for every run. seconds: after `least` rounds, no
    round begins later than this; infinity = no such limit.
    """

    least: int = 30
    most: int = 300
    within: float = 0.05
    seconds: float = math.inf

    def holds(self, times: Sequence[float]) -> bool:
        """Whether times suffice for a figure."""
        if len(times) < self.least:
            return False
        low, high = median_interval(times)
        median = float(np.median(times))
        return max(high - median, median - low) <= self.within * median


@dataclass
class Times(Generic[Run]):
    """What was measured, by run.

    milliseconds: of each counted round, in their order. joules: mean of a run; empty where none is measured.
    unsettled: runs whose median is not known within the rule.
    """

    milliseconds: dict[Run, list[float]]
    joules: dict[Run, float] = field(default_factory=dict)
    unsettled: tuple[Run, ...] = ()

    @property
    def rounds(self) -> int:
        """How many were counted."""
        return len(next(iter(self.milliseconds.values()), ()))

    def spread(self, run: Run) -> Spread:
        """Of one run."""
        return spread(self.milliseconds[run], self.joules.get(run))


def in_turn(
    calls: Mapping[Run, Callable[[], object]],
    warm_up: int,
    rule: Rule,
    use: Callable[[Run], object] = lambda run: None,
    after_round: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    energy: Energy | None = None,
) -> Times[Run]:
    """Runs everything once a round, so that a busy moment hits all; every other round goes backwards.

    What heats the processor or fills its caches then comes as often before a run as after it.

    Args:
        calls: what is run. use: makes ready for a run; its time is not counted.
        warm_up: rounds that are left out.
        after_round: called after each round. clock: seconds. energy: None = not measured.
    """
    found: dict[Run, list[float]] = {run: [] for run in calls}
    joules: dict[Run, float] = dict.fromkeys(calls, 0.0) if energy and energy.measured else {}
    runs, began = list(calls), clock()
    for number in range(warm_up + rule.most):
        counted = number >= warm_up
        if number == warm_up:
            began = clock()
        for run in runs if number % 2 == 0 else reversed(runs):
            use(run)
            before = energy.read() if energy and joules else {}
            started = clock()
            calls[run]()
            taken = 1000 * (clock() - started)
            if counted:
                found[run].append(taken)
                if energy and joules:
                    joules[run] += energy.since(before) or 0.0
        after_round()
        if number + 1 - warm_up >= rule.least:
            late = clock() - began > rule.seconds
            if late or all(rule.holds(times) for times in found.values()):
                break
    rounds = max(1, len(next(iter(found.values()), ())))
    unsettled = tuple(run for run, times in found.items() if not rule.holds(times))
    return Times(found, {run: total / rounds for run, total in joules.items()}, unsettled)


def spread(times: Sequence[float], joules: float | None = None) -> Spread:
    """Median with its 95 % interval and two percentiles of milliseconds, linear between neighbours."""
    low, middle, high = (float(value) for value in np.percentile(np.asarray(times), (5, 50, 95)))
    return Spread(middle, low, high, *median_interval(times), len(times), joules)


def median_interval(times: Sequence[float]) -> tuple[float, float]:
    """At least 95 % interval of the median of independent values of any distribution, by order statistics.

    The number of values below the true median is binomial with p = 1/2 (Conover, Practical Nonparametric
    Statistics, 3rd ed., section 3.2). Infinite for fewer than 6 values, which allow none.
    """
    ordered = sorted(times)
    count, below, rank = len(ordered), 0.0, 0
    # the largest rank with P(fewer than `rank` values below the median) <= 2.5 %
    while rank < count:
        below += math.comb(count, rank) / 2**count
        if below > OUTSIDE / 2:
            break
        rank += 1
    if rank == 0:
        return -math.inf, math.inf
    return ordered[rank - 1], ordered[count - rank]


def ratio_interval(first: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """How many times as fast as `first` the other is, with the 95 % bootstrap interval over rounds.

    Rounds are drawn whole, so that what slowed both down in one of them stays in both.

    Args:
        first, other: milliseconds of the same rounds.

    Returns:
        The ratio of the medians, first / other, and the percentiles 2.5 and 97.5 of it.
    """
    a, b = np.asarray(first, np.float64), np.asarray(other, np.float64)
    drawn = np.random.default_rng(SEED).integers(0, len(a), (RESAMPLES, len(a)))
    ratios: Float64Array = np.median(a[drawn], axis=1) / np.median(b[drawn], axis=1)
    low, high = np.percentile(ratios, (50 * OUTSIDE, 100 - 50 * OUTSIDE))
    return float(np.median(a) / np.median(b)), float(low), float(high)
