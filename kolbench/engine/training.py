"""Training a method: what it wants pretrained first, then itself, each resumable at any moment."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch.optim import Optimizer

from kolbench.data.datamodule import Loader, SegmentationDataModule
from kolbench.engine import collective
from kolbench.engine.callbacks.checkpoint import BEST, EpochCheckpoint, SeedSteps, newest_readable
from kolbench.engine.callbacks.frozen_norms import FrozenNorms
from kolbench.engine.callbacks.history import History, Row
from kolbench.engine.callbacks.scores import MaxFCallback, ScoreCallback
from kolbench.engine.callbacks.snapshots import ProgressPictures
from kolbench.engine.callbacks.stopping import StayStopped, StopOnNaN
from kolbench.engine.module import SegmentationModule, rate_factor
from kolbench.engine.schedule import PolyByStepKind, Schedule
from kolbench.engine.team import Team
from kolbench.engine.trainer import make_trainer, quiet_lightning, stopping_plainly
from kolbench.errors import ConfigError, TrainingError
from kolbench.io.files import read_json, write_json
from kolbench.runs.run_folder import HISTORY, PROGRESS
from kolbench.segmenter import PretrainSpec, Segmenter

DONE = "done.json"


@dataclass(frozen=True)
class TrainingConfig:
    """How a method is trained: the resolved recipe and budget.

    optimizer: called with the trainable parameters. schedule: of the learning rate; None = constant.
    lr_factor: on the optimiser's learning rate; lr_factors: the same for parts of the network.
    frozen_norms: names of batch norms that keep their statistics. options: Lightning's own, the `trainer`
    group. team: the processes that train. callbacks: a user's own; they watch the method's own training.
    stop_on_nan: stop at the first loss that is not finite. model: the resolved `model` group, kept with the
    best weights.
    """

    optimizer: Callable[..., Optimizer]
    schedule: Schedule | None
    lr_factor: float
    epochs: int
    seed: int
    options: Mapping[str, object]
    team: Team
    model: Mapping[str, object]
    callbacks: Sequence[Callback] = ()
    stop_on_nan: bool = True
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    frozen_norms: frozenset[str] = frozenset()

    def keeps_norm(self, name: str) -> bool:
        """Whether a batch norm keeps its statistics; those of a part that is left as it is do."""
        return name in self.frozen_norms or rate_factor(name, self.lr_factors) == 0


class PretrainingData(LightningDataModule):
    """What the Trainer of a pretraining is given: `draws` pictures an epoch, and the check's masks."""

    def __init__(self, data: SegmentationDataModule, name: str, draws: int) -> None:
        super().__init__()
        self._data = data
        self._name = name
        self._draws = draws

    def train_dataloader(self) -> Loader:
        """Augmented training batches, in an order of their own."""
        return self._data.train_dataloader(self._draws, self._name)

    def val_dataloader(self) -> Loader:
        """Training masks, never augmented."""
        return self._data.pretraining_check_dataloader()


class _Best(NamedTuple):
    epoch: int
    miou: float
    seconds: float
    pictures: int


def train(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    config: TrainingConfig,
    folder: Path,
    listen: Callable[[int, Row], None] | None = None,
) -> Mapping[str, object]:
    """Trains in `folder`, going on where an earlier attempt was killed, and leaves `done.json`.

    Returns:
        What `done.json` holds: seconds, pictures a second, best epoch and its validation score.

    Raises:
        TrainingError: the loss is not finite, or the disk is full.
        ConfigError: a callback or an option of the Trainer does not fit.
    """
    started = time.monotonic()
    data.adapt(segmenter)
    size = data.cache_samples(segmenter.training_input_size)
    pictures = data.epoch_pictures or len(data.rows["train"])
    print(f"training input size {size[1]}x{size[0]} px, {config.epochs} epochs of {pictures} pictures")
    try:
        pretrained = {
            spec.name: _pretrain(spec, data, config, folder / spec.name) for spec in segmenter.pretraining()
        }
        best = _train_method(segmenter, data, config, folder, listen)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise TrainingError(
            f"Pictures of {size[1]}x{size[0]} px, {data.batch} a batch, leave batch norm a single value: "
            "raise budget.batch or budget.size."
        ) from error
    except OSError as error:
        raise TrainingError(
            f"Writing below {folder} failed ({error.strerror or error}). Make room there; the last good "
            "checkpoint is kept and the same command goes on from it."
        ) from error
    summary: dict[str, object] = {
        "best_epoch": best.epoch,
        "best_val_miou": best.miou,
        "train_seconds": round(best.seconds, 3),
        "pictures_per_second": round(best.pictures / max(best.seconds, 1e-9), 3),
        "pretraining": pretrained,
        "seconds": round(time.monotonic() - started, 3),
        "input_size": list(size),
    }
    if config.team.first:
        write_json(folder / DONE, summary)
    return summary


def _train_method(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    config: TrainingConfig,
    folder: Path,
    listen: Callable[[int, Row], None] | None,
) -> _Best:
    segmenter.train()
    evaluator = ScoreCallback("val", names=data.validated_names)
    history = History(folder / HISTORY, evaluator.validation_scores, listen)
    keeper = EpochCheckpoint(folder, evaluator.best, config.model)
    schedule = _by_kind(config, data.step_order(), segmenter.training_steps)
    module = SegmentationModule(
        segmenter, config.optimizer, schedule, config.lr_factor, lr_factors=config.lr_factors
    )
    callbacks = [
        SeedSteps(config.seed),
        FrozenNorms(config.keeps_norm),
        *([StopOnNaN()] if config.stop_on_nan else []),
        evaluator,
        history,
        ProgressPictures(folder / PROGRESS, config.epochs),
        *config.callbacks,
        StayStopped(),
        keeper,
    ]
    with quiet_lightning():
        trainer = make_trainer(config.options, config.team, config.epochs, folder, callbacks, "training")
        _fit(trainer, module, data, folder)
    best = history.rows[keeper.best_epoch]["val/miou"]
    return _Best(keeper.best_epoch, best, history.seconds, history.pictures)


def _by_kind(config: TrainingConfig, order: Sequence[str], turn: Sequence[str]) -> Schedule | None:
    """The schedule with the kinds of an epoch's steps, where its rates follow from them.

    Raises:
        ConfigError: one optimiser step is of several batches, so that it would be of no kind.
    """
    schedule = config.schedule
    if not isinstance(schedule, PolyByStepKind):
        return schedule
    joined = config.options.get("accumulate_grad_batches", 1)
    if len(set(order)) > 1 and joined != 1:
        raise ConfigError(
            f"trainer.accumulate_grad_batches={joined} would join batches of clips and of pictures in one "
            "step, but each kind has learning rates of its own; leave it at 1 and raise budget.batch=."
        )
    return schedule.in_order(order, turn)


def _pretrain(
    spec: PretrainSpec, data: SegmentationDataModule, config: TrainingConfig, folder: Path
) -> Mapping[str, object]:
    network = spec.segmenter.inference_network()
    # all look before the first one writes
    collective.barrier()
    if not (folder / DONE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        spec.segmenter.requires_grad_(True).train()
        _fit_pretraining(spec, data, config, folder)
        spec.segmenter.requires_grad_(False)
        collective.barrier()
    best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
    network.load_state_dict(best["state_dict"])
    network.eval()
    return read_json(folder / DONE)


def _fit_pretraining(
    spec: PretrainSpec, data: SegmentationDataModule, config: TrainingConfig, folder: Path
) -> None:
    started = time.monotonic()
    evaluator = MaxFCallback("train", names=data.checked_names)
    history = History(folder / HISTORY, evaluator.validation_scores)
    module = SegmentationModule(spec.segmenter, partial(torch.optim.Adam, lr=spec.lr))
    epochs = math.ceil(spec.max_steps / spec.check_every)
    # counted in epochs, not steps: Lightning resumes an interrupted run by steps in the wrong epoch
    steps_per_check = math.ceil(spec.max_steps / epochs)
    callbacks = [
        SeedSteps(config.seed),
        *([StopOnNaN()] if config.stop_on_nan else []),
        evaluator,
        history,
        EarlyStopping("val/max_f", mode="max", stopping_threshold=spec.stop_f, patience=epochs),
        StayStopped(),
        EpochCheckpoint(folder),
    ]
    with quiet_lightning():
        trainer = make_trainer(
            config.options, config.team, epochs, folder, callbacks, f"training {spec.name}"
        )
        _fit(trainer, module, PretrainingData(data, spec.name, steps_per_check * data.batch), folder)
    max_f = history.rows[-1]["val/max_f"]
    print(f"{spec.name}: max-F {max_f:.4f} on the training masks after {trainer.global_step} steps")
    summary = {
        "steps": trainer.global_step,
        "max_f": max_f,
        "seconds": round(time.monotonic() - started, 3),
    }
    if config.team.first:
        write_json(folder / DONE, summary)


def _fit(trainer: Trainer, module: SegmentationModule, data: LightningDataModule, folder: Path) -> None:
    resume_from = newest_readable(folder)
    collective.barrier()
    if resume_from is not None:
        print(f"going on from {resume_from}")
    try:
        with stopping_plainly():
            trainer.fit(module, datamodule=data, ckpt_path=str(resume_from) if resume_from else None)
    except MisconfigurationException as error:
        raise ConfigError(f"Lightning cannot train like this: {error}") from error
    except RuntimeError as error:
        if "conditioned on metric" not in str(error):
            raise
        raise ConfigError(f"callbacks: {error}") from error
