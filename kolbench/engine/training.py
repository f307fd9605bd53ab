"""Training a method: its stages first, then itself, each resumable at any moment."""

import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from kolbench.data.datamodule import SegmentationDataModule
from kolbench.engine.callbacks.checkpoint import (
    BEST,
    AtomicCheckpointIO,
    EpochCheckpoint,
    SeedEpochs,
    newest_readable,
)
from kolbench.engine.callbacks.history import History, Row
from kolbench.engine.callbacks.progress_bar import progress_callback
from kolbench.engine.callbacks.scores import ScoreCallback
from kolbench.engine.callbacks.snapshots import ProgressPictures
from kolbench.engine.module import SegmentationModule
from kolbench.errors import TERMINATED, TrainingError
from kolbench.io.files import read_json, write_json
from kolbench.io.progress import in_terminal
from kolbench.metrics.selection import max_f
from kolbench.segmenter import PretrainSpec, Segmenter

DONE = "done.json"
HISTORY = "history.csv"
PROGRESS = "progress"


@dataclass(frozen=True)
class Plan:
    """How a method is trained: the resolved recipe and budget.

    optimizer: called with parameters. scheduler: see SegmentationModule. knobs: the `trainer` group.
    model: the resolved `model` group, kept with the best weights.
    """

    optimizer: Callable[..., Any]
    scheduler: Mapping[str, Any] | None
    lr_factor: float
    epochs: int
    seed: int
    knobs: Mapping[str, Any]
    device: torch.device
    model: Mapping[str, Any]


def train(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    plan: Plan,
    folder: Path,
    listen: Callable[[int, Row], None] | None = None,
) -> dict[str, Any]:
    """Trains in `folder`, going on where an earlier attempt was killed, and leaves `done.json`.

    Returns:
        What `done.json` holds: seconds, pictures a second, best epoch and its validation score.

    Raises:
        TrainingError: the loss is not finite, or the disk is full.
    """
    started = time.monotonic()
    canvas = data.place_on(segmenter.training_input_size)
    pictures = len(data.rows["train"])
    print(f"training canvas {canvas[1]}x{canvas[0]} px, {plan.epochs} epochs of {pictures} pictures")
    try:
        stages = {
            stage.name: _train_stage(stage, data, plan, folder / stage.name)
            for stage in segmenter.pretraining()
        }
        summary = _train_method(segmenter, data, plan, folder, listen)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise TrainingError(
            f"A canvas of {canvas[1]}x{canvas[0]} px with {data.batch} picture(s) a batch leaves batch norm "
            "a single value: raise budget.batch or budget.size."
        ) from error
    except OSError as error:
        raise TrainingError(
            f"Writing below {folder} failed ({error.strerror or error}). Make room there; the last good "
            "checkpoint is kept and the same command goes on from it."
        ) from error
    summary |= {"stages": stages, "seconds": round(time.monotonic() - started, 3), "canvas": list(canvas)}
    write_json(folder / DONE, summary)
    return summary


def _train_method(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    plan: Plan,
    folder: Path,
    listen: Callable[[int, Row], None] | None,
) -> dict[str, Any]:
    segmenter.train()
    judge = ScoreCallback("val")
    history = History(folder / HISTORY, judge.validation_scores, listen)
    keeper = EpochCheckpoint(folder, judge.best, plan.model)
    module = SegmentationModule(
        segmenter, plan.optimizer, plan.scheduler, plan.lr_factor, bool(plan.knobs["stop_on_nan"])
    )
    pictures = ProgressPictures(folder / PROGRESS, plan.epochs)
    callbacks = [SeedEpochs(plan.seed), judge, history, keeper, pictures]
    with quiet_lightning():
        trainer = make_trainer(plan, folder, callbacks, "training", plan.epochs)
        _fit(trainer, module, data.train_dataloader(), data.val_dataloader(), folder)
    return {
        "best_epoch": keeper.best_epoch,
        "best_val_miou": history.rows[keeper.best_epoch]["val/miou"],
        "train_seconds": round(history.seconds, 3),
        "pictures_per_second": round(history.pictures / max(history.seconds, 1e-9), 3),
    }


def _train_stage(
    stage: PretrainSpec, data: SegmentationDataModule, plan: Plan, folder: Path
) -> dict[str, Any]:
    network = stage.segmenter.inference_network()
    if not (folder / DONE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        stage.segmenter.requires_grad_(True).train()
        _fit_stage(stage, data, plan, folder)
        stage.segmenter.requires_grad_(False)
    best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
    network.load_state_dict(best["state_dict"])
    network.eval()
    return read_json(folder / DONE)


def _fit_stage(stage: PretrainSpec, data: SegmentationDataModule, plan: Plan, folder: Path) -> None:
    started = time.monotonic()
    judge = ScoreCallback("train")
    stopper = StopAtF(judge, stage.stop_f)
    history = History(folder / HISTORY, stopper.scores)
    module = SegmentationModule(stage.segmenter, partial(torch.optim.Adam, lr=stage.lr))
    callbacks = [SeedEpochs(plan.seed), judge, stopper, history, EpochCheckpoint(folder)]
    epochs = math.ceil(stage.max_steps / stage.check_every)
    # counted in epochs, not steps: Lightning resumes an interrupted run by steps in the wrong epoch
    steps_per_check = math.ceil(stage.max_steps / epochs)
    loader = data.train_dataloader(steps_per_check * data.batch, stage.name)
    with quiet_lightning():
        trainer = make_trainer(plan, folder, callbacks, f"training {stage.name}", epochs)
        _fit(trainer, module, loader, data.stage_check_dataloader(), folder)
    print(f"{stage.name}: max-F {stopper.best_f:.4f} on the training masks after {trainer.global_step} steps")
    summary = {
        "steps": trainer.global_step,
        "max_f": stopper.best_f,
        "seconds": round(time.monotonic() - started, 3),
    }
    write_json(folder / DONE, summary)


class StopAtF(Callback):
    """Ends a stage once max-F (beta squared 0.3) on the checked masks exceeds a bound [IS-Net's rule]."""

    def __init__(self, judge: ScoreCallback, bound: float) -> None:
        self.judge = judge
        self.bound = bound
        self.best_f = 0.0

    def scores(self) -> dict[str, float]:
        """The last check."""
        return {"max_f": self.best_f}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A stage that was killed after its last check does not train on."""
        trainer.should_stop = self.best_f > self.bound

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks."""
        self.best_f = max_f(self.judge.scored["train"].counts)
        trainer.should_stop = trainer.should_stop or self.best_f > self.bound

    def state_dict(self) -> dict[str, Any]:
        """What a resumption must remember."""
        return {"best_f": self.best_f}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self.best_f = state_dict["best_f"]


def _fit(
    trainer: Trainer, module: SegmentationModule, train_loader: Any, val_loader: Any, folder: Path
) -> None:
    resume_from = newest_readable(folder)
    if resume_from is not None:
        print(f"going on from {resume_from}")
    with stopping_plainly():
        trainer.fit(module, train_loader, val_loader, ckpt_path=str(resume_from) if resume_from else None)


def make_trainer(plan: Plan, folder: Path, callbacks: list[Callback], what: str, epochs: int) -> Trainer:
    """Lightning's Trainer as every training here uses it: one device, atomic checkpoints."""
    device = plan.device
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=plan.knobs["precision"],
        accumulate_grad_batches=plan.knobs["accumulate_grad_batches"],
        gradient_clip_val=plan.knobs["gradient_clip_val"],
        deterministic=plan.knobs["deterministic"],
        callbacks=[*callbacks, progress_callback(what)],
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=in_terminal(),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        max_epochs=epochs,
    )


@contextmanager
def stopping_plainly() -> Iterator[None]:
    """Ctrl-C and SIGTERM as Python knows them: Lightning answers both with an exit of its own.

    Raises:
        KeyboardInterrupt: the keyboard stopped the work.
        SystemExit: with code 143, SIGTERM did.
    """
    try:
        yield
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None
    except SystemExit:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning leaves it ignored
        raise KeyboardInterrupt from None


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hides what Lightning says about choices that are made on purpose here."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # loading from memory needs no processes, and an epoch may be shorter than the logging interval
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*The number of training batches.*")
        # a frozen ground-truth encoder stays in eval mode
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        # Lightning 2.6 calls what torch 2.15 deprecates
        warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
        try:
            yield
        finally:
            logger.setLevel(level)
