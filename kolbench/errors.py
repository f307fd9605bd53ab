"""The errors a user can cause: each message says what happened, where, and what to do."""

import difflib
import re
import tempfile
import traceback
from collections.abc import Iterable
from typing import Any

# exit code of a process that SIGTERM ended
TERMINATED = 143


class KolbenchError(Exception):
    """Something outside the program is wrong; its message is shown without a stack trace."""


class ConfigError(KolbenchError):
    """A setting is misspelt, missing or out of range."""


class DataError(KolbenchError):
    """A picture, mask, annotation or folder cannot be used as it is."""


class WeightsError(KolbenchError):
    """A checkpoint is missing, damaged, or does not fit the network."""


class TrainingError(KolbenchError):
    """A training cannot go on, for instance because its loss is not finite."""


def missing_library(error: BaseException) -> str | None:
    """What to install where an import failed for a library of the system, as OpenCV's does without libGL."""
    found = re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file", str(error))
    if found is None:
        return None
    return (
        f"{found[1]} is missing here, and OpenCV needs it. Debian, Ubuntu: apt-get install libgl1 "
        "libglib2.0-0. Or without: pip uninstall opencv-python, then pip install opencv-python-headless."
    )


def told(error: Exception) -> KolbenchError:
    """Any exception as an error that can be shown; the trace of one that nobody expected goes to a file."""
    if isinstance(error, KolbenchError):
        return error
    if isinstance(error, OSError):
        return KolbenchError(disk_failure(error))
    with tempfile.NamedTemporaryFile("w", prefix="kolbench-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return KolbenchError(
        f"{type(error).__name__}: {error}. That is a fault of kolbench or a value it should have refused; "
        f"{file.name} holds the details for a report."
    )


def first_line(error: Exception) -> str:
    """What others' code says of its failure, without the pages that may follow."""
    if isinstance(error, KolbenchError):
        return str(error)
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), 'without a word')}"


def disk_failure(error: OSError) -> str:
    """What the system says against a file, in a sentence."""
    return f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}."


def nearest(word: str, choices: Iterable[str], likeness: float = 0.5) -> str | None:
    """The choice most like `word`, or None where none has this likeness, in [0, 1]."""
    matches = difflib.get_close_matches(word, list(choices), n=1, cutoff=likeness)
    return matches[0] if matches else None


def require_choice(key: str, value: str, choices: Iterable[str]) -> str:
    """`value` if it is one of `choices`.

    Raises:
        ConfigError: names `key`, all choices and the nearest one.
    """
    options = list(choices)
    if value in options:
        return value
    hint = nearest(str(value), options)
    meant = f" Did you mean {key}={hint}?" if hint else ""
    raise ConfigError(f"{key}={value} is not a choice; it is one of {', '.join(options)}.{meant}")


def require_between(key: str, value: Any, low: float, high: float) -> float:
    """`value` if it is a number in [low, high].

    Raises:
        ConfigError: names `key` and the range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and low <= value <= high:
        return float(value)
    raise ConfigError(f"{key}={value} is not a number from {low:g} to {high:g}.")


def require_whole(key: str, value: Any, low: int, high: int) -> int:
    """`value` if it is a whole number in [low, high].

    Raises:
        ConfigError: names `key` and the range.
    """
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ConfigError(f"{key}={value} is not a whole number from {low} to {high}.")
