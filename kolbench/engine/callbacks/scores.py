"""The scores of every method: they follow from outputs and batches alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from kolbench.engine import collective
from kolbench.engine.step_output import StepOutput, is_scored
from kolbench.metrics.counts import Counts, ImageCounts
from kolbench.metrics.histogram import (
    Counter,
    Valuer,
    level_counts,
    levels_of,
    truth_levels,
    value_arrays,
)
from kolbench.metrics.selection import best_threshold, epoch_scores, max_f
from kolbench.types import Float64Array


class ScoreCallback(Callback):
    """Fills the histograms of every picture that is predicted and has a truth, split by split.

    The validation scores are logged to Lightning as `val/NAME`, so that callbacks such as EarlyStopping and
    ModelCheckpoint can watch them.

    Args:
        splits: names of the loaders, in their order.
        extra: what single scores need counted besides.
        values: what single scores need computed from the maps themselves.
        names: gives the pictures of all processes in their order, where several validate together.
    """

    def __init__(
        self,
        *splits: str,
        extra: Sequence[Counter] = (),
        values: Sequence[Valuer] = (),
        names: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.splits = splits
        self.names = names
        self.extra = extra
        self.values = values
        self.counts: dict[str, ImageCounts] = {}
        # of the pictures seen last
        self.has_alpha = False
        # by the first picture of each batch
        self._losses: dict[str, float] = {}
        self._scores: Mapping[str, float] = {}
        self._started = 0.0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets the epoch before."""
        self.counts = {name: ImageCounts(name) for name in self.splits}
        self._losses = {}

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
        if not is_scored(batch):
            return
        _wait_for(trainer)
        size = len(batch["name"])
        seconds = (time.perf_counter() - self._started + batch.get("seconds", 0.0)) / size
        output: StepOutput = outputs
        counted = self.counts[self.splits[dataloader_idx]]
        # the 0.5 band of a pretraining's target is neither foreground nor background
        keep = (batch["alpha"] != 0.5) if "alpha" in batch else None
        counts = level_counts(output["alpha"], batch["mask"], batch.get("product"), keep, self.extra)
        counts = replace(counts, values=self._values_of(output["alpha"], batch))
        counted.names += batch["name"]
        counted.groups += batch.get("group", [""] * size)
        counted.tags += batch.get("tags", [""] * size)
        counted.sizes += [tuple(batch["mask"].shape[-2:])] * size
        counted.seconds += [seconds] * size
        counted.notes += batch.get("notes", [""] * size)
        loss = output.get("loss")
        if loss is not None:
            self._losses[batch["name"][0]] = float(loss)
        counted.parts.append(counts)

    on_test_batch_end = on_validation_batch_end

    def _values_of(self, alpha: Tensor, batch: Any) -> Mapping[str, Float64Array]:
        """On the processor, wherever the network is; those that need a true alpha only where there is one."""
        matte = batch.get("matte")
        self.has_alpha = matte is not None
        wanted = [each for each in self.values if matte is not None or not each.needs_alpha]
        if not wanted:
            return {}
        levels, truths = (
            list(planes.cpu().numpy())
            for planes in (levels_of(alpha)[:, 0], truth_levels(batch["mask"], matte))
        )
        return value_arrays(levels, truths, wanted)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Scores the epoch, with what other processes have counted, and logs it."""
        if collective.size() > 1:
            self._join(self.splits[0])
        self._scores = self.scores_of(self.counts[self.splits[0]].counts)
        logged = {f"val/{name}": value for name, value in self._scores.items()}
        pl_module.log_dict(logged, batch_size=1, logger=False)

    def _join(self, split: str) -> None:
        """Takes the counts and losses of all processes, in the order in which one alone has the pictures."""
        found = collective.gathered((self.counts[split], self._losses))
        names = self.names()
        self.counts[split] = ImageCounts.joined(split, [counted for counted, _ in found], names)
        losses = {name: loss for _, own in found for name, loss in own.items()}
        self._losses = {name: losses[name] for name in names if name in losses}

    def scores_of(self, counts: Counts) -> Mapping[str, float]:
        """Scores at the pictures' own best threshold, the threshold, and mIoU at 0.5."""
        threshold = best_threshold(counts)
        row = epoch_scores(counts, threshold)
        loss = {"loss": float(np.mean([*self._losses.values()]))} if self._losses else {}
        return {**loss, **row, "miou@0.5": epoch_scores(counts, 0.5)["miou"], "threshold": threshold}

    def validation_scores(self) -> Mapping[str, float]:
        """Scores of the epoch that was validated last."""
        return self._scores

    def best(self) -> tuple[float, float]:
        """(score to maximise, threshold) of that epoch, for choosing the best one.

        The score is mIoU, or the negative validation loss of a method that has one.
        """
        row = self.validation_scores()
        return -row["loss"] if "loss" in row else row["miou"], row["threshold"]


class MaxFCallback(ScoreCallback):
    """Scores a pretraining by max-F (beta squared 0.3) on the masks it is checked on [IS-Net's rule]."""

    def scores_of(self, counts: Counts) -> Mapping[str, float]:
        """The highest F of all thresholds."""
        return {"max_f": max_f(counts)}


def _wait_for(trainer: Trainer) -> None:
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()
