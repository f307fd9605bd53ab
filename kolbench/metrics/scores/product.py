"""How much of what is held is found. Inside the product mask there is no false positive."""

import numpy as np

from kolbench.metrics.confusion import Thresholded
from kolbench.metrics.formulas import of_product, product_recall, ratio
from kolbench.metrics.score import Score, register
from kolbench.types import Float64Array

_WITH_PRODUCT = "averaged over the images with a held product; absent where there is none"


def _iou(at: Thresholded) -> Float64Array:
    """(T, N), NaN where a picture has no product; without false positives IoU = TP / (TP + FN)."""
    found = of_product(at)
    return ratio(found.tp, found.tp + found.fp + found.fn, if_none=np.nan)


def _images(at: Thresholded) -> Float64Array:
    return np.full(len(at.cutoffs), float((at.counts.product.sum(-1) > 0).sum()))


register(
    Score(
        "product_recall",
        f"share of the held product's pixels that are found, per image, {_WITH_PRODUCT}",
        per_image=product_recall,
        shown=True,
    )
)
register(
    Score(
        "product_iou",
        f"foreground IoU inside the product mask, by definition equal to product_recall, {_WITH_PRODUCT}",
        per_image=_iou,
    )
)
register(
    Score(
        "product_images",
        "number of images with a held product",
        pooled=_images,
        depends_on_threshold=False,
    )
)
