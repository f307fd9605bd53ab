"""run.json as a type: today's files, and those of the versions before."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kolbench.errors import DataError
from kolbench.runs import record
from kolbench.runs.finished import find
from kolbench.runs.record import CostRecord, DataFingerprint, Machine, Pretraining, RunRecord, TrainingSummary
from tests.helpers.run_folders import make_run

# by hand, as a file without a version was
OLD = {
    "status": "finished",
    "task": "fit",
    "method": "rsudisnet",
    "budget": "quick",
    "data": "synthetic",
    "seed": 3,
    "sweep": None,
    "choices": {"model": "rsudisnet", "logger": None},
    "overrides": ["experiment=rsudisnet", "seed=3"],
    "device": "cpu (2 threads)",
    "started": "2026-01-02T03:04:05+0000",
    "versions": {"torch": "2.15.0", "python": "3.11.7"},
    "commit": "0123456789ab",
    "machine": {"cores": 2, "platform": "Linux", "threads": 1},
    "aid": "oracle",
    "reads": ["image", "mask"],
    "refiner": "none",
    "threshold": 0.35,
    "threshold_from": "validation",
    "scores": {"miou": 0.75, "images": 60.0},
    "floors": {"ellipse": {"aid": "none", "threshold": 0.5, "miou": 0.5}},
    "pictures": {"test": 60, "val": 40},
    "whole": {"miou": 0.8},
    "timed_on": "cuda (H200)",
    "detection": {"box_ap": 0.25, "mask_ap": 0.125},
    "notes": {"fallback": 2},
    "fingerprint": {"source": "ab", "splits": "cd"},
    "parameters": 1234,
    "cost": {"checkpoint": 5000, "macs": None, "memory": 6000, "picture": [48, 64]},
    "test_seconds_per_picture": 0.125,
    "seconds": 100,
    "training": {
        "folder": "../../trainings/rsudisnet-00ff",
        "fingerprint": "00ff",
        "pictures": {"source": "ab", "splits": "cd"},
        "lr_factor": 10.0,
        "backbone_weights": None,
        "best_epoch": 5,
        "best_val_miou": 0.7,
        "canvas": [128, 96],
        "pictures_per_second": 2.5,
        "reused": False,
        "seconds": 80.5,
        "stages": {"gt_encoder": {"max_f": 1.0, "seconds": 38.0, "steps": 50}},
        "train_seconds": 60.25,
    },
}
SAME = RunRecord(
    status="finished",
    task="fit",
    method="rsudisnet",
    budget="quick",
    data="synthetic",
    seed=3,
    choices={"model": "rsudisnet", "logger": None},
    overrides=("experiment=rsudisnet", "seed=3"),
    device="cpu (2 threads)",
    started="2026-01-02T03:04:05+0000",
    versions={"torch": "2.15.0", "python": "3.11.7"},
    commit="0123456789ab",
    machine=Machine("Linux", cores=2, threads=1),
    training=TrainingSummary(
        folder="../../trainings/rsudisnet-00ff",
        fingerprint="00ff",
        pictures=DataFingerprint("ab", "cd"),
        reused=False,
        lr_factor=10.0,
        best_epoch=5,
        best_val_miou=0.7,
        input_size=(128, 96),
        pretraining={"gt_encoder": Pretraining(seconds=38.0, steps=50, max_f=1.0)},
        pictures_per_second=2.5,
        seconds=80.5,
        train_seconds=60.25,
    ),
    threshold=0.35,
    threshold_from="validation",
    truth_access="mask",
    input_keys=("image", "mask"),
    refiner="none",
    scores={"miou": 0.75, "images": 60.0},
    baselines={"ellipse": {"threshold": 0.5, "miou": 0.5}},
    pictures={"test": 60, "val": 40},
    all={"miou": 0.8},
    timed_on="cuda (H200)",
    instances={"box_ap": 0.25, "mask_ap": 0.125},
    notes={"fallback": 2},
    fingerprint=DataFingerprint("ab", "cd"),
    parameters=1234,
    cost=CostRecord(checkpoint=5000, memory=6000, picture=(48, 64)),
    test_seconds_per_picture=0.125,
    seconds=100.0,
)


def written(folder: Path, values: object) -> Path:
    path = folder / "run.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def test_a_file_without_a_version_is_read_under_the_names_of_today(tmp_path):
    found = record.read(written(tmp_path, OLD))
    assert found == SAME
    assert isinstance(found.seconds, float)
    assert found.finished


def test_what_is_written_is_read_again_and_has_the_names_of_today(tmp_path):
    path = tmp_path / "run.json"
    SAME.write(path)
    assert record.read(path) == SAME
    values = json.loads(path.read_text())
    assert values["version"] == record.VERSION == 2
    assert values["truth_access"] == "mask"
    assert {"input_keys", "baselines", "all", "instances", "timed_on", "versions"} <= set(values)
    assert {"input_size", "pretraining"} <= set(values["training"])
    assert not {"aid", "reads", "floors", "whole", "detection", "error", "sweep"} & set(values)
    assert not {"canvas", "stages"} & set(values["training"])


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_a_run_that_did_not_end_is_a_record_too(status, tmp_path):
    path = tmp_path / "run.json"
    begun = RunRecord(status=status, method="m", seed=0, error="no disk" if status == "failed" else None)
    begun.write(path)
    assert record.read(path) == begun
    assert not begun.finished
    assert (begun.threshold, begun.training, begun.scores) == (None, None, {})


def test_what_is_unknown_or_null_does_no_harm(tmp_path):
    values = {"version": 2, "status": "finished", "tomorrow": [1], "cost": {"watts": 3}, "versions": None}
    assert record.read(written(tmp_path, values)) == RunRecord(status="finished", cost=CostRecord())


def test_old_words_mean_nothing_in_a_file_of_today(tmp_path):
    found = record.read(written(tmp_path, {"version": 2, "status": "finished", "aid": "oracle"}))
    assert found.truth_access == ""


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged .it holds no mapping"),
        ({"version": 3}, "has version 3; this kolbench knows up to 2: update it"),
        ({"version": "two"}, "has version two"),
        ({"seed": "zero"}, "is damaged .seed is 'zero', not of the type int"),
        ({"seed": True}, "is damaged .seed is True"),
        ({"threshold": "0.5"}, "threshold is '0.5', not of the type float"),
        ({"scores": {"miou": None}}, r"scores.miou is None, not of the type float"),
        ({"overrides": "seed=1"}, "overrides is no list"),
        ({"overrides": ["seed=1", 2]}, r"overrides\[1\] is 2, not of the type str"),
        ({"training": 5}, "training is no mapping"),
        ({"training": {"canvas": [128, "x"]}}, r"training.input_size\[1\] is 'x'"),
        ({"training": {"stages": {"gt": []}}}, "training.pretraining.gt is no mapping"),
        ({"floors": {"ellipse": 1}}, "baselines.ellipse is no mapping"),
    ],
)
def test_damage_is_named_with_the_file_and_the_place(values, says, tmp_path):
    path = written(tmp_path, values)
    with pytest.raises(DataError, match=says) as caught:
        record.read(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent/run.json cannot be read \(No such file"):
        record.read(tmp_path / "absent" / "run.json")


def test_a_summary_of_a_training_is_read_under_either_name():
    old = record.training_of({"canvas": [64, 64], "stages": {}, "seconds": 3})
    assert old == record.training_of({"input_size": [64, 64], "pretraining": {}, "seconds": 3.0})
    with pytest.raises(DataError, match=r"training.seconds is 'x'"):
        record.training_of({"seconds": "x"})


def test_a_folder_of_before_is_found_and_compared_like_one_of_today(tmp_path):
    make_run(tmp_path / "new", "modnet", truth_access="mask")
    folder = make_run(tmp_path / "old", "u2net")
    today = json.loads((folder / "run.json").read_text())
    old_names = {"truth_access": "aid", "input_keys": "reads", "baselines": "floors", "all": "whole"}
    values = {old_names.get(name, name): value for name, value in today.items() if name != "version"}
    (folder / "run.json").write_text(json.dumps(values | {"aid": "oracle"}))
    found = {run.folder.name: run for run in find(str(tmp_path))}
    assert found["old"].truth_access == found["new"].truth_access == "mask"
    assert found["old"].record.baselines == record.read(tmp_path / "new" / "run.json").baselines


def test_records_are_read_without_torch():
    heavy = "{'torch', 'lightning', 'pandas'}"
    code = f"import sys, kolbench.runs.record; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
