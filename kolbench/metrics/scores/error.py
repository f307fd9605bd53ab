"""How far alpha lies from the truth, whatever the threshold."""

from kolbench.metrics import saliency
from kolbench.metrics.counts import Counts
from kolbench.metrics.formulas import mean_absolute_error
from kolbench.metrics.parity import agreement
from kolbench.metrics.score import Score, of_counts, register
from kolbench.metrics.stretch import min_max
from kolbench.metrics.wording import PICTURES
from kolbench.types import Float64Array


def _stretched(counts: Counts) -> Float64Array:
    return saliency.mean_absolute_error(counts, min_max(counts.fg + counts.bg))


register(
    Score(
        "mae",
        f"mean |alpha - mask| with alpha at 8 bits, whatever the threshold, {PICTURES}{agreement('mae')}",
        per_image=of_counts(mean_absolute_error),
        higher_is_better=False,
        shown=True,
        depends_on_threshold=False,
    )
)
register(
    Score(
        "mae_minmax",
        "mae after each alpha was stretched so that its lowest level is 0 and its highest 1, unless it is "
        f"constant, as tables of salient object detection print it, {PICTURES}"
        f"{agreement('mae_minmax')}",
        per_image=of_counts(_stretched),
        higher_is_better=False,
        depends_on_threshold=False,
        family="saliency",
    )
)
