"""Learning curves: their runs, what is refused, and a tiny one that is really trained."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from kolbench.config import schema
from kolbench.config.compose import build_segmenter, save_yaml
from kolbench.errors import ConfigError
from kolbench.report.intervals import mean_interval
from kolbench.runs import record
from kolbench.runs.finished import FinishedRun, groups_of
from kolbench.tasks import curve, evaluation, suite
from tests.helpers.commands import run_here
from tests.helpers.run_folders import make_run
from tests.helpers.tasks import configured


def planned(folder, *words):
    return curve.trainings_of(configured("task=curve", *words), folder)


def test_a_run_for_each_size_and_seed_of_the_same_length(tmp_path):
    words = (
        "experiment=unet",
        "sizes=[20,all]",
        "seeds=[3,5]",
        "pictures=100",
        "output=x",
        "budget.epochs=6",
    )
    found = planned(tmp_path, *words)
    assert [(one.size, one.seed) for one in found] == [("20", 3), ("20", 5), ("all", 3), ("all", 5)]
    # 100 pictures in 6 epochs: 17 in each
    shared = ("experiment=unet", "budget.epochs=6")
    length = "budget.epoch_pictures=17"
    assert found[1].job.words == (*shared, "data.train_pictures=20", "data.train_draw=5", "seed=5", length)
    assert found[2].job.words == (*shared, "data.train_draw=3", "seed=3", length)
    assert len({one.job.folder for one in found}) == 4
    assert all(one.job.folder.parent == tmp_path for one in found)
    for one in found:
        assert configured(*one.job.words).budget.epoch_pictures == 17


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sizes", [], "sizes=[] is not a list of whole numbers of at least 2"),
        ("sizes", [20, 20], "each larger than the one before"),
        ("sizes", [1, 20], "of at least 2"),
        ("sizes", ["all", 20], "all only at its end"),
        ("sizes", [20, "al"], "such as [20,50,100,all]"),
        ("sizes", [20, True], "sizes=[20, True] is not a list"),
        ("sizes", 20, "sizes=20 is not a list"),
        ("seeds", [0, 1, 0], "none twice"),
        ("seeds", [-1], "whole numbers from 0"),
        ("seeds", [], "seeds=[] is not a list of whole numbers from 0"),
        ("pictures", 0, "pictures=0 is not a whole number of at least 1"),
    ],
)
def test_keys_out_of_range_are_refused(key, value, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        schema.check({key: value})
    schema.check({"sizes": [2, 3, "all"], "seeds": [3, 0], "pictures": 1})
    schema.check({"sizes": ["all"]})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sizes=[50,20]"], "each larger than the one before"),
        (["seed=1"], r"task=curve sets seed in each run itself, by seeds=: leave seed= away\."),
        (["data.train_pictures=5"], "sets data.train_pictures in each run itself, by sizes="),
        (["data.train_draw=5"], "sets data.train_draw in each run itself, by seeds="),
        (["budget.epoch_pictures=5"], "sets budget.epoch_pictures in each run itself, by pictures="),
        (["experiment=ellipse"], "such as experiment=finetune_modnet; ellipse is not trained"),
        (["sizes=[3,5]"], "sizes: 5 is too many: there are 4 training images"),
        (["sizes=[3,4,all]"], "sizes: 4 and all are the same training images"),
        (["sizes=[3,all]", "budget.batch=4"], r"3 images cannot fill a batch of 4.*or budget\.batch=3"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = [] if any(word.startswith("experiment=") for word in words) else ["experiment=unet"]
    with pytest.raises(ConfigError, match=message):
        curve.run(configured("task=curve", "budget=smoke", *experiment, *words))
    assert list(tmp_path.iterdir()) == []


def test_the_start_is_scored_on_the_same_split(tmp_path):
    words = (
        *("task=curve", "experiment=finetune_modnet", "budget.limit.test=5", "model.loss=paper"),
        *("resume=never", "callbacks.early_stopping.patience=2", "seeds=[1]", "data.split=group"),
    )
    job = curve.start_job(configured(*words), tmp_path)
    assert job is not None
    assert job.words == (
        *("task=test", "experiment=finetune_modnet", "budget.limit.test=5", "data.split=group"),
        "weights=official",
    )
    # what its data say counts where nothing was typed, and a checkpoint keeps the words of its method
    own = ["model=unet", "model.size=64", "init=x.ckpt"]
    assert curve.start_words(own, tmp_path / "x.ckpt", "auto", is_graph=False) == [
        *("task=test", "model=unet", "model.size=64", "data.split=auto", f"weights={tmp_path / 'x.ckpt'}")
    ]


def test_what_makes_no_alpha_by_itself_is_not_scored(tmp_path, capsys):
    # its start is a MODNet's semantic branch
    assert curve.start_job(configured("task=curve", "experiment=finetune_rsudisnet"), tmp_path) is None
    assert "init=official is not scored by itself: it is no complete rsudisnet" in capsys.readouterr().out
    assert curve.start_job(configured("task=curve", "experiment=unet"), tmp_path) is None


def test_seeds_are_averaged_picture_by_picture(tmp_path):
    done, trainings = {}, []
    for one in planned(tmp_path, "experiment=unet", "sizes=[20,50]", "seeds=[0,1]"):
        quality = 0.5 + int(one.size) / 250
        trained = {"pictures": {"train": int(one.size)}}
        folder = make_run(
            one.job.folder, "unet", one.seed, quality, pictures=18, files=False, changes=trained
        )
        found = record.read(folder / "run.json")
        done[one.job.name] = FinishedRun(folder, found, one.job.name, one.job.name)
        trainings.append(one)
    small, large = curve.results_of(trainings, done)
    assert (small.pictures, large.pictures) == (20, 50)
    runs = [done["20-seed0"], done["20-seed1"]]
    assert small.scores == tuple(run.record.scores["miou"] for run in runs)
    tables = [pd.read_parquet(run.folder / "scores.parquet").query("split == 'test'") for run in runs]
    mean = np.mean([table["miou"] for table in tables], axis=0)
    assert small.mean == pytest.approx(mean_interval(mean, groups_of(runs[0].test)))
    assert small.mean.value == pytest.approx(np.mean(small.scores))
    assert small.mean.low < small.mean.value < large.mean.value


def test_a_start_that_is_fed_at_another_size_is_told(tmp_path):
    for name, size in (("start", 512), ("same", 512), ("smaller", 256)):
        (tmp_path / name).mkdir()
        save_yaml({"model": {"size": size}}, tmp_path / name / "config.yaml")
    assert curve.input_sizes_note(tmp_path / "start", tmp_path / "same") == []
    assert curve.input_sizes_note(tmp_path / "start", tmp_path / "smaller") == [
        "The start sees 512 px, the trainings 256 px: that may be part of the difference."
    ]


@pytest.fixture
def in_this_process(monkeypatch):
    """Runs without processes of their own, which task=suite has tests for; the names of what was run."""
    ran = []

    def execute(job, conf_words):
        ran.append(job.name)
        run_here(job, conf_words)

    monkeypatch.setattr(suite, "execute", execute)
    return ran


TINY = ("task=curve", "experiment=unet", "budget=smoke", "budget.size=32", "data.picture_size=32")


@pytest.mark.slow
def test_a_tiny_curve_from_first_to_last(in_this_process, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    method = configured(*TINY).model.without_backbone()
    torch.save(build_segmenter(method).network.state_dict(), "start.pth")
    words = (*TINY, "sizes=[2,all]", "seeds=[0]", "pictures=4", "init=start.pth")
    assert curve.run(configured(*words)).failed == 0
    assert in_this_process == ["start", "2-seed0", "all-seed0"]
    results = tmp_path / "runs" / "curve" / "unet"
    table = pd.read_csv(results / "curve.csv")
    assert list(table["size"]) == ["2", "all"]
    assert list(table["pictures"]) == [2, 4]
    folders = [next(results.glob(f"{name}-*")) for name in in_this_process[1:]]
    records = [json.loads((folder / "run.json").read_text()) for folder in folders]
    assert list(table["miou"]) == pytest.approx([found["scores"]["miou"] for found in records])
    assert list(table["best_epoch"]) == [0, 0]
    # as many steps at either size
    assert [pd.read_csv(folder / "history.csv")["step"].iloc[-1] for folder in folders] == [2, 2]
    kept = json.loads((results / "curve.json").read_text())
    assert kept["sentence"].startswith("Nothing can be told about more images")
    assert kept["sentence"] in capsys.readouterr().out
    assert list(kept["commands"]) == ["2-seed0", "all-seed0", "start"]
    begun = json.loads((next(results.glob("start-*")) / "run.json").read_text())
    assert kept["start"]["miou"] == pytest.approx(begun["scores"]["miou"])
    gain = records[1]["scores"]["miou"] - begun["scores"]["miou"]
    assert kept["start"]["gain"]["value"] == pytest.approx(gain)
    assert "its start, start.pth (too few groups for an interval)." in kept["sentence"]
    assert "unet: test mIoU over training images" in (results / "curve.svg").read_text()
    assert (results / "curve.png").is_file()
    # nothing is run anew; what is gone is, and what was made from other pictures
    curve.run(configured(*words))
    assert len(in_this_process) == 3
    shutil.rmtree(folders[0])
    curve.run(configured(*words, dry_run=True))
    assert "2 of 3, 2-seed0: to run" in capsys.readouterr().out
    assert not folders[0].exists()
    text = (folders[1] / "run.json").read_text()
    (folders[1] / "run.json").write_text(text.replace(records[1]["fingerprint"]["source"], "0" * 64))
    curve.run(configured(*words, dry_run=True))
    assert "3 of 3, all-seed0: to run" in capsys.readouterr().out
    (folders[1] / "run.json").write_text(text)
    curve.run(configured(*words))
    assert in_this_process[3:] == ["2-seed0"]
    capsys.readouterr()
    torch.save({k: v + 1 for k, v in build_segmenter(method).network.state_dict().items()}, "start.pth")
    curve.run(configured(*words, dry_run=True))
    assert capsys.readouterr().out.count("to run") == 3


def test_a_failed_run_is_named_and_the_others_are_drawn(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"val": [f"val_{n:04d}" for n in range(2)], "test": [f"test_{n:04d}" for n in range(4)]}

    def execute(job, conf_words):
        if job.name == "3-seed0":
            return
        trained = {"pictures": {"train": 2}, "fingerprint": {"source": "s"}}
        make_run(job.folder, "unet", pictures=4, files=False, changes=trained)

    data = SimpleNamespace(
        rows={"train": range(4), "val": [0, 1], "test": [2, 3, 4, 5]},
        source=SimpleNamespace(names=[*names["val"], *names["test"]]),
        fingerprint=lambda: {"source": "s"},
        describe=lambda: ["made up"],
    )
    monkeypatch.setattr(suite, "execute", execute)
    monkeypatch.setattr(evaluation, "open_data", lambda config, device: data)
    words = ("task=curve", "experiment=unet", "budget=smoke", "sizes=[2,3]", "seeds=[0]", "output=out")
    assert curve.run(configured(*words)).failed == 1
    assert "failed: 3-seed0" in capsys.readouterr().out
    assert list(pd.read_csv(tmp_path / "out" / "curve.csv")["size"]) == [2]
    assert (tmp_path / "out" / "curve.svg").is_file()
