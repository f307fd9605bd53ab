"""The command line: Hydra as it is, with errors that a person can act on."""

import io
import os
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kolbench.config import compose
from kolbench.config.explain import explain, explain_plugin
from kolbench.config.fields import Values, require_mapping
from kolbench.config.groups import Invocation
from kolbench.config.old_names import current_word
from kolbench.config.schema import PATHS, TaskResult, check
from kolbench.config.typed import typed_config
from kolbench.errors import (
    STOPPED_BY_KEYBOARD,
    TERMINATED,
    ConfigError,
    KolbenchError,
    disk_failure,
    first_line,
    missing_library,
    told,
)
from kolbench.io import progress
from kolbench.io.heap import keep_freed_memory
from kolbench.runs import sweep_jobs, sweep_outputs
from kolbench.runs.sweep_jobs import JobOutcome

EXIT_FAILED = 1
EXIT_USAGE = 2
MULTIRUN = {"-m", "--multirun"}
AGAIN = "the same command may be given again; a training goes on where it stood."

# what of a file's name Hydra understands without quotes
PLAIN_PATH = re.compile(r"[\w./:\-+@%*?|,]*", re.ASCII)
INTERPOLATION = re.compile(r"\$\{[\w.:]*\}")
# a folder 2026_11_21 is no number to a person
NUMBER = r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[-+]?\d[\d_]*)?"
NO_TEXT = re.compile(rf"{NUMBER}|true|false|nan|[-+]?inf", re.IGNORECASE)

# of the command that runs in this process
_failures: list[KolbenchError] = []
_exit_codes: list[int] = []
_sweeps: list[Path] = []
# folders that Hydra makes for the run, the innermost first
_made: list[Path] = []
# workers of a launcher import this module and call no main
compose.register()


def main() -> None:
    """Runs the command line; exits with 1 where a job failed, with 2 where the command is wrong.

    A task may exit with a code of its own: what it found, not what it failed at.
    """
    _settle()
    # Hydra knows no flags but its own
    words = ("dry_run=true" if word == "--dry-run" else word for word in sys.argv)
    sys.argv = [quoted(current_word(word)) for word in words]
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    entry = hydra.main(version_base="1.3", config_path=str(compose.conf_dir()), config_name="config")(run_job)
    for kept in (_failures, _exit_codes, _sweeps, _made):
        kept.clear()
    broken = ""
    try:
        if not MULTIRUN.isdisjoint(sys.argv):
            sweep_jobs.require_one_process()
        entry()
    except Exception as error:
        if not _outcomes():
            _refuse(error)
        # a worker that was killed, or a launcher that gave up: the other jobs have their results
        broken = f"the sweep broke off ({first_line(error)});"
    except KeyboardInterrupt:
        _stop(f"stopped by the keyboard; {AGAIN}", STOPPED_BY_KEYBOARD)
    except SystemExit as stop:
        if stop.code == TERMINATED:
            _stop(f"stopped by SIGTERM; {AGAIN}", TERMINATED)
        raise
    if _failures:
        _stop(str(_failures[0]), EXIT_USAGE if isinstance(_failures[0], ConfigError) else EXIT_FAILED)
    if _sweeps:
        _report_sweep(_outcomes(), broken)
    if any(_exit_codes):
        sys.exit(max(_exit_codes))


class Start(Callback):
    """Tells the process that begins a run or a sweep which folders are its own; of conf/config.yaml."""

    def on_run_start(self, config: DictConfig, **_: object) -> None:
        """Before Hydra makes the run folder."""
        folder = Path(str(config.hydra.run.dir)).absolute()
        _made.extend(path for path in (folder, *folder.parents) if not path.exists())

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Before the first job: what an earlier sweep left in this folder is no part of this one."""
        sweep = _sweep_folder(config.hydra)
        for folder in (sweep_jobs.FOLDER, sweep_outputs.FOLDER):
            shutil.rmtree(sweep / folder, ignore_errors=True)
        _sweeps.append(sweep)


def _leave_no_empty_folder() -> None:
    """Removes the folders that were made for a command that did not begin."""
    with suppress(OSError):
        for folder in _made:
            # fails where something lies in it
            folder.rmdir()


def _settle() -> None:
    """Makes a process, of the command or of a launcher's worker, as commands need it."""
    keep_freed_memory()
    _say_any_name()
    # what `python -m` does by itself: methods of one's own are found in the present folder
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.append(here)


def _refuse(error: Exception) -> NoReturn:
    """Ends the command for what went wrong before any job had begun."""
    # a group that is given null is a ValueError of Hydra's; those of jobs do not come up to here
    if isinstance(error, HydraException | OmegaConfBaseException | ValueError):
        _stop(explain(error), EXIT_USAGE)
    if plugin := explain_plugin(error):
        _stop(plugin, EXIT_USAGE)
    if isinstance(error, KolbenchError):
        _stop(str(error), EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED)
    if isinstance(error, OSError):
        _stop(disk_failure(error), EXIT_FAILED)
    raise error


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


def _sweep_folder(hydra_config: HydraConf) -> Path:
    return Path(str(hydra_config.sweep.dir)).absolute()


def _outcomes() -> list[JobOutcome]:
    """What the jobs of this command's sweep came to, in whichever processes; empty without a sweep."""
    return sweep_jobs.read(_sweeps[-1]) if _sweeps else []


def _report_sweep(outcomes: Sequence[JobOutcome], broken: str) -> None:
    """Prints the table of a sweep; ends the command where one of its jobs failed."""
    _print_sweep([job for job in outcomes if job.row is not None])
    failed = [job for job in outcomes if job.failure]
    for job in failed:
        # a job of this process has said it already
        if not job.ended or job.process != sweep_jobs.this_process():
            print(f"kolbench: {job.label}: {job.failure}", file=sys.stderr)
    if failed:
        names = "; ".join(job.label for job in failed)
        _stop(" ".join([broken, f"{len(failed)} of the sweep's jobs failed: {names}"]).strip(), EXIT_FAILED)
    if broken:
        _stop(f"{broken} {AGAIN}", EXIT_FAILED)
    _exit_codes.extend(job.exit_code for job in outcomes)


def _print_sweep(scored: Sequence[JobOutcome]) -> None:
    """The table of all jobs, each baseline once, and what to do next."""
    if not scored:
        return
    from kolbench.runs import record
    from kolbench.tasks.next_steps import OVERVIEW, next_steps
    from kolbench.tasks.score_table import Scored, baseline_rows, print_table

    labels = what_differs([job.words for job in scored])
    paths = [Path(job.folder) / record.RUN if job.folder else None for job in scored]
    runs = [record.read(path) if path and path.is_file() else record.RunRecord() for path in paths]
    jobs = list(zip(labels, scored, runs, strict=True))
    methods = [Scored(label, run.method, job.row) for label, job, run in jobs if job.row is not None]
    baselines = baseline_rows((label, run.baselines) for label, _, run in jobs)
    print_table([*methods, *baselines], "all jobs of the sweep, test images")
    if _sweeps and any(path is not None for path in paths):
        best_first = sorted(zip(scored, paths, strict=True), key=lambda found: -_miou(found[0]))
        pictures = [path.with_name(OVERVIEW) for _, path in best_first if path is not None]
        shown = next((path for path in pictures if path.is_file()), _sweeps[-1])
        print(*next_steps(shown, _sweeps[-1], [run.budget for run in runs]), sep="\n", flush=True)


def _miou(job: JobOutcome) -> float:
    return float((job.row or {}).get("miou", 0.0))


def what_differs(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs share, in one line."""
    shared = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    own = (" ".join(word for word in words if word not in shared) for words in jobs)
    return [line.removeprefix("experiment=").removeprefix("model=") for line in own]


def _stop(message: str, code: int) -> NoReturn:
    sys.stdout.flush()
    print(f"kolbench: {message}", file=sys.stderr)
    sys.exit(code)


def run_job(config: DictConfig) -> float | None:
    """One job: the task's `run` with its typed configuration; a validation score, for sweepers.

    A failing job of a sweep is reported and counted, and the sweep goes on. What it came to lies in the
    sweep's folder, as it may run in a process, or on a machine, of its own.
    """
    hydra_config = HydraConfig.get()
    if hydra_config.mode is RunMode.MULTIRUN:
        return _swept_job(config, hydra_config)
    sweep_outputs.SWEEP.leave()
    result, error = _result_of(config)
    if error is not None:
        _failures.append(error)
        _leave_no_empty_folder()
    _exit_codes.append(result.exit_code)
    return result.objective


def _swept_job(config: DictConfig, hydra_config: HydraConf) -> float | None:
    if not _sweeps:
        _settle()
        # the words of the command that began the sweep, as far as tasks read them
        sys.argv[1:] = [f"--config-dir={folder}" for folder in _typed_conf_dirs(hydra_config)]
    sweep = _sweep_folder(hydra_config)
    label = f"job {hydra_config.job.num} ({hydra_config.job.override_dirname or 'no overrides'})"
    first = not sweep_jobs.follows()
    if first:
        print(f"== {label}", flush=True)
    words = tuple(hydra_config.overrides.task)
    job = JobOutcome(int(hydra_config.job.num), label, words, sweep_jobs.this_process())
    if first and sweep_jobs.interrupted(sweep, job.number):
        from kolbench.runs import run_folder

        print(f"{label} was interrupted and is started again", flush=True)
        run_folder.give_up_claim(Path(hydra_config.runtime.output_dir))
    sweep_jobs.write(sweep, job)
    sweep_outputs.SWEEP.enter(sweep, label)
    result, error = _result_of(config)
    if error is not None:
        print(f"kolbench: {label}: {error}", file=sys.stderr, flush=True)
    sweep_jobs.write(
        sweep,
        replace(
            job,
            ended=True,
            row=result.row,
            folder=None if result.folder is None else str(result.folder.absolute()),
            error=None if error is None else str(error),
            exit_code=result.exit_code if error is None else EXIT_FAILED,
        ),
    )
    return result.objective if error is None else None


def _typed_conf_dirs(hydra_config: HydraConf) -> list[str]:
    """The folders that --config-dir named, in whichever process that was typed."""
    sources = hydra_config.runtime.config_sources
    return [source.path for source in sources if source.provider == "command-line"]


def _result_of(config: DictConfig) -> tuple[TaskResult, KolbenchError | None]:
    """What the task gives back, and why it failed."""
    result = TaskResult()
    try:
        values = compose.plain(config)
        # before a task is imported, which may take seconds
        check(values)
        task = require_mapping("task", values["task"])
        with progress.working(f"starting task={task['name']}"):
            run, kind = compose.task_of(str(task["run"]))
        result = run(typed_config(kind, values, _invocation(values)))
        if result.failed:
            raise KolbenchError(f"{result.failed} of the inputs failed or are damaged; they are named above.")
    except Exception as error:
        lacking = missing_library(error)
        return result, told(ConfigError(lacking) if lacking else error)
    return result, None


def _invocation(values: Values) -> Invocation:
    hydra_config = HydraConfig.get()
    swept = hydra_config.mode is RunMode.MULTIRUN
    return Invocation(
        overrides=tuple(hydra_config.overrides.task),
        choices=compose.choices_of(OmegaConf.to_container(hydra_config.runtime.choices)),
        sweep=os.path.basename(hydra_config.sweep.dir) if swept else None,  # noqa: PTH119 - a string of Hydra's
        resolved=values,
    )
