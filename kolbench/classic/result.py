"""What a classic method says about one picture."""

from collections.abc import Mapping
from typing import NamedTuple

from kolbench.types import Float32Array


class PictureResult(NamedTuple):
    """Alpha of one picture, and what happened on the way.

    alpha: (H, W) float32 in [0, 1]. notes: name -> 1.0 where it happened, 0.0 where it did not; a method
    gives the same names for every picture.
    """

    alpha: Float32Array
    notes: Mapping[str, float] = {}
