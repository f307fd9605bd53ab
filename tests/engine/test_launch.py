"""Who this process is among others, from the environment; how the death of one ends all."""

import os

import pytest
import torch

from kolbench.engine import launch
from kolbench.engine.team import Plan
from kolbench.errors import ConfigError, TrainingError
from tests.helpers.commands import python

CPU = torch.device("cpu")
TWO = Plan(CPU, 2, strategy="ddp")
OF_OTHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "NODE_RANK", launch.LOCAL_RANK)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No launcher has started the tests."""
    for name in (*OF_OTHERS, *(name for name in os.environ if name.startswith("SLURM_"))):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def slurm(patch, **variables):
    for name, value in {"NTASKS": "2", "JOB_NAME": "train", "JOB_ID": "7", **variables}.items():
        patch.setenv(f"SLURM_{name}", value)


def test_one_process_leads_and_those_it_starts_follow(alone):
    assert not launch.is_follower(Plan(CPU))
    assert not launch.is_follower(TWO)
    alone.setenv(launch.LOCAL_RANK, "1")
    assert launch.is_follower(TWO)


def test_machines_are_numbered_where_there_are_several(alone):
    # some clusters set it for every job
    alone.setenv("NODE_RANK", "1")
    assert not launch.is_follower(TWO)
    assert launch.is_follower(Plan(CPU, 2, 2, "ddp"))
    alone.setenv("NODE_RANK", "2")
    with pytest.raises(ConfigError, match=r"NODE_RANK=2, but trainer\.num_nodes=2"):
        launch.is_follower(Plan(CPU, 2, 2, "ddp"))


def test_processes_of_srun_are_known_by_their_numbers(alone):
    slurm(alone, NTASKS_PER_NODE="2", PROCID="1", LOCALID="1", NODEID="0")
    assert launch.is_follower(TWO)
    alone.setenv("SLURM_PROCID", "0")
    assert not launch.is_follower(TWO)
    with pytest.raises(ConfigError, match=r"srun has started 2 processes, but trainer\.devices=3 and"):
        launch.is_follower(Plan(CPU, 3, strategy="ddp"))


def test_what_slurm_must_be_asked_for_is_said(alone):
    slurm(alone, PROCID="1")
    with pytest.raises(ConfigError, match=r"srun: .*--ntasks-per-node"):
        launch.is_follower(TWO)


def test_processes_of_several_machines_are_started_on_each():
    with (
        pytest.raises(ConfigError, match=r"srun, or with torchrun --nnodes 2 --nproc-per-node 1"),
        launch.together(Plan(CPU, 1, 2, "ddp"), []),
    ):
        raise AssertionError


def test_an_empty_folder_of_srun_s_is_removed_and_no_other(alone, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full" / "inside").mkdir(parents=True)
    for name in ("empty", "full"):
        launch.leave_no_folder(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    # one that kolbench starts works in the folder where the command was given
    alone.setenv(launch.LOCAL_RANK, "1")
    (tmp_path / "full" / "inside").rmdir()
    launch.leave_no_folder(tmp_path / "full")
    assert (tmp_path / "full").is_dir()


PROGRAM = """
import sys, time, torch
from pathlib import Path
from kolbench.engine import launch
from kolbench.engine.team import Plan
launch.GRACE_SECONDS = 0.5
started = []
real = launch.subprocess.Popen
def instead(command, **given):
    started.append(real([sys.executable, "-c", sys.argv[1]], **given))
    return started[-1]
launch.subprocess.Popen = instead
Path("begun").touch()
with launch.together(Plan(torch.device("cpu"), 2, strategy="ddp"), [], Path("lost").write_text):
    raise AssertionError
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dying", "says"),
    [
        ("import sys; print('kolbench: no room', file=sys.stderr); sys.exit(1)", "failed: no room."),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL (by the system where memory ran out"),
        ("import sys; sys.exit(3)", "failed with exit code 3."),
    ],
)
def test_a_process_that_dies_before_all_have_met_ends_all_at_once(dying, says, tmp_path):
    (tmp_path / "tmp").mkdir()
    done = python(PROGRAM, dying, cwd=tmp_path, code=1, environment={"TMPDIR": str(tmp_path / "tmp")})
    assert f"kolbench: Process 1 of this run {says}" in done.stderr
    assert says in (tmp_path / "lost").read_text()
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "tmp").glob("kolbench-*"))


def test_a_broken_connection_is_told_as_the_death_of_another(monkeypatch):
    class Group:
        def __enter__(self):
            return None

        def __exit__(self, *_):
            return None

    monkeypatch.setenv(launch.LOCAL_RANK, "0")
    monkeypatch.setattr(launch, "_group", lambda *_: Group())
    with (
        pytest.raises(TrainingError, match="Another process of this run has ended, and says why itself"),
        launch.together(TWO, []),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:3")
    with pytest.raises(RuntimeError, match="shapes differ"), launch.together(TWO, []):
        raise RuntimeError("shapes differ")
