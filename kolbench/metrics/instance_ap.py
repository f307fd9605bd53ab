"""Box and mask average precision of persons told apart, as COCO counts it (Lin et al., ECCV 2014).

torchmetrics' MeanAveragePrecision over pycocotools, which only the extra `kolbench[labels]` installs.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import torch

from kolbench.errors import ConfigError, DataError
from kolbench.io.arrays import boxes_and_instances
from kolbench.types import Instances, UInt8Array

BACKEND: Literal["pycocotools"] = "pycocotools"
MASK_THRESHOLD = 0.5
# ours -> torchmetrics'
SCORES = {
    "box_ap": "bbox_map",
    "box_ap50": "bbox_map_50",
    "box_ap75": "bbox_map_75",
    "mask_ap": "segm_map",
    "mask_ap50": "segm_map_50",
    "mask_ap75": "segm_map_75",
}


class AveragePrecision:
    """Gathers persons picture by picture; masks are kept run-length encoded, so pictures may be many.

    Raises:
        ConfigError: the extra is not installed.
    """

    def __init__(self) -> None:
        self._metric = _metric()

    def add(self, found: Instances, labels: UInt8Array) -> None:
        """One picture.

        Args:
            found: persons at any score, on any device; a mask is where its probability is 0.5 or more.
            labels: the truth, (H, W) uint8, 0 = background, any other value = one person.
        """
        self._metric.update([_found(found)], [_truth(labels)])

    def scores(self) -> dict[str, float]:
        """The precision at 101 recalls, averaged, of all pictures together.

        Returns:
            `box_ap` and `mask_ap`, means over the IoU thresholds 0.50, 0.55 ... 0.95, and the same at one
            threshold as `box_ap50`, `box_ap75`, `mask_ap50`, `mask_ap75`, all in [0, 1]; NaN where no
            picture holds a person.
        """
        computed = self._metric.compute()
        values = {ours: float(computed[theirs]) for ours, theirs in SCORES.items()}
        return {name: value if value >= 0 else float("nan") for name, value in values.items()}


def average_precision(pictures: Iterable[tuple[Instances, UInt8Array]]) -> dict[str, float]:
    """`AveragePrecision.scores` of a list of pictures: what was found in each, and its truth."""
    gathered = AveragePrecision()
    for found, labels in pictures:
        gathered.add(found, labels)
    return gathered.scores()


def save_persons(path: Path, found: Instances, labels: UInt8Array) -> None:
    """Keeps one picture for later: what `AveragePrecision.add` takes, masks cut at 0.5.

    Args:
        path: of an .npz file; its folder is made.
        found, labels: as of `AveragePrecision.add`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    masks = (found.masks >= MASK_THRESHOLD).cpu().numpy().reshape(len(found.scores), labels.size)
    boxes, sure = (entry.detach().float().cpu().numpy() for entry in (found.boxes, found.scores))
    with path.open("wb") as file:
        np.savez_compressed(file, boxes=boxes, scores=sure, masks=np.packbits(masks, axis=1), labels=labels)


def load_persons(path: Path) -> tuple[Instances, UInt8Array]:
    """What `save_persons` kept; masks are 0 or 1.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            boxes, sure, packed, labels = (kept[name] for name in ("boxes", "scores", "masks", "labels"))
        masks = np.unpackbits(packed, axis=1, count=labels.size).reshape(len(sure), *labels.shape)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}); score that shard again.") from error
    persons = (torch.from_numpy(array) for array in (boxes, sure, masks.astype(np.float32)))
    return Instances(*persons), labels


def _metric() -> Any:
    if find_spec(BACKEND) is None:
        raise ConfigError(
            "Box and mask AP need pycocotools, which is not installed: pip install 'kolbench[labels]'."
        )
    from torchmetrics.detection import MeanAveragePrecision

    # no other process of a training scores these pictures
    return MeanAveragePrecision(iou_type=("bbox", "segm"), backend=BACKEND, sync_on_compute=False)


def _found(persons: Instances) -> dict[str, torch.Tensor]:
    return {
        "boxes": persons.boxes.detach().cpu(),
        "scores": persons.scores.detach().cpu(),
        "labels": torch.ones(len(persons.scores), dtype=torch.int64),
        "masks": (persons.masks >= MASK_THRESHOLD).cpu(),
    }


def _truth(labels: UInt8Array) -> dict[str, torch.Tensor]:
    boxes, masks = boxes_and_instances(labels)
    return {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64), "masks": masks.bool()}
