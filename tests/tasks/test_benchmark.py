"""`task=benchmark`: what it writes and says for networks, classic methods and sweeps, and what it refuses."""

import json

import pandas as pd
import pytest
import torch
import yaml

from kolbench.config.compose import build_segmenter, model_config, save_yaml
from kolbench.errors import ConfigError
from kolbench.models.checkpoints.run import BEST_IN_RUN
from kolbench.runs import benchmark
from kolbench.runs.run_folder import CONFIG
from kolbench.tasks import benchmark as task
from kolbench.tasks.benchmark import thread_counts
from tests.helpers.commands import kolbench
from tests.helpers.tasks import composed, run_task, typed

FEW = ("picture=[48,64]", "repeats=30", "max_repeats=30", "warm_up=1", "threads=[1]")


def only(folder):
    (path,) = folder.rglob(benchmark.BENCHMARK)
    return benchmark.read(path)


def test_numbers_of_threads():
    assert thread_counts(("1", "all"), 2) == [1, 2]
    assert thread_counts(("1", "all"), 1) == [1]
    # the default fits every machine
    assert thread_counts(("1", "2", "all"), 1) == [1]
    assert thread_counts(("1", "2", "all"), 4) == [1, 2, 4]
    assert thread_counts(("all", "2", "4"), 4) == [4, 2]
    with pytest.raises(ConfigError, match=r"threads=8: this process may use 2 cores"):
        thread_counts(("1", "8"), 2)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("threads=[]", "threads=.* is not a list of whole numbers of at least 1 or all"),
        ("threads=[1,1]", "none twice"),
        ("threads=[0]", "at least 1"),
        ("repeats=29", "repeats=29 is not a whole number of at least 30"),
        ("batch=[0]", r"batch=\[0\] is not a list of whole numbers of at least 1"),
        ("within=1", "within=1 is not a number in"),
        ("warm_up=0", "warm_up=0 is not a whole number of at least 1"),
        ("picture=[480]", r"is not a height and a width in pixels from 32 to 8192, such as \[480,640\]"),
        ("picture=[16,64]", "from 32 to 8192"),
        ("input=x", "task=benchmark reads no input="),
        ("device=cuda", "task=benchmark reads no device="),
    ],
)
def test_nonsense_is_refused(word, told):
    key, _, value = word.partition("=")
    with pytest.raises(ConfigError, match=told):
        typed({**composed("task=benchmark"), key: yaml.safe_load(value)}, word)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("experiment=unet", "backend=auto"),
            "backend=auto is not a choice; it is one of eager, folded, channels_last, onnx",
        ),
        (("experiment=grabcut", "model.variant=box"), "grabcut needs more than the image"),
        (("experiment=kmeans", "backend=onnx"), "backend=onnx cannot be measured"),
        (("experiment=kmeans", "threads=[4000]"), "threads=4000: this process may use"),
    ],
)
def test_what_cannot_be_measured_is_told(tmp_path, words, told):
    with pytest.raises(ConfigError, match=told):
        run_task("task=benchmark", *words, *(w for w in FEW if w.partition("=")[0] not in str(words)))
    assert not list(tmp_path.iterdir())


def test_an_untrained_network_at_its_papers_size(tmp_path):
    done = kolbench("task=benchmark", "experiment=sinet", *FEW, cwd=tmp_path)
    found = only(tmp_path / "runs" / "sinet")
    assert (found.method, found.weights, found.backend) == ("sinet", "random weights", "channels_last")
    assert (found.picture, found.input, found.warm_up, found.repeats) == ((48, 64), (224, 224), 1, 30)
    # the published counts
    assert (found.training.parameters, found.training.conv_macs) == (86_910, 63_866_208)
    assert found.deployed.conv_macs == found.training.conv_macs
    assert found.model["size"] == 224
    assert "training" not in found.model
    (speed,) = found.speeds
    assert speed.threads == 1
    assert min(speed.segment.median_ms, speed.network.median_ms) > 0
    text = done.stdout
    for told in (
        "SINet, random weights\n",
        "channels_last",
        "energy: ",
        "file to file",
        "86,910 parameters, 63.9 MMACs",
        "224x224 px",
    ):
        assert told in text
    (row,) = (line for line in text.splitlines() if line.startswith(" channels_last"))
    assert f"{speed.segment.median_ms:.2f}" in row
    assert len(row) <= 80
    assert "benchmark.json" in text


@pytest.mark.slow
def test_a_run_and_its_exported_file(tmp_path):
    model = model_config("unet", size=64, filters=4)
    segmenter = build_segmenter(model)
    checkpoint = tmp_path / "RUN" / BEST_IN_RUN
    checkpoint.parent.mkdir(parents=True)
    torch.save(segmenter.network.state_dict(), checkpoint)
    save_yaml({"model": model.to_mapping()}, tmp_path / "RUN" / CONFIG)
    kolbench("task=benchmark", "weights=RUN", *FEW, cwd=tmp_path)
    # below its own name, not below that of the default method
    found = only(tmp_path / "runs" / "unet")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["unet"]
    assert (found.method, found.weights, found.input, found.model["filters"]) == ("unet", "RUN", (64, 64), 4)
    assert found.training.parameters == sum(p.numel() for p in segmenter.parameters())
    kolbench("task=export", "weights=RUN", "output=x.onnx", cwd=tmp_path)
    kolbench("task=benchmark", "weights=x.onnx", *FEW, "hydra.run.dir=file", cwd=tmp_path)
    file = only(tmp_path / "file")
    assert (file.method, file.model, file.training, file.deployed) == ("x.onnx", {}, None, None)
    assert (file.input, file.backend) == ((64, 64), "unchanged")
    assert file.speeds[0].network is not None
    done = kolbench("task=benchmark", "weights=x.onnx", "model.size=32", *FEW, cwd=tmp_path, code=2)
    assert "leave model.size= away" in done.stderr


def test_a_sweep_over_methods_and_a_classic_one(tmp_path):
    words = ("-m", "task=benchmark", "experiment=kmeans,enet", "model.size=64")
    done = kolbench(*words, *FEW, cwd=tmp_path)
    found = {each.method: each for each in benchmark.below([tmp_path])}
    assert set(found) == {"kmeans", "enet"}
    classic = found["kmeans"]
    assert (classic.training, classic.deployed, classic.input, classic.speeds[0].network) == (None,) * 4
    assert classic.weights == "no weights of its own"
    assert found["enet"].input == (64, 64)
    assert done.stdout.count("milliseconds for an image of 64x48 px") == 2


@pytest.mark.slow
def test_a_detector_without_weights_is_told_to_say_little(tmp_path):
    words = ("experiment=maskrcnn", "model.network=fpn_mobilenet_v2", "model.size=64", "model.proposals=10")
    done = kolbench("task=benchmark", *words, *FEW, cwd=tmp_path)
    found = only(tmp_path)
    # on a busy machine the spread may be told too
    assert task.FINDS in found.notes
    assert task.FINDS in done.stdout
    assert (found.backend, found.deployed, found.speeds[0].network) == ("unchanged", None, None)


def test_the_load_is_recorded_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (1000.123, 0, 0))
    done = kolbench("task=benchmark", "experiment=ellipse", *FEW, cwd=tmp_path)
    assert only(tmp_path).machine.load == 1000.12
    assert "load 1000.12 when it began" in done.stdout
    assert "other programs use the cores too" in done.stdout
    assert json.loads(next(tmp_path.rglob("benchmark.json")).read_text())["machine"]["load"] == 1000.12


@pytest.mark.slow
def test_a_report_finds_the_benchmark_of_a_run_by_its_settings(tmp_path):
    sizes = ("experiment=rcrnet", "model.size=64", "model.variant=dagger")
    small = (
        "budget=smoke",
        "budget.size=64",
        "budget.limit={train: 2, val: 1, test: 1}",
        "data.picture_size=64",
    )
    kolbench(*sizes, *small, cwd=tmp_path)
    for words in (sizes, (*sizes, "model.prior=true")):
        kolbench("task=benchmark", *words, *FEW, cwd=tmp_path)
    kolbench("task=report", "runs=runs", "output=report", cwd=tmp_path)
    rows = pd.read_csv(tmp_path / "report" / "tables" / "portrait.csv")
    # the runs stand before the rows that the paper alone has
    row = rows.to_dict("records")[0]
    assert row["method"] == "rcrnet"
    # the specification's 615,752 have the prior's 144 too; the other benchmark is that network's
    assert row["parameters deployed"] < row["parameters in training"] == 615_752 - 144
    assert float(row["ms, 1 thread"]) > 0
