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
from kolbench.metrics.instance_ap import AveragePrecision


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
            mask = _plane(batch["mask"], index)
            known = _plane(batch["instances"], index) if "instances" in batch else None
            self._gathered.add(found, targets.person_labels(mask, known))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Computes and writes."""
        if self._gathered is not None:
            write_json(self.path, self._gathered.scores())


def _plane(entry: Any, index: int) -> Any:
    return entry[index, 0].cpu().numpy().astype(np.uint8)
