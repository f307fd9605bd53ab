"""Pictures that are unlike the others of their set, by one number each."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from kolbench.types import Float64Array

# pixels: as a thumbnail of a half, or a scan of twice, the side of the others
TIMES_PIXELS = 4.0
TIMES_ASPECT = 2.0
# of the median sharpness of the set
BLURRED_SHARE = 0.25
# bits; one flat colour has 0, 793 photographs of street_kol 9.5 to 13.5
FLAT_BITS = 3.0
QUANTILES = {"lowest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "highest": 1.0}


def far_from_median(values: Sequence[float], times: float) -> dict[int, float]:
    """Positions whose value is more than `times` the median, or less than its `times`-th part.

    Args:
        values: above 0.

    Returns:
        Position -> value / median.
    """
    if not values:
        return {}
    shares = np.asarray(values, np.float64) / np.median(values)
    return {
        number: float(share)
        for number, share in enumerate(shares)
        if abs(math.log(share)) > math.log(times) + 1e-9
    }


def below_median(values: Sequence[float], share: float) -> dict[int, float]:
    """Positions whose value is below so much of the median; NaN never is. Position -> value / median."""
    known = [value for value in values if not math.isnan(value)]
    median = float(np.median(known)) if known else 0.0
    if median <= 0:
        return {}
    return {number: value / median for number, value in enumerate(values) if value < share * median}


def spread(values: Float64Array) -> Mapping[str, float]:
    """Quantiles of the values that are known (no NaN); NaN where none is."""
    known = values[~np.isnan(values)]
    if not known.size:
        return dict.fromkeys(QUANTILES, math.nan)
    return {name: float(np.quantile(known, share)) for name, share in QUANTILES.items()}
