"""Every score from the counts of `histogram.level_counts`, in numpy alone: no network, no pictures, no torch.

Arrays fg, bg and product are (N, 256) integers: pixels of N pictures at each 8-bit level of alpha.
"Foreground at threshold t" means level > 255 t, everywhere. `DEFINITIONS` says what each score means.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kolbench.errors import ConfigError, DataError, require_choice

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.integer[Any]]

LEVELS = 256
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

_PICTURES = "per picture at its own size, averaged over pictures"
_POOLED = "pixels of all pictures counted together"
_EMPTY = "1 where truth and prediction are both empty, 0 where one is"
_PRODUCT = "averaged over the pictures that have a product; absent where none has"
DEFINITIONS: dict[str, str] = {
    "miou": f"mean of foreground and background IoU, {_PICTURES}; an IoU is {_EMPTY}",
    "iou": f"foreground IoU = TP / (TP + FP + FN), {_PICTURES}; {_EMPTY}",
    "acc": f"share of pixels classified correctly, {_PICTURES}",
    "precision": f"TP / (TP + FP), {_PICTURES}; {_EMPTY}",
    "recall": f"TP / (TP + FN), {_PICTURES}; {_EMPTY}",
    "mae": f"mean |alpha - mask| with alpha at 8 bits, whatever the threshold, {_PICTURES}",
    "f0.3": f"F with beta squared = 0.3, {_PICTURES}; {_EMPTY}",
    "f0.09": f"F with beta squared = 0.09 (beta = 0.3), {_PICTURES}; {_EMPTY}",
    "f1": f"F with beta squared = 1 (Dice), {_PICTURES}; {_EMPTY}",
    "product_recall": f"share of the held product's pixels found, per picture at its own size, {_PRODUCT}",
    "product_iou": f"foreground IoU inside the product mask, equal to product_recall, {_PRODUCT}",
    "miou_pooled": f"mean of foreground and background IoU, {_POOLED}; an IoU is {_EMPTY}",
    "iou_pooled": f"foreground IoU, {_POOLED}; {_EMPTY}",
    "f0.3_pooled": f"F with beta squared = 0.3, {_POOLED}; {_EMPTY}",
    "f0.09_pooled": f"F with beta squared = 0.09 (beta = 0.3), {_POOLED}; {_EMPTY}",
    "images": "number of pictures scored",
    "both_empty": "pictures with truth and prediction both empty: their foreground scores are 1 by rule",
    "both_full": "pictures with truth and prediction both filling the frame: background IoU 1 by rule",
    "product_images": "number of pictures that have a product",
}


class Confusion(NamedTuple):
    """Pixels by truth and prediction, int64 arrays of one shape."""

    tp: Int64Array
    fp: Int64Array
    fn: Int64Array
    tn: Int64Array

    def pooled(self) -> "Confusion":
        """Summed over the last axis, the pictures."""
        return Confusion(*(part.sum(-1) for part in self))


def cutoff_level(threshold: float) -> int:
    """The highest 8-bit level that is background at a threshold: foreground is level > 255 t.

    A product like 255 * 0.2 counts as the whole number that it is but for floating point.

    Raises:
        ConfigError: the threshold is not between 0 and 1.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold={threshold} is not between 0 and 1; 0.5 is the usual choice.")
    return math.floor((LEVELS - 1) * threshold + 1e-9)


def confusion(fg: Counts, bg: Counts, threshold: float) -> Confusion:
    """(tp, fp, fn, tn) of each picture at a threshold, (N,) int64 each."""
    return Confusion(*(part[0] for part in _confusions(fg, bg, [cutoff_level(threshold)])))


def image_scores(fg: Counts, bg: Counts, product: Counts, threshold: float) -> dict[str, Float64Array]:
    """The scores of each picture at a threshold, (N,) float64 each, in [0, 1].

    `product_recall` and `product_iou` are NaN, "not applicable", for pictures without a product; no other
    score is ever NaN.
    """
    cutoffs = [cutoff_level(threshold)]
    found = _confusions(fg, bg, cutoffs)
    rows = {name: score(found)[0] for name, score in _PER_IMAGE.items()}
    rows["mae"] = _mae(fg, bg)
    rows |= {name: values[0] for name, values in _product_scores(product, cutoffs).items()}
    return {name: rows[name] for name in DEFINITIONS if name in rows}


def mean_scores(fg: Counts, bg: Counts, product: Counts, threshold: float) -> dict[str, float]:
    """All scores of a set at a threshold, keys as in `DEFINITIONS`; never NaN.

    The product scores are left out where no picture has a product.

    Raises:
        DataError: there is no picture.
        ConfigError: the threshold is not between 0 and 1.
    """
    curve = threshold_curve(fg, bg, product, [threshold])
    return {name: float(values[0]) for name, values in curve.items()}


def threshold_curve(
    fg: Counts, bg: Counts, product: Counts, thresholds: Sequence[float]
) -> dict[str, Float64Array]:
    """`mean_scores` at T thresholds, (T,) float64 each.

    Raises:
        DataError: there is no picture.
        ConfigError: a threshold is not between 0 and 1.
    """
    _require_pictures(fg)
    cutoffs = [cutoff_level(threshold) for threshold in thresholds]
    found = _confusions(fg, bg, cutoffs)
    rows = {name: score(found).mean(-1) for name, score in _PER_IMAGE.items()}
    rows |= {f"{name}_pooled": _PER_IMAGE[name](found.pooled()) for name in _ALSO_POOLED}
    has_product = product.sum(-1) > 0
    if has_product.any():
        of_products = _product_scores(product[has_product], cutoffs)
        rows |= {name: values.mean(-1) for name, values in of_products.items()}
    constants = {"mae": _mae(fg, bg).mean(), "images": len(fg), "product_images": has_product.sum()}
    rows |= {name: np.full(len(cutoffs), float(value)) for name, value in constants.items()}
    wrong = found.fp + found.fn
    rows["both_empty"] = np.count_nonzero(found.tp + wrong == 0, axis=-1).astype(np.float64)
    rows["both_full"] = np.count_nonzero(found.tn + wrong == 0, axis=-1).astype(np.float64)
    return {name: rows[name] for name in DEFINITIONS if name in rows}


def best_threshold(fg: Counts, bg: Counts, score: str = "miou") -> float:
    """The threshold of 0.01, 0.02 ... 0.99 at which the mean of a score is highest.

    Ties go to the threshold nearest to 0.5, then to the lower one.

    Args:
        fg, bg: (N, 256) counts.
        score: `miou`, `iou`, `acc`, `precision`, `recall`, `f0.3`, `f0.09`, `f1`, or a `_pooled` one.

    Raises:
        DataError: there is no picture.
        ConfigError: the score is not one that a threshold can raise.
    """
    _require_pictures(fg)
    require_choice("score", score, (*_PER_IMAGE, *(f"{name}_pooled" for name in _ALSO_POOLED)))
    percents = sorted(range(1, 100), key=lambda percent: (abs(percent - 50), percent))
    found = _confusions(fg, bg, [cutoff_level(percent / 100) for percent in percents])
    name = score.removesuffix("_pooled")
    values = _PER_IMAGE[name](found).mean(-1) if name == score else _PER_IMAGE[name](found.pooled())
    return percents[int(values.argmax())] / 100


def max_f(fg: Counts, bg: Counts, beta2: float = 0.3) -> float:
    """The highest point of the set's F curve: the mean over pictures at each of the 255 cuts between levels.

    The stop rule of IS-Net's ground-truth encoder (Qin et al., DIS). `beta2` is beta squared.

    Raises:
        DataError: there is no picture.
    """
    _require_pictures(fg)
    return float(_f(_confusions(fg, bg, range(LEVELS - 1)), beta2).mean(-1).max())


def _confusions(fg: Counts, bg: Counts, cutoffs: Sequence[int]) -> Confusion:
    """(T, N) int64 each: predicted foreground is what lies above the cut-off level."""
    if fg.shape != bg.shape or fg.ndim != 2 or fg.shape[1] != LEVELS:
        raise ValueError(f"fg and bg must both be (N, {LEVELS}), got {fg.shape} and {bg.shape}")
    tp, fp = _above(fg, cutoffs), _above(bg, cutoffs)
    return Confusion(tp, fp, fg.sum(-1, dtype=np.int64) - tp, bg.sum(-1, dtype=np.int64) - fp)


def _above(counts: Counts, cutoffs: Sequence[int]) -> Int64Array:
    """(T, N) pixels above each cut-off level."""
    up_to = np.cumsum(counts, axis=-1, dtype=np.int64)
    above: Int64Array = up_to[:, -1] - up_to.T[list(cutoffs)]
    return above


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any], if_none: npt.ArrayLike = 1.0) -> Float64Array:
    """part / whole, and `if_none` where the whole is nothing."""
    result = np.array(np.broadcast_to(if_none, whole.shape), np.float64)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _iou(c: Confusion) -> Float64Array:
    return _ratio(c.tp, c.tp + c.fp + c.fn)


def _miou(c: Confusion) -> Float64Array:
    return (_iou(c) + _ratio(c.tn, c.tn + c.fp + c.fn)) / 2


def _acc(c: Confusion) -> Float64Array:
    return _ratio(c.tp + c.tn, c.tp + c.tn + c.fp + c.fn)


def _precision(c: Confusion) -> Float64Array:
    return _ratio(c.tp, c.tp + c.fp, if_none=c.fn == 0)


def _recall(c: Confusion) -> Float64Array:
    return _ratio(c.tp, c.tp + c.fn, if_none=c.fp == 0)


def _f(c: Confusion, beta2: float) -> Float64Array:
    """(1 + beta2) P R / (beta2 P + R), in counts, which stay defined where P or R is not."""
    hits = (1 + beta2) * c.tp
    return _ratio(hits, hits + beta2 * c.fn + c.fp)


_PER_IMAGE: dict[str, Callable[[Confusion], Float64Array]] = {
    "miou": _miou,
    "iou": _iou,
    "acc": _acc,
    "precision": _precision,
    "recall": _recall,
    "f0.3": partial(_f, beta2=0.3),
    "f0.09": partial(_f, beta2=0.09),
    "f1": partial(_f, beta2=1.0),
}
_ALSO_POOLED = ("miou", "iou", "f0.3", "f0.09")


def _mae(fg: Counts, bg: Counts) -> Float64Array:
    """(N,) mean |alpha - mask|, a ratio of whole numbers; 0 where no pixel counts."""
    levels = np.arange(LEVELS, dtype=np.int64)
    distance = fg @ levels[::-1] + bg @ levels
    return _ratio(distance, (LEVELS - 1) * (fg + bg).sum(-1), if_none=0.0)


def _product_scores(product: Counts, cutoffs: Sequence[int]) -> dict[str, Float64Array]:
    """(T, N) each, NaN where a picture has no product.

    Inside the product mask the truth is foreground everywhere, as a product is part of the mask. There is no
    false positive, and IoU = TP / (TP + FN) is the recall.
    """
    found = _confusions(product, np.zeros_like(product), cutoffs)
    union = found.tp + found.fp + found.fn
    return {
        "product_recall": _ratio(found.tp, found.tp + found.fn, if_none=np.nan),
        "product_iou": _ratio(found.tp, union, if_none=np.nan),
    }


def _require_pictures(fg: Counts) -> None:
    if not len(fg):
        raise DataError("There is no picture to score; the split is empty. Check data.root and data.split.")
