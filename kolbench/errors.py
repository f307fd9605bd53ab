"""The errors a user can cause: each message says what happened, where, and what to do."""

import difflib
import errno
import re
import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# exit code of a process that SIGTERM ended
TERMINATED = 143
# of one that the keyboard stopped
STOPPED_BY_KEYBOARD = 130
# what is said by what raises an error of no type of its own: torch's allocators on Linux, macOS, Windows and
# devices, cuDNN, oneDNN, C++, OpenCV, ONNX Runtime, and numpy in a process that loads pictures
_NO_MEMORY = re.compile(
    "can't allocate memory|not enough memory|out of memory|ALLOC_FAILED|could not create a primitive$"
    "|std::bad_alloc|bad allocation|Insufficient memory|Failed to allocate memory|Unable to allocate",
    re.MULTILINE,
)
_OF_MEMORY = {"MemoryError", "OutOfMemoryError"}
LOADERS = "Lower data.workers= (0 loads in the main process), budget.batch= or budget.size=."
_ENDED_LOADER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? (?P<pid>[\d, ]+)\) (?:is killed by signal: (?P<signal>[\w ]+)|exited)"
)


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


class OutOfMemoryError(KolbenchError):
    """Memory ran out, of the machine or of a device; says what was being done, and what to lower."""


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
    """Any exception as an error that can be shown; the trace of one that nobody expected goes to a file.

    Raises:
        KeyboardInterrupt, SystemExit: it came of one that struck while others cleaned up.
    """
    if stop := _interruption(error):
        raise stop
    if isinstance(error, KolbenchError):
        # nobody reads its trace, which keeps the arrays of the failure
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    if ended := ended_loader(error):
        return OutOfMemoryError(ended)
    if is_of_cluster(error):
        return KolbenchError(
            f"{first_line(error)}. hydra.launcher.timeout_min= gives it more time, "
            "hydra.launcher.max_num_timeout= more starts; the same command goes on where a training stood."
        )
    if is_of_memory(error):
        return OutOfMemoryError(
            f"memory ran out ({first_line(error)}). Lower budget.batch= or budget.size= where a network is "
            "trained, model.size= where it is used, or data.workers=."
        )
    if isinstance(error, OSError):
        return KolbenchError(disk_failure(error))
    with tempfile.NamedTemporaryFile("w", prefix="kolbench-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return KolbenchError(
        f"{type(error).__name__}: {error}. That is a fault of kolbench or a value it should have refused; "
        f"{file.name} holds the details for a report."
    )


def _interruption(error: BaseException) -> BaseException | None:
    """The signal that an error came of while code of others cleaned up after it."""
    chain = [error]
    # it grows meanwhile; libraries that raise a cause again make chains that end nowhere
    for each in chain:
        if isinstance(each, KeyboardInterrupt) or (isinstance(each, SystemExit) and each.code == TERMINATED):
            return each
        before = (each.__cause__, each.__context__)
        chain += [earlier for earlier in before if earlier is not None and earlier not in chain]
    return None


def is_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, that of a GPU included."""
    if any(kind.__name__ in _OF_MEMORY for kind in type(error).__mro__):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    from_elsewhere = type(error).__module__.partition(".")[0] in ("cv2", "onnxruntime")
    untyped = from_elsewhere or isinstance(error, RuntimeError)
    return untyped and _NO_MEMORY.search(str(error)) is not None


def ended_loader(error: BaseException) -> str | None:
    """What to do where the system ended a process that loads pictures; None where the error is another."""
    found = _ENDED_LOADER.search(str(error)) if isinstance(error, RuntimeError) else None
    # what it had sent cannot be fetched any more
    lost = isinstance(error, OSError | EOFError) and _came_through("torch/multiprocessing", error)
    if found is None and not lost:
        return None
    signal = ((found and found["signal"]) or "").strip()
    likely = {
        "Killed": "most likely for lack of memory",
        "Bus error": "most likely for lack of shared memory",
    }
    why = f"{signal or 'cause unknown'}, {likely.get(signal, 'perhaps for lack of memory')}"
    return f"a process that loads images was ended from outside ({why}). {LOADERS}"


def _came_through(folder: str, error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return any(folder in Path(frame.filename).as_posix() for frame in frames)


def is_of_cluster(error: BaseException) -> bool:
    """Whether submitit says that the cluster ended a job, which is not started again."""
    return (type(error).__module__, type(error).__name__) == ("submitit.core.utils", "UncompletedJobError")


def first_line(error: Exception) -> str:
    """What others' code says of its failure, without the pages that may follow."""
    if isinstance(error, KolbenchError):
        return str(error)
    if is_of_cluster(error):
        # its first sentence is of two lines
        why = (
            re.split(r"\n(?:Error stream|No (?:error|output))", str(error))[0].replace("\n", " ").rstrip(".")
        )
        return f"the cluster ended the job: {why}"
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), 'without a word')}"


def first_sentence(error: BaseException) -> str:
    """What a library says is wrong, as one sentence: its first line, without torch's list of causes."""
    text = (str(error) or type(error).__name__).strip().splitlines()[0].partition("[Caused by")[0].strip()
    return text if text.endswith(".") else f"{text}."


def disk_failure(error: OSError) -> str:
    """What the system says against a file, in a sentence."""
    return f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}."


def nearest(word: str, choices: Iterable[str], likeness: float = 0.6) -> str | None:
    """The choice most like `word`, or None where none has this likeness, in [0, 1].

    Groups, folders and endings that both have make two names no more alike: `x.png` is not like `y.png`.
    Capitals make none less alike: `X.PNG` is `x.png`.
    """
    small, named = word.lower(), {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(small, list(named), n=5, cutoff=likeness)
    alike = (match for match in matches if _likeness(*_own_parts(small, match)) >= likeness)
    return next((named[match] for match in alike), None)


def _likeness(one: str, other: str) -> float:
    # all of it may be in common
    return difflib.SequenceMatcher(None, one, other).ratio() if one or other else 1.0


def _own_parts(one: str, other: str) -> tuple[str, str]:
    """Two names without the parts, between dots and slashes, that both begin or end with."""
    mine, theirs = re.split(r"[./]", one), re.split(r"[./]", other)
    while mine and theirs and mine[0] == theirs[0]:
        del mine[0], theirs[0]
    while len(mine) > 1 and len(theirs) > 1 and mine[-1] == theirs[-1]:
        del mine[-1], theirs[-1]
    return ".".join(mine), ".".join(theirs)


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
