"""Weights on disk: run folders, our checkpoints, official checkpoints; nothing in them is ever executed."""

import warnings
import zipfile
from collections.abc import Set
from pathlib import Path

from kolbench.config.compose import load_yaml
from kolbench.config.fields import require_mapping
from kolbench.config.groups import ModelConfig
from kolbench.errors import ConfigError, WeightsError
from kolbench.models.checkpoints.read import read_model_settings, read_state_dict
from kolbench.runs.run_folder import CONFIG
from kolbench.segmenter import Segmenter

BEST_IN_RUN = Path("checkpoints") / "best.ckpt"
ONNX = ".onnx"


def is_run_folder(path: str | Path) -> bool:
    """Whether a path is one of our run folders with trained weights or settings in it."""
    return (Path(path) / CONFIG).is_file()


def settings_of(weights: str | Path) -> ModelConfig | None:
    """The `model` group that a run folder or a checkpoint of ours was trained with, else None.

    Raises:
        WeightsError: the file is missing or damaged, or a whole network.
    """
    if is_run_folder(weights):
        values = load_yaml(Path(weights) / CONFIG)["model"]
        return ModelConfig.from_mapping(require_mapping("model", values))
    if Path(weights).is_dir():
        return None
    refuse_network(Path(weights))
    found = read_model_settings(weights)
    return None if found is None else ModelConfig.from_mapping(found)


def model_of(model: ModelConfig, weights: str | Path, typed_keys: Set[str]) -> ModelConfig:
    """The `model` group for these weights: the one they were trained with, changed by what was typed.

    A released checkpoint is taken as `as_released` says.

    Args:
        model: the group of the command.
        weights: a run folder or a checkpoint.
        typed_keys: the keys of the command.

    Raises:
        ConfigError: another method was typed than the weights belong to.
        WeightsError: the weights cannot be read.
    """
    trained = settings_of(weights)
    if trained is None:
        return as_released(model, typed_keys)
    if typed_keys & {"experiment", "model"} and model.name != trained.name:
        raise ConfigError(
            f"weights={weights} is a {trained.name}, not a {model.name}: leave experiment= out."
        )
    own = {key.split(".")[1] for key in typed_keys if key.startswith("model.")}
    return trained.changed(**{key: model.values[key] for key in own})


def as_released(model: ModelConfig, typed_keys: Set[str]) -> ModelConfig:
    """The method at its own paper's size, whatever the budget, unless a size was typed."""
    size = model.training.paper.get("size") if model.training else None
    if size is None or typed_keys & {"budget", "budget.size", "model.size"}:
        return model
    return model.changed(size=size)


def method_of(run_folder: str | Path) -> str:
    """The name of the method that a run folder holds."""
    settings = settings_of(run_folder)
    assert settings is not None
    return settings.name


def load_into(segmenter: Segmenter, weights: Path) -> list[str]:
    """Loads a run folder, a checkpoint of ours or an official checkpoint.

    Returns:
        Names of training-only heads that the file does not hold.

    Raises:
        WeightsError: the file is missing or damaged, a whole network, or does not fit the method.
    """
    path = weights
    if weights.is_dir():
        path = weights / BEST_IN_RUN
        if not path.is_file() and is_run_folder(weights):
            raise WeightsError(
                f"{weights} is a run without {BEST_IN_RUN}: its method was not trained, or its training is "
                "not finished. A method that needs no training is given by model=NAME, without weights=."
            )
        if not path.is_file():
            raise WeightsError(
                f"{weights} holds no {BEST_IN_RUN}; give a finished run folder or a checkpoint file."
            )
    refuse_network(path)
    state = read_state_dict(path)
    with warnings.catch_warnings():
        # it names the heads that are returned
        warnings.filterwarnings("ignore", message="The checkpoint lacks")
        return segmenter.load_weights(state)


def refuse_network(path: Path) -> None:
    """Refuses what `task=export` writes, ONNX or TorchScript, where a checkpoint is wanted; nothing is run.

    Raises:
        WeightsError: the file is a whole network; says where it can be given.
    """
    if not path.is_file():
        return
    is_onnx = path.suffix.lower() == ONNX
    if not is_onnx and not is_torchscript(path):
        return
    complete = sidecar_of(path).is_file()
    if not is_onnx and not complete:
        raise WeightsError(f"{lone_torchscript(path)}.")
    ways = ["use it as weights= of task=predict, place or filter"] if complete else []
    ways += [f"score it with experiment=onnx model.file={path}"] if is_onnx else []
    ways += [f'open it with kolbench.load("{path}")']
    raise WeightsError(f"{path} is a whole network, not weights: {', or '.join(ways)}.")


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript program, told by the names in its archive; nothing of it is loaded."""
    try:
        with zipfile.ZipFile(path) as archive:
            # all lies in a folder of the archive, as in x/constants.pkl and x/code/__torch__.py
            insides = [name.partition("/")[2] for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return False
    return any(name == "constants.pkl" or name.startswith("code/") for name in insides)


def lone_torchscript(path: Path) -> str:
    """What is to be done about a TorchScript file without the JSON that tells how it is fed."""
    return (
        f"{path} is a TorchScript program whose sidecar {sidecar_of(path)} is missing; copy it too "
        "(task=export writes both)"
    )


def sidecar_of(path: Path) -> Path:
    """Where the sidecar of an exported file lies: x.onnx has x.onnx.json."""
    return path.with_name(f"{path.name}.json")
