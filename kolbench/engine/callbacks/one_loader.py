"""What callbacks share that look at the pictures of one loader as they are scored."""

from abc import ABC, abstractmethod
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from kolbench.engine.step_output import StepOutput, is_scored


class OneLoaderCallback(Callback, ABC):
    """Takes the batches of one loader; frames without truth are passed over.

    Args:
        loader_index: position of the loader whose pictures count.
    """

    def __init__(self, loader_index: int) -> None:
        self.loader_index = loader_index

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Hands on what is of that loader and has a truth."""
        if dataloader_idx == self.loader_index and is_scored(batch):
            self.take(outputs, batch)

    @abstractmethod
    def take(self, output: StepOutput, batch: Any) -> None:
        """Adds the pictures of a batch."""
