"""Times in turn by a clock of the test, when to stop, and intervals against independent ones."""

import math

import numpy as np
import pytest
from scipy import stats

from kolbench.inference.timing import Rule, in_turn, median_interval, ratio_interval, spread
from kolbench.runs.benchmark import Spread


class Clock:
    """Time passes only in calls."""

    def __init__(self):
        self.now, self.ran = 0.0, []

    def call(self, name, lasts):
        seconds = iter(lasts)

        def run():
            self.ran.append(name)
            self.now += next(seconds)

        return run

    def __call__(self):
        return self.now


def test_everything_runs_in_turn_and_warm_up_is_left_out():
    clock, used, rounds = Clock(), [], []
    calls = {"a": clock.call("a", [9, 8, 1, 2, 3]), "b": clock.call("b", [7, 6, 10, 20, 30])}
    found = in_turn(calls, 2, Rule(3, 3), used.append, lambda: rounds.append(1), clock)
    # every other round goes backwards
    assert "".join(clock.ran) == "".join(used) == "abbaabbaab"
    assert len(rounds) == 5
    assert found.milliseconds == {"a": [1000, 2000, 3000], "b": [10000, 20000, 30000]}
    assert (found.rounds, found.joules) == (3, {})
    assert set(found.unsettled) == {"a", "b"}


def noisy(share, count=400):
    """Seconds around 1 whose median needs more repeats the larger the share is."""
    return (1 + share * np.random.default_rng(4).standard_normal(count)).tolist()


def test_it_goes_on_until_all_medians_are_known():
    clock = Clock()
    calls = {"still": clock.call("still", noisy(0.001)), "noisy": clock.call("noisy", noisy(0.2))}
    rule = Rule(30, 300, 0.05)
    found = in_turn(calls, 1, rule, clock=clock)
    assert 30 < found.rounds < 300
    assert found.unsettled == ()
    times = found.milliseconds["noisy"]
    assert rule.holds(times)
    assert not rule.holds(times[:-1])
    assert rule.holds(found.milliseconds["still"][:30])
    assert not rule.holds(found.milliseconds["still"][:29])


def test_a_cap_ends_it_and_is_said():
    clock = Clock()
    found = in_turn({"a": clock.call("a", noisy(0.5))}, 1, Rule(30, 40, 0.01), clock=clock)
    assert (found.rounds, found.unsettled) == (40, ("a",))
    # seconds count once there are enough rounds, never before
    clock = Clock()
    found = in_turn({"a": clock.call("a", noisy(0.5))}, 1, Rule(30, 300, 0.01, seconds=35), clock=clock)
    assert 30 <= found.rounds <= 40
    clock = Clock()
    assert in_turn({"a": clock.call("a", noisy(0.5))}, 1, Rule(30, 300, 0.01, 1), clock=clock).rounds == 30


def test_the_interval_of_a_median_by_the_binomial_distribution():
    values = np.random.default_rng(0).permutation(np.arange(1.0, 31.0))
    # the textbook's: of 30 values the 10th and the 21st, which cover 95.7 %
    assert median_interval(values) == (10.0, 21.0)
    for count in (6, 7, 31, 100, 299):
        low, high = median_interval(np.arange(count))
        rank = int(stats.binom.ppf(0.025, count, 0.5))
        assert (low, high) == (rank - 1, count - rank)
    assert median_interval([1, 2, 3, 4, 5]) == (-math.inf, math.inf)


def test_an_interval_covers_the_true_median():
    generator = np.random.default_rng(1)
    draws = generator.exponential(1, (400, 40))
    held = [low <= math.log(2) <= high for low, high in map(median_interval, draws)]
    assert 0.93 < np.mean(held) < 0.995


def test_the_interval_of_a_ratio_by_another_bootstrap():
    generator = np.random.default_rng(2)
    # a busy moment slows both down
    busy = generator.gamma(2, 1, 60)
    first, other = (20 + 4 * busy).tolist(), (10 + 2 * busy + generator.normal(0, 0.3, 60)).tolist()
    ratio, low, high = ratio_interval(first, other)
    assert ratio == pytest.approx(np.median(first) / np.median(other))
    expected = stats.bootstrap(
        (first, other),
        lambda a, b, axis: np.median(a, axis=axis) / np.median(b, axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.01)
    # rounds drawn apart would hide how well the ratio is known
    apart = [
        np.median(generator.choice(first, 60)) / np.median(generator.choice(other, 60)) for _ in range(999)
    ]
    assert high - low < 0.5 * (np.percentile(apart, 97.5) - np.percentile(apart, 2.5))


def test_the_spread_of_twenty_one_times():
    times = [10.0 * (n * 8 % 21) for n in range(21)]
    assert spread(times, 1.5) == Spread(100.0, 10.0, 190.0, 50.0, 150.0, 21, 1.5)
