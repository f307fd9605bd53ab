"""Commands and programs in processes forked from one that has imported everything.

Such a process is as real as any: it can be killed, and its exit code is seen. It only spares the imports, 5
to 10 s each time. What is about imports, memory, pipes or the door itself starts a fresh Python instead.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing import reduction
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.paths import ROOT

TIMEOUT_S = 600
HEEDED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.helpers.forked", "tests.helpers.warmed"])


class Finished(NamedTuple):
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """A process that runs; what it prints goes to files that have no name.

    Args:
        run: what it does, a function of a module. arguments: what `run` is given.
        cwd: the working directory.
        environment: all of its variables.
    """

    def __init__(
        self, run: Callable[..., None], *arguments: Any, cwd: Path, environment: Mapping[str, str]
    ) -> None:
        self._printed = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - read when it has ended
        handed = [_Handed(file.fileno()) for file in self._printed]
        place = (str(cwd), dict(environment), handed)
        self._process = _context.Process(target=_begin, args=(place, run, arguments))
        self._process.start()
        self._deadline = time.monotonic() + TIMEOUT_S

    def poll(self) -> int | None:
        """Its exit code, the number of a signal below 0; None while it runs, which it may not do for ever."""
        if self._process.exitcode is None and time.monotonic() > self._deadline:
            self._process.kill()
            raise TimeoutError(f"the process still ran after {TIMEOUT_S} s")
        return self._process.exitcode

    def until(self, reached: Callable[[], object]) -> None:
        """Returns as soon as something is so, which must be before the process ends."""
        while not reached():
            assert self.poll() is None, self.wait()
            time.sleep(0.02)

    def send_signal(self, number: int) -> None:
        """As `kill -number`."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self) -> Finished:
        """What it left once it has ended; one that does not end is killed."""
        self._process.join(TIMEOUT_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        assert self._process.exitcode is not None
        return Finished(self._process.exitcode, *map(_read, self._printed))


def command(*words: str) -> None:
    """What `python -m kolbench` does with these words."""
    from kolbench.__main__ import main

    sys.argv = [str(ROOT / "kolbench" / "__main__.py"), *words]
    main()


def program(text: str, *arguments: str) -> None:
    """What `python -c` does with this text."""
    sys.argv = ["-c", *arguments]
    exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})


class _Handed:
    """A file descriptor that the new process gets a copy of."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _taken, (reduction.DupFd(self._number),)


def _taken(handed: Any) -> int:
    number: int = handed.detach()
    return number


def _begin(
    place: tuple[str, dict[str, str], list[int]], run: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    cwd, environment, outputs = place
    # background jobs of a shell are started deaf to Ctrl-C, and hand that on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in HEEDED:
        signal.signal(number, signal.SIG_DFL)
    for standard, given in enumerate(outputs, 1):
        os.dup2(given, standard)
        os.close(given)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[:] = [cwd, *(folder for folder in sys.path if folder)]
    run(*arguments)


def _read(file: Any) -> str:
    with file:
        file.seek(0)
        text: str = file.read().decode("utf-8", "replace")
    return text
