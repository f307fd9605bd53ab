"""Made-up scores of pictures in videos, for the tests of intervals and of statistics."""

import numpy as np

from kolbench.report.intervals import Interval
from kolbench.types import Float64Array

TRUE_MEAN = 0.8


def clustered(groups: int, seed: int) -> tuple[Float64Array, list[str]]:
    """Scores around `TRUE_MEAN` that videos of 2 to 19 frames share in part."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), rng.integers(2, 20, groups))
    shared = rng.normal(0, 0.1, groups)[codes]
    return TRUE_MEAN + shared + rng.normal(0, 0.05, len(codes)), [f"video{code}" for code in codes]


def isclose(found: Interval, wanted: Interval | tuple[float, float, float]) -> bool:
    return bool(np.allclose(found, wanted, rtol=0, atol=1e-9, equal_nan=True))
