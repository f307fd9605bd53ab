"""`task=fit` with two real processes, from the command line: one is killed, a sweep, torchrun."""

import json
import signal
import time

import pandas as pd
import pytest
import torch

from tests.helpers.commands import kolbench, python, start
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.slow

SMALL = (
    *("experiment=unet", "budget=smoke", "budget.size=32", "data.picture_size=32", "budget.epochs=3"),
    "trainer=cpu_ddp",
)
# stands for a process that the system ends for want of memory
KILLER = """
import os, signal
from pathlib import Path
from lightning.pytorch.callbacks import Callback

class Killer(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        once = Path("killed")
        if trainer.global_rank == 1 and trainer.current_epoch == 1 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""
WATCHED = (*SMALL, "+callbacks.killer._target_=killing.Killer")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder in which process 1 was killed in the second of three epochs, and what was left."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "killing.py").write_text(KILLER)
    return folder, start(*WATCHED, cwd=folder).wait()


def test_the_death_of_a_process_ends_the_run_with_its_cause(killed):
    folder, done = killed
    assert done.returncode == 1
    assert (
        "kolbench: Process 1 of this run was ended by SIGKILL (by the system where memory ran out"
        in done.stderr
    )
    assert "the same command goes on from the last checkpoint" in done.stderr
    assert "Traceback" not in done.stderr
    (path,) = (folder / "runs" / "unet").glob("*/run.json")
    record = json.loads(path.read_text())
    assert (record["status"], "SIGKILL" in record["error"]) == ("failed", True)


def test_the_same_command_goes_on_to_the_same_weights(killed, tmp_path):
    folder, _ = killed
    said = start(*WATCHED, "hydra.run.dir=again", cwd=folder).wait().stdout
    assert "was interrupted: going on in" in said
    (tmp_path / "killing.py").write_text(KILLER)
    (tmp_path / "killed").touch()
    assert start(*WATCHED, "hydra.run.dir=again", cwd=tmp_path).wait().returncode == 0
    one, other = (
        torch.load(root / "again/checkpoints/best.ckpt", weights_only=True)["state_dict"]
        for root in (folder, tmp_path)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    histories = [pd.read_csv(root / "again" / "history.csv") for root in (folder, tmp_path)]
    assert histories[0].equals(histories[1])
    assert list(histories[0]["epoch"]) == [0, 1, 2]


def test_sigterm_ends_all_as_it_ends_one(tmp_path):
    running = start(*SMALL, "budget.epochs=500", cwd=tmp_path)
    running.until(lambda: list(tmp_path.rglob("last.ckpt")))
    running.send_signal(signal.SIGTERM)
    done = running.wait()
    assert done.returncode == 143
    assert "stopped by SIGTERM; the same command may be given again" in done.stderr
    (path,) = (tmp_path / "runs" / "unet").glob("*/run.json")
    assert json.loads(path.read_text())["status"] == "interrupted"
    # nobody trains on
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    before = checkpoint.stat().st_mtime_ns
    time.sleep(2)
    assert checkpoint.stat().st_mtime_ns == before


def test_two_processes_score_as_one_does(killed):
    folder, _ = killed
    scenes = "budget.scenes={train:2,val:3,test:5}"
    words = (
        "task=test",
        "weights=again",
        *SMALL[1:5],
        scenes,
        "budget.limit={train:null,val:null,test:null}",
    )
    for name, more in (("alone", ("trainer=default",)), ("shared", ("trainer=cpu_ddp",))):
        done = start(*words, *more, f"hydra.run.dir={name}", cwd=folder).wait()
        assert done.returncode == 0, done.stderr
        assert ("2 processes share the images that are scored" in done.stdout) == (name == "shared")
    alone, shared = (
        {
            path.relative_to(folder / name).as_posix(): path.read_bytes()
            for path in (folder / name).rglob("*")
            if path.is_file() and path.suffix in (".png", ".jpg")
        }
        for name in ("alone", "shared")
    )
    assert len(alone) > 15
    assert alone == shared
    for name in ("histograms.parquet", "traits.parquet"):
        tables = [pd.read_parquet(folder / run / name) for run in ("alone", "shared")]
        one, other = (table.drop(columns="seconds", errors="ignore") for table in tables)
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    records = [json.loads((folder / run / "run.json").read_text()) for run in ("alone", "shared")]
    assert records[0]["scores"] == records[1]["scores"]
    assert not list(folder.rglob("parts"))


def test_no_other_process_replays_a_sweep(tmp_path):
    done = start("-m", *SMALL, "seed=0,1", cwd=tmp_path).wait()
    assert done.returncode == 0, done.stderr
    folders = [path.parent for path in (tmp_path / "runs").rglob("run.json")]
    assert len(folders) == 2
    assert [json.loads((each / "run.json").read_text())["status"] for each in folders] == ["finished"] * 2
    assert done.stdout.count("run folder") == 2
    assert len(list((tmp_path / "runs" / "trainings").iterdir())) == 2


def torchrun(*words, cwd, code=0):
    launcher = "from torch.distributed.run import main; main()"
    own = ("--standalone", "--nproc-per-node", "2", "-m", "kolbench")
    return python(launcher, *own, *words, cwd=cwd, code=code, environment={"OMP_NUM_THREADS": "1"})


def test_the_processes_of_torchrun_are_taken_as_they_are(tmp_path):
    done = torchrun(*SMALL, cwd=tmp_path)
    assert "Warning" not in done.stderr
    assert done.stdout.count("run folder") == 1
    (record,) = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "unet").glob("*/run.json")]
    assert record["status"] == "finished"
    assert len(list((tmp_path / "runs" / "unet").iterdir())) == 1


@pytest.mark.parametrize(
    "words", [("-m", *SMALL, "seed=0,1"), ("task=suite", f"suite={ROOT / 'experiments' / '01_methods'}")]
)
def test_several_jobs_in_the_processes_of_torchrun_are_refused(words, tmp_path):
    err = torchrun(*words, cwd=tmp_path, code=1).stderr
    assert "kolbench: torchrun has started 2 processes, and each would go through all jobs. Start one" in err
    assert "exitcode  : 2" in err
    assert not list(tmp_path.rglob("run.json"))


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    err = kolbench(*SMALL, "budget.batch=3", cwd=tmp_path, code=2).stderr
    assert "2 processes cannot share batches (budget.batch, and images of an epoch) of 3 equally" in err
    assert not list((tmp_path / "runs").rglob("*.ckpt"))
