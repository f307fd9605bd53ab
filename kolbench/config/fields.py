"""From plain values to dataclasses: what a value may be, and the types that the fields ask for."""

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from kolbench.errors import ConfigError, nearest

# resolved values as YAML holds them: mappings, lists, texts, numbers, true, false and null
Values = Mapping[str, object]
T = TypeVar("T")
# what is asked for, in words
WORDS: Mapping[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Rule:
    """What a value may be: `fits` decides, `wanted` says it in words."""

    wanted: str
    fits: Callable[[Any], bool]

    def or_null(self) -> "Rule":
        """The same, or null."""
        return Rule(f"{self.wanted}, or null", lambda value: value is None or self.fits(value))


def whole(low: int, high: float = math.inf) -> Rule:
    """A whole number in [low, high]."""
    bound = f"from {low} to {int(high)}" if high < math.inf else f"of at least {low}"
    return Rule(
        f"a whole number {bound}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


POSITIVE = Rule("a positive number", lambda value: _number(value) and value > 0)
SWITCH = Rule("true or false", lambda value: isinstance(value, bool))
SHARE = Rule("a number in [0, 1)", lambda v: _number(v) and 0 <= v < 1)
ANY = Rule("anything", lambda value: True)
TEXT = Rule("a text", lambda value: isinstance(value, str))


def at_least(low: float) -> Rule:
    """A number that is not below `low`."""
    return Rule(f"a number of at least {low:g}", lambda value: _number(value) and value >= low)


def one_of(*choices: str) -> Rule:
    """One of some words."""
    return Rule(f"one of {', '.join(choices)}", lambda value: value in choices)


@dataclass(frozen=True)
class Key:
    """What a key may be. rule: its range. is_path: whether its value names a file or a folder."""

    rule: Rule = ANY
    is_path: bool = False


def key(rule: Rule = ANY, *, is_path: bool = False) -> Any:
    """A field of a task's dataclass outside this package, with what `KEYS` says of the keys in it."""
    return dataclasses.field(metadata={"key": Key(rule, is_path)})


def require_mapping(key: str, value: object) -> Values:
    """`value` if it is a mapping with texts as keys.

    Raises:
        ConfigError: it is something else; names `key`.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}={value}: it has keys of its own; type {key}.NAME= instead.")
    return {str(name): entry for name, entry in value.items()}


def build(kind: type[T], values: Values, where: str = "") -> T:
    """A dataclass from plain values: texts become paths, mappings become dataclasses, as its fields say.

    Args:
        kind: a dataclass. Its root-level keys that no field reads are passed over, others are refused.
        where: the dotted place of the values, such as `budget.`.

    Raises:
        ConfigError: a value is missing, unknown or of another type; names its key.
    """
    hints, given = get_type_hints(kind), {}
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # a dataclass
    unknown = [name for name in values if where and name not in fields]
    if unknown:
        hint = nearest(unknown[0], fields)
        meant = f" Did you mean {where}{hint}?" if hint else ""
        raise ConfigError(f"there is no key {where}{unknown[0]}.{meant}")
    for name, field in fields.items():
        if name not in values:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise ConfigError(f"{where}{name} has no value: add {where}{name}=... to the command.")
            continue
        declared: Key = field.metadata.get("key", Key())
        if not declared.rule.fits(values[name]):
            raise ConfigError(f"{where}{name}={values[name]} is not {declared.rule.wanted}.")
        given[name] = _converted(hints[name], values[name], f"{where}{name}")
    return kind(**given)


def _converted(hint: Any, value: Any, name: str) -> Any:
    """`value` as the annotation of its field wants it."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _converted(next(part for part in get_args(hint) if part is not type(None)), value, name)
    if hint is object or hint is Any or (isinstance(hint, type) and type(value) is hint):
        return value
    if hasattr(hint, "from_mapping"):
        return hint.from_mapping(require_mapping(name, value))
    if dataclasses.is_dataclass(hint):
        return build(hint, require_mapping(name, value), f"{name}.")  # type: ignore[arg-type]  # a class
    if origin is tuple:
        return tuple(_converted(get_args(hint)[0], part, name) for part in _listed(value))
    if origin is not None and issubclass(origin, Mapping):
        entries = require_mapping(name, value if value is not None else {})
        return {
            part: _converted(get_args(hint)[1], entry, f"{name}.{part}") for part, entry in entries.items()
        }
    return _scalar(hint, value, name)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _scalar(hint: Any, value: Any, name: str) -> Any:
    if hint is Path:
        return Path(str(value)).expanduser()
    if hint is str:
        return str(value)
    if hint is float and _number(value):
        return float(value)
    if hint in WORDS:
        raise ConfigError(f"{name}={value} is not {WORDS[hint]}.")
    return value
