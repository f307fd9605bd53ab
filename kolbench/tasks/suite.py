"""`task=suite`: all runs of an `experiments/NN` folder, each in a process of its own, and their table.

`hydra/launcher=` says where, and how many at the same time, as in sweeps; by default one after the other.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pandas as pd

from kolbench.config import launching
from kolbench.config.compose import load_resolved_yaml
from kolbench.config.fields import Values, require_mapping
from kolbench.config.folder import conf_words
from kolbench.config.schema import PATHS, TaskConfig, TaskResult
from kolbench.errors import ConfigError, DataError, KolbenchError, nearest
from kolbench.io import progress
from kolbench.io.files import write_atomically, write_json
from kolbench.runs import record, run_folder, sweep_jobs
from kolbench.runs.finished import BASELINES
from kolbench.runs.record import RunRecord, TrainingSummary
from kolbench.tasks.next_steps import IN_SUITE, next_steps
from kolbench.tasks.score_table import Row, Scored, baseline_rows, print_table

SUITE = "suite.yaml"
# `root: /home/me/faces` inside a mapping that was typed
_NESTED = re.compile(r"(?P<name>\w+): *(?P<quote>['\"]?)(?P<place>[^'\",{}]+?)(?P=quote)(?= *[,}])")
# of the suite itself, not of its runs
_OWN = ("task", "suite", "dry_run", "output", "hydra.run.dir")
_FIGURES = ("parameters", "threshold", "seconds", "test_seconds_per_picture")


@dataclass(frozen=True)
class Job:
    """One run of a suite.

    name: unique in the suite. words: its overrides. folder: its run folder, known by the words.
    """

    name: str
    words: tuple[str, ...]
    folder: Path

    @property
    def record(self) -> RunRecord:
        """Its `run.json`; empty where it has not begun."""
        path = self.folder / run_folder.RUN
        return record.read(path) if path.is_file() else RunRecord()

    @property
    def finished(self) -> bool:
        """Whether it ran to its end."""
        return self.record.finished


@dataclass(frozen=True)
class SuiteConfig(TaskConfig):
    """What `task=suite` reads itself; all other words go on to its runs.

    suite: a folder with a suite.yaml. output: where results go. dry_run: only say what would be run.
    """

    hands_on: ClassVar[bool] = True

    suite: Path | None
    output: Path | None
    dry_run: bool
    weights: str | None
    threshold: float | None
    eval_protocol: str
    tta: str
    corrupt: str
    severity: int
    seed: int
    device: str
    resume: str
    on_oom: str
    metrics: tuple[str, ...]
    trim: str


def run(config: SuiteConfig) -> TaskResult:
    """Runs what is not finished, writes `output` (else the suite's own `results/`), prints the table.

    Returns:
        `failed`: how many runs failed.

    Raises:
        KolbenchError: there is no such suite, or it cannot be understood.
    """
    folder = config.suite
    if folder is None:
        raise ConfigError(
            "task=suite needs suite=FOLDER with a suite.yaml, such as suite=experiments/01_methods."
        )
    jobs = jobs_of(folder, config.paths.runs, own_words(config.invocation.overrides))
    panels = panels_of(folder)
    for number, job in enumerate(jobs, start=1):
        state = "finished already" if job.finished else "to run"
        print(f"== {number} of {len(jobs)}, {job.name}: {state}\n   {shown(job)}", flush=True)
    if config.dry_run:
        return TaskResult()
    failed = execute_all([job for job in jobs if not job.finished])
    done = [job for job in jobs if job.finished]
    if done:
        results = config.output or folder / "results"
        write_results(results, done)
        if panels:
            _draw(panels, done, results)
        print_table(rows_of([(job.name, job.record) for job in done]), f"{folder.name}, test images")
        parent, budgets = done[0].folder.parent, [job.record.budget for job in done]
        print(*next_steps(results, parent, budgets), sep="\n", flush=True)
    for name in failed:
        print(f"failed: {name}")
    return TaskResult(failed=len(failed))


def _draw(panels: Mapping[str, Sequence[str]], done: Sequence[Job], results: Path) -> None:
    with progress.working("drawing panels"):
        from kolbench.tasks.panels import write_panels  # loads torch

        write_panels(panels, {job.name: job.folder for job in done}, results)


def own_words(overrides: Sequence[str]) -> list[str]:
    """The overrides that go to every run."""
    return [word for word in overrides if word.lstrip("+").partition("=")[0] not in _OWN]


def jobs_of(folder: Path, runs: Path, words: Sequence[str] = ()) -> list[Job]:
    """The runs of a suite.

    Args:
        folder: holds `suite.yaml`: `common`, a list of overrides; `runs`, name -> list of overrides; and
            perhaps `panels`, file name -> names of runs that are shown side by side. Values may come from the
            environment, as `${oc.env:NAME,DEFAULT}`.
        runs: below it the run folders go.
        words: more overrides, which win.

    Raises:
        DataError: there is no such file, or it has another form.
    """
    path, suite = folder / SUITE, _read(folder)
    common = _words(path, "common", suite.get("common", []))
    jobs = []
    for name, own in require_mapping("runs", suite["runs"]).items():
        chosen = (*common, *_words(path, f"runs.{name}", own), *words)
        jobs.append(job_of(str(name), chosen, runs / "suites" / folder.name))
    return jobs


def panels_of(folder: Path) -> dict[str, list[str]]:
    """The suite's `panels`, file name -> names of runs; empty where it has none.

    Raises:
        DataError: they have another form, or name a run that the suite does not have.
    """
    path, suite = folder / SUITE, _read(folder)
    panels, runs = suite.get("panels") or {}, [*require_mapping("runs", suite["runs"])]
    if not isinstance(panels, dict) or not all(isinstance(names, list) for names in panels.values()):
        raise DataError(f"{path}: `panels` is not a mapping of file names to lists of runs.")
    found = {str(panel): [str(name) for name in names] for panel, names in panels.items()}
    for panel, name in ((panel, name) for panel, names in found.items() for name in names):
        if name not in runs:
            hint = nearest(name, runs)
            meant = f" Did you mean {hint}?" if hint else f" It has {', '.join(runs)}."
            raise DataError(f"{path}: `panels.{panel}` names {name}, which is no run of the suite.{meant}")
    return found


def _read(folder: Path) -> Values:
    path = folder / SUITE
    if not path.is_file():
        raise DataError(f"{path} does not exist; suite= names a folder of experiments/.")
    suite = load_resolved_yaml(path)
    if not isinstance(suite.get("runs"), dict) or not suite["runs"]:
        raise DataError(f"{path} has no `runs`: a mapping of names to lists of overrides.")
    return suite


def job_of(name: str, words: Sequence[str], parent: Path) -> Job:
    """The job with these overrides; its folder below `parent` is known by them."""
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]
    slug = re.sub(r"[^\w.]+", "-", name)
    return Job(name, tuple(words), parent / f"{slug}-{digest}")


def _words(path: Path, key: str, words: object) -> list[str]:
    if not isinstance(words, list) or not all(isinstance(word, str) and "=" in word for word in words):
        raise DataError(f"{path}: `{key}` is not a list of overrides such as [experiment=modnet].")
    return words


def shown(job: Job) -> str:
    """The job's command as one types it."""
    return shlex.join(["python", "-m", "kolbench", *conf_words(), *job.words])


def published(job: Job) -> str:
    """The job's command for results that others read: a folder of this machine gives way to a word."""
    return shlex.join(["python", "-m", "kolbench", *conf_words(), *(_anywhere(word) for word in job.words)])


def _anywhere(word: str) -> str:
    """`data.root=/home/me/faces` as `data.root=ROOT`; ids, relative paths and all else as they are.

    So are the paths of a mapping: `data.still={source: folder, root: ROOT}`.
    """
    key, _, value = word.partition("=")
    name = key.lstrip("+")
    place = value.strip("'\"")
    is_path = name in PATHS or name.startswith("paths.")
    if value.startswith("{"):
        return f"{key}={_NESTED.sub(_without_path, value)}"
    if not is_path or not Path(place).expanduser().is_absolute():
        return word
    return f"{key}={name.rpartition('.')[2].upper()}"


def _without_path(found: re.Match[str]) -> str:
    is_path = Path(found["place"]).expanduser().is_absolute()
    return f"{found['name']}: {found['name'].upper()}" if is_path else found[0]


@dataclass(frozen=True)
class _Execution:
    """Jobs as a launcher is given them."""

    jobs: tuple[Job, ...]
    typed: tuple[str, ...]

    def __call__(self, number: int) -> None:
        job = self.jobs[number]
        print(f"== {job.name}", flush=True)
        execute(job, self.typed)


def execute_all(jobs: Sequence[Job]) -> list[str]:
    """Runs them anew, by the launcher that `hydra/launcher=` names; the names of those that failed.

    Raises:
        ConfigError: the launcher is not installed, or torchrun or srun has started several processes.
    """
    sweep_jobs.require_one_process()
    for job in jobs:
        # what a launcher does not come to has failed
        shutil.rmtree(job.folder, ignore_errors=True)
    try:
        if jobs:
            work = _Execution(tuple(jobs), tuple(conf_words()))
            launching.launch(work, len(jobs), jobs[0].folder.parent)
    except ConfigError:
        raise
    except KolbenchError as error:
        print(f"kolbench: {error}", file=sys.stderr, flush=True)
    return [job.name for job in jobs if not job.finished]


def execute(job: Job, typed: Sequence[str] = ()) -> None:
    """Runs it anew, in a process of its own; whether it succeeded says its folder.

    Args:
        typed: words that say where YAML files of one's own are.
    """
    # a cluster may start it a second time
    shutil.rmtree(job.folder, ignore_errors=True)
    # in Hydra's grammar, so that spaces and apostrophes in the path are taken as they are
    place = '"{}"'.format(str(job.folder).replace('"', '\\"'))
    command = [sys.executable, "-m", "kolbench", *typed, *job.words, f"hydra.run.dir={place}"]
    subprocess.run(command, check=False, env={**os.environ, IN_SUITE: "1"})  # noqa: S603 - a list of words, no shell


def row_of(done: RunRecord) -> Row:
    """A finished run's row of a table."""
    assert done.threshold is not None  # of a finished run
    return {"truth_access": done.truth_access, "threshold": done.threshold, **done.scores}


def rows_of(runs: Sequence[tuple[str, RunRecord]]) -> list[Scored]:
    """A table's rows of finished runs by their labels, and each of their baselines once."""
    methods = [
        Scored(label, done.method, row_of(done), baseline=done.method in BASELINES) for label, done in runs
    ]
    kept = [(label, done.baselines) for label, done in runs]
    # a run of its own stands for the baseline
    own = {one.label for one in methods}
    return [*methods, *(row for row in baseline_rows(kept) if row.method not in own)]


def write_results(folder: Path, jobs: Sequence[Job]) -> None:
    """`scores.csv`, a row per run; `curves.csv`, a row per run and threshold; `runs.json`, the commands."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, curves, records = [], [], {}
    for job in jobs:
        done = job.record
        rows.append(
            {
                "run": job.name,
                "method": done.method,
                "truth_access": done.truth_access,
                **done.scores,
                **_figures(done),
            }
        )
        curve = pd.read_csv(job.folder / run_folder.CURVE)
        curves.append(curve[curve["split"] == "test"].assign(run=job.name))
        keys = (
            "budget",
            "data",
            "seed",
            "device",
            "timed_on",
            "versions",
            "commit",
            "machine",
            "baselines",
            "fingerprint",
            "training",
        )
        records[job.name] = {"command": published(job), **{key: _plain(getattr(done, key)) for key in keys}}
    for name, table in (("scores.csv", pd.DataFrame(rows)), ("curves.csv", pd.concat(curves))):
        write_atomically(folder / name, partial(table.to_csv, index=False))
    write_json(folder / "runs.json", records)


def _figures(done: RunRecord) -> dict[str, object]:
    training = done.training or TrainingSummary()
    return {
        **{key: getattr(done, key) for key in _FIGURES},
        "train_seconds": training.train_seconds,
        "best_epoch": training.best_epoch,
    }


def _plain(value: object) -> object:
    """A part of a record as JSON has it."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
