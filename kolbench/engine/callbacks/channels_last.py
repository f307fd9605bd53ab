"""Maps that lie channels last in memory while a network is trained."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

# batch, channels, height and width; volumes have layouts of their own
_DIMENSIONS = 4


class ChannelsLast(Callback):
    """Lays filters and batches channels last during training, which many networks are trained faster with.

    Which ones is measured in experiments/11_speed. Sums are rounded otherwise, so weights differ in their
    last bits. What is scored is built anew and lies as usual; validations meanwhile see it as it is.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Before DDP lays its buckets as filters lie; else the first step of each start rounds otherwise."""
        for tensor in (*pl_module.parameters(), *pl_module.buffers()):
            if tensor.dim() == _DIMENSIONS:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Filters alone would do for convolutions, but joining maps that lie otherwise is slow."""
        for key, entry in batch.items():
            if isinstance(entry, torch.Tensor) and entry.dim() == _DIMENSIONS:
                batch[key] = entry.contiguous(memory_format=torch.channels_last)
