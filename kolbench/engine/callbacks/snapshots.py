"""How a method learns, as pictures: its alpha of the first validation picture, every few epochs."""

import math
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from kolbench.engine import collective
from kolbench.engine.step_output import StepOutput
from kolbench.io import images
from kolbench.types import UInt8Array

PICTURES = 10
LONGEST_PX = 256


class ProgressPictures(Callback):
    """Writes `picture.jpg` and at most ten of `epoch_0003.png`, 8-bit alphas, 256 px on the long side.

    Args:
        folder: where they go.
        epochs: of the whole training; the last one is always among them.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self.folder = folder
        self.every = math.ceil(epochs / PICTURES)
        self.last = epochs - 1

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first picture of the first batch."""
        epoch = trainer.current_epoch
        if not collective.is_first() or batch_idx or dataloader_idx or (self.last - epoch) % self.every:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        images.write_jpeg(self.folder / "picture.jpg", _levels(batch["image"][0]))
        output: StepOutput = outputs
        alpha = _levels(output["alpha"][0])[..., 0]
        images.write_png(self.folder / f"epoch_{epoch:04d}.png", alpha)


def _levels(planes: torch.Tensor) -> UInt8Array:
    """(C, H, W) in [0, 1] -> (h, w, C) uint8."""
    levels = (planes.float() * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return images.thumbnail(levels, LONGEST_PX)
