"""Which methods the page offers, and how its command starts and ends."""

import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from kolbench import load
from kolbench.config.compose import build_segmenter, model_config, save_yaml
from kolbench.errors import ConfigError, KolbenchError
from kolbench.inference.export.parity import picture_of
from kolbench.models.checkpoints.run import BEST_IN_RUN
from kolbench.models.mirrored import Mirrored
from kolbench.models.onnx import OnnxSegmenter
from kolbench.runs.run_folder import CONFIG
from kolbench.serve import methods as methods_module
from kolbench.serve import serve_page, server, uploads
from kolbench.serve.app import TryIt
from tests.helpers.catalogue import small_catalogue
from tests.helpers.serving import encoded, ramp_and_ellipse, scenery, send, uploaded
from tests.helpers.tasks import run_task

# --- methods


@pytest.mark.slow
def test_methods_are_named_by_what_was_loaded(tmp_path):
    settings = model_config("unet", "smoke")
    torch.manual_seed(0)
    unet = build_segmenter(settings)
    weights = tmp_path / "mine.pth"
    torch.save(unet.network.state_dict(), weights)
    run = tmp_path / "2026-01-01_run"
    (run / "checkpoints").mkdir(parents=True)
    save_yaml({"model": settings.to_mapping()}, run / "config.yaml")
    torch.save(unet.network.state_dict(), run / "checkpoints" / "best.ckpt")
    sources = ["ellipse", f"unet:{weights}", str(run), "ellipse", "ellipse"]
    found = methods_module.load_methods(sources, "cpu")
    assert [m.shown for m in found] == [
        *("Centred ellipse", "U-Net", "U-Net (2)", "Centred ellipse (2)", "Centred ellipse (3)")
    ]
    assert [(m.name, m.source) for m in found] == [
        ("ellipse", ""),
        ("unet", "mine.pth"),
        ("unet (2)", "2026-01-01_run"),
        ("ellipse (2)", ""),
        ("ellipse (3)", ""),
    ]
    image = scenery(64, 64)
    # batch norms folded
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in found[2].segmenter.modules())
    assert np.abs(found[2].alpha(image) - unet.eval().segment(image)).max() <= 1e-5


@pytest.mark.slow
def test_a_network_in_a_file_goes_by_the_method_that_reads_it(shared):
    network = shared / "weights" / "modnet.onnx"
    [found] = methods_module.load_methods([f"official_modnet:{network}"], "cpu")
    assert (found.name, found.source) == ("official_modnet", "modnet.onnx")
    assert (found.shown, found.key) == ("MODNet", "official_modnet:modnet.onnx")
    image = uploads.example_picture(0, 256)
    expected = load("official_modnet", file=str(network)).segment(image)
    assert np.array_equal(found.alpha(image), expected)


@pytest.fixture
def web(tmp_path, monkeypatch):
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    with small_catalogue() as server:
        yield server


@pytest.mark.usefixtures("web")
def test_weights_by_name_bring_their_licence(capsys):
    found = methods_module.load_methods(["modnet:official", "half-onnx", "ellipse"], "cpu")
    assert [(m.key, m.shown) for m in found] == [
        ("modnet:official", "MODNet"),
        ("peer:half-onnx", "peer"),
        ("ellipse", "Centred ellipse"),
    ]
    assert [m.licence for m in found] == [
        "weights logits-onnx, MIT, commercial use unstated",
        "weights half-onnx, MIT, commercial use unstated",
        "",
    ]
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("loading")]
    assert said == [f"loading {name} for the page" for name in ("MODNet", "peer", "Centred ellipse")]
    html, _ = serve_page.render(found, 20, None, "cpu", stays_here=True)
    assert "weights logits-onnx, MIT" in html


def test_without_methods_the_page_has_official_modnet_and_grabcut(web, capsys):
    assert methods_module.default_sources() == ["modnet:official", "grabcut"]
    assert len(web.asked) == 1
    assert "downloading A small network" in capsys.readouterr().out


def test_where_modnet_cannot_be_had_grabcut_opens_alone(web, capsys):
    web.files.clear()
    assert methods_module.default_sources() == ["grabcut"]
    told = capsys.readouterr().out.splitlines()
    assert told[-2:] == [
        "MODNet is left out: its weights cannot be had.",
        "python -m kolbench task=weights 'get=[logits-onnx]' says why, and what to do",
    ]


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        (["grabcutt"], "Did you mean grabcut?"),
        (["modnet"], "modnet must be trained"),
        (["modnet:absent.pth"], "absent.pth"),
        (["meanmask"], "no mean mask"),
        (["absent/run"], "absent/run"),
    ],
)
def test_methods_that_cannot_be_shown_are_named_before_the_page_opens(sources, sentence):
    with pytest.raises(KolbenchError, match=re.escape(sentence)):
        methods_module.load_methods(sources, "cpu")


def test_both_views_of_every_method():
    found = methods_module.load_methods(["ellipse"], "cpu", tta="flip")
    assert [type(method.segmenter) for method in found] == [Mirrored]
    assert found[0].alpha(scenery(64, 64)).shape == (64, 64)


def test_methods_that_need_the_truth_are_refused(tmp_path):
    run = tmp_path / "boxed"
    run.mkdir()
    save_yaml({"model": model_config("grabcut", variant="box").to_mapping()}, run / "config.yaml")
    with pytest.raises(KolbenchError, match="boxed"):
        methods_module.load_methods([str(run)], "cpu")


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, []), ("grabcut", ["grabcut"]), ([], []), ([" a ", "b:c"], ["a", "b:c"])],
)
def test_the_list_of_methods(given, expected):
    assert methods_module.listed(given) == expected


@pytest.mark.parametrize("given", [3, [1], [""], {"a": 1}])
def test_what_is_no_list_of_methods(given):
    with pytest.raises(ConfigError, match="must be a list of names, run folders or files"):
        methods_module.listed(given)


# --- the command


def serve_with(*words):
    return run_task("task=serve", "methods=[ellipse]", "port=0", "device=cpu", *words)


@pytest.mark.parametrize("word", ["experiment=modnet", "model=unet"])
def test_ways_of_other_tasks_are_refused(word):
    with pytest.raises(ConfigError, match=f"task=serve reads no {word.partition('=')[0]}="):
        serve_with(word)


def test_a_taken_port_and_a_foreign_host_are_named():
    with server.listen("127.0.0.1", 0) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port={number} is taken on 127.0.0.1; port=0 picks"):
            serve_with(f"port={number}")
    with pytest.raises(ConfigError, match=r"host=192\.0\.2\.1 port=0 cannot be listened on: [^()]+\.$"):
        serve_with("host=192.0.2.1")


def test_without_the_extra_the_command_says_what_to_install(monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("kolbench.serve", "starlette"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'kolbench[serve]'")):
        serve_with()


@pytest.mark.usefixtures("keyboard")
@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_address_is_printed_with_a_warning_where_others_can_reach_it(host, warned, capsys):
    html = serve_page.render(ramp_and_ellipse(), 1, None, "cpu", stays_here=not warned)
    with server.listen(host, 0) as bound:
        number = bound.getsockname()[1]

        def visit():
            while send(number, "GET", "/").status != 200:
                pass
            os.kill(os.getpid(), signal.SIGINT)

        visitor = threading.Thread(target=visit)
        visitor.start()
        server.run(TryIt(ramp_and_ellipse(), 1, html).app(), bound, host)
        visitor.join()
    lines = capsys.readouterr().out.splitlines()
    shown = "localhost" if warned else host
    assert lines[-2:] == [f"http://{shown}:{number}/ is open; Ctrl-C ends it", "ended; nothing was kept"]
    assert lines[:-2] == (
        ["warning: host=0.0.0.0: anybody in your network who knows the address can use this page."] * warned
    )


@pytest.mark.slow
def test_the_command_opens_the_page_and_ends_with_ctrl_c(tmp_path):
    started = subprocess.Popen(
        [sys.executable, "-m", "kolbench", "task=serve", "port=0", "methods=[grabcut]"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell without job control would have the server ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with started:
        lines = []
        assert started.stdout is not None
        for line in started.stdout:
            lines.append(line)
            if "is open" in line:
                break
        number = int(re.search(r"http://127\.0\.0\.1:(\d+)/ is open", lines[-1])[1])
        assert "grabcut" in send(number, "GET", "/").body.decode()
        token = uploaded(number, encoded(scenery(60, 60)))["token"]
        assert len(send(number, "POST", f"/pictures/{token}/alphas/0").body) == 3600
        started.send_signal(signal.SIGINT)
        rest, errors = started.communicate(timeout=60)
    assert (started.returncode, rest, errors) == (0, "ended; nothing was kept\n", "")
    assert lines[0] == "loading GrabCut for the page\n"
    assert lines[1].startswith("GrabCut on ")
    assert len(lines) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_backend_is_for_all_networks(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    run = tmp_path / "RUN"
    segmenter = build_segmenter(model_config("unet", size=32, filters=2)).eval()
    (run / BEST_IN_RUN).parent.mkdir(parents=True)
    torch.save(segmenter.network.state_dict(), run / BEST_IN_RUN)
    save_yaml({"model": model_config("unet", size=32, filters=2).to_mapping()}, run / CONFIG)
    by_onnx, classic = methods_module.load_methods([str(run), "ellipse"], "cpu", backend="onnx")
    assert isinstance(by_onnx.segmenter, OnnxSegmenter)
    picture = picture_of(0, 40, 40)
    assert np.abs(by_onnx.alpha(picture) - segmenter.segment(picture)).max() <= 1e-3
    assert classic.alpha(picture).shape == (40, 40)
    assert capsys.readouterr().out == ("loading U-Net for the page\nloading Centred ellipse for the page\n")
    methods_module.load_methods([str(run)], "cpu", backend="openvino")
    assert "unet: openvino is not used: backend=openvino needs OpenVINO" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="backend=fast is not a choice"):
        methods_module.load_methods(["ellipse"], "cpu", backend="fast")
