"""What a person sees while Lightning works: a rich bar, or a line now and then without a terminal."""

import time
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar

from kolbench.engine.callbacks.scores import ScoreCallback
from kolbench.io.progress import PLAIN_SECONDS, in_terminal, subject

if TYPE_CHECKING:
    from rich.progress import Progress

# as code calls it -> as people read it
_VERBS = {"scoring": "evaluating"}
_SPLITS = {"train": "training images", "val": "validation images", "test": "test images", "all": "all images"}


def progress_callback(what: str) -> Callback:
    """A rich bar in a terminal, plain lines elsewhere.

    Args:
        what: is done, such as `training gt_encoder`; the method's name is put behind its first word.
    """
    named = described(what, subject())
    return TerminalProgress(named) if in_terminal() else PlainProgress(named)


def described(what: str, method: str) -> str:
    """What is done, with the method that it is done to: `evaluating MODNet` of `scoring`."""
    verb, _, rest = what.partition(" ")
    return " ".join(word for word in (_VERBS.get(verb, verb), method, rest) if word)


class TerminalProgress(ProgressBar):
    """A bar of all steps of a training, or of the images of a split that is evaluated; gone at the end."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self._shown: Progress | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Opens the bar, where a training that goes on stood."""
        self._open(self.what, _total_steps(trainer))
        self._move(completed=trainer.global_step)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Names the epoch."""
        self._move(description=_epoch_of(self.what, trainer))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves on by a step."""
        done = trainer.current_epoch * int(trainer.num_training_batches) + batch_idx + 1
        self._move(completed=done, said=f"loss {float(outputs['loss']):.4f}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Says what it waits for."""
        self._move(description=f"{_epoch_of(self.what, trainer)}, validating")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Closes the bar."""
        self._close()

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Begins a split with its first image."""
        if batch_idx == 0:
            self._close()
            total = int(trainer.num_test_batches[dataloader_idx])
            self._open(f"{self.what}, {_split_of(trainer, dataloader_idx)}", total)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Moves on by an image."""
        self._move(completed=batch_idx + 1)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Opens a bar before the first image is there."""
        self._open(self.what, None)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Closes the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Closes the bar, so that what went wrong stands below what was printed."""
        self._close()

    def _open(self, what: str, total: int | None) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        # whatever room the texts leave
        line = BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4))
        texts = TextColumn("{task.description}"), TextColumn("{task.fields[said]}")
        columns = (SpinnerColumn(), texts[0], line, MofNCompleteColumn(), texts[1], TimeRemainingColumn())
        self._shown = Progress(*columns, transient=True, expand=True)
        self._shown.add_task(what, total=total, said="")
        self._shown.start()

    def _move(self, **changes: Any) -> None:
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], **changes)

    def _close(self) -> None:
        if self._shown is not None:
            self._shown.stop()
            self._shown = None


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
            f"{_epoch_of(self.what, trainer)}, step {done} of {total}, "
            f"loss {float(outputs['loss']):.4f}, about {left / 60:.1f} min left",
            flush=True,
        )


def _epoch_of(what: str, trainer: Trainer) -> str:
    return f"{what}, epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"


def _split_of(trainer: Trainer, loader: int) -> str:
    """What is evaluated, by the callback that counts it."""
    counting = next(one for one in trainer.callbacks if isinstance(one, ScoreCallback))  # type: ignore[attr-defined]  # Lightning sets it
    split = counting.splits[loader]
    return _SPLITS.get(split, split)


def _total_steps(trainer: Trainer) -> int:
    return int(trainer.num_training_batches) * (trainer.max_epochs or 1)
