"""Contour accuracy F of DAVIS (Perazzi et al., CVPR 2016), of single pictures."""

from kolbench.metrics.boundary_f import TOLERANCE, boundary_f
from kolbench.metrics.score import ExtraValues, Score, of_value, register
from kolbench.metrics.wording import PICTURES
from kolbench.types import UInt8Array

NAME = "boundary_f"


def values(levels: UInt8Array, truth: UInt8Array) -> tuple[float, ...]:
    """Of alpha and truth cut at 0.5."""
    return (boundary_f(levels > 127, truth > 127),)


register(
    Score(
        NAME,
        f"contour F of DAVIS: F of contour precision and recall within {TOLERANCE:.1%} of the image's "
        f"diagonal, of alpha cut at 0.5, {PICTURES}; 1 where neither ground truth nor prediction has a "
        "contour, 0 where only one has one",
        per_image=of_value(NAME),
        depends_on_threshold=False,
        values=ExtraValues((NAME,), values),
        family="boundary",
    )
)
