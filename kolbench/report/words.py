"""How the report writes numbers and names: one rounding everywhere, and the field's names of scores."""

import math
from collections.abc import Sequence

from kolbench.metrics.score import SHARE, registered
from kolbench.report.intervals import TOO_FEW, Interval

# column of files -> what people read
_NAMES = {
    "miou": "mIoU",
    "iou": "IoU",
    "acc": "Accuracy",
    "f1": "F1",
    "f0.3": "F0.3",
    "f0.09": "F0.09",
    "f0.3_pooled": "F0.3 pooled",
    "f0.09_pooled": "F0.09 pooled",
    "mae": "MAE",
    "precision": "Precision",
    "recall": "Recall",
    "product_recall": "Held recall",
    "boundary_iou": "Boundary IoU",
    "weighted_f": "Weighted F",
    "s_measure": "S-measure",
    "miou_pooled": "mIoU pooled",
    "iou_pooled": "IoU pooled",
    "sad": "SAD",
    "mad": "MAD",
    "mse": "MSE",
    "both_empty": "Both empty",
}
_MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def score_name(score: str) -> str:
    """What people read of a score's column, such as `mIoU` of `miou`; of others the column itself."""
    return _NAMES.get(score, score)


def arrow(score: str) -> str:
    """Which way is better: `↑` or `↓`; nothing of what is no score."""
    found = registered().get(score)
    return "" if found is None else "↑" if found.higher_is_better else "↓"


def is_share(score: str) -> bool:
    """Whether a score lies between 0 and 1, and is written in per cent."""
    found = registered().get(score)
    return found is not None and found.bounds == SHARE


def percent(share: float) -> str:
    """A share in per cent without its sign, such as `97.9`; a dash where it is NaN."""
    return DASH if math.isnan(share) else _rounded(100 * share)


def in_per_cent(share: float) -> str:
    """A share in per cent with its sign, such as `97.9 %`."""
    return f"{percent(share)} %"


def points(difference: float) -> str:
    """A difference of shares in percentage points with its sign, such as `+2.1`; `0.0` has none."""
    text = _rounded(100 * difference)
    return text if text == "0.0" or text.startswith(_MINUS) else f"+{text}"


def _rounded(value: float) -> str:
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", _MINUS)


def percent_range(found: Interval) -> str:
    """A 95 % interval in per cent, its ends around a dash; that there is none where groups are too few."""
    return f"{percent(found.low)}{DASH}{percent(found.high)}" if found.known else TOO_FEW


def points_range(found: Interval) -> str:
    """A 95 % interval of a difference in percentage points, such as `[+0.3, +2.0]`."""
    return f"[{points(found.low)}, {points(found.high)}]" if found.known else TOO_FEW


def p_value(p: float) -> str:
    """A p value behind its letter, such as `p = 0.0139`."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, such as `1 image` and `1,200 images`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names in a sentence, such as `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def millions(count: int | None) -> str:
    """Parameters, such as `1.13 M`; a dash where there are none."""
    if not count:
        return DASH
    return f"{count / 1e6:.2f} M" if count >= 10_000 else f"{count:,}"
