"""When a training ends before its last epoch: no finite loss, a lost folder, or it had ended before."""

import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from torch import Tensor

from kolbench.engine import collective
from kolbench.engine.step_output import StepOutput
from kolbench.errors import TERMINATED, TrainingError
from kolbench.types import Batch


class StopOnNaN(Callback):
    """Stops at the first loss that is not finite."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Looks at the loss.

        Raises:
            TrainingError: it is not finite; names its terms and the pictures.
        """
        output: StepOutput = outputs
        loss = output["loss"]
        assert loss is not None
        if not torch.isfinite(loss):
            raise TrainingError(_not_finite(output["terms"], batch["name"], trainer.current_epoch))


class PlainTermination(Callback):
    """Lets SIGTERM end one of several processes as it ends one alone.

    Lightning's own handler would send a tensor to the others while they wait for another one.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes Lightning's place until the training ends."""
        if collective.size() > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> None:
    raise SystemExit(TERMINATED)


class StopWhereLost(Callback):
    """Asks for the permit to write before what validation and an epoch's end write; the first of callbacks.

    Args:
        permit: what it raises ends the training.
    """

    def __init__(self, permit: Callable[[], None]) -> None:
        self.permit = permit

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before pictures of the progress."""
        self.permit()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the history."""
        self.permit()


class StayStopped(Callback):
    """A training that was killed after EarlyStopping had ended it does not train on when it is resumed."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Asks the trainer's EarlyStopping callbacks, whose state the checkpoint has restored."""
        stoppers = [each for each in trainer.callbacks if isinstance(each, EarlyStopping)]  # type: ignore[attr-defined]  # set in Trainer.__init__ by a connector
        if any(each.stopping_reason != EarlyStoppingReason.NOT_STOPPED for each in stoppers):
            trainer.should_stop = True


def _not_finite(terms: Mapping[str, Tensor], names: list[str], epoch: int) -> str:
    bad = [name for name, term in terms.items() if not torch.isfinite(term)]
    return (
        f"The loss is not finite in epoch {epoch} (terms: {', '.join(bad) or 'their sum'}; images: "
        f"{', '.join(names)}). Lower budget.lr_factor, use trainer.precision=32-true or set "
        "trainer.gradient_clip_val=1; the last checkpoint is kept."
    )
