"""Weights on disk: run folders, our checkpoints, official checkpoints; nothing in them is ever executed."""

import warnings
from pathlib import Path
from typing import Any

from kolbench.configs import load_yaml
from kolbench.errors import WeightsError
from kolbench.models.checkpoints import read_model_settings, read_state_dict
from kolbench.segmenter import Segmenter

CONFIG = "config.yaml"
BEST = Path("checkpoints") / "best.ckpt"


def is_run_folder(path: str | Path) -> bool:
    """Whether a path is one of our run folders with trained weights or settings in it."""
    return (Path(path) / CONFIG).is_file()


def settings_of(weights: str | Path) -> dict[str, Any] | None:
    """The `model` group that a run folder or a checkpoint of ours was trained with, else None.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    if not is_run_folder(weights):
        return None if Path(weights).is_dir() else read_model_settings(weights)
    model: dict[str, Any] = load_yaml(Path(weights) / CONFIG)["model"]
    return model


def method_of(run_folder: str | Path) -> str:
    """The name of the method that a run folder holds."""
    settings = settings_of(run_folder)
    assert settings is not None
    return str(settings["name"])


def load_into(segmenter: Segmenter, weights: Path) -> list[str]:
    """Loads a run folder, a checkpoint of ours or an official checkpoint.

    Returns:
        Names of training-only heads that the file does not hold.

    Raises:
        WeightsError: the file is missing or damaged, or does not fit the method.
    """
    path = weights
    if weights.is_dir():
        path = weights / BEST
        if not path.is_file():
            raise WeightsError(f"{weights} holds no {BEST}; give a finished run folder or a checkpoint file.")
    state = read_state_dict(path)
    with warnings.catch_warnings():
        # it names the heads that are returned
        warnings.filterwarnings("ignore", message="The checkpoint lacks")
        return segmenter.load_official(state)
