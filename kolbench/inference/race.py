"""Forms of one method run in turn on one picture, and the fastest that gives the same alpha."""

import math
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from kolbench.errors import ConfigError
from kolbench.inference.export import parity
from kolbench.segmenter import Segmenter
from kolbench.types import Float32Array, UInt8Array

# as an exported file, see kolbench.inference.export.parity
BOUND = 1e-3
ROUNDS = 3


class Race:
    """Forms that share whatever else the machine does.

    Args:
        name, plain: the method itself, whose alpha is right.
        picture: (H, W, 3) uint8.

    Attributes:
        first_s: seconds of the first run, which is slower than those after it: memory is had, kernels are
            chosen.
        notes: sentences on forms that did not enter.
        runners, alphas: of those that did, and what they gave, (H, W) float32.
    """

    def __init__(self, name: str, plain: Segmenter, picture: UInt8Array) -> None:
        self._picture, self._plain = picture, plain
        self.runners: dict[str, Segmenter] = {name: plain}
        started = time.perf_counter()
        self._right = plain.segment(picture)
        self.first_s = time.perf_counter() - started
        self.alphas: dict[str, Float32Array] = {name: self._right}
        self.notes: list[str] = []

    def enter(self, name: str, build: Callable[[], Segmenter]) -> bool:
        """Adds a form if it can be built and agrees within BOUND; else a note says why not."""
        try:
            runner = build()
            alpha = runner.segment(self._picture)
            gaps = [alpha - self._right]
            if runner.stateful:
                gaps.append(
                    np.subtract(*(parity.alpha_of(form, self._picture) for form in (runner, self._plain)))
                )
            difference = float(np.abs(gaps).max())
            # NaN is no agreement
            if not difference <= BOUND:
                raise ConfigError(f"its alpha differs by {difference:.1e}.")
        except Exception as error:  # compilers and runtimes fail with errors of many types
            text = (str(error) or type(error).__name__).strip().splitlines()[0]
            self.notes.append(f"{name} is not used: {text}")
            return False
        self.runners[name], self.alphas[name] = runner, alpha
        return True

    def seconds_of(self, name: str) -> float:
        """Of one picture; infinite where the form did not enter."""
        return self.seconds([name])[name] if name in self.runners else math.inf

    def seconds(self, names: Sequence[str]) -> dict[str, float]:
        """Of one picture by each form: the median of ROUNDS, in each of which all run."""
        rounds = [{name: self._timed(name) for name in names} for _ in range(ROUNDS)]
        return {name: statistics.median(times[name] for times in rounds) for name in names}

    def _timed(self, name: str) -> float:
        started = time.perf_counter()
        self.runners[name].segment(self._picture)
        return time.perf_counter() - started
