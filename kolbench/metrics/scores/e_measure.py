"""E-measure: how well a binary map and the truth align, over all thresholds."""

from functools import partial

from kolbench.metrics import saliency
from kolbench.metrics.parity import agreement
from kolbench.metrics.score import Score, of_all_counts, of_counts, register
from kolbench.metrics.wording import ADAPTIVE, EVERY_LEVEL, PICTURES

_E = "E-measure, the enhanced alignment of the binary prediction and the ground truth"
_EDGES = (
    "summed over pixels and divided by their number less 1, so that a perfect one is a little above 1; the "
    "share of true negatives where the ground truth is empty, of true positives where it is full"
)

# N / (N - 1) of two pixels
_BOUNDS = (0.0, 2.0)


register(
    Score(
        "e_mean",
        f"{_E}, mean over {EVERY_LEVEL}, {PICTURES}; {_EDGES}{agreement('e_mean')}",
        per_image=of_counts(partial(saliency.mean_over_levels, saliency.e_measure)),
        shown=True,
        depends_on_threshold=False,
        family="saliency",
        bounds=_BOUNDS,
    )
)
register(
    Score(
        "e_max",
        f"{_E}, averaged over images at each of {EVERY_LEVEL}, the highest of these means; "
        f"{_EDGES}{agreement('e_max')}",
        pooled=of_all_counts(partial(saliency.highest_mean, saliency.e_measure)),
        depends_on_threshold=False,
        family="saliency",
        bounds=_BOUNDS,
    )
)
register(
    Score(
        "e_adaptive",
        f"{_E}, at {ADAPTIVE}, {PICTURES}; {_EDGES}{agreement('e_adaptive')}",
        per_image=of_counts(partial(saliency.at_own_threshold, saliency.e_measure)),
        depends_on_threshold=False,
        family="saliency",
        bounds=_BOUNDS,
    )
)
