"""Commands as a user types them: inside this process, or in one of their own where a test needs that.

A process spends 4 to 13 seconds on imports, so `kolbench` is the usual way. `start` is for kills and signals;
`kolbench_process` and `python` are for the door itself, limits of memory, and what must be loaded or not.
"""

import contextlib
import importlib
import io
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from kolbench.__main__ import main
from kolbench.config.compose import _without_running_hydra
from kolbench.tasks.suite import Job
from tests.helpers.forked import TIMEOUT_S, Finished, Forked, command
from tests.helpers.paths import ROOT

KOLBENCH = (sys.executable, "-m", "kolbench")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def kolbench(
    *words: str, cwd: Path, code: int = 0, environment: Mapping[str, str | None] | None = None
) -> Finished:
    """Runs a command line inside this process, and puts back what it changed there.

    What is put back: working directory, environment, sys.argv, sys.path, modules found below `cwd`,
    signal handlers, filters of warnings, log handlers, random states, threads and determinism of torch,
    Hydra's globals, wandb's service.

    Args:
        words: what stands after `python -m kolbench`.
        cwd: the working directory.
        code: the exit code it must have.
        environment: variables to set, or to unset (None), for this command.
    """
    with _as_a_process(cwd, environment or {}), _Printed(1) as out, _Printed(2) as err:
        sys.argv = [str(ROOT / "kolbench" / "__main__.py"), *words]
        returncode = _exit_code_of(main)
    done = Finished(returncode, out.text, err.text)
    _require(done, code)
    return done


def run_here(job: Job, conf_words: Sequence[str] = ()) -> None:
    """Runs a job of a suite inside this process, in place of `suite.execute`."""
    shutil.rmtree(job.folder, ignore_errors=True)
    # the launcher's, which calls this
    with _without_running_hydra():
        kolbench(*conf_words, *job.words, f"hydra.run.dir={job.folder}", cwd=Path.cwd())


def run_forked(
    line: Sequence[str], *, check: bool, env: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """In place of `subprocess.run` where that starts a job of a suite: what it prints is printed here."""
    python, *module = line[:3]
    assert (python, module, check) == (KOLBENCH[0], list(KOLBENCH[1:]), False)
    done = start(*line[3:], cwd=Path.cwd(), environment=env).wait()
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return subprocess.CompletedProcess(line, done.returncode)


def kolbench_process(
    *words: str, cwd: Path, code: int = 0, environment: Mapping[str, str | None] | None = None
) -> Finished:
    """The same as `kolbench`, in a process of its own."""
    return _completed([*KOLBENCH, *words], cwd, code, environment)


def python(
    program: str,
    *arguments: str,
    cwd: Path | None = None,
    code: int = 0,
    environment: Mapping[str, str | None] | None = None,
    given: str = "",
) -> Finished:
    """Runs a piece of Python in a process of its own; arguments: its sys.argv from 1 on; given: its stdin."""
    return _completed([sys.executable, "-c", program, *arguments], cwd, code, environment, given)


def start(*words: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Forked:
    """Starts a command in a process of its own and goes on; words: what stands after `python -m kolbench`."""
    return Forked(command, *words, cwd=cwd, environment=os.environ if environment is None else environment)


def _completed(
    line: Sequence[str],
    cwd: Path | None,
    code: int,
    environment: Mapping[str, str | None] | None,
    given: str = "",
) -> Finished:
    merged = {**os.environ, **(environment or {})}
    done = subprocess.run(
        line,
        cwd=cwd,
        env={name: value for name, value in merged.items() if value is not None},
        input=given,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    finished = Finished(done.returncode, done.stdout, done.stderr)
    _require(finished, code)
    return finished


def _require(done: Finished, code: int) -> None:
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"


def _exit_code_of(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    return 0


@contextmanager
def _as_a_process(cwd: Path, environment: Mapping[str, str | None]) -> Iterator[None]:
    """A block that leaves this process as it found it."""
    with ExitStack() as restored:
        for part in (_variables, _imports, _random_states, _torch_settings, _logging, _signals):
            restored.enter_context(part())
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        restored.enter_context(contextlib.chdir(cwd))
        restored.enter_context(_warnings())
        restored.callback(_forget_hydra)
        restored.callback(_forget_wandb)
        yield


@contextmanager
def _variables() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        # only what changed: code that runs beside this one may read them
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _imports() -> Iterator[None]:
    argv, path, loaded, here = sys.argv, list(sys.path), set(sys.modules), Path.cwd()
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.argv = argv
        folders = [folder for folder in sys.path if folder not in path]
        sys.path[:] = path
        for name in set(sys.modules) - loaded:
            file = getattr(sys.modules[name], "__file__", None)
            if file and any((here / folder) in Path(file).parents for folder in folders):
                del sys.modules[name]


@contextmanager
def _random_states() -> Iterator[None]:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - what seeds set
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])


@contextmanager
def _torch_settings() -> Iterator[None]:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.set_float32_matmul_precision(precision)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


@contextmanager
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    absl: Any = sys.modules.get("absl.logging")
    if absl is not None:
        # OpenVINO loads it; where Hydra sets up logging anew, it closes streams that are not the process's
        absl.get_absl_handler().python_handler.stream = sys.__stderr__
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)


@contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _warnings() -> Iterator[None]:
    """Warnings are printed, as a process does; the tests' filters make errors of them."""

    def shown(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: str | None = None,
    ) -> None:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))

    with warnings.catch_warnings():
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        warnings.showwarning = shown
        yield


def _forget_hydra() -> None:
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None


def _forget_wandb() -> None:
    """Ends wandb's service, which keeps the settings of the environment that it was started in."""
    wandb = sys.modules.get("wandb")
    if wandb is not None:
        with contextlib.suppress(SystemExit):
            wandb.teardown()


class _Printed:
    """What is written to a standard stream in the block: by Python, by libraries, by children."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._name = "stdout" if number == 1 else "stderr"
        self.text = ""

    def __enter__(self) -> Self:
        self._before = getattr(sys, self._name)
        self._before.flush()
        self._kept = os.dup(self._number)
        self._file = tempfile.TemporaryFile()
        os.dup2(self._file.fileno(), self._number)
        raw = io.FileIO(self._number, "w", closefd=False)
        setattr(sys, self._name, io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", write_through=True))
        return self

    def __exit__(self, *_: object) -> None:
        getattr(sys, self._name).flush()
        setattr(sys, self._name, self._before)
        os.dup2(self._kept, self._number)
        os.close(self._kept)
        with self._file:
            self._file.seek(0)
            self.text = self._file.read().decode("utf-8", "replace")
