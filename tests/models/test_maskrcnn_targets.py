"""What Mask R-CNN learns from a mask: its connected parts, one person, or those that are known."""

import numpy as np
import torch
from torch import Tensor

from kolbench.types import Batch, UInt8Array
from tests.helpers.detectors import losses, small


def labelled(mask: UInt8Array, known: UInt8Array | None = None, components: str = "auto") -> Tensor:
    """The boxes that a picture is trained with."""
    batch: Batch = {
        "image": torch.zeros(1, 3, *mask.shape),
        "mask": torch.from_numpy(mask)[None, None].float(),
    }
    if known is not None:
        batch["instances"] = torch.from_numpy(known)[None, None]
    with torch.device("meta"):
        segmenter = small(components=components)
    target = segmenter.targets(batch)[0]
    assert target["labels"].tolist() == [1] * len(target["boxes"])
    assert target["labels"].dtype == torch.int64
    assert target["masks"].dtype == torch.uint8
    assert target["masks"].shape == (len(target["boxes"]), *mask.shape)
    return target["boxes"]


def parted() -> UInt8Array:
    """A figure of 20x12 px cut by a gap of 2 px, another of 10x10 px, and a speck of 5x5 px."""
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 4:16] = 1
    mask[17:27, 4:16] = 1
    mask[5:15, 40:50] = 1
    mask[30:35, 50:55] = 1
    return mask


def test_components_close_thin_gaps_and_drop_specks() -> None:
    assert labelled(parted()).tolist() == [[4, 5, 16, 27], [40, 5, 50, 15]]


def test_merge_makes_one_person_of_everything() -> None:
    assert labelled(parted(), components="merge").tolist() == [[4, 5, 55, 35]]


def test_known_persons_are_taken_unless_told_otherwise() -> None:
    known = np.zeros((40, 60), np.uint8)
    known[5:15, 4:16] = 2
    known[17:27, 4:16] = 7
    assert labelled(parted(), known).tolist() == [[4, 5, 16, 15], [4, 17, 16, 27]]
    assert len(labelled(parted(), known, "components")) == 2
    assert labelled(parted(), known, "components").tolist() == labelled(parted()).tolist()
    assert len(labelled(parted(), known, "merge")) == 1
    assert len(labelled(parted(), np.zeros_like(known))) == 0


def test_a_person_one_pixel_wide_has_a_box_and_trains() -> None:
    known = np.zeros((64, 64), np.uint8)
    known[10:40, 30] = 1
    known[63, 63] = 2
    assert labelled(known, known).tolist() == [[30, 10, 31, 40], [63, 63, 64, 64]]
    instances = torch.from_numpy(known)[None, None]
    batch: Batch = {
        "image": torch.rand(1, 3, 64, 64),
        "mask": (instances > 0).float(),
        "instances": instances,
    }
    assert all(torch.isfinite(term) for term in losses(small(), batch).values())
