"""What the test pictures are like, noted while a method is scored on them."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from kolbench.engine.callbacks.one_loader import OneLoaderCallback
from kolbench.engine.step_output import StepOutput
from kolbench.io.arrays import as_arrays
from kolbench.metrics.traits import Traits, traits_of
from kolbench.runs import traits
from kolbench.runs.run_folder import TRAITS


class TraitsCallback(OneLoaderCallback):
    """Writes `traits.parquet` of one loader: what its pictures that have a truth are like.

    Args:
        folder: of the file.
        loader_index: position of the loader whose pictures count.
    """

    def __init__(self, folder: Path, loader_index: int) -> None:
        super().__init__(loader_index)
        self.folder = folder
        self._found: dict[str, Traits] = {}

    def take(self, output: StepOutput, batch: Any) -> None:
        """Adds the pictures of a batch."""
        images, truths = as_arrays(batch["image"]), as_arrays(batch["mask"])
        products = as_arrays(batch["product"]) if "product" in batch else [None] * len(images)
        # a crop, or a set that counts some objects alone, leaves gaps in their numbers
        persons = (
            [len(each[each > 0].unique()) for each in batch["instances"]] if "instances" in batch else None
        )
        for row, name in enumerate(batch["name"]):
            number = None if persons is None else persons[row]
            self._found[name] = traits_of(images[row], truths[row], products[row], number)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes what was found."""
        traits.write(self.folder / TRAITS, self._found)
