"""Tasks as the command line runs them, from words, without a process."""

from typing import Any

from hydra import compose, initialize_config_dir

from kolbench.config.compose import conf_dir, plain, register, task_of
from kolbench.config.fields import Values
from kolbench.config.groups import Invocation
from kolbench.config.schema import TaskResult, task_config


def composed(*words: str) -> Values:
    """The resolved configuration of a command; `paths.run` is a folder that nothing may write to."""
    register()
    given = any(word.startswith("paths.run=") for word in words)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return plain(compose("config", overrides=[*words, *([] if given else ["paths.run=unused"])]))


def configured(*words: str, **values: object) -> Any:
    """The dataclass of the task that the words name.

    Args:
        words: as typed, such as `task=predict`.
        values: keys of the root whose values need no quotes this way, such as paths.
    """
    resolved = {**composed(*words), **values}
    task: Any = resolved["task"]
    _, kind = task_of(task["run"])
    return task_config(kind, resolved, Invocation(overrides=words, resolved=resolved))


def run_task(*words: str, **values: object) -> TaskResult:
    """Runs it; arguments as of `configured`."""
    config = configured(*words, **values)
    run, _ = task_of(f"kolbench.tasks.{config.task}.run")
    return run(config)
