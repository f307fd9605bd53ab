"""The one judge: it sees outputs and batches only, and is the same for every method."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from kolbench.metrics.counts import ImageCounts
from kolbench.metrics.histogram import Counter, level_counts
from kolbench.metrics.selection import best_threshold, epoch_scores


class ScoreCallback(Callback):
    """Fills the histograms of every picture that is predicted, split by split.

    Args:
        splits: names of the loaders, in their order.
        extra: what single scores need counted besides.
    """

    def __init__(self, *splits: str, extra: Sequence[Counter] = ()) -> None:
        self.splits = splits
        self.extra = extra
        self.scored: dict[str, ImageCounts] = {}
        self._losses: list[float] = []
        self._started = 0.0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets the epoch before."""
        self.scored = {name: ImageCounts(name) for name in self.splits}
        self._losses = []

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Starts the clock of one prediction."""
        _wait_for(trainer)
        self._started = time.perf_counter()

    on_test_batch_start = on_validation_batch_start

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stops the clock, then counts."""
        _wait_for(trainer)
        size = len(batch["name"])
        seconds = (time.perf_counter() - self._started + batch.get("seconds", 0.0)) / size
        scored = self.scored[self.splits[dataloader_idx]]
        # the 0.5 band of a stage's target is neither foreground nor background
        keep = (batch["alpha"] != 0.5) if "alpha" in batch else None
        counts = level_counts(outputs["alpha"], batch["mask"], batch.get("product"), keep, self.extra)
        scored.names += batch["name"]
        scored.groups += batch.get("group", [""] * size)
        scored.tags += batch.get("tags", [""] * size)
        scored.sizes += [tuple(batch["mask"].shape[-2:])] * size
        scored.seconds += [seconds] * size
        scored.notes += batch.get("notes", [""] * size)
        if outputs.get("loss") is not None:
            self._losses.append(float(outputs["loss"]))
        scored.parts.append(counts)

    on_test_batch_end = on_validation_batch_end

    def validation_scores(self) -> dict[str, float]:
        """Scores of the first split at its own best threshold, the threshold, and mIoU at 0.5."""
        counts = self.scored[self.splits[0]].counts
        threshold = best_threshold(counts)
        row = epoch_scores(counts, threshold)
        loss = {"loss": float(np.mean(self._losses))} if self._losses else {}
        return {**loss, **row, "miou@0.5": epoch_scores(counts, 0.5)["miou"], "threshold": threshold}

    def best(self) -> tuple[float, float]:
        """(score to maximise, threshold) of the first split, for choosing the best epoch.

        The score is mIoU, or the negative validation loss of a method that has one.
        """
        row = self.validation_scores()
        return -row["loss"] if "loss" in row else row["miou"], row["threshold"]


def _wait_for(trainer: Trainer) -> None:
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()
