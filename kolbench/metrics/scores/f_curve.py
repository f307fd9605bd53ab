"""F over all thresholds, as tables of salient object detection have it."""

from functools import partial

from kolbench.metrics import saliency
from kolbench.metrics.counts import Counts
from kolbench.metrics.formulas import f_measure
from kolbench.metrics.parity import agreement
from kolbench.metrics.score import Score, of_all_counts, of_counts, register
from kolbench.metrics.wording import ADAPTIVE, EMPTY, EVERY_LEVEL, PICTURES, POOLED

_F = "F with beta squared = 0.3"
_ZERO = "0 where there is no true positive, also where the ground truth is empty"


def _mean_pr(counts: Counts) -> float:
    return float(saliency.f_of_means(saliency.at_every_level(counts)).max())


def _pooled_max(counts: Counts) -> float:
    return float(f_measure(saliency.at_every_level(counts.pooled()), saliency.BETA2).max())


register(
    Score(
        "f_mean",
        f"{_F}, mean over {EVERY_LEVEL}, {PICTURES}; {_ZERO}{agreement('f_mean')}",
        per_image=of_counts(partial(saliency.mean_over_levels, saliency.f_measure)),
        shown=True,
        depends_on_threshold=False,
        family="saliency",
    )
)
register(
    Score(
        "f_max",
        f"{_F}, averaged over images at each of {EVERY_LEVEL}, the highest of these means; "
        f"{_ZERO}{agreement('f_max')}",
        pooled=of_all_counts(partial(saliency.highest_mean, saliency.f_measure)),
        depends_on_threshold=False,
        family="saliency",
    )
)
register(
    Score(
        "f_adaptive",
        f"{_F} at {ADAPTIVE}, {PICTURES}; {_ZERO}{agreement('f_adaptive')}",
        per_image=of_counts(partial(saliency.at_own_threshold, saliency.f_measure)),
        depends_on_threshold=False,
        family="saliency",
    )
)
register(
    Score(
        "f_mean_pr",
        f"{_F} of the mean precision and the mean recall over images (what is 0 / 0 is 0) at each of "
        f"{EVERY_LEVEL}, the highest of these; what U2Net's paper calls max F{agreement('f_mean_pr')}",
        pooled=of_all_counts(_mean_pr),
        depends_on_threshold=False,
        family="saliency",
    )
)
register(
    Score(
        "f0.3_pooled_max",
        f"{_F}, {POOLED}, at each of {EVERY_LEVEL}, the highest of these; "
        f"{EMPTY}{agreement('f0.3_pooled_max')}",
        pooled=of_all_counts(_pooled_max),
        depends_on_threshold=False,
        family="saliency",
    )
)
