"""How far alpha lies from the truth, whatever the threshold."""

import numpy as np

from kolbench.metrics.confusion import Thresholded
from kolbench.metrics.formulas import mean_absolute_error
from kolbench.metrics.score import Score, register
from kolbench.metrics.wording import PICTURES
from kolbench.types import Float64Array


def _per_image(at: Thresholded) -> Float64Array:
    values = mean_absolute_error(at.counts)
    return np.tile(values, (len(at.cutoffs), 1))


register(
    Score(
        "mae",
        f"mean |alpha - mask| with alpha at 8 bits, whatever the threshold, {PICTURES}",
        per_image=_per_image,
        higher_is_better=False,
        shown=True,
        depends_on_threshold=False,
    )
)
