"""Where configuration lives and how it becomes objects: with cli.py the only home of hydra and omegaconf."""

import inspect
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from hydra.utils import get_method
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kolbench.errors import ConfigError, KolbenchError, nearest


@dataclass
class Root:
    """The keys that a user types bare; a misspelt one is refused wherever it stands.

    threshold: fixed alpha threshold in [0, 1), or null to choose it on the validation pictures.
    device: auto, cpu, cuda or cuda:N. weights: a run folder or a checkpoint. input, output: of the
    tasks that read and write files. runs: run folders to read. resume: auto continues a killed
    training, never starts it anew. suite: of task=suite. dry_run: only say what would be done. frames: of
    task=prepare. format: of the files that task=prepare, predict, place, filter and export write. smooth,
    save, clean, backend, sound: of task=predict, place and filter. ad, placement, look: of task=place.
    filter: of task=filter. methods, host, port, limit_mb: of task=serve.
    """

    task: Any = MISSING
    data: Any = MISSING
    model: Any = MISSING
    refiner: Any = MISSING
    trainer: Any = MISSING
    budget: Any = MISSING
    logger: Any = None
    paths: Any = MISSING
    name: str = MISSING
    threshold: float | None = None
    seed: int = 0
    device: str = "auto"
    weights: str | None = None
    input: str | None = None
    output: str | None = None
    runs: str | None = None
    resume: str = "auto"
    suite: str | None = None
    dry_run: bool = False
    a: str | None = None
    b: str | None = None
    gate: float = 0.005
    project: str | None = None
    frames: int = 20
    format: str = "png"
    smooth: Any = None
    save: Any = None
    clean: str = "fast"
    backend: str = "auto"
    sound: bool = True
    ad: str | None = None
    placement: Any = None
    look: Any = None
    filter: Any = None
    methods: Any = None
    host: str = "127.0.0.1"
    port: int = 8000
    limit_mb: int = 20


def conf_dir() -> Path:
    """The folder of YAML files: the checkout's conf/, else the copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "conf"
    if (package.parent / "pyproject.toml").is_file() and (checkout / "config.yaml").is_file():
        return checkout
    return package / "conf"


def register() -> None:
    """Makes the root schema and the resolvers known to Hydra; repeating it changes nothing."""
    ConfigStore.instance().store(name="root_schema", node=Root)
    OmegaConf.register_new_resolver("kolbench.pid", os.getpid, replace=True)


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain dicts, lists, strings and numbers.

    Raises:
        ConfigError: a mandatory key has no value, or an interpolation leads nowhere.
    """
    try:
        missing = sorted(key for key in OmegaConf.missing_keys(config) if not key.startswith("hydra"))
        if missing:
            raise ConfigError(f"{missing[0]} has no value: add {missing[0]}=... to the command.")
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        absent = re.search(r"Missing mandatory value: (\S+)", str(error))
        if absent:
            raise ConfigError(f"{absent[1]} has no value: add {absent[1]}=... to the command.") from error
        raise ConfigError(f"The configuration cannot be resolved: {error}") from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def instantiate(config: dict[str, Any], **overrides: Any) -> Any:
    """The object that `_target_` names, built from the other keys as plain Python values.

    Raises:
        ConfigError: a key does not fit the constructor, or `_target_` does not exist.
        KolbenchError: whatever the constructor itself raised.
    """
    target = str(config.get("_target_"))
    known = inspect.signature(method(target)).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        _require_options(target, {**config, **overrides}, known)
    try:
        return hydra_instantiate(config, _convert_="all", **overrides)
    except InstantiationException as error:
        if isinstance(error.__cause__, KolbenchError):
            raise error.__cause__ from None
        cause = error.__cause__ or error
        raise ConfigError(f"{target} cannot be built: {cause}") from error


def _require_options(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    options = list(known)
    for key in given:
        if key not in options and not key.startswith("_"):
            hint = nearest(key, options)
            meant = f" Did you mean {hint}?" if hint else ""
            raise ConfigError(f"{owner} has no option {key}.{meant}")


def method(path: str) -> Any:
    """The function or class that a dotted path names.

    Raises:
        ConfigError: there is none.
    """
    try:
        return get_method(path)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{path} does not exist: {error}") from error


def build_segmenter(model: dict[str, Any]) -> Any:
    """The method of a resolved `model` group: its keys are the constructor's, less the training recipe."""
    knobs = {key: value for key, value in model.items() if key not in ("name", "recipe", "training")}
    return instantiate(knobs)


def without_backbone(model: dict[str, Any]) -> dict[str, Any]:
    """The same `model` group for a network whose checkpoint holds the backbone: nothing else is loaded."""
    return {**model, "backbone_weights": None} if "backbone_weights" in model else model


def model_config(name: str, budget: str = "paper", **options: Any) -> dict[str, Any]:
    """The resolved `model` group of one method, without the command line.

    Args:
        name: a YAML's name in conf/model.
        budget: a YAML's name in conf/budget; it decides the input size.
        options: constructor keys to change.

    Raises:
        ConfigError: there is no such method or no such key.
    """
    folder = conf_dir()
    names = sorted(path.stem for path in (folder / "model").glob("*.yaml"))
    if name not in names:
        hint = nearest(name, names)
        meant = f" Did you mean {hint}?" if hint else ""
        raise ConfigError(f"There is no method {name}; there are {', '.join(names)}.{meant}")
    config = OmegaConf.create(
        {
            "model": OmegaConf.load(folder / "model" / f"{name}.yaml"),
            "budget": OmegaConf.load(folder / "budget" / f"{budget}.yaml"),
        }
    )
    _require_options(name, options, [str(key) for key in config.model])
    config.model.update(options)
    resolved: dict[str, Any] = plain(config)["model"]
    return resolved


def save_yaml(config: dict[str, Any], path: Path) -> None:
    """Writes plain values as YAML."""
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(config)), encoding="utf-8")


def load_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML that `save_yaml` wrote."""
    loaded = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(loaded, dict)
    return {str(key): value for key, value in loaded.items()}
