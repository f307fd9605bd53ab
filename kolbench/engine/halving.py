"""Training where a batch does not fit into memory: it goes through in parts whose gradients are accumulated.

The optimiser's steps stay of the same pictures and the same number, so the learning rates go as they would.
Batch norms see fewer pictures at once, and what is drawn at random inside the network is drawn otherwise.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, TypeVar

from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler

from kolbench.engine.callbacks.shortage import BatchTooLargeError
from kolbench.engine.devices import free_memory
from kolbench.errors import ConfigError, OutOfMemoryError
from kolbench.io.files import read_json, write_json

HALVED = "halved.json"
# what batch norm says of a single value
ONE_VALUE = "more than 1 value per channel"

T = TypeVar("T")


@dataclass(frozen=True)
class Halved:
    """How often a batch was halved, and how many pictures of it go through the network at once."""

    halved: int
    batch: int

    @classmethod
    def of(cls, folder: Path, batch: int) -> Self:
        """What an earlier attempt of this training came to; else the whole batch."""
        path = folder / HALVED
        return cls(**read_json(path)) if path.is_file() else cls(0, batch)

    def next(self, batch: int) -> Self | None:
        """The largest divisor of `batch` that is at most half of what there is; None below one picture.

        Parts of equal size keep each picture's weight in a step.
        """
        smaller = [size for size in range(1, self.batch // 2 + 1) if batch % size == 0]
        return type(self)(self.halved + 1, smaller[-1]) if smaller else None

    def parts(self, batch: int) -> int:
        """Of a batch."""
        return batch // self.batch

    def recorded(self) -> dict[str, int]:
        """For `done.json`; empty where nothing was halved."""
        return asdict(self) if self.halved else {}


def require_halvable(order: Sequence[str], callbacks: Iterable[Callback], processes: int = 1) -> None:
    """Refuses `on_oom=halve` where a batch cannot go through in parts.

    Args:
        order: kinds of an epoch's steps. callbacks: of the training. processes: that train.

    Raises:
        ConfigError: steps are of several kinds, a callback accumulates gradients itself, or several processes
            train, of which some would halve and others not.
    """
    if processes > 1:
        raise ConfigError(
            f"on_oom=halve is for one process, but {processes} share each batch; leave it away and lower "
            "budget.batch=, or raise trainer.devices."
        )
    if len(set(order)) > 1:
        raise ConfigError(
            "on_oom=halve would join batches in one step, but this method takes batches of clips and of "
            "images in turn, each a step of its own; leave it away and lower budget.batch=."
        )
    if any(isinstance(callback, GradientAccumulationScheduler) for callback in callbacks):
        raise ConfigError(
            "on_oom=halve accumulates gradients, and so does the callback GradientAccumulationScheduler; "
            "leave one of the two away."
        )


def within_memory(
    attempt: Callable[[int], T], batch: int, folder: Path, rewind: Callable[[], None]
) -> tuple[T, Halved]:
    """Trains with smaller parts of a batch until they fit.

    Args:
        attempt: trains in `folder` from its last checkpoint; called with the parts of a batch.
        batch: pictures in one.
        folder: of the training; `halved.json` there keeps what was come to.
        rewind: puts the network back to where it began, for a training without a checkpoint.

    Returns:
        What `attempt` returned, and how far the batch was halved.

    Raises:
        OutOfMemoryError: not even the smallest part fits, or memory ran out otherwise.
    """
    found = begun = before = Halved.of(folder, batch)
    while True:
        # errors are made anew: the first ones keep the arrays of their frames
        try:
            return attempt(found.parts(batch)), found
        except BatchTooLargeError as error:
            shortage, following = str(error), found.next(batch)
        except ValueError as error:
            if ONE_VALUE not in str(error) or found == begun:
                raise
            following = None
            shortage = (
                f"Memory ran out while training on {before.batch} images at once, and {found.batch} leave "
                "batch norm a single value. Lower budget.size=. The last checkpoint, if there is one, is "
                "kept."
            )
        if following is None:
            _keep(begun, folder)
            raise OutOfMemoryError(shortage)
        before, found = found, following
        free_memory()
        print(said(before, found, batch), flush=True)
        _keep(found, folder)
        rewind()


def said(before: Halved, after: Halved, batch: int) -> str:
    """What changes, in a line."""
    pictures = f"{after.batch} image{'s' * (after.batch > 1)}"
    return (
        f"memory ran out on {before.batch} images at once: from here on {pictures}, and the gradients of "
        f"{after.parts(batch)} such parts are one batch's; steps stay of the same images, batch norms see "
        f"{pictures} at once"
    )


def _keep(state: Halved, folder: Path) -> None:
    if state.halved:
        write_json(folder / HALVED, asdict(state))
    else:
        (folder / HALVED).unlink(missing_ok=True)
