"""What a constructor's annotations say of plain values: numbers are numbers before anything is built."""

import inspect
import types
from collections.abc import Callable, Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin

from kolbench.config.fields import WORDS
from kolbench.errors import ConfigError

# where the keys of a class stand in a command
_GROUPS = {
    "kolbench.models.": "model.",
    "kolbench.data.sources.": "data.",
    "kolbench.refiners.": "refiner.",
    "kolbench.video.temporal.smooth.": "smooth.",
}


def require_numbers(target: str, called: Callable[..., object], given: Mapping[str, object]) -> None:
    """Refuses texts and lists where a class or function asks for a number, or for true or false.

    Args:
        target: its dotted path. called: it.
        given: keys and values that it will be called with; those of other annotations are passed over.

    Raises:
        ConfigError: names the first key that does not fit, and what it should be.
    """
    place = next((group for start, group in _GROUPS.items() if target.startswith(start)), f"{target}: ")
    for name, hint in _hints(called).items():
        if name in given and not _fits(hint, given[name]):
            raise ConfigError(f"{place}{name}={given[name]} is not {_wanted(hint)}.")


@cache
def _hints(called: Callable[..., object]) -> dict[str, Any]:
    """Parameter -> annotation of those that ask for numbers; empty where annotations cannot be read."""
    try:
        parameters = inspect.signature(called, eval_str=True).parameters
    except (NameError, TypeError, ValueError):
        return {}
    hints = {name: parameter.annotation for name, parameter in parameters.items()}
    return {name: hint for name, hint in hints.items() if set(_parts(hint)) <= {*WORDS, type(None)}}


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fits(hint: Any, value: object) -> bool:
    return any(_is(part, value) for part in _parts(hint))


def _is(part: Any, value: object) -> bool:
    if part is type(None):
        return value is None
    if part is bool:
        return isinstance(value, bool)
    return isinstance(value, Integral if part is int else Real) and not isinstance(value, bool)


def _wanted(hint: Any) -> str:
    words = [WORDS[part] for part in _parts(hint) if part in WORDS]
    return " or ".join([*words, *(["null"] if type(None) in _parts(hint) else [])])
