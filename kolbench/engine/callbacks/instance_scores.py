"""Box and mask AP of methods that find single persons, beside the scores that all methods have."""

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer

from kolbench.data import targets
from kolbench.engine.callbacks.one_loader import OneLoaderCallback
from kolbench.engine.step_output import StepOutput
from kolbench.errors import ConfigError
from kolbench.io.files import write_json
from kolbench.metrics.instance_ap import AveragePrecision, save_persons
from kolbench.types import UInt8Array


class InstanceScoreCallback(OneLoaderCallback):
    """Writes the APs of one loader's pictures to a JSON file, where the method finds single persons.

    The true persons are the data set's, or the components of the mask where it knows none.

    Args:
        path: of the JSON file.
        loader_index: position of the loader whose pictures count.
    """

    def __init__(self, path: Path, loader_index: int) -> None:
        super().__init__(loader_index)
        self.path = path
        self._gathered: AveragePrecision | None = None
        self._given_up = False

    def take(self, output: StepOutput, batch: Any) -> None:
        """Adds the pictures of a batch."""
        instances = output["instances"]
        if instances is None or self._given_up:
            return
        try:
            self._gathered = self._gathered or AveragePrecision()
        except ConfigError as missing:
            print(f"no AP: {missing}")
            self._given_up = True
            return
        for index, found in enumerate(instances):
            self._gathered.add(found, _true_persons(batch, index))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Computes and writes."""
        if self._gathered is not None:
            write_json(self.path, self._gathered.scores())


class KeepInstances(OneLoaderCallback):
    """Keeps what APs follow from, `NAME.npz` for each picture, where not all pictures are scored here.

    Args:
        folder: of the files; see `metrics.instance_ap.save_persons`.
        loader_index: position of the loader whose pictures count.
    """

    def __init__(self, folder: Path, loader_index: int) -> None:
        super().__init__(loader_index)
        self.folder = folder

    def take(self, output: StepOutput, batch: Any) -> None:
        """Writes the pictures of a batch."""
        for index, found in enumerate(output["instances"] or ()):
            save_persons(self.folder / f"{batch['name'][index]}.npz", found, _true_persons(batch, index))


def _true_persons(batch: Any, index: int) -> UInt8Array:
    """(H, W) uint8: the data set's persons, or the components of the mask where it knows none."""
    known = _plane(batch["instances"], index) if "instances" in batch else None
    return targets.person_labels(_plane(batch["mask"], index), known)


def _plane(entry: Any, index: int) -> Any:
    return entry[index, 0].cpu().numpy().astype(np.uint8)
