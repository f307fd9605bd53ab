"""Errors against a true alpha: SAD, MAD, MSE, Grad and Conn, of whole pictures and of transition regions.

They are computed from alpha and truth at 8 bits. Outside of the transition region the alpha is set to the
truth, which is exactly 0 or 1 there, as P3M's code does.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from kolbench.metrics import matte_error
from kolbench.metrics.matte_error import Region
from kolbench.metrics.score import FROM_ZERO, SHARE, ExtraValues, Score, of_value, register
from kolbench.metrics.wording import PICTURES
from kolbench.types import Float64Array, UInt8Array

Error = Callable[[Float64Array, Float64Array, Region], float]

FAMILY = "matting"
# "_t" behind a name: of the transition region
_REGION = "_t"
_QUICK = ("sad", "mad", "mse")
_SLOW: Mapping[str, Error] = {
    "grad": matte_error.gradient,
    "conn": matte_error.connectivity,
    "grad_rvm": matte_error.gradient_rvm,
}
_MEANING = {
    "sad": "sum of |alpha - ground truth| / 1000",
    "mad": "mean of |alpha - ground truth|",
    "mse": "mean of (alpha - ground truth) squared",
    "grad": "sum of squared differences of gradient magnitudes / 10, by Gaussian derivatives of sigma 1.4, "
    "as in P3M's code",
    "conn": "connectivity error / 1000: differences in how well pixels are connected to the largest "
    "component that both alphas share, in steps of 0.1",
    "grad_rvm": "gradient error / 1000 by filters of 9 x 9 with unit energy, as in Robust Video Matting's "
    "code, of alphas that are not stretched",
}
_BAND = (
    f"inside the transition region, dilate(alpha > 0) less erode(alpha = 1) of the ground truth by an "
    f"ellipse of {matte_error.BAND_PX} px"
)


def quick(levels: UInt8Array, truth: UInt8Array) -> tuple[float, ...]:
    """SAD, MAD and MSE of the whole picture, then of the transition region."""
    band = matte_error.transition(truth)
    within = matte_error.pixel_errors(levels, truth, band) if band.any() else [math.nan for _ in _QUICK]
    return (*matte_error.pixel_errors(levels, truth), *within)


def slow(levels: UInt8Array, truth: UInt8Array) -> tuple[float, ...]:
    """Grad, Conn and the other Grad of the whole picture, then of the transition region."""
    alpha, true_alpha = levels / 255, truth / 255
    whole = [error(alpha, true_alpha, None) for error in _SLOW.values()]
    band = matte_error.transition(truth)
    if not band.any():
        return (*whole, *(math.nan for _ in _SLOW))
    inside = np.where(band, alpha, true_alpha)
    return (*whole, *(error(inside, true_alpha, band) for error in _SLOW.values()))


def _both(names: Iterable[str]) -> tuple[str, ...]:
    return (*names, *(f"{name}{_REGION}" for name in names))


def _definition(name: str) -> str:
    meaning = f"{_MEANING[name.removesuffix(_REGION)]}, both at 8 bits"
    if not name.endswith(_REGION):
        return f"{meaning}, {PICTURES}; only where the ground truth is an alpha matte"
    return f"{meaning}, {_BAND}, {PICTURES} that have one; only where the ground truth is an alpha matte"


for _names, _of, _always in ((_both(_QUICK), quick, True), (_both(_SLOW), slow, False)):
    _values = ExtraValues(_names, _of, needs_alpha=True)
    for _name in _names:
        register(
            Score(
                _name,
                _definition(_name),
                per_image=of_value(_name),
                higher_is_better=False,
                depends_on_threshold=False,
                values=_values,
                family=FAMILY,
                by_default=_always,
                bounds=SHARE if _name.removesuffix(_REGION) in ("mad", "mse") else FROM_ZERO,
            )
        )
