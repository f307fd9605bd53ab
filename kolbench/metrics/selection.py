"""What a training looks at: the best threshold, the highest F, the scores of an epoch.

It imports none of `kolbench.metrics.scores`, so that a new or changed score leaves trainings as they are.
"""

from collections.abc import Callable
from functools import partial

from kolbench.errors import DataError, require_choice
from kolbench.metrics import formulas
from kolbench.metrics.confusion import Confusion, Thresholded, at_thresholds
from kolbench.metrics.counts import LEVELS, Counts
from kolbench.types import Float64Array

# what a threshold can raise
_OF_CONFUSION: dict[str, Callable[[Confusion], Float64Array]] = {
    "miou": formulas.miou,
    "iou": formulas.iou,
    "acc": formulas.accuracy,
    "precision": formulas.precision,
    "recall": formulas.recall,
    "f0.3": partial(formulas.f_measure, beta2=0.3),
    "f0.09": partial(formulas.f_measure, beta2=0.09),
    "f1": partial(formulas.f_measure, beta2=1.0),
}
_ALSO_POOLED = ("miou", "iou", "f0.3", "f0.09")
_OF_EPOCH = ("miou", "iou", "acc", "precision", "recall")


def best_threshold(counts: Counts, score: str = "miou") -> float:
    """The threshold of 0.01, 0.02 ... 0.99 at which the mean of a score is highest.

    Ties go to the threshold nearest to 0.5, then to the lower one.

    Args:
        counts: of N pictures.
        score: `miou`, `iou`, `acc`, `precision`, `recall`, `f0.3`, `f0.09`, `f1`, or a `_pooled` one.

    Raises:
        DataError: there is no picture.
        ConfigError: the score is not one that a threshold can raise.
    """
    require_pictures(counts)
    require_choice("score", score, (*_OF_CONFUSION, *(f"{name}_pooled" for name in _ALSO_POOLED)))
    percents = sorted(range(1, 100), key=lambda percent: (abs(percent - 50), percent))
    found = at_thresholds(counts, [percent / 100 for percent in percents]).confusion
    name = score.removesuffix("_pooled")
    of = _OF_CONFUSION[name]
    values = of(found).mean(-1) if name == score else of(found.pooled())
    return percents[int(values.argmax())] / 100


def max_f(counts: Counts, beta2: float = 0.3) -> float:
    """The highest point of the set's F curve: the mean over pictures at each of the 255 cuts between levels.

    The stop rule of IS-Net's ground-truth encoder (Qin et al., DIS). `beta2` is beta squared.

    Raises:
        DataError: there is no picture.
    """
    require_pictures(counts)
    found = Thresholded(counts, tuple(range(LEVELS - 1))).confusion
    return float(formulas.f_measure(found, beta2).mean(-1).max())


def epoch_scores(counts: Counts, threshold: float) -> dict[str, float]:
    """Mean miou, iou, acc, precision, recall, mae, f0.3 and, where a picture has a product, product_recall.

    Raises:
        DataError: there is no picture.
        ConfigError: the threshold is not between 0 and 1.
    """
    require_pictures(counts)
    at = at_thresholds(counts, [threshold])
    row = {name: float(_OF_CONFUSION[name](at.confusion).mean(-1)[0]) for name in _OF_EPOCH}
    row["mae"] = float(formulas.mean_absolute_error(counts).mean())
    row["f0.3"] = float(_OF_CONFUSION["f0.3"](at.confusion).mean(-1)[0])
    product = formulas.mean_over_pictures(formulas.product_recall(at))
    return row if product is None else {**row, "product_recall": float(product[0])}


def require_pictures(counts: Counts) -> None:
    """Refuses an empty set.

    Raises:
        DataError: there is no picture.
    """
    if not len(counts):
        raise DataError("There is no image to score; the split is empty. Check data.root and data.split.")
