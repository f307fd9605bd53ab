"""Full disks, two jobs at once, a folder used twice: nothing is lost, and the message says what to do."""

import json
import resource
import signal
from contextlib import contextmanager
from functools import partial

import pytest

from tests.helpers.commands import kolbench, start

pytestmark = pytest.mark.slow

SMALL = ("experiment=unet", "budget=smoke", "budget.size=32", "data.picture_size=32")


@contextmanager
def no_file_larger_than(size):
    """What a full disk raises is raised here too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_two_jobs_with_the_same_training_share_it(tmp_path):
    longer = (*SMALL, "budget.epochs=4")
    other = start(*longer, "threshold=0.3", cwd=tmp_path)
    other.until(lambda: list(tmp_path.rglob("last.ckpt")))
    mine = kolbench(*longer, "threshold=0.6", cwd=tmp_path).stdout
    code, its, err = other.wait()
    assert code == 0, err
    assert len(list((tmp_path / "runs" / "trainings").iterdir())) == 1
    assert "training input size" in its
    assert "training input size" not in mine
    assert "is finished already" in mine
    assert "is finished already" not in its
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs" / "unet").glob("*/run.json")]
    assert sorted(record["threshold"] for record in records) == [0.3, 0.6]
    assert {record["status"] for record in records} == {"finished"}
    (best,) = (tmp_path / "runs" / "trainings").glob("*/best.ckpt")
    best.write_bytes(best.read_bytes()[:5000])
    err = kolbench(*longer, cwd=tmp_path, code=1).stderr
    assert "best.ckpt is damaged" in err
    assert "Or train it anew with resume=never." in err
    assert "Traceback" not in err


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder whose disk was full during a training, and what was said."""
    folder = tmp_path_factory.mktemp("filled")
    # a checkpoint of the U-Net with Adam's moments is larger
    with no_file_larger_than(8_000_000):
        return folder, kolbench(*SMALL, cwd=folder, code=1).stderr


def test_a_full_disk_is_said(filled):
    folder, err = filled
    assert "failed (File too large)" in err
    assert "Make room there" in err
    assert "Traceback" not in err
    assert not list(folder.rglob("*.partial"))
    record = json.loads(next((folder / "runs" / "unet").glob("*/run.json")).read_text())
    assert record["status"] == "failed"


@pytest.fixture(scope="module")
def trained(filled):
    """The same folder; with room on the disk the same command goes on."""
    folder, _ = filled
    kolbench(*SMALL, "hydra.run.dir=mine", cwd=folder)
    return folder


def test_a_run_folder_is_never_used_twice(trained):
    before = (trained / "mine" / "run.json").read_text()
    err = kolbench(*SMALL, "hydra.run.dir=mine", cwd=trained, code=1).stderr
    assert "belongs to another run" in err
    assert (trained / "mine" / "run.json").read_text() == before


def test_resume_never_trains_anew_and_keeps_the_old_training(trained):
    out = kolbench(*SMALL, "resume=never", cwd=trained).stdout
    assert "training input size" in out
    names = sorted(path.name for path in (trained / "runs" / "trainings").iterdir())
    assert len(names) == 2
    assert names[1] == f"{names[0]}-2"


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_pictures(tmp_path):
    words = (*SMALL, "budget.lr_factor=1e30")
    err = kolbench(*words, cwd=tmp_path, code=1).stderr
    assert "The loss is not finite in epoch 0" in err
    assert "scene_0000" in err
    assert "Traceback" not in err


def _newest(folder):
    """When a checkpoint was last written; 0 = there is none."""
    return max((path.stat().st_mtime_ns for path in folder.rglob("last.ckpt")), default=0)


def _is_newer(folder, moment):
    return _newest(folder) > moment


def test_a_stopped_training_says_so_and_goes_on(tmp_path):
    long = (*SMALL, "budget.epochs=6", "budget.limit.train=4")
    at = 0
    for signal_number, code, says in (
        (signal.SIGINT, 130, "stopped by the keyboard"),
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
    ):
        process = start(*long, cwd=tmp_path)
        process.until(partial(_is_newer, tmp_path, at))
        process.send_signal(signal_number)
        found, out, err = process.wait()
        assert found == code
        assert says in err
        assert "Traceback" not in err
        assert ("going on from" in out) == bool(at)
        at = _newest(tmp_path)
        newest = max((tmp_path / "runs" / "unet").glob("*/run.json"))
        assert json.loads(newest.read_text())["status"] == "interrupted"
    assert "going on from" in kolbench(*long, cwd=tmp_path).stdout


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "runs").write_text("a file")
    err = kolbench(*SMALL, cwd=tmp_path, code=1).stderr
    assert "runs" in err
    assert "Traceback" not in err
