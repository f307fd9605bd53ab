"""Finished and killed trainings, found again by the fingerprint of all that matters to them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kolbench.engine.callbacks.checkpoint import BEST
from kolbench.engine.training import DONE
from kolbench.errors import TrainingError
from kolbench.io.files import read_json, write_json
from kolbench.io.locks import alone

EVALUATIONS = "evaluations"


@dataclass(frozen=True)
class TrainingFolder:
    """One training's folder: `last.ckpt` to go on from, `best.ckpt`, `history.csv`, finally `done.json`.

    held: asks whether it is still this process's alone.
    """

    folder: Path
    fingerprint: str
    held: Callable[[], bool]

    @property
    def finished(self) -> bool:
        """Whether it ran to its end and its best weights are there."""
        return (self.folder / DONE).is_file() and (self.folder / BEST).is_file()

    @property
    def begun(self) -> bool:
        """Whether an earlier attempt left something to go on from."""
        return not self.finished and any(self.folder.rglob("*.ckpt"))

    @property
    def evaluated(self) -> bool:
        """Whether it was scored before, on whatever pictures."""
        return any((self.folder / EVALUATIONS).glob("*/*.parquet"))

    def require_held(self) -> None:
        """To be called before anything is written.

        Raises:
            TrainingError: the folder is this process's no longer.
        """
        if not self.held():
            raise TrainingError(
                f"Another process has taken over {self.folder}, or .lease was removed there. This one writes "
                "no more; the same command waits for the other and goes on from its checkpoint."
            )

    def summary(self) -> Mapping[str, object]:
        """What `done.json` holds, see `engine.training.train`."""
        return read_json(self.folder / DONE)


@contextmanager
def training(
    root: Path, name: str, fingerprint: str, settings: Mapping[str, object], resume: str
) -> Iterator[TrainingFolder]:
    """The folder of the training with this fingerprint, held alone while it is worked on.

    Args:
        root: the folder of all trainings.
        name: of the method, for people.
        fingerprint: hexadecimal digits.
        settings: what the fingerprint stands for, left in `training.json`.
        resume: `auto` goes on with what is there; `never` begins in a new folder.
    """
    attempts = sorted(root.glob(f"{name}-{fingerprint}*"), key=_attempt)
    number = _attempt(attempts[-1]) if attempts else 1
    if resume == "never" and attempts:
        number += 1
    folder = root / (f"{name}-{fingerprint}" + (f"-{number}" if number > 1 else ""))
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / ".lease", f"another process works on {folder}; waiting for it") as held:
        if not (folder / "training.json").is_file():
            write_json(folder / "training.json", {"fingerprint": fingerprint, **settings})
        yield TrainingFolder(folder, fingerprint, held)


def _attempt(folder: Path) -> int:
    tail = folder.name.rpartition("-")[2]
    return int(tail) if tail.isdigit() and len(tail) < 6 else 1
