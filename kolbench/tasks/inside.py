"""Runs a task inside this process, from keys and values: for Python, and for tasks that run others."""

from collections.abc import Mapping
from pathlib import Path

from kolbench.config import compose
from kolbench.config.fields import require_mapping
from kolbench.config.schema import TaskResult
from kolbench.config.typed import typed_config


def run_inside(task: str, words: Mapping[str, object]) -> TaskResult:
    """Runs a task with the keys that its command line would have, with Python values.

    Args:
        task: a YAML's name in conf/task. words: key -> value; groups by their name.

    Raises:
        KolbenchError: whatever the command line would say.
    """
    values, invocation = compose.command({"task": task, **words})
    run, kind = compose.task_of(str(require_mapping("task", values["task"])["run"]))
    return run(typed_config(kind, values, invocation))


def folder_of(task: str, words: Mapping[str, object]) -> Path:
    """The run folder that `task=fit` or `task=test` leaves; arguments and errors as of `run_inside`."""
    folder = run_inside(task, words).folder
    assert folder is not None  # both have one
    return folder
