"""Trackers with the real thing: event files read back, real offline wandb runs read back, closed ports."""

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from kolbench.config.compose import conf_dir, instantiate, plain, register
from kolbench.errors import ConfigError
from kolbench.tracking.overlay import NARROWEST, Overlay
from kolbench.tracking.tensorboard import TensorBoardTracker, settings_of
from kolbench.tracking.tracker import RunInfo, Trackers, one_line
from kolbench.tracking.weights_and_biases import WandbTracker, answers, choose_mode, has_key

THRESHOLDS = [0.1, 0.5, 0.505, 0.9]
MIOU = [0.5, 0.75, 0.875, 0.625]
KEY = "a" * 40
BLOCK = 32768


def info(folder, name="run", **changes):
    known = {
        "id": name,
        "name": f"{name} of a test",
        "group": "a-sweep",
        "folder": folder,
        "config": {"model": {"name": "u2netp"}, "seed": 3, "threshold": None},
        "tags": ("u2netp", "smoke"),
    }
    return RunInfo(**{**known, **changes})


def overlay():
    image = np.full((40, 60, 3), 90, np.uint8)
    truth = np.zeros((40, 60), np.uint8)
    truth[10:30, 10:30] = 1
    prediction = np.zeros((40, 60), np.uint8)
    prediction[10:30, 20:40] = 1
    return Overlay("scene", image, truth, prediction, prediction.astype(np.float32), 1 / 3)


def play(tracker, folder, name="run"):
    """A whole run as kolbench reports it, with numpy's scalars and pictures without a product."""
    tracker.start(info(folder, name))
    tracker.scalars(0, {"train/loss": 2.0, "val/miou": np.float64(0.5)})
    tracker.scalars(1, {"train/loss": 1.5, "val/miou": np.float64(0.75)})
    tracker.curve("test/threshold", THRESHOLDS, {"miou": MIOU, "acc": [1.0, 1.0, 1.0, 0.25]})
    products = np.array([0.5, np.nan])
    tracker.table("test/pictures", {"name": ["a", "b|c"], "iou": [0.25, 0.5], "product_recall": products})
    tracker.overlays("test", 1, [overlay()])
    tracker.summary({"test/miou": 0.75, "method": "u2netp", "parameters": 1131181})
    tracker.finish(False)


def records(path):
    """The records of a finished .wandb file; wandb writes its end some milliseconds after finish()."""
    for _ in range(500):
        found = list(parsed(path.read_bytes()))
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        time.sleep(0.01)
    raise AssertionError(f"{path} has no end")


def parsed(data):
    """The protobuf records in LevelDB's log framing, behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made at import

    assert data[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(data):
        room = BLOCK - at % BLOCK
        if room < 7:
            at += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if at > len(data):
            return  # the rest is not written yet
        if kind in (1, 4):  # a full record, or the last part of one
            yield Record.FromString(whole)
            whole = b""


def history(path):
    rows = [record.history for record in records(path) if record.WhichOneof("record_type") == "history"]
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row.item}
        for row in rows
    ]


def record_of(path, kind):
    return next(getattr(r, kind) for r in records(path) if r.WhichOneof("record_type") == kind)


def config_of(path):
    found = {}
    for record in records(path):
        for part in (record.run.config, record.config):
            for item in part.update:
                found[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return found


def inspected(run_file):
    """What wandb's own reader says about an offline run."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", str(run_file)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def offline_runs(folder):
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"))


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No account, no settings of the person who runs the tests, and a wandb that has read none of them."""
    import wandb

    variables = (
        "API_KEY",
        "IDENTITY_TOKEN_FILE",
        "MODE",
        "BASE_URL",
        "DIR",
        "PROJECT",
        "ENTITY",
        "RUN_GROUP",
    )
    proxies = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    for name in (*(f"WANDB_{name}" for name in variables), *proxies, "NETRC"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(home / name.lower()))
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield monkeypatch
    wandb.teardown()


@pytest.fixture
def closed_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def open_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


class RefusesKeys(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"errors": [{"message": "user is not logged in"}]}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def refusing_port():
    with ThreadingHTTPServer(("127.0.0.1", 0), RefusesKeys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.slow
def test_an_offline_wandb_run_holds_what_was_reported(alone, tmp_path, capfd):
    play(WandbTracker(), tmp_path)
    printed = capfd.readouterr()
    (run_file,) = offline_runs(tmp_path)
    assert printed.err == ""
    assert printed.out == (
        f"wandb is offline (no API key: wandb login, or WANDB_API_KEY); later: wandb sync {run_file.parent}\n"
    )
    # nothing strays outside the run folder
    assert {path.name for path in tmp_path.iterdir()} == {"wandb", "home"}

    rows = history(run_file)
    losses = [(row["epoch"], row["train/loss"], row["val/miou"]) for row in rows if "train/loss" in row]
    assert losses == [(0, 2.0, 0.5), (1, 1.5, 0.75)]
    (pictures,) = [row for row in rows if "test_pictures/captions" in row]
    assert (pictures["epoch"], pictures["test_pictures/captions"]) == (1, ["scene: IoU 0.333"])
    assert set(pictures["test_pictures/all_masks"][0]) == {"prediction", "truth"}

    run = record_of(run_file, "run")
    assert (run.run_id, run.display_name, run.run_group) == ("run", "run of a test", "a-sweep")
    assert list(run.tags) == ["u2netp", "smoke"]
    config = config_of(run_file)
    assert (config["model"], config["seed"], config["threshold"]) == ({"name": "u2netp"}, 3, None)
    chart = config["_wandb/visualize/test/threshold_curve"]
    assert chart["panel_config"]["panelDefId"] == "wandb/lineseries/v0"
    assert record_of(run_file, "exit").exit_code == 0


@pytest.mark.slow
def test_wandb_itself_reads_the_summary_of_an_offline_run(alone, tmp_path):
    play(WandbTracker(), tmp_path)
    (run_file,) = offline_runs(tmp_path)
    assert records(run_file)
    text = inspected(run_file)
    values = {words[0]: words[1:] for words in map(str.split, text.splitlines()) if len(words) > 1}
    assert values["test/miou"] == ["0.75"]
    assert values["method"] == ["u2netp"]
    assert values["parameters"] == ["1131181"]
    assert values["val/miou"] == ["0.75"]
    assert "finished (exit code 0)" in text


@pytest.mark.slow
def test_tables_and_masks_lie_beside_an_offline_run(alone, tmp_path):
    from PIL import Image

    play(WandbTracker(), tmp_path)
    media = offline_runs(tmp_path)[0].parent / "files" / "media"
    table = json.loads(next(media.rglob("pictures_table*.json")).read_text())
    assert table["columns"] == ["name", "iou", "product_recall"]
    assert table["data"] == [["a", 0.25, 0.5], ["b|c", 0.5, pytest.approx(np.nan, nan_ok=True)]]
    line = json.loads(next(media.rglob("threshold_curve_table*.json")).read_text())
    assert line["data"][:4] == [[t, "miou", m] for t, m in zip(THRESHOLDS, MIOU, strict=True)]
    assert line["data"][4:] == [[t, "acc", a] for t, a in zip(THRESHOLDS, [1, 1, 1, 0.25], strict=True)]
    assert len(list(media.rglob("images/*.png"))) == 1
    masks = [np.asarray(Image.open(path)) for path in sorted(media.rglob("mask/*.png"))]
    reported = [overlay().prediction, overlay().truth]
    assert len(masks) == 2
    assert all(any(np.array_equal(mask, known) for known in reported) for mask in masks)
    assert not np.array_equal(*masks)


@pytest.mark.slow
@pytest.mark.parametrize("tidy", [True, False], ids=["finished", "left open"])
def test_two_jobs_of_one_process_are_two_runs(tidy, alone, tmp_path):
    for number, name in enumerate(("first", "second")):
        tracker = WandbTracker()
        tracker.start(info(tmp_path / name, name))
        tracker.scalars(0, {"val/miou": number / 2})
        if tidy or name == "second":
            tracker.finish(False)
    for number, name in enumerate(("first", "second")):
        (run_file,) = offline_runs(tmp_path / name)
        assert run_file.stem == f"run-{name}"
        assert [row["val/miou"] for row in history(run_file)] == [number / 2]


def test_a_failed_run_is_marked(alone, tmp_path):
    tracker = WandbTracker()
    tracker.start(info(tmp_path))
    tracker.finish(True)
    assert record_of(offline_runs(tmp_path)[0], "exit").exit_code == 1


def test_names_that_wandb_would_refuse_are_mended(alone, tmp_path):
    tracker = WandbTracker()
    tracker.start(info(tmp_path, id="2026/11:a#b", tags=("t" * 70, ""), group=None))
    tracker.finish(False)
    run = record_of(offline_runs(tmp_path)[0], "run")
    assert (run.run_id, list(run.tags)) == ("2026-11-a-b", ["t" * 64])


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_a_server_that_does_not_answer_means_offline_at_once(mode, alone, tmp_path, closed_port, capfd):
    server = f"http://127.0.0.1:{closed_port}"
    alone.setenv("WANDB_API_KEY", KEY)
    alone.setenv("WANDB_BASE_URL", server)
    started = time.monotonic()
    play(WandbTracker(mode=mode), tmp_path)
    # wandb itself would try for 90 s; a loaded machine takes a part of the rest for its imports
    assert time.monotonic() - started < 60
    (run_file,) = offline_runs(tmp_path)
    printed = capfd.readouterr()
    assert printed.out == (
        f"wandb is offline ({server} does not answer); later: wandb sync {run_file.parent}\n"
    )
    assert printed.err == ""
    assert len(history(run_file)) == 6


def test_a_refused_key_means_offline_with_the_same_id(alone, tmp_path, refusing_port, capfd):
    alone.setenv("WANDB_API_KEY", KEY)
    alone.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{refusing_port}")
    play(WandbTracker(mode="online"), tmp_path)
    printed = capfd.readouterr().out
    assert printed.count("\n") == 1
    assert "user is not logged in" in printed
    (run_file,) = offline_runs(tmp_path)
    assert str(run_file.parent) in printed
    assert record_of(run_file, "run").run_id == "run"
    assert len(history(run_file)) == 6


@pytest.mark.parametrize("wanted", ["auto", "online", "offline"])
@pytest.mark.parametrize("said", ["offline", "disabled"])
def test_the_environment_may_keep_wandb_quiet(said, wanted, alone, open_port):
    alone.setenv("WANDB_API_KEY", KEY)
    alone.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{open_port}")
    alone.setenv("WANDB_MODE", said)
    assert choose_mode(wanted)[0] == said


def test_disabled_leaves_nothing(alone, tmp_path, capfd):
    play(WandbTracker(mode="disabled"), tmp_path)
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in tmp_path.iterdir()} == {"home"}


def test_a_key_and_a_server_mean_online(alone, tmp_path, open_port):
    server = f"http://127.0.0.1:{open_port}"
    alone.setenv("WANDB_BASE_URL", server)
    assert choose_mode("auto")[0] == "offline"
    netrc = tmp_path / "home" / ".netrc"
    # wandb looks for host and port, so a key for the bare host is none
    netrc.write_text(f"machine 127.0.0.1 login user password {KEY}")
    netrc.chmod(0o600)
    assert not has_key(server)
    netrc.write_text(f"machine 127.0.0.1:{open_port} login user password {KEY}")
    assert choose_mode("auto") == ("online", "")
    netrc.write_text("no netrc at all")
    assert not has_key(server)


def test_the_settings_of_wandb_login_are_read(alone, tmp_path, open_port):
    folder = tmp_path / "home" / "config"
    folder.mkdir()
    (folder / "settings").write_text(f"[default]\nbase_url = http://127.0.0.1:{open_port}\n")
    alone.setenv("WANDB_API_KEY", KEY)
    assert choose_mode("auto") == ("online", "")


def test_a_server_behind_a_proxy_is_asked_for_at_the_proxy(alone, open_port, closed_port):
    assert not answers("http://wandb.invalid")
    alone.setenv("http_proxy", f"http://127.0.0.1:{open_port}")
    assert answers("http://wandb.invalid")
    alone.setenv("http_proxy", f"127.0.0.1:{closed_port}")
    assert not answers("http://wandb.invalid")


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match=r"logger\.wandb\.mode=of"):
        WandbTracker(mode="of")


def test_tensorboard_reads_back_what_was_reported(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    play(TensorBoardTracker(), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), {"images": 0, "tensors": 0}).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(0, 2.0), (1, 1.5)]
    assert [(e.step, e.value) for e in events.Scalars("val/miou")] == [(0, 0.5), (1, 0.75)]
    steps = [100, 500, 505, 900]
    curve = [(e.step, e.value) for e in events.Scalars("test/threshold/miou")]
    assert curve == list(zip(steps, MIOU, strict=True))
    table = events.Tensors("test/pictures/text_summary")[0].tensor_proto.string_val[0].decode()
    assert table.splitlines() == [
        "|name|iou|product_recall|",
        "|---|---|---|",
        "|a|0.2500|0.5000|",
        r"|b\|c|0.5000|nan|",
    ]
    image = events.Images("test/scene")[0]
    # with its name, its score and a legend
    assert image.width == NARROWEST
    assert image.height > NARROWEST // 3
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def hyper_parameters(events):
    """Setting or final number -> value, as the HPARAMS tab reads them."""
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    parts = events.PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(parts[metadata.SESSION_START_INFO_TAG]).session_start_info
    # a list of columns would be taken for the columns of all runs
    assert parts.keys() == {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}


def test_tensorboard_has_no_card_with_one_point(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    play(TensorBoardTracker(), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    tags = set(events.Tags()["scalars"])
    assert tags == {"train/loss", "val/miou", "test/threshold/miou", "test/threshold/acc"}
    assert all(len(events.Scalars(tag)) > 1 for tag in tags)
    row = hyper_parameters(events)
    assert row == {"seed": 3, " test/miou": 0.75, " method": "u2netp", "parameters": 1131181}
    # as TensorBoard sorts columns
    assert sorted(row)[:2] == [" method", " test/miou"]


def test_settings_are_the_plain_values_of_method_and_budget():
    config = {
        "model": {
            "_target_": "a.B",
            "name": "u2netp",
            "size": 320,
            "deep": True,
            "prior": None,
            "mean": [0.5],
        },
        "budget": {"name": "quick", "epochs": 3, "lr_factor": 0.5, "limit": {"train": 8}},
        "data": {"root": "DIR"},
        "seed": 3,
    }
    assert settings_of(config) == {
        "seed": 3,
        "model.size": 320,
        "model.deep": True,
        "budget.epochs": 3,
        "budget.lr_factor": 0.5,
    }
    assert settings_of({}) == {}


class Broken(TensorBoardTracker):
    """Fails where it is told to, at length."""

    def __init__(self, where):
        super().__init__()
        self.where = where
        self.finished = []

    def start(self, run):
        super().start(run)
        self._break("start")

    def scalars(self, step, values):
        self._break("scalars")

    def finish(self, failed):
        self.finished.append(failed)
        super().finish(failed)
        self._break("finish")

    def _break(self, here):
        if here in self.where:
            raise RuntimeError("no room\non the disk")


@pytest.mark.parametrize("where", [["start"], ["scalars"], ["finish"], ["scalars", "finish"]], ids="+".join)
def test_a_tracker_that_fails_is_switched_off_and_the_others_go_on(where, tmp_path, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    broken, sound = Broken(where), TensorBoardTracker()
    trackers = Trackers([broken, sound])
    play(trackers, tmp_path / "run")
    assert capsys.readouterr().out.splitlines() == [
        "Broken failed (RuntimeError: no room on the disk) and is switched off; "
        "the run goes on, its results are in the run folder."
    ]
    assert broken.finished == ([False] if where == ["finish"] else [True])
    assert list(trackers) == [sound]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert len(events.Scalars("val/miou")) == 2


def test_trackers_do_not_stop_ctrl_c(tmp_path):
    class Interrupted(TensorBoardTracker):
        def scalars(self, step, values):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(Trackers([Interrupted()]), tmp_path)


def test_an_error_is_told_on_one_short_line():
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert len(one_line(ValueError("word " * 1000))) <= 300


@pytest.mark.parametrize(
    ("logger", "kinds"),
    [
        ("csv", {}),
        ("tensorboard", {"tensorboard": TensorBoardTracker}),
        ("wandb", {"wandb": WandbTracker}),
        ("all", {"tensorboard": TensorBoardTracker, "wandb": WandbTracker}),
    ],
)
def test_every_logger_of_the_command_line_is_built(logger, kinds):
    from hydra import compose, initialize_config_dir

    register()
    with initialize_config_dir(str(conf_dir()), version_base=None):
        group = plain(compose("config", [f"logger={logger}", "paths.run=."]))["logger"]
    assert isinstance(group, dict)
    assert {name: type(instantiate(entry)) for name, entry in group.items()} == kinds
    text = Path(conf_dir(), "logger", f"{logger}.yaml").read_text(encoding="utf-8")
    assert f"python -m kolbench experiment=rsudisnet logger={logger}\n" in text
