"""What a person sees while a network trains: Lightning's rich bar, or a line an epoch without a terminal."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar

from kolbench.io.progress import PLAIN_SECONDS, in_terminal


def progress_callback(what: str) -> Callback:
    """A rich bar in a terminal, plain lines elsewhere."""
    return RichProgressBar(leave=False) if in_terminal() else PlainProgress(what)


class PlainProgress(Callback):
    """One line at most every 20 seconds, with the time that is left."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._started = 0.0
        self._spoke = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._started = self._spoke = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Speaks when the last line is old enough."""
        now = time.monotonic()
        if now - self._spoke < PLAIN_SECONDS:
            return
        self._spoke = now
        total = _total_steps(trainer)
        done = trainer.global_step
        left = (now - self._started) / max(1, done - self._first_step) * (total - done)
        print(
            f"{self.what}: epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, "
            f"step {done} of {total}, "
            f"loss {float(outputs['loss']):.4f}, about {left / 60:.1f} min left",
            flush=True,
        )


def _total_steps(trainer: Trainer) -> int:
    return int(trainer.num_training_batches) * (trainer.max_epochs or 1)
