"""Checkpoints that survive a kill: written beside, forced to disk, renamed; the one before is kept."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from kolbench.data.dataset import seed_for
from kolbench.engine import collective
from kolbench.io.files import write_atomically

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
BEST = "best.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint format, written atomically and read without executing anything."""

    def save_checkpoint(
        self, checkpoint: Mapping[str, object], path: Any, storage_options: Any = None
    ) -> None:
        """Writes beside `path`, forces to disk, renames; makes the folder where there is none."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), lambda partial: _save(checkpoint, partial))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> Any:
        """Reads plain tensors, numbers and strings only."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class EpochCheckpoint(Checkpoint):
    """After each epoch: `last.ckpt` (all that a resumption needs), the one before it, and the best weights.

    The best weights are those that were validated, which is not those that training goes on with where a
    callback averages weights.

    Args:
        folder: where the three files go.
        scores: gives (score to maximise, threshold) of the epoch just validated; None = every epoch is best.
        model: the resolved `model` group, kept with the best weights so that the file alone says what it is.
        permit: called before anything is written; what it raises ends the training.
    """

    def __init__(
        self,
        folder: Path,
        scores: Callable[[], tuple[float, float]] | None = None,
        model: Mapping[str, object] | None = None,
        permit: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.scores = scores
        self.model = dict(model or {})
        self.permit = permit
        self.best_score = float("-inf")
        self.best_epoch = -1
        self._validated: dict[str, torch.Tensor] | None = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps the weights; Lightning runs this after callbacks that put averaged ones in their place."""
        self._validated = inference_state(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves; Lightning runs this after the epoch's validation and after all other callbacks."""
        self.permit()
        score, threshold = self.scores() if self.scores else (float(trainer.current_epoch), 0.5)
        if score > self.best_score:
            self.best_score = score
            self.best_epoch = trainer.current_epoch
            best = {
                "state_dict": self._validated or inference_state(pl_module),
                "epoch": trainer.current_epoch,
                "score": score,
                "threshold": threshold,
                "model": self.model,
            }
            if collective.is_first():
                write_atomically(self.folder / BEST, lambda partial: _save(best, partial))
        self._validated = None
        if collective.is_first() and (self.folder / LAST).exists():
            (self.folder / LAST).replace(self.folder / PREVIOUS)
        trainer.save_checkpoint(self.folder / LAST)

    def state_dict(self) -> dict[str, object]:
        """What a resumption must remember."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores it."""
        self.best_score = state_dict["best_score"]
        self.best_epoch = state_dict["best_epoch"]


def _save(content: Mapping[str, object], path: Path) -> None:
    # torch.save hides a full disk behind an internal error; plain bytes raise the OSError that it is
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(buffer.getbuffer())


def inference_state(module: LightningModule) -> dict[str, torch.Tensor]:
    """The tensors of the inference network, on the CPU."""
    segmenter: Any = module.segmenter
    network = segmenter.inference_network()
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def newest_readable(folder: Path) -> Path | None:
    """`last.ckpt`, or the one before it where the last is damaged; None where there is none to go on from."""
    for name in (LAST, PREVIOUS):
        path = folder / name
        if not path.is_file():
            continue
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # any damage means: fall back to the one before
            print(f"{path} cannot be read ({type(error).__name__}); falling back to the one before it.")
            continue
        return path
    return None


class SeedSteps(Callback):
    """Seeds torch before each step from (seed, epoch, step, process): a resumed epoch repeats itself.

    Not at an epoch's start: loaders draw numbers when they begin, which a resumed run does earlier.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Dropout and the like draw the same numbers whether the run was interrupted or not."""
        torch.manual_seed(seed_for("step", self.seed, trainer.current_epoch, batch_idx, collective.rank()))
