"""Training a method: what it wants pretrained first, then itself, each resumable at any moment."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch.optim import Optimizer

from kolbench.config.schema import HALVE, STOP
from kolbench.data.datamodule import Loader, SegmentationDataModule
from kolbench.engine import collective
from kolbench.engine.callbacks.channels_last import ChannelsLast
from kolbench.engine.callbacks.checkpoint import BEST, EpochCheckpoint, SeedSteps, newest_readable
from kolbench.engine.callbacks.frozen_norms import FrozenNorms
from kolbench.engine.callbacks.history import History, Row
from kolbench.engine.callbacks.scores import MaxFCallback, ScoreCallback
from kolbench.engine.callbacks.shortage import TRAINING, Shortage
from kolbench.engine.callbacks.snapshots import ProgressPictures
from kolbench.engine.callbacks.stopping import PlainTermination, StayStopped, StopOnNaN, StopWhereLost
from kolbench.engine.halving import ONE_VALUE, Halved, require_halvable, within_memory
from kolbench.engine.module import SegmentationModule, rate_factor
from kolbench.engine.schedule import PolyByStepKind, Schedule
from kolbench.engine.team import Team
from kolbench.engine.trainer import make_trainer, quiet_lightning, stopping_plainly
from kolbench.errors import ConfigError, OutOfMemoryError, TrainingError, is_of_memory
from kolbench.io.files import read_json, write_json
from kolbench.runs.run_folder import HISTORY, PROGRESS
from kolbench.segmenter import PretrainSpec, Segmenter

DONE = "done.json"
# on_oom -> what to lower where a training batch does not fit into memory
_LOWER = {
    STOP: "Lower budget.batch= or budget.size=, or let on_oom=halve halve the batch and accumulate.",
    HALVE: "on_oom=halve has nothing left to halve: lower budget.size=.",
}

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingConfig:
    """How a method is trained: the resolved recipe and budget.

    optimizer: called with the trainable parameters. schedule: of the learning rate; None = constant.
    lr_factor: on the optimiser's learning rate; lr_factors: the same for parts of the network.
    frozen_norms: names of batch norms that keep their statistics. options: Lightning's own, the `trainer`
    group. team: the processes that train. callbacks: a user's own; they watch the method's own training.
    stop_on_nan: stop at the first loss that is not finite. model: the resolved `model` group, kept with the
    best weights. on_oom: where a batch does not fit into memory, `stop`, or `halve` it and accumulate
    gradients. channels_last: how filters and images lie meanwhile.
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
    on_oom: str = STOP
    channels_last: bool = False

    def keeps_norm(self, name: str) -> bool:
        """Whether a batch norm keeps its statistics; those of a part that is left as it is do."""
        return name in self.frozen_norms or rate_factor(name, self.lr_factors) == 0

    def common_callbacks(self) -> list[Callback]:
        """Callbacks of the method's own training and of each pretraining."""
        return [
            *([ChannelsLast()] if self.channels_last else []),
            *([StopOnNaN()] if self.stop_on_nan else []),
        ]

    def options_in(self, parts: int) -> Mapping[str, object]:
        """The Trainer's options where a batch comes in so many parts, whose gradients one step takes."""
        if parts == 1:
            return self.options
        joined = self.options.get("accumulate_grad_batches", 1)
        assert isinstance(joined, int)
        return {**self.options, "accumulate_grad_batches": joined * parts}


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
    halved: Halved


def train(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    config: TrainingConfig,
    folder: Path,
    listen: Callable[[int, Row], None] | None = None,
    permit: Callable[[], None] = lambda: None,
) -> Mapping[str, object]:
    """Trains in `folder`, going on where an earlier attempt was killed, and leaves `done.json`.

    Args:
        listen: told each epoch's number and row.
        permit: called before files are written; what it raises ends the training.

    Returns:
        What `done.json` holds: seconds, pictures a second, best epoch and its validation score.

    Raises:
        TrainingError: the loss is not finite, or the disk is full.
        OutOfMemoryError: memory ran out.
        ConfigError: a callback or an option of the Trainer does not fit.
    """
    started = time.monotonic()
    data.adapt(segmenter)
    if config.on_oom == HALVE:
        require_halvable(data.step_order(), config.callbacks, config.team.size)
    size = _cached(segmenter, data)
    pictures = data.epoch_pictures or len(data.rows["train"])
    print(
        f"training input size {size[1]}x{size[0]} px, {config.epochs} "
        f"{'epoch' if config.epochs == 1 else 'epochs'} of {pictures} images"
    )
    try:
        pretrained = {
            spec.name: _pretrain(spec, data, config, folder / spec.name, permit)
            for spec in segmenter.pretraining()
        }
        best = _train_method(segmenter, data, config, folder, listen, permit)
    except ValueError as error:
        if ONE_VALUE not in str(error):
            raise
        raise TrainingError(
            f"Images of {size[1]}x{size[0]} px, {data.batch} a batch, leave batch norm a single value: "
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
        **best.halved.recorded(),
    }
    if config.team.first:
        permit()
        write_json(folder / DONE, summary)
    return summary


def _cached(segmenter: Segmenter, data: SegmentationDataModule) -> tuple[int, int]:
    """The training input size, once the pictures stand decoded at it."""
    try:
        return data.cache_samples(segmenter.training_input_size)
    except Exception as error:
        if not is_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"Memory ran out while decoding {len(data.rows['train'])} training images. data.cache=disk "
            "keeps them on disk; budget.size= makes them smaller."
        ) from error


def _train_method(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    config: TrainingConfig,
    folder: Path,
    listen: Callable[[int, Row], None] | None,
    permit: Callable[[], None],
) -> _Best:
    schedule = _by_kind(config, data.step_order(), segmenter.training_steps)

    def fitted(parts: int) -> tuple[History, EpochCheckpoint]:
        segmenter.train()
        evaluator = ScoreCallback("val", names=data.validated_names)
        history = History(folder / HISTORY, evaluator.validation_scores, listen)
        keeper = EpochCheckpoint(folder, evaluator.best, config.model, permit)
        module = SegmentationModule(
            segmenter, config.optimizer, schedule, config.lr_factor, lr_factors=config.lr_factors
        )
        callbacks = [
            SeedSteps(config.seed),
            StopWhereLost(permit),
            FrozenNorms(config.keeps_norm),
            *config.common_callbacks(),
            evaluator,
            history,
            ProgressPictures(folder / PROGRESS, config.epochs),
            # copied where they may remember an attempt that failed
            *(copy.deepcopy(list(config.callbacks)) if config.on_oom == HALVE else config.callbacks),
            StayStopped(),
            keeper,
        ]
        data.parts = parts
        _fit(config, config.epochs, module, data, folder, callbacks, TRAINING, parts)
        return history, keeper

    (history, keeper), halved = _within_memory(fitted, segmenter, config, data.step_pictures(), folder)
    best = history.rows[keeper.best_epoch]["val/miou"]
    return _Best(keeper.best_epoch, best, history.seconds, history.pictures, halved)


def _within_memory(
    attempt: Callable[[int], T], segmenter: Segmenter, config: TrainingConfig, batch: int, folder: Path
) -> tuple[T, Halved]:
    """One attempt, or as many as `on_oom=halve` needs; see `halving.within_memory`."""
    if config.on_oom == STOP:
        return attempt(1), Halved.of(folder, batch)
    begun = copy.deepcopy(segmenter.state_dict())

    def rewind() -> None:
        segmenter.load_state_dict(begun)
        segmenter.zero_grad()

    return within_memory(attempt, batch, folder, rewind)


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
            f"trainer.accumulate_grad_batches={joined} would join batches of clips and of images in one "
            "step, but each kind has learning rates of its own; leave it at 1 and raise budget.batch=."
        )
    return schedule.in_order(order, turn)


def _pretrain(
    spec: PretrainSpec,
    data: SegmentationDataModule,
    config: TrainingConfig,
    folder: Path,
    permit: Callable[[], None],
) -> Mapping[str, object]:
    network = spec.segmenter.inference_network()
    # all look before the first one writes
    collective.barrier()
    if not (folder / DONE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        spec.segmenter.requires_grad_(True).train()
        _fit_pretraining(spec, data, config, folder, permit)
        spec.segmenter.requires_grad_(False)
        collective.barrier()
    best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
    network.load_state_dict(best["state_dict"])
    network.eval()
    return read_json(folder / DONE)


def _fit_pretraining(
    spec: PretrainSpec,
    data: SegmentationDataModule,
    config: TrainingConfig,
    folder: Path,
    permit: Callable[[], None],
) -> None:
    started = time.monotonic()
    epochs = math.ceil(spec.max_steps / spec.check_every)
    # counted in epochs, not steps: Lightning resumes an interrupted run by steps in the wrong epoch
    draws = math.ceil(spec.max_steps / epochs) * data.batch

    def fitted(parts: int) -> tuple[float, int]:
        evaluator = MaxFCallback("train", names=data.checked_names)
        history = History(folder / HISTORY, evaluator.validation_scores)
        module = SegmentationModule(spec.segmenter, partial(torch.optim.Adam, lr=spec.lr))
        callbacks = [
            SeedSteps(config.seed),
            StopWhereLost(permit),
            *config.common_callbacks(),
            evaluator,
            history,
            EarlyStopping("val/max_f", mode="max", stopping_threshold=spec.stop_f, patience=epochs),
            StayStopped(),
            EpochCheckpoint(folder, permit=permit),
        ]
        data.parts = parts
        pictures = PretrainingData(data, spec.name, draws)
        trainer = _fit(config, epochs, module, pictures, folder, callbacks, f"{TRAINING} {spec.name}", parts)
        return history.rows[-1]["val/max_f"], trainer.global_step

    (max_f, steps), halved = _within_memory(fitted, spec.segmenter, config, data.step_pictures(draws), folder)
    print(f"{spec.name}: max-F {max_f:.4f} on the training masks after {steps} steps")
    summary = {
        "steps": steps,
        "max_f": max_f,
        "seconds": round(time.monotonic() - started, 3),
        **halved.recorded(),
    }
    if config.team.first:
        permit()
        write_json(folder / DONE, summary)


def _fit(
    config: TrainingConfig,
    epochs: int,
    module: SegmentationModule,
    data: LightningDataModule,
    folder: Path,
    callbacks: Sequence[Callback],
    what: str,
    parts: int,
) -> Trainer:
    """`Trainer.fit`, from the newest checkpoint; parts: of a batch."""
    shortage = Shortage(what, _LOWER[config.on_oom])
    with quiet_lightning():
        trainer = make_trainer(
            config.options_in(parts),
            config.team,
            epochs,
            folder,
            [*callbacks, shortage, PlainTermination()],
            what,
        )
        resume_from = newest_readable(folder)
        collective.barrier()
        if resume_from is not None:
            print(f"going on from {resume_from}")
        try:
            with shortage.told(), stopping_plainly():
                trainer.fit(module, datamodule=data, ckpt_path=str(resume_from) if resume_from else None)
        except MisconfigurationException as error:
            raise ConfigError(f"Lightning cannot train like this: {error}") from error
        except RuntimeError as error:
            if "conditioned on metric" not in str(error):
                raise
            raise ConfigError(f"callbacks: {error}") from error
    return trainer
