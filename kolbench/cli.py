"""The command line: Hydra as it is, with errors that a person can act on."""

import io
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kolbench.config import compose
from kolbench.config.explain import explain
from kolbench.config.fields import Values, require_mapping
from kolbench.config.groups import Invocation
from kolbench.config.old_names import current_word
from kolbench.config.schema import PATHS, check
from kolbench.config.typed import typed_config
from kolbench.errors import (
    STOPPED_BY_KEYBOARD,
    TERMINATED,
    ConfigError,
    KolbenchError,
    disk_failure,
    missing_library,
    told,
)
from kolbench.io.heap import keep_freed_memory
from kolbench.runs import sweep_outputs

EXIT_FAILED = 1
EXIT_USAGE = 2
AGAIN = "the same command may be given again; a training goes on where it stood."

# what of a file's name Hydra understands without quotes
PLAIN_PATH = re.compile(r"[\w./:\-+@%*?|,]*", re.ASCII)
INTERPOLATION = re.compile(r"\$\{[\w.:]*\}")
# a folder 2026_11_21 is no number to a person
NUMBER = r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[-+]?\d[\d_]*)?"
NO_TEXT = re.compile(rf"{NUMBER}|true|false|nan|[-+]?inf", re.IGNORECASE)

_failures: list[tuple[str, KolbenchError]] = []
_exit_codes: list[int] = []
_sweep_rows: dict[tuple[str, ...], Mapping[str, float | str]] = {}


def main() -> None:
    """Runs the command line; exits with 1 where a job failed, with 2 where the command is wrong.

    A task may exit with a code of its own: what it found, not what it failed at.
    """
    keep_freed_memory()
    _say_any_name()
    compose.register()
    # what `python -m` does by itself: methods of one's own are found in the present folder
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.append(here)
    # Hydra knows no flags but its own
    words = ("dry_run=true" if word == "--dry-run" else word for word in sys.argv)
    sys.argv = [quoted(current_word(word)) for word in words]
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    entry = hydra.main(version_base="1.3", config_path=str(compose.conf_dir()), config_name="config")(run_job)
    _failures.clear()
    _exit_codes.clear()
    _sweep_rows.clear()
    sweep_outputs.SWEEP.clear()
    try:
        entry()
    # a group that is given null is a ValueError of Hydra's; those of jobs do not come up to here
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        _stop(explain(error), EXIT_USAGE)
    except OSError as error:
        _stop(disk_failure(error), EXIT_FAILED)
    except KeyboardInterrupt:
        _stop(f"stopped by the keyboard; {AGAIN}", STOPPED_BY_KEYBOARD)
    except SystemExit as stop:
        if stop.code == TERMINATED:
            _stop(f"stopped by SIGTERM; {AGAIN}", TERMINATED)
        raise
    if _sweep_rows:
        _print_sweep()
    if _failures:
        _report_failures()
    if any(_exit_codes):
        sys.exit(max(_exit_codes))


def _say_any_name() -> None:
    """Lets any file's name be printed: what the terminal's encoding lacks, and bytes that are no text."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def quoted(word: str) -> str:
    """A file's name as Hydra's grammar takes it: in quotes where it holds spaces, brackets, letters with
    accents and the like, or would be a number. What is no path, or quoted already, stays as it is.
    """
    key, sign, value = word.partition("=")
    if not sign or key not in PATHS or not value or value[0] in "'\"[{":
        return word
    if PLAIN_PATH.fullmatch(INTERPOLATION.sub("", value)):
        parts = (f'"{part}"' if NO_TEXT.fullmatch(part) else part for part in value.split(","))
        return f"{key}={','.join(parts)}"
    mark = "'" if '"' in value else '"'
    return f"{key}={mark}{value.replace(mark, chr(92) + mark)}{mark}"


def _print_sweep() -> None:
    from kolbench.tasks.score_table import print_table

    labels = what_differs(list(_sweep_rows))
    rows = dict(zip(labels, _sweep_rows.values(), strict=True))
    print_table(rows, "all jobs of the sweep, test pictures")


def what_differs(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs share, in one line."""
    shared = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    own = (" ".join(word for word in words if word not in shared) for words in jobs)
    return [line.removeprefix("experiment=").removeprefix("model=") for line in own]


def _report_failures() -> None:
    label, error = _failures[0]
    if not label:
        _stop(str(error), EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED)
    _stop(
        f"{len(_failures)} of the sweep's jobs failed: {'; '.join(job for job, _ in _failures)}", EXIT_FAILED
    )


def _stop(message: str, code: int) -> None:
    sys.stdout.flush()
    print(f"kolbench: {message}", file=sys.stderr)
    sys.exit(code)


def run_job(config: DictConfig) -> float | None:
    """One job: the task's `run` with its typed configuration; a validation score, for sweepers.

    A failing job of a sweep is reported and counted, and the sweep goes on.
    """
    hydra_config = HydraConfig.get()
    label = ""
    if hydra_config.mode is RunMode.MULTIRUN:
        label = f"job {hydra_config.job.num} ({hydra_config.job.override_dirname or 'no overrides'})"
        print(f"== {label}", flush=True)
    sweep_outputs.SWEEP.job = label
    try:
        values = compose.plain(config)
        # before a task is imported, which may take seconds
        check(values)
        run, kind = compose.task_of(str(require_mapping("task", values["task"])["run"]))
        result = run(typed_config(kind, values, _invocation(values)))
        if label and result.row is not None:
            _sweep_rows[tuple(hydra_config.overrides.task)] = result.row
        if result.failed:
            raise KolbenchError(f"{result.failed} of the inputs failed or are damaged; they are named above.")
        _exit_codes.append(result.exit_code)
        return result.objective
    except Exception as error:
        _note_failure(label, error)
    return None


def _note_failure(label: str, error: Exception) -> None:
    """Keeps why a job failed, for the exit code and the last line; a job of a sweep says it at once."""
    if lacking := missing_library(error):
        error = ConfigError(lacking)
    error = told(error)
    if label:
        print(f"kolbench: {label}: {error}", file=sys.stderr)
    _failures.append((label, error))


def _invocation(values: Values) -> Invocation:
    hydra_config = HydraConfig.get()
    swept = hydra_config.mode is RunMode.MULTIRUN
    return Invocation(
        overrides=tuple(hydra_config.overrides.task),
        choices=compose.choices_of(OmegaConf.to_container(hydra_config.runtime.choices)),
        sweep=os.path.basename(hydra_config.sweep.dir) if swept else None,  # noqa: PTH119 - a string of Hydra's
        resolved=values,
    )
