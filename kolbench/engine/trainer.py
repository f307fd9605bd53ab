"""Lightning's Trainer as it is used here: devices, atomic checkpoints, and a user's own options."""

import inspect
import logging
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from kolbench.engine.callbacks.checkpoint import AtomicCheckpointIO
from kolbench.engine.callbacks.logger import ScalarLogger
from kolbench.engine.callbacks.progress_bar import progress_callback
from kolbench.engine.launch import OwnEnvironment
from kolbench.engine.team import PLACING, Team
from kolbench.errors import TERMINATED, ConfigError, nearest
from kolbench.io.progress import in_terminal

_EVERY_EPOCH = "every epoch is validated whole, and the best one is kept"
# what kolbench decides itself -> what decides it
DECIDED = {
    "use_distributed_sampler": "trainer.devices: the processes share each batch",
    **dict.fromkeys(("max_epochs", "min_epochs", "max_steps", "min_steps"), "budget.epochs"),
    **dict.fromkeys(
        ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"),
        "budget.limit.train, .val and .test",
    ),
    **dict.fromkeys(("overfit_batches", "fast_dev_run"), "budget=smoke, or budget.limit.train"),
    **dict.fromkeys(("val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps"), _EVERY_EPOCH),
    "callbacks": "the group callbacks, such as callbacks=ema",
    "logger": "the group logger, such as logger=tensorboard",
    "default_root_dir": "paths.runs",
    **dict.fromkeys(("plugins", "enable_checkpointing"), "checkpoints are always written, each as a whole"),
    **dict.fromkeys(
        ("enable_progress_bar", "enable_model_summary", "barebones"), "whether there is a terminal"
    ),
    "stop_on_nan": "budget.stop_on_nan",
    "reload_dataloaders_every_n_epochs": "one order of images for seed and epoch",
    **dict.fromkeys(("enable_autolog_hparams", "model_registry"), "config.yaml in the run folder"),
}


def check_options(options: Mapping[str, object]) -> None:
    """Refuses what is no option of Lightning's Trainer, and what kolbench decides itself.

    Args:
        options: the `trainer` group.

    Raises:
        ConfigError: names the first such key, and the nearest one or what decides it.
    """
    known = [name for name in inspect.signature(Trainer.__init__).parameters if name != "self"]
    free = [name for name in known if name not in DECIDED]
    for key in options:
        if key in DECIDED:
            raise ConfigError(f"trainer.{key} cannot be set; what decides it: {DECIDED[key]}.")
        if key not in free:
            hint = nearest(key, free)
            meant = f" Did you mean trainer.{hint}?" if hint else f" There are {', '.join(sorted(free))}."
            raise ConfigError(f"Lightning's Trainer has no option {key}.{meant}")


def make_trainer(
    options: Mapping[str, object],
    team: Team,
    epochs: int,
    folder: Path,
    callbacks: Sequence[Callback],
    what: str,
) -> Trainer:
    """The Trainer of every training here.

    Args:
        options: the `trainer` group: Lightning's own, as they are.
        team: the processes that train.
        epochs: in all.
        folder: of the training.
        callbacks: in the order in which they are called; checkpoints last.
        what: is done, for the lines of progress.

    Raises:
        ConfigError: Lightning does not take an option.
    """
    check_options(options)
    try:
        return Trainer(
            **{key: options[key] for key in options if key not in PLACING},  # type: ignore[arg-type]  # Lightning checks its own options
            **on_devices(team),  # type: ignore[arg-type]  # as above
            callbacks=[*callbacks, progress_callback(what)],
            plugins=[AtomicCheckpointIO(), *([OwnEnvironment(team)] if team.size > 1 else [])],
            default_root_dir=folder,
            logger=ScalarLogger(folder),
            enable_model_summary=False,
            enable_progress_bar=in_terminal(),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            max_epochs=epochs,
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise ConfigError(f"Lightning's Trainer refuses trainer={dict(options)}: {error}") from error


def on_device(device: torch.device) -> dict[str, str | int | list[int]]:
    """The Trainer's `accelerator` and `devices` for one device."""
    if device.type == "cuda":
        return {"accelerator": "gpu", "devices": [device.index or 0]}
    return {"accelerator": device.type, "devices": 1}


def on_devices(team: Team) -> Mapping[str, object]:
    """The same for the processes of a training."""
    if team.size == 1:
        return on_device(team.device)
    accelerator = "gpu" if team.device.type == "cuda" else team.device.type
    plan = team.plan
    return {
        "accelerator": accelerator,
        "devices": plan.devices,
        "num_nodes": plan.nodes,
        "strategy": plan.strategy,
    }


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
    except SystemExit as stop:
        if stop.code == TERMINATED:
            raise
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
        # what callbacks log is the same in all processes
        warnings.filterwarnings("ignore", message=".*recommended to use `self.log.*sync_dist=True.*")
        # filters of 1x1 and of single channels have two layouts; the copies that follow are small
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides.*")
        # Lightning 2.6 calls what torch 2.15 deprecates
        warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
        try:
            yield
        finally:
            logger.setLevel(level)
