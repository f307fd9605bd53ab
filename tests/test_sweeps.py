"""Sweeps through launchers of others: one folder, one exit code, one table, whichever process ran a job."""

import importlib.util
import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Barrier
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.errors import MissingConfigException

from kolbench.config.explain import explain, explain_plugin
from kolbench.errors import ConfigError, first_line, told
from kolbench.runs import sweep_jobs
from kolbench.runs.sweep_outputs import SweepOutputs
from tests.helpers.commands import kolbench

CODE = """
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from kolbench.config.fields import key, whole
from kolbench.config.folder import typed_conf_dirs
from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError
from kolbench.runs.run_folder import claim


@dataclass(frozen=True)
class ProbeConfig(TaskConfig):
    value: int


def run(config: ProbeConfig) -> TaskResult:
    if config.value == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if config.value == 12:
        claim(config.paths.run)
        if not Path("started").exists():
            Path("started").touch()
            os.kill(os.getpid(), signal.SIGUSR2)
    if config.value < 0:
        raise ConfigError("value is below zero")
    assert [folder.name for folder in typed_conf_dirs()] == ["conf"]
    row = {"truth_access": "none", "threshold": 0.5, "miou": config.value / 10}
    return TaskResult(row=row, objective=-abs(config.value - 4), exit_code=config.value)
"""
YAML = """
# @package _global_
task:
  name: probe
  run: my_probe_task.run
value: 0
"""
MODULES = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher"}


def launched_by(*launchers):
    """The launchers to test, basic or by their plugins; skipped where a plugin is not installed."""
    return [
        pytest.param(name, marks=installed(MODULES[name])) if name in MODULES else name for name in launchers
    ]


def installed(module):
    absent = importlib.util.find_spec("hydra_plugins") is None or (
        importlib.util.find_spec(f"hydra_plugins.{module}") is None
    )
    return pytest.mark.skipif(absent, reason=f"needs {module}, of an extra of pyproject.toml")


@pytest.fixture
def own(tmp_path):
    """A folder with a task of a user's, which loads neither torch nor pictures."""
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "probe.yaml").write_text(YAML)
    (tmp_path / "my_probe_task.py").write_text(CODE)
    yield tmp_path
    sys.modules.pop("my_probe_task", None)
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        # its workers stand in this folder
        get_reusable_executor().shutdown(wait=True)


def swept(own, values, launcher, code):
    words = ("--config-dir", "conf", "-m", "task=probe", f"value={values}", f"hydra/launcher={launcher}")
    return kolbench(*words, cwd=own, code=code)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", launched_by("basic", "joblib", "submitit_local"))
def test_a_failing_job_gives_exit_code_1_its_reason_and_the_table_of_the_others(launcher, own):
    done = swept(own, "3,-1,5", launcher, code=1)
    assert done.stderr.count("kolbench: job 1 (task=probe,value=-1): value is below zero") >= 1
    assert (
        done.stderr.splitlines()[-1] == "kolbench: 1 of the sweep's jobs failed: job 1 (task=probe,value=-1)"
    )
    table = done.stdout.partition("all jobs of the sweep")[2]
    assert "value=3" in table
    assert "0.3000" in table
    assert "value=5" in table
    assert "value=-1" not in table
    # one folder, whichever process
    (sweep,) = (own / "runs" / "sweeps").iterdir()
    assert sorted(path.name for path in sweep.iterdir() if path.is_dir() and path.name[0] != ".") == [
        "0_rsudisnet",
        "1_rsudisnet",
        "2_rsudisnet",
    ]
    processes = {job.process for job in sweep_jobs.read(sweep)}
    assert (sweep_jobs.this_process() in processes) == (launcher == "basic")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", launched_by("basic", "joblib"))
def test_the_exit_code_of_a_sweep_is_the_highest_of_its_tasks(launcher, own):
    swept(own, "0,7,5", launcher, code=7)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", launched_by("joblib"))
def test_a_suite_goes_through_the_launcher(launcher, own):
    (own / "02_pair").mkdir()
    runs = "{oval: [experiment=my_oval], broken: [experiment=ellipse, seed=-1]}"
    (own / "02_pair" / "suite.yaml").write_text(f"common: [budget=smoke]\nruns: {runs}\n")
    (own / "conf" / "experiment").mkdir()
    (own / "conf" / "experiment" / "my_oval.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /model: ellipse\n"
    )
    words = ("--config-dir", "conf", "task=suite", "suite=02_pair", f"hydra/launcher={launcher}")
    done = kolbench(*words, "data.picture_size=64", cwd=own, code=1)
    assert done.stdout.index("2 of 2, broken: to run") < done.stdout.index("== oval")
    assert "failed: broken" in done.stdout
    assert "seed=-1 is not a whole number" in done.stderr
    scored = (own / "02_pair" / "results" / "scores.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in scored] == ["run", "oval"]
    (oval,) = (own / "runs" / "suites" / "02_pair").glob("oval-*")
    # the words of the launcher are no words of a run
    assert "hydra" not in (oval / "run.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", launched_by("joblib", "submitit_local"))
def test_a_job_that_is_killed_is_named(launcher, own):
    done = swept(own, "13,3", launcher, code=1)
    assert "kolbench: job 0 (task=probe,value=13): no result: its process was killed" in done.stderr
    assert "the sweep broke off" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.fixture
def cluster(monkeypatch):
    """The basic launcher, but what SIGUSR2 interrupts is started again, as submitit does."""
    # Hydra loads the modules of its plugins a second time
    basic: Any = Plugins.instance().class_name_to_class[
        "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
    ]
    launch = basic.launch

    def launch_again(self, job_overrides, initial_job_idx):
        signal.signal(signal.SIGUSR2, lambda *_: sys.exit(-1))
        try:
            return launch(self, job_overrides, initial_job_idx)
        except SystemExit:
            return launch(self, job_overrides, initial_job_idx)

    monkeypatch.setattr(basic, "launch", launch_again)


def require_second_start(own, launcher):
    done = swept(own, "12", launcher, code=12)
    assert (own / "started").exists()
    (sweep,) = (own / "runs" / "sweeps").iterdir()
    (job,) = sweep_jobs.read(sweep)
    assert (job.ended, job.error, job.exit_code) == (True, None, 12)
    # it is its own again
    assert (sweep / "0_rsudisnet" / ".claimed").exists()
    return done.stdout


@pytest.mark.usefixtures("cluster")
def test_a_job_that_is_interrupted_and_started_again_takes_its_own_folder(own):
    said = "job 0 (task=probe,value=12) was interrupted and is started again"
    assert require_second_start(own, "basic").count(said) == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", launched_by("submitit_local"))
def test_so_does_one_that_submitit_starts_again(launcher, own):
    require_second_start(own, launcher)


@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs submitit, of an extra")
def test_what_a_cluster_ended_for_good_is_told_as_that():
    from submitit.core.utils import UncompletedJobError

    said = str(told(UncompletedJobError("Job not requeued because: timed-out too many times.")))
    assert said.startswith(
        "the cluster ended the job: Job not requeued because: timed-out too many times. hydra."
    )
    assert "fault of kolbench" not in said
    silent = "Job 7 (task: 0) with path x\nhas not produced any output (state: TIMEOUT)\nNo error stream a\nb"
    assert first_line(UncompletedJobError(silent)) == (
        "the cluster ended the job: Job 7 (task: 0) with path x has not produced any output (state: TIMEOUT)"
    )


def test_a_folder_of_an_earlier_sweep_is_not_taken(own):
    words = ("--config-dir", "conf", "-m", "task=probe", "value=12", "hydra.sweep.dir=swept")
    (own / "started").touch()
    kolbench(*words, cwd=own, code=12)
    assert "belongs to another run" in kolbench(*words, cwd=own, code=1).stderr


def test_a_second_sweep_into_the_same_folder_forgets_the_first(own):
    place = "hydra.sweep.dir=swept"
    words = ("--config-dir", "conf", "-m", "task=probe", place)
    kolbench(*words, "value=-1,-2", cwd=own, code=1)
    assert "value=3" in kolbench(*words, "value=3,0", cwd=own, code=3).stdout
    assert [job.words[-1] for job in sweep_jobs.read(own / "swept")] == ["value=3", "value=0"]


def test_jobs_are_read_in_their_order_and_one_without_an_end_has_failed(tmp_path):
    made = [sweep_jobs.JobOutcome(n, f"job {n}", ("a=b",), "host:1", ended=n != 2) for n in (10, 2)]
    for job in made:
        sweep_jobs.write(tmp_path, job)
    assert sweep_jobs.read(tmp_path) == [made[1], made[0]]
    assert [job.failure is None for job in sweep_jobs.read(tmp_path)] == [False, True]
    (first, _) = sorted((tmp_path / sweep_jobs.FOLDER).iterdir())
    assert json.loads(first.read_text())["number"] == 10


def entered(sweep, job):
    outputs = SweepOutputs()
    outputs.enter(sweep, job)
    return outputs


@pytest.mark.parametrize(("rank", "kept"), [(None, True), ("0", True), ("3", False)])
def test_the_first_of_a_jobs_processes_keeps_what_it_came_to(rank, kept, tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    if rank is not None:
        monkeypatch.setenv("SLURM_PROCID", rank)
    sweep_jobs.write(tmp_path, sweep_jobs.JobOutcome(0, "job 0", (), sweep_jobs.this_process()))
    assert bool(sweep_jobs.read(tmp_path)) is kept


@pytest.mark.parametrize(
    ("environment", "refused"),
    [
        ({}, None),
        # a number that is not torchrun's
        ({"WORLD_SIZE": "4"}, None),
        ({"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "1"}, None),
        ({"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4"}, "torchrun has started 4 processes"),
        ({"SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"SLURM_STEP_NUM_TASKS": "8"}, "srun has started 8 processes"),
    ],
)
def test_a_sweep_is_refused_where_several_processes_were_started(environment, refused, monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with nullcontext() if refused is None else pytest.raises(ConfigError, match=refused):
        sweep_jobs.require_one_process()


def test_a_file_belongs_to_the_job_that_took_it_first_in_whichever_process(tmp_path):
    first, second = (entered(tmp_path, job) for job in ("job 0 (a=1)", "job 1 (a=2)"))
    first.take([tmp_path / "a.png"])
    first.take([tmp_path / "b" / ".." / "a.png"])
    with pytest.raises(ConfigError, match=r"a\.png was written by job 0 \(a=1\) of this sweep"):
        second.take([tmp_path / "c.png", tmp_path / "a.png"])
    # a job that is refused has taken nothing
    first.take([tmp_path / "c.png"])
    first.leave()
    first.take([tmp_path / "d.png"])
    second.take([tmp_path / "d.png"])


def test_of_jobs_that_take_a_file_at_once_one_wins(tmp_path):
    barrier = Barrier(8)

    def take(number):
        outputs = entered(tmp_path, f"job {number}")
        barrier.wait()
        try:
            outputs.take([tmp_path / "a.png"])
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


@pytest.mark.parametrize(
    ("text", "extra"),
    [
        ("Unknown plugin class : 'hydra_plugins.hydra_submitit_launcher.a.SlurmLauncher'", "slurm"),
        ("No module named 'optuna'", "hpo"),
    ],
)
def test_a_launcher_that_is_not_installed_is_answered_with_its_extra(text, extra):
    assert f"[{extra}]" in explain_plugin(RuntimeError(text))
    assert explain_plugin(RuntimeError("No module named 'other'")) == ""


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_so_is_a_launcher_whose_choice_its_plugin_brings(launcher):
    lacking = MissingConfigException("no such file", f"hydra/launcher/{launcher}", ["basic", "slurm"])
    extra = {"submitit_local": "slurm"}.get(launcher, launcher)
    told = explain(lacking)
    assert told.startswith(f"{launcher} is not installed: pip install")
    assert told.endswith(f'-e ".[{extra}]".')
    # it cannot be had beside the lock
    assert ("requirements.lock" in told) == (launcher != "ray")
