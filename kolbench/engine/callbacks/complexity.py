"""How complex the test pictures are, noted while a method is scored on them."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from kolbench.engine.step_output import is_scored
from kolbench.io.arrays import as_arrays
from kolbench.metrics.texture import glcm_entropy
from kolbench.runs import complexity
from kolbench.runs.run_folder import COMPLEXITY


class ComplexityCallback(Callback):
    """Writes `complexity.parquet` of one loader: the GLCM entropy of each picture that has a truth.

    Args:
        folder: of the file.
        loader_index: position of the loader whose pictures count.
    """

    def __init__(self, folder: Path, loader_index: int) -> None:
        self.folder = folder
        self.loader_index = loader_index
        self._entropies: dict[str, float] = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds the pictures of a batch."""
        if dataloader_idx != self.loader_index or not is_scored(batch):
            return
        for name, image in zip(batch["name"], as_arrays(batch["image"]), strict=True):
            self._entropies[name] = glcm_entropy(image)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes what was found."""
        complexity.write(self.folder / COMPLEXITY, self._entropies)
