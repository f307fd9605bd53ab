"""Contour F of DAVIS as a score; `test_boundary_f.py` has the function."""

import numpy as np

from kolbench.metrics.scores.contour import values
from tests.helpers.counted import disk


def test_alpha_and_truth_are_cut_at_a_half() -> None:
    levels = np.where(disk(80, 30)[0, 0].numpy() == 1, 128, 127).astype(np.uint8)
    assert values(levels, levels) == (1,)
    assert values(levels, np.full_like(levels, 127)) == (0,)
