"""Tasks as the command line runs them, from words, without a process."""

import copy
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from kolbench.config.compose import conf_dir, plain, register, task_of
from kolbench.config.fields import Values
from kolbench.config.groups import Invocation
from kolbench.config.schema import TaskResult, task_config


def composed(*words: str) -> Values:
    """The resolved configuration of a command; `paths.run` is a folder that nothing may write to.

    Files are read once for each choice of groups; other words change a copy, by Hydra's own function.
    """
    choices = tuple(word for word in words if _chooses(word))
    tree = copy.deepcopy(chosen(*choices))
    values = OverridesParser.create().parse_overrides([word for word in words if word not in choices])
    ConfigLoaderImpl._apply_overrides_to_config(values, tree)
    return plain(tree)


@cache
def chosen(*choices: str) -> DictConfig:
    """What Hydra composes of choices of groups; not to be changed."""
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", overrides=[*choices, "paths.run=unused"])


def _chooses(word: str) -> bool:
    """Whether it chooses a YAML of a group, such as `budget=smoke`, `smooth@smooth=ema` or `~refiner`."""
    group = word.lstrip("+~").partition("=")[0].partition("@")[0]
    return (conf_dir() / group).is_dir()


def configured(*words: str, **values: object) -> Any:
    """The dataclass of the task that the words name.

    Args:
        words: as typed, such as `task=predict`.
        values: keys of the root whose values need no quotes this way, such as paths.
    """
    return typed({**composed(*words), **values}, *words)


def typed(resolved: Values, *words: str) -> Any:
    """The dataclass of the task from resolved values and what was typed."""
    task: Any = resolved["task"]
    _, kind = task_of(task["run"])
    return task_config(kind, resolved, Invocation(overrides=words, resolved=resolved))


def run_task(*words: str, **values: object) -> TaskResult:
    """Runs it; arguments as of `configured`."""
    config = configured(*words, **values)
    run, _ = task_of(f"kolbench.tasks.{config.task}.run")
    return run(config)
