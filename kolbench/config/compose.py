"""From YAML files and words to values and objects: with cli.py the only home of hydra and omegaconf."""

import inspect
import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_method
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from kolbench.config.annotations import require_numbers
from kolbench.config.explain import explain
from kolbench.config.fields import Values, require_mapping
from kolbench.config.folder import conf_dir as conf_dir
from kolbench.config.folder import typed_conf_dirs
from kolbench.config.groups import Component, DataGroup, Invocation, ModelConfig
from kolbench.config.old_names import current_model, current_target, current_word
from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError, KolbenchError, missing_library, nearest

# texts that Hydra's grammar takes without quotes
PLAIN_WORD = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
NO_TEXTS = ("null", "true", "false", "nan", "inf")


def register() -> None:
    """Makes the resolvers known to Hydra; repeating it changes nothing."""
    # kept with the configuration: a worker of a launcher has another number, and one sweep has one folder
    OmegaConf.register_new_resolver("kolbench.pid", os.getpid, use_cache=True, replace=True)


def command(words: Mapping[str, object]) -> tuple[Values, Invocation]:
    """What a command line composes, without one: for programs, and for tasks that run others.

    Args:
        words: key -> value, such as `{"experiment": "modnet", "budget.epochs": 2}`; groups by their name.
            The run folder is a new one below `paths.runs`, unless `paths.run` names it.

    Returns:
        The resolved configuration, and how it was asked for.

    Raises:
        ConfigError: there is no such key or choice, or a mandatory key has no value.
    """
    register()
    overrides = [current_word(f"{key}={literal(value)}") for key, value in words.items()]
    place = [] if "paths.run" in words else ["paths.run=${paths.new}"]
    try:
        with _without_running_hydra(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = hydra_compose("config", overrides=[*overrides, *place], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(explain(error)) from error
    chosen = OmegaConf.to_container(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
        if place:
            config.paths.run = str(_unused(Path(config.paths.run)))
    values = plain(config)
    return values, Invocation(overrides=tuple(overrides), choices=choices_of(chosen), resolved=values)


def choices_of(chosen: object) -> dict[str, str]:
    """Group -> its chosen YAML, of what Hydra's runtime says, less its own groups and empty choices."""
    given = require_mapping("hydra.runtime.choices", chosen)
    return {group: str(c) for group, c in given.items() if c and not group.startswith("hydra/")}


@contextmanager
def _without_running_hydra() -> Iterator[None]:
    """Inside of a command line Hydra is at work already, and there is only one of it."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running


def _unused(folder: Path) -> Path:
    """The folder, or one beside it where another run of this second has it."""
    names = [folder.name, *(f"{folder.name}-{number}" for number in range(2, 1000))]
    return next(folder.with_name(name) for name in names if not folder.with_name(name).exists())


def literal(value: object) -> str:
    """A Python value in Hydra's grammar; a word of letters stays bare, as names of groups must.

    Raises:
        ConfigError: it is no text, path, number, truth value, None, list or mapping.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _quoted(str(value))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{literal(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(literal, value)) + "]"
    raise ConfigError(f"{value!r} is no value of a key: give texts, numbers, lists or mappings.")


def _quoted(text: str) -> str:
    if PLAIN_WORD.fullmatch(text) and text.lower() not in NO_TEXTS:
        return text
    # a backslash in front of a quote counts as one only if it is doubled
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def plain(config: DictConfig) -> Values:
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
    return require_mapping("the configuration", resolved)


def instantiate(config: Values | Component, **overrides: object) -> Any:
    """The object that `_target_` names, built from the other keys as plain Python values.

    Raises:
        ConfigError: a key or a value does not fit the constructor, or `_target_` does not exist.
        KolbenchError: whatever the constructor itself raised.
    """
    given = dict(config.options if isinstance(config, Component) else config)
    target = given["_target_"] = current_target(str(given.get("_target_")))
    called = located(target)
    known = inspect.signature(called).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        _require_options(target, {**given, **overrides}, known)
    require_numbers(target, called, {**given, **overrides})
    try:
        return hydra_instantiate(given, _convert_="all", **overrides)
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


def located(path: str) -> Any:
    """The function or class that a dotted path names.

    Raises:
        ConfigError: there is none.
    """
    try:
        return get_method(path)
    except (ImportError, ValueError) as error:
        raise ConfigError(missing_library(error) or _not_found(path, error)) from error


def _not_found(path: str, error: BaseException) -> str:
    """Says whether a module of a dotted path is missing, is damaged, or lacks the name."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ModuleNotFoundError | SyntaxError):
        cause = cause.__cause__
    if isinstance(cause, SyntaxError):
        return f"{path} cannot be imported: {cause.filename}, line {cause.lineno}: {cause.msg}."
    if isinstance(cause, ModuleNotFoundError) and cause.name and f"{path}.".startswith(f"{cause.name}."):
        if cause.name == path:
            module, _, name = path.rpartition(".")
            return f"{path} does not exist: {module} has no {name}."
        advice = " It must be installed, or its folder be the present one or in PYTHONPATH."
        return f"{path} does not exist: there is no module {cause.name}.{'' if '.' in cause.name else advice}"
    return f"{path} does not exist: {' '.join(str(cause or error).split())}"


def task_of(path: str) -> tuple[Callable[[Any], TaskResult], type[TaskConfig]]:
    """A task's `run` and the dataclass that it takes, which its annotation names.

    Raises:
        ConfigError: there is no such function, or it does not take a TaskConfig.
    """
    run = located(path)
    parameters = list(inspect.signature(run).parameters)
    kind = typing.get_type_hints(run).get(parameters[0]) if len(parameters) == 1 else None
    if not (isinstance(kind, type) and issubclass(kind, TaskConfig)):
        raise ConfigError(f"{path} is no task: it must take one argument, annotated with a TaskConfig.")
    return run, kind


def build_segmenter(model: ModelConfig) -> Any:
    """The method of a `model` group: its keys are the constructor's, less the training recipe."""
    return instantiate(model.options)


def model_config(name: str, budget: str = "paper", **options: object) -> ModelConfig:
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
    given = current_model(options)
    _require_options(name, given, [str(key) for key in config.model])
    config.model.update(given)
    return ModelConfig.from_mapping(require_mapping("model", plain(config)["model"]))


def data_group(key: str, values: Values) -> DataGroup:
    """A `data` group beside the command's own, such as `{source: folder, root: DIR}`.

    Args:
        key: that holds it, for messages. values: `source`, a YAML's name in conf/data or in the folder that
            --config-dir names, and keys of that YAML.

    Raises:
        ConfigError: there is no such data set or no such key, or a key has no value.
    """
    folders = [folder / "data" for folder in (conf_dir(), *typed_conf_dirs())]
    known = {path.stem: path for folder in folders for path in sorted(folder.glob("[!_]*.yaml"))}
    name = str(values.get("source"))
    if name not in known:
        hint = nearest(name, known)
        meant = f" Did you mean {hint}?" if hint else ""
        raise ConfigError(f"{key}.source={name} is no data set; there are {', '.join(known)}.{meant}")
    layers = [OmegaConf.load(path) for path in (folders[0] / "_base.yaml", known[name])]
    config = OmegaConf.create({"data": OmegaConf.merge(*layers)})
    given = {option: value for option, value in values.items() if option != "source"}
    _require_options(f"{key} of {name}", given, [str(option) for option in config.data])
    config.data.update(given)
    try:
        return DataGroup.from_mapping(require_mapping("data", plain(config)["data"]))
    except ConfigError as error:
        raise ConfigError(f"{key}: {str(error).replace('data.', f'{key}.')}") from error


def save_yaml(config: Values, path: Path) -> None:
    """Writes plain values as YAML."""
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(dict(config))), encoding="utf-8")


def load_yaml(path: Path) -> Values:
    """Reads a YAML that `save_yaml` wrote."""
    return require_mapping(str(path), OmegaConf.to_container(OmegaConf.load(path)))


def load_resolved_yaml(path: Path) -> Values:
    """Reads a YAML whose values may be taken from the environment: `${oc.env:NAME,DEFAULT}`.

    Raises:
        ConfigError: a variable without a default is not set, or a reference leads nowhere.
    """
    try:
        return require_mapping(str(path), OmegaConf.to_container(OmegaConf.load(path), resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error
