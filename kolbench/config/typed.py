"""From a command's resolved values to the typed configuration of its task."""

import dataclasses

from kolbench.config.explain import ROOT_KEYS, keys_of_tasks, wrong_key
from kolbench.config.fields import Values
from kolbench.config.groups import Invocation
from kolbench.config.schema import TaskConfig, field_of, task_config
from kolbench.errors import ConfigError


def typed_config(kind: type[TaskConfig], values: Values, invocation: Invocation) -> TaskConfig:
    """The task's configuration.

    What an experiment sets for another task, as `init` for fit, is left out.

    Args:
        kind: of the task. values: resolved. invocation: how they were asked for.

    Raises:
        ConfigError: a key of the configuration is unknown, or a value does not fit.
    """
    known = {field.name for field in dataclasses.fields(kind)} | ROOT_KEYS
    unknown = [name for name in values if field_of(name) not in known]
    if unknown and "experiment" in invocation.choices:
        others = set().union(*keys_of_tasks().values()) - invocation.typed_keys
        values = {name: v for name, v in values.items() if field_of(name) in known or name not in others}
        unknown = [name for name in values if field_of(name) not in known]
        invocation = dataclasses.replace(invocation, resolved=values)
    if unknown:
        raise ConfigError(wrong_key(unknown[0]))
    return task_config(kind, values, invocation)
