"""Trackers with the real thing: event files read back, real offline wandb runs read back, closed ports."""

import json
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from kolbench.errors import ConfigError
from kolbench.tracking import (
    FALSE_FOREGROUND,
    MISSED_FOREGROUND,
    OUTLINE,
    Overlay,
    RunInfo,
    Trackers,
    overlay_picture,
)
from kolbench.tracking.tensorboard import TensorBoardTracker
from kolbench.tracking.weights_and_biases import WandbTracker, choose_mode

THRESHOLDS = [0.1, 0.5, 0.9]
MIOU = [0.5, 0.75, 0.625]


def info(folder, name="run"):
    return RunInfo(
        name, name, "a-sweep", folder, {"model": {"name": "u2netp"}, "seed": 3}, ("u2netp",), False
    )


def overlay():
    image = np.full((40, 60, 3), 90, np.uint8)
    truth = np.zeros((40, 60), np.uint8)
    truth[10:30, 10:30] = 1
    prediction = np.zeros((40, 60), np.uint8)
    prediction[10:30, 20:40] = 1
    return Overlay("scene", image, truth, prediction, prediction.astype(np.float32), "IoU 0.333")


def play(tracker, folder, name="run"):
    """A whole run as kolbench reports it."""
    tracker.start(info(folder, name))
    tracker.scalars(0, {"train/loss": 2.0, "val/miou": 0.5})
    tracker.scalars(1, {"train/loss": 1.5, "val/miou": 0.75})
    tracker.curve("test/threshold", THRESHOLDS, {"miou": MIOU})
    tracker.table("test/pictures", {"name": ["a", "b"], "iou": [0.25, 0.5]})
    tracker.overlays("test", 1, [overlay()])
    tracker.summary({"test/miou": 0.75, "method": "u2netp"})
    tracker.finish(False)


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No account, no settings of the person who runs the tests."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(home / "cache"))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def closed_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def inspected(run_file):
    """What wandb's own reader says about an offline run."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", str(run_file)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_an_offline_wandb_run_holds_what_was_reported(alone, tmp_path, capsys):
    play(WandbTracker(), tmp_path)
    printed = capsys.readouterr().out.strip().splitlines()
    assert len(printed) == 1
    run_file = next((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert "no API key" in printed[0]
    assert f"wandb sync {run_file.parent}" in printed[0]
    text = inspected(run_file)
    values = {words[0]: words[1:] for words in map(str.split, text.splitlines()) if len(words) > 1}
    assert values["test/miou"] == ["0.75"]
    assert values["method"] == ["u2netp"]
    assert values["val/miou"] == ["0.75"]
    assert "finished (exit code 0)" in text
    media = run_file.parent / "files" / "media"
    table = json.loads(next(media.rglob("pictures_table*.json")).read_text())
    assert table["data"] == [["a", 0.25], ["b", 0.5]]
    curve = json.loads(next(media.rglob("threshold_table*.json")).read_text())
    assert curve["data"] == [[t, m] for t, m in zip(THRESHOLDS, MIOU, strict=True)]
    assert len(list(media.rglob("images/*.png"))) == 1
    assert len(list(media.rglob("mask/*.png"))) == 2
    # nothing strays outside the run folder
    assert {p.name for p in tmp_path.iterdir()} <= {"wandb", "home"}


def test_two_jobs_of_one_process_are_two_runs(alone, tmp_path):
    for name in ("first", "second"):
        play(WandbTracker(), tmp_path / name, name)
    files = sorted(tmp_path.glob("*/wandb/offline-run-*/*.wandb"))
    assert [file.stem for file in files] == ["run-first", "run-second"]
    assert all("finished" in inspected(file) for file in files)


def test_a_failed_run_is_marked(alone, tmp_path):
    tracker = WandbTracker()
    tracker.start(info(tmp_path))
    tracker.finish(True)
    assert "exit code 1" in inspected(next((tmp_path / "wandb").glob("offline-run-*/*.wandb")))


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_a_server_that_does_not_answer_means_offline_at_once(mode, alone, tmp_path, closed_port, capsys):
    alone.setenv("WANDB_API_KEY", "a" * 40)
    alone.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed_port}")
    started = time.monotonic()
    play(WandbTracker(mode=mode), tmp_path)
    assert time.monotonic() - started < 30
    assert "does not answer" in capsys.readouterr().out
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.parametrize("said", ["offline", "disabled"])
def test_the_environment_may_keep_wandb_quiet(said, alone):
    alone.setenv("WANDB_API_KEY", "a" * 40)
    alone.setenv("WANDB_MODE", said)
    assert choose_mode("auto") == (said, f"WANDB_MODE={said}")
    assert choose_mode("online") == (said, f"WANDB_MODE={said}")


def test_a_key_and_a_server_mean_online(alone, tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        alone.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert choose_mode("auto")[0] == "offline"
        netrc = tmp_path / "home" / ".netrc"
        netrc.write_text("machine 127.0.0.1 login user password " + "a" * 40)
        netrc.chmod(0o600)
        assert choose_mode("auto") == ("online", "")


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match=r"logger\.wandb\.mode=of"):
        WandbTracker(mode="of")


def test_tensorboard_reads_back_what_was_reported(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    play(TensorBoardTracker(), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), {"images": 0, "tensors": 0}).Reload()
    assert [(e.step, e.value) for e in events.Scalars("val/miou")] == [(0, 0.5), (1, 0.75)]
    assert [(e.step, e.value) for e in events.Scalars("test/threshold/miou")] == [
        (10, 0.5),
        (50, 0.75),
        (90, 0.625),
    ]
    assert events.Scalars("summary/test/miou")[0].value == 0.75
    image = events.Images("test/scene")[0]
    assert (image.width, image.height) == (120, 40)


class Broken(TensorBoardTracker):
    """Fails in the middle of a run."""

    finished = 0

    def scalars(self, step, values):
        raise RuntimeError("no room")

    def finish(self, failed):
        Broken.finished += 1
        super().finish(failed)


def test_a_tracker_that_fails_is_switched_off_and_the_others_go_on(tmp_path, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Broken.finished = 0
    trackers = Trackers([Broken(), TensorBoardTracker()])
    play(trackers, tmp_path)
    printed = capsys.readouterr().out
    assert printed.count("Broken failed (RuntimeError: no room)") == 1
    assert Broken.finished == 1
    assert [type(tracker) for tracker in trackers] == [TensorBoardTracker]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert len(events.Scalars("val/miou")) == 2


def test_overlay_picture_colours_faults():
    picture = overlay_picture(overlay())
    assert picture.shape == (40, 120, 3)
    left, right = picture[:, :60], picture[:, 60:]
    assert tuple(left[10, 20]) == OUTLINE
    assert tuple(left[20, 20]) == (90, 90, 90)
    # a third of what lies below (90, or 11 where nothing is predicted) and two thirds of the colour
    mixed = [
        tuple(30 + v * 2 // 3 for v in FALSE_FOREGROUND),
        tuple(3 + v * 2 // 3 for v in MISSED_FOREGROUND),
    ]
    assert tuple(right[20, 35]) == mixed[0]
    assert tuple(right[20, 15]) == mixed[1]
    assert tuple(right[20, 25]) == (90, 90, 90)
    assert tuple(right[0, 0]) == (11, 11, 11)
