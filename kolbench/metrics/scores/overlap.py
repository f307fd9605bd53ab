"""IoU and what else follows from true and false positives and negatives at a threshold."""

from kolbench.metrics import formulas
from kolbench.metrics.score import Score, of_confusion, of_pooled_confusion, register
from kolbench.metrics.wording import EMPTY, PICTURES, POOLED

register(
    Score(
        "miou",
        f"mean of foreground and background IoU, {PICTURES}; an IoU is {EMPTY}",
        per_image=of_confusion(formulas.miou),
    )
)
register(
    Score(
        "iou",
        f"foreground IoU = TP / (TP + FP + FN), {PICTURES}; {EMPTY}",
        per_image=of_confusion(formulas.iou),
        shown=True,
    )
)
register(
    Score(
        "acc",
        f"share of pixels classified correctly, {PICTURES}",
        per_image=of_confusion(formulas.accuracy),
        shown=True,
    )
)
register(
    Score("precision", f"TP / (TP + FP), {PICTURES}; {EMPTY}", per_image=of_confusion(formulas.precision))
)
register(Score("recall", f"TP / (TP + FN), {PICTURES}; {EMPTY}", per_image=of_confusion(formulas.recall)))
register(
    Score(
        "miou_pooled",
        f"mean of foreground and background IoU, {POOLED}; an IoU is {EMPTY}",
        pooled=of_pooled_confusion(formulas.miou),
    )
)
register(Score("iou_pooled", f"foreground IoU, {POOLED}; {EMPTY}", pooled=of_pooled_confusion(formulas.iou)))
