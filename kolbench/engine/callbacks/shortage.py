"""What the Trainer was doing where memory ran out: the batch, the size of its pictures, and what to lower."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from kolbench.errors import LOADERS, OutOfMemoryError, ended_loader, is_of_memory

TRAINING, VALIDATING, SCORING = "training", "validating", "scoring"
_NETWORK = "model.size= makes the network's input smaller, where it has such a key"


class BatchTooLargeError(OutOfMemoryError):
    """A training batch does not fit into memory."""


class Shortage(Callback):
    """Remembers the batch at work, by its numbers alone, for what is said where memory runs out.

    Args:
        what: is done, such as `training`; for the time before the first batch, too.
        lower: what to lower where a training batch does not fit.
    """

    def __init__(self, what: str, lower: str = "") -> None:
        self._what = what
        self._lower = {
            TRAINING: lower,
            VALIDATING: f"{_NETWORK}, as budget.size= often does.",
            SCORING: f"{_NETWORK}; refiner=none and tta=none need less, too.",
        }
        self._stage = SCORING if what == SCORING else TRAINING
        self._batch = ""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What comes after a validation is training again."""
        self._stage = TRAINING

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Notes a training batch."""
        self._note(TRAINING, batch)

    # between two batches it is the loader that works
    def on_train_batch_end(self, *args: Any) -> None:
        """Forgets the batch."""
        self._batch = ""

    def on_validation_batch_end(self, *args: Any) -> None:
        """Forgets the batch."""
        self._batch = ""

    def on_test_batch_end(self, *args: Any) -> None:
        """Forgets the batch."""
        self._batch = ""

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Notes a batch of a training's validation."""
        self._note(VALIDATING, batch)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Notes a batch that is scored."""
        self._note(SCORING, batch)

    def _note(self, stage: str, batch: Mapping[str, Any]) -> None:
        self._stage = stage
        height, width = next(batch[key] for key in ("mask", "image") if key in batch).shape[-2:]
        names = list(batch["name"])
        which = f"image {names[0]}" if len(names) == 1 else f"a batch of {len(names)} images"
        self._batch = f"{which} of {width}x{height} px"

    @contextmanager
    def told(self) -> Iterator[None]:
        """A block in which a Trainer works.

        Raises:
            BatchTooLargeError: memory ran out on a training batch.
            OutOfMemoryError: it ran out otherwise, or a process that loads pictures was ended.
        """
        try:
            yield
        except OutOfMemoryError:
            raise
        except Exception as error:
            doing = VALIDATING if self._stage == VALIDATING else self._what
            if ended := _ended(error):
                raise OutOfMemoryError(f"While {doing}, {ended}") from error
            if not is_of_memory(error):
                raise
            raise self._shortage(doing, error) from error

    def _shortage(self, doing: str, error: Exception) -> OutOfMemoryError:
        where = f" on {self._batch}" if self._batch else ""
        kept = "" if self._stage == SCORING else " The last checkpoint, if there is one, is kept."
        message = f"{_memory(error)} ran out while {doing}{where}"
        if "in DataLoader worker" in str(error):
            return OutOfMemoryError(f"{message}, in a process that loads images. {LOADERS}{kept}")
        too_large = self._stage == TRAINING and self._batch
        kind = BatchTooLargeError if too_large else OutOfMemoryError
        return kind(f"{message}. {self._lower[self._stage]}{kept}")


def _ended(error: Exception) -> str | None:
    """`ended_loader`; torch may say that the process was killed while its lost connection is looked at."""
    try:
        return ended_loader(error)
    except RuntimeError as killed:
        return ended_loader(killed)


def _memory(error: Exception) -> str:
    """Whose memory it is: only devices' allocators have a type of their own, or name the device."""
    of_device = type(error).__name__ == "OutOfMemoryError" or re.search("CUDA|MPS|HIP", str(error))
    return "The GPU's memory" if of_device else "Memory"
