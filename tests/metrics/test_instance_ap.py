"""Average precision of instances, by hand."""

import math

import numpy as np
import pytest
import torch

from kolbench.errors import ConfigError
from kolbench.metrics import instance_ap
from kolbench.types import Instances, UInt8Array

SHAPE = (40, 60)

Box = tuple[int, int, int, int]

LEFT: Box = (4, 4, 20, 36)

RIGHT: Box = (30, 4, 46, 36)

# 11 of 16 columns: IoU 0.6875, which passes 0.50 to 0.65, four thresholds of ten
NARROW: Box = (4, 4, 15, 36)

EMPTY_PLACE: Box = (50, 4, 58, 36)


def truth(*boxes: Box) -> UInt8Array:
    labels = np.zeros(SHAPE, np.uint8)
    for person, (x1, y1, x2, y2) in enumerate(boxes, start=1):
        labels[y1:y2, x1:x2] = person
    return labels


def found(*persons: tuple[Box, float], masks: tuple[Box, ...] | None = None) -> Instances:
    drawn = [truth(box) for box in (masks or [box for box, _ in persons])]
    return Instances(
        torch.tensor([box for box, _ in persons], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([score for _, score in persons]),
        torch.from_numpy(np.array(drawn, np.float32).reshape(-1, *SHAPE)) * 0.9,
    )


@pytest.mark.parametrize(
    ("pictures", "box", "mask"),
    [
        # (AP, AP50, AP75) of boxes and masks
        ([(found((LEFT, 0.9), (RIGHT, 0.8)), truth(LEFT, RIGHT))], (1, 1, 1), (1, 1, 1)),
        ([(found(), truth(LEFT))], (0, 0, 0), (0, 0, 0)),
        # one of two persons: precision 1 at the 51 of 101 recalls up to 0.5
        ([(found((LEFT, 0.9)), truth(LEFT, RIGHT))], (51 / 101,) * 3, (51 / 101,) * 3),
        # a better score on nobody: precision 1/2 at every recall; a worse one costs nothing
        ([(found((EMPTY_PLACE, 0.9), (LEFT, 0.8)), truth(LEFT))], (0.5,) * 3, (0.5,) * 3),
        ([(found((LEFT, 0.9), (EMPTY_PLACE, 0.8)), truth(LEFT))], (1, 1, 1), (1, 1, 1)),
        ([(found((NARROW, 0.9)), truth(LEFT))], (0.4, 1, 0), (0.4, 1, 0)),
        ([(found((LEFT, 0.9), masks=(NARROW,)), truth(LEFT))], (1, 1, 1), (0.4, 1, 0)),
        # pictures are ranked together: hit 0.9, miss 0.8, hit 0.7 -> precision 1 up to recall 1/2, then 2/3
        (
            [
                (found((LEFT, 0.9)), truth(LEFT)),
                (found((EMPTY_PLACE, 0.8), (LEFT, 0.7)), truth(LEFT)),
            ],
            ((51 + 50 * 2 / 3) / 101,) * 3,
            ((51 + 50 * 2 / 3) / 101,) * 3,
        ),
        ([(found((LEFT, 0.9)), truth()), (found(), truth(LEFT))], (0, 0, 0), (0, 0, 0)),
        ([(found(), truth())], (math.nan,) * 3, (math.nan,) * 3),
    ],
)
def test_average_precision_by_hand(
    pictures: list[tuple[Instances, UInt8Array]], box: tuple[float, ...], mask: tuple[float, ...]
) -> None:
    scores = instance_ap.average_precision(pictures)
    names = [f"{what}_{score}" for what in ("box", "mask") for score in ("ap", "ap50", "ap75")]
    assert list(scores) == names
    assert list(scores.values()) == pytest.approx([*box, *mask], abs=1e-6, nan_ok=True)


def test_average_precision_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_ap, "BACKEND", "no_such_library")
    with pytest.raises(ConfigError, match=r"pip install 'kolbench\[labels\]'"):
        instance_ap.AveragePrecision()
