"""The average training mask, which the baseline of that name predicts."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from kolbench.data import protocols
from kolbench.data.sources.base import Source
from kolbench.io import progress

MEAN_MASK_PX = (128, 128)


def mean_mask(source: Source, rows: Sequence[int], protocol: str) -> torch.Tensor:
    """The mean of masks, (1, 1, 128, 128) float32 in [0, 1].

    Args:
        source: of the pictures. rows: that count. protocol: one of `EVAL_PROTOCOLS`, as which pictures are
            seen.
    """
    total = np.zeros(MEAN_MASK_PX, np.float64)
    with progress.bar("averaging training masks", len(rows)) as advance:
        for row in rows:
            mask = protocols.VIEWS[protocol](source.read(row)).mask.astype(np.float32)
            total += cv2.resize(mask, MEAN_MASK_PX[::-1], interpolation=cv2.INTER_AREA)
            advance(1)
    return torch.from_numpy(total / len(rows)).float()[None, None]
