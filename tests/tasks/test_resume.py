"""A training that was killed goes on, and ends as if it had not been."""

import shutil
import signal

import pytest
import torch

from tests.helpers.commands import kolbench, start
from tests.helpers.files import only
from tests.helpers.networks import SLIM

pytestmark = pytest.mark.slow

WORDS = (
    "experiment=rsudisnet",
    "budget=smoke",
    "budget.size=64",
    "data.picture_size=64",
    "budget.limit={train: 4, val: 1, test: 1}",
    "budget.epochs=3",
    "budget.pretraining_steps=4",
    "budget.pretraining_check_every=2",
    "model.gt_stop_f=1.0",
    *(f"++model.{key}={value}" for key, value in SLIM.items()),
)


def rows_of(path):
    return path.read_text().splitlines()[1:] if path.is_file() else []


def killed_when(ready, cwd):
    """Starts a run and kills it without warning as soon as `ready(training folder)` holds; what it said."""
    process = start(*WORDS, cwd=cwd)
    process.until(lambda: any(ready(training) for training in (cwd / "runs" / "trainings").glob("*")))
    process.send_signal(signal.SIGKILL)
    killed = process.wait()
    assert killed.returncode == -signal.SIGKILL
    return killed.stdout


def has_rows(history, rows):
    def ready(training):
        path = training / history
        return len(rows_of(path)) >= rows and path.with_name("last.ckpt").exists()

    return ready


def training_of(folder):
    return only((folder / "runs" / "trainings").iterdir())


def assert_same_training(first, second):
    names = sorted(str(p.relative_to(first)) for p in first.rglob("*.ckpt"))
    assert names == sorted(str(p.relative_to(second)) for p in second.rglob("*.ckpt"))
    assert names
    for name in names:
        a, b = (torch.load(f / name, weights_only=True) for f in (first, second))
        assert a["state_dict"].keys() == b["state_dict"].keys()
        for key, value in a["state_dict"].items():
            assert torch.equal(value, b["state_dict"][key]), (name, key)
    for history in first.rglob("history.csv"):
        assert history.read_bytes() == (second / history.relative_to(first)).read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    kolbench(*WORDS, cwd=folder)
    training = training_of(folder)
    assert len(rows_of(training / "history.csv")) == 3
    assert len(rows_of(training / "gt_encoder" / "history.csv")) == 2
    return training


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder whose run was killed in the first stage, and again after its second epoch of three."""
    folder = tmp_path_factory.mktemp("killed")
    killed_when(has_rows("gt_encoder/history.csv", 1), folder)
    training = training_of(folder)
    assert len(rows_of(training / "gt_encoder" / "history.csv")) < 2
    assert rows_of(training / "history.csv") == []
    assert "was interrupted: going on in" in killed_when(has_rows("history.csv", 2), folder)
    assert len(rows_of(training / "history.csv")) < 3
    return folder


def test_a_killed_stage_ends_with_the_same_weights_and_rows(uninterrupted, killed):
    assert_same_training(uninterrupted / "gt_encoder", training_of(killed) / "gt_encoder")


def test_a_killed_training_ends_with_the_same_weights_and_rows(uninterrupted, killed, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "copy")
    done = kolbench(*WORDS, "resume=auto", cwd=folder)
    assert "was interrupted: going on in" in done.stdout
    assert_same_training(uninterrupted, training_of(folder))


def test_a_damaged_checkpoint_falls_back_to_the_one_before(uninterrupted, killed, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "copy")
    last = training_of(folder) / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    done = kolbench(*WORDS, cwd=folder)
    assert "cannot be read" in done.stdout
    assert_same_training(uninterrupted, training_of(folder))


def test_a_run_whose_training_another_process_has_taken_over_fails_as_that(tmp_path):
    words = (*WORDS, "+callbacks.other._target_=tests.helpers.training.TakenOver")
    done = kolbench(*words, cwd=tmp_path, code=1)
    folder = training_of(tmp_path)
    assert f"kolbench: Another process has taken over {folder.relative_to(tmp_path)}, " in done.stderr
    # only what the epoch before the loss left
    assert len(rows_of(folder / "history.csv")) == 1
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 0
    assert not (folder / "previous.ckpt").exists()
