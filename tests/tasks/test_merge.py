"""Shards of a run, merged: what one machine would have left, file by file; and what is no run is refused."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from kolbench.config.compose import load_yaml
from kolbench.config.schema import TaskResult
from kolbench.errors import ConfigError, DataError
from kolbench.metrics import instance_ap
from kolbench.runs import record, run_folder
from kolbench.types import JsonObject
from tests.helpers.commands import kolbench
from tests.helpers.data_files import picture, put
from tests.helpers.tasks import run_task

SCENES = "budget.scenes={train:2,val:3,test:5}"
ALL_OF_THEM = "budget.limit={train:null,val:null,test:null}"
DRAWN = ("data=synthetic", "budget=smoke", "data.picture_size=32", SCENES, ALL_OF_THEM)
# clip -> number of frames
CLIPS = {"a": 3, "b": 1, "c": 2, "d": 4, "v": 2, "w": 1}
# what tells when, where and how fast
TIMES = ("started", "seconds", "machine", "test_seconds_per_picture")


def clips_of_noise(root: Path) -> Path:
    """`data=davis`: four test clips, one of which has a frame without truth, and two of validation."""
    for clip, frames in CLIPS.items():
        for number in range(frames):
            put(root / clip / "images" / f"{number}.png", picture(ord(clip) + number, 16, 24))
            mask = np.zeros((16, 24), np.uint8)
            mask[4:12, 3 + number : 12 + number] = 255
            put(root / clip / "masks" / f"{number}.png", mask)
    (root / "d" / "masks" / "1.png").unlink()
    (root / "train.txt").write_text("e\n")
    for part in ("images", "masks"):
        put(root / "e" / part / "0.png", np.full((16, 24, 3)[: 3 if part == "images" else 2], 255, np.uint8))
    (root / "val.txt").write_text("v\nw\n")
    (root / "test.txt").write_text("a\nb\nc\nd\n")
    return root


def scored(folder: Path, name: str, words: Sequence[str], shard: str | None = None, **values: object) -> Path:
    typed = () if shard is None else (f"shard={shard}",)
    run = folder / name
    run_task("task=test", *words, *typed, paths={"runs": str(folder), "run": str(run)}, **values)
    return run


def merged(runs: Sequence[Path], run: Path) -> TaskResult:
    return run_task(
        "task=merge", runs=[str(path) for path in runs], paths={"runs": str(run.parent), "run": str(run)}
    )


def files(run: Path) -> dict[str, Path]:
    return {path.relative_to(run).as_posix(): path for path in run.rglob("*") if path.is_file()}


def assert_equal_runs(one: Path, other: Path) -> None:
    """Every file by its bytes; times, and where the runs lie, left out."""
    known, found = files(one), files(other)
    assert found.keys() == known.keys()
    timed = {
        "histograms.parquet": pd.read_parquet,
        "scores.parquet": pd.read_parquet,
        "scores.csv": pd.read_csv,
    }
    for name in known.keys() - {"config.yaml", "run.json", *timed}:
        assert found[name].read_bytes() == known[name].read_bytes(), name
    for name, read in timed.items():
        of_one, of_other = (read(run / name) for run in (one, other))
        assert (of_other.pop("seconds") >= 0).all()
        pd.testing.assert_frame_equal(of_one.drop(columns="seconds"), of_other, check_exact=True)
    configs = [dict(load_yaml(run / "config.yaml")) for run in (one, other)]
    assert [{**values, "paths": None} for values in configs[1:]] == [{**configs[0], "paths": None}]
    assert list(configs[0]) == list(configs[1])
    records = [json.loads((run / "run.json").read_text()) for run in (one, other)]
    for values in records:
        # of methods on arrays, what Python allocates besides is never quite the same
        if values["cost"]["macs"] is None:
            del values["cost"]["memory"]
    left = [{key: value for key, value in values.items() if key not in TIMES} for values in records]
    assert left[0] == left[1]
    assert records[0].keys() == records[1].keys()


CLUSTERED = ("experiment=kmeans", *DRAWN, "data.protocol=all", "metrics=[boundary]")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """All pictures at once."""
    return scored(tmp_path_factory.mktemp("one"), "one", CLUSTERED)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_drawn_scenes_in_shards_are_the_run_of_one_machine(one, tmp_path, count, capsys):
    parts = [scored(tmp_path, f"{n}", CLUSTERED, f"{n}/{count}") for n in range(count, 0, -1)]
    said = capsys.readouterr().out
    assert f"shard 1 of {count}: {-(-5 // count)} of 5 test images are counted in" in said
    for part in parts:
        assert not {"scores.parquet", "curve.csv", "overview.png"} & files(part).keys()
    result = merged(parts, tmp_path / "whole")
    assert_equal_runs(one, tmp_path / "whole")
    found = record.read(tmp_path / "whole" / "run.json")
    assert found.pictures == {"val": 3, "test": 5, "all": 10}
    assert (found.threshold_from, found.shard) == ("validation", None)
    assert result.row is not None
    assert result.row["miou"] == found.scores["miou"]
    assert found.seconds is not None
    assert found.seconds >= sum(record.read(part / "run.json").seconds or 0 for part in parts)


# a method that remembers, one that is smoothed over time, and one that finds persons
METHODS = {
    "remembers": ({"_target_": "tests.helpers.stateful.Counter", "name": "counter"}, ()),
    "smoothed": (None, ("smooth=ema", "trim=davis2016")),
    "persons": ({"_target_": "tests.helpers.halves.Halves", "name": "halves"}, ("threshold=0.4",)),
}


@pytest.mark.parametrize("method", METHODS)
def test_clips_stay_whole(tmp_path, method):
    model, more = METHODS[method]
    root = clips_of_noise(tmp_path / "data")
    words = ("experiment=ellipse", "budget=smoke", ALL_OF_THEM, "data=davis", f"data.root={root}", *more)
    words = (*words, "data.allow_duplicates=true")
    values = {} if model is None else {"model": model}
    one = scored(tmp_path, "one", words, **values)
    parts = [scored(tmp_path, f"{n}", words, f"{n}/3", **values) for n in (1, 2, 3)]
    merged(parts, tmp_path / "whole")
    assert_equal_runs(one, tmp_path / "whole")
    names = [run_folder.read_histograms(part / "histograms.parquet")["test"].names for part in parts]
    assert names == [["a/0", "a/1", "a/2"], ["d/0", "d/2", "d/3"], ["b/0", "c/0", "c/1"]]
    found = record.read(tmp_path / "whole" / "run.json")
    assert list(found.clips) == ["a", "b", "c", "d"]
    assert (found.instances is not None) == (method == "persons")
    if found.instances is not None:
        # not the mean of the shards' own
        of_parts = [precision_of(part / run_folder.SHARD_PERSONS) for part in parts]
        assert 0 < found.instances["mask_ap50"] < 1
        assert found.instances["mask_ap50"] != pytest.approx(np.mean(of_parts))
    if method == "remembers":
        alphas = [np.asarray(picture_of(tmp_path / "whole", f"d/{n}"))[0, 0] for n in (0, 2, 3)]
        # the frame without truth counts too
        assert alphas == [0, round(255 * 0.2), round(255 * 0.3)]


def precision_of(folder: Path) -> float:
    kept = [instance_ap.load_persons(path) for path in sorted(folder.rglob("*.npz"))]
    return instance_ap.average_precision(kept)["mask_ap50"]


def picture_of(run: Path, name: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(run / "alphas" / f"{name}.png"))


def test_kept_persons_are_those_that_were_found(tmp_path):
    import torch

    from kolbench.types import Instances

    masks = torch.rand(3, 5, 7)
    persons = Instances(torch.rand(3, 4), torch.tensor([0.9, 0.5, 0.1]), masks)
    labels = np.arange(35, dtype=np.uint8).reshape(5, 7) % 3
    for name, found in (("some", persons), ("none", Instances(*(entry[:0] for entry in persons)))):
        path = tmp_path / "clip" / f"{name}.npz"
        instance_ap.save_persons(path, found, labels)
        kept, truth = instance_ap.load_persons(path)
        assert np.array_equal(truth, labels)
        assert torch.equal(kept.boxes, found.boxes)
        assert torch.equal(kept.scores, found.scores)
        assert torch.equal(kept.masks, (found.masks >= 0.5).float())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"none\.npz cannot be read"):
        instance_ap.load_persons(path)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two shards of two test pictures by the ellipse, `1` and `2`."""
    folder = tmp_path_factory.mktemp("shards")
    words = ("experiment=ellipse", *DRAWN, "seed=3")
    return [scored(folder, f"{n}", words, f"{n}/2") for n in (1, 2)]


@pytest.fixture
def parts(shards, tmp_path):
    """Copies of them that may be changed."""
    return [Path(shutil.copytree(run, tmp_path / "parts" / run.name)) for run in shards]


def change(run: Path, key: str, value: object) -> Path:
    path = run / "run.json"
    values: JsonObject = json.loads(path.read_text())
    node = values
    *place, last = key.split(".")
    for name in place:
        node = node[name]
    node[last] = value
    path.write_text(json.dumps(values))
    return path


def change_config(run: Path, **values: object) -> None:
    path = run / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def test_a_folder_that_holds_them_is_enough_and_a_report_of_shards_says_so(parts, tmp_path, capsys):
    # one that failed before it was scored again, and a whole run, lie there too
    failed = shutil.copytree(parts[1], tmp_path / "parts" / "failed")
    change(Path(failed), "status", "failed")
    shutil.copytree(parts[1], tmp_path / "parts" / "whole")
    change(tmp_path / "parts" / "whole", "shard", None)
    with pytest.raises(DataError, match=r"no whole run: 2 are shards\. Join them first: .* task=merge"):
        run_task("task=report", runs=str(parts[0].parent / "[12]"), output=str(tmp_path / "report"))
    assert (
        "(shard 1 of 2 of a run: python -m kolbench task=merge runs=... joins them)"
        in capsys.readouterr().out
    )
    merged([tmp_path / "parts"], tmp_path / "out")
    said = capsys.readouterr().out
    assert f"left out: {failed} (shard 2 of 2, failed: another run of it is finished)" in said
    assert f"left out: {tmp_path / 'parts' / 'whole'} (no shard)" in said
    assert record.read(tmp_path / "out" / "run.json").pictures == {"val": 3, "test": 5}
    run_task("task=report", runs=str(tmp_path / "out"), output=str(tmp_path / "report"))
    assert (tmp_path / "report" / "report.html").is_file()


Change = Callable[[list[Path]], object]
REFUSED: dict[str, tuple[Change, str]] = {
    "missing": (lambda runs: shutil.rmtree(runs[1]), r"1 \(shard 1 of 2\) .*: shard=2/2 is missing"),
    "twice": (
        lambda runs: change(runs[1], "shard.number", 1),
        r"shard 1 of 2 is there 2 times: .*/1, .*/2\. Name one\.",
    ),
    "another division": (
        lambda runs: change(runs[1], "shard.count", 3),
        r"1 \(shard 1 of 2\) and .*2 \(shard 2 of 3\) are parts of different divisions",
    ),
    "unfinished": (
        lambda runs: change(runs[1], "status", "running"),
        r"2 \(shard 2 of 2\) is not finished \(running\)\. Score it again",
    ),
    "weights": (
        lambda runs: change(runs[1], "shard.contents", {"weights": "sha256:1"}),
        r"1 \(shard 1 of 2\) and .*2 \(shard 2 of 2\) are not of one run\. They differ in the content of "
        r"weights \(nothing and sha256:1\)",
    ),
    "data": (lambda runs: change(runs[0], "fingerprint.source", "0"), r"differ in data \(images, truths"),
    "code": (lambda runs: change(runs[0], "shard.code", "0"), r"They differ in code \("),
    "versions": (
        lambda runs: change(runs[0], "versions.torch", "1.0"),
        r"differ in versions, torch \(1\.0 and ",
    ),
    "device": (
        lambda runs: change(runs[0], "device", "cuda:3 (NVIDIA H200)"),
        r"differ in device \(NVIDIA H200 and cpu\)",
    ),
    "configuration": (
        lambda runs: change_config(runs[1], seed=4, device="cuda"),
        r"differ in configuration, seed \(3 and 4\)\. Score",
    ),
    "code of today": (
        lambda runs: [change(run, "shard.code", "0") for run in runs],
        r"was scored by other code \(.*\) than this one",
    ),
    "data of today": (
        lambda runs: [change(run, "fingerprint.source", "0") for run in runs],
        r"was scored on other data than data=synthetic gives now",
    ),
    "no shards": (
        lambda runs: [change(run, "shard", None) for run in runs],
        r"holds no shards; task=test shard=1/N",
    ),
    "damaged": (lambda runs: (runs[1] / "config.yaml").write_text("- 1"), r"config\.yaml is damaged"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_run_of_one_machine_is_refused(parts, what, tmp_path):
    spoil, words = REFUSED[what]
    spoil(parts)
    with pytest.raises(DataError, match=words):
        merged([parts[0].parent], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_shards_of_an_accelerator_are_merged_without_one(parts, tmp_path):
    for part in parts:
        trainer = yaml.safe_load((part / "config.yaml").read_text())["trainer"]
        change_config(part, trainer={**trainer, "accelerator": "gpu", "sync_batchnorm": True})
    merged(parts, tmp_path / "out")
    assert record.read(tmp_path / "out" / "run.json").pictures == {"val": 3, "test": 5}


def test_counts_that_were_changed_are_refused(parts, tmp_path):
    shutil.copy(parts[0] / "histograms.parquet", parts[1] / "histograms.parquet")
    with pytest.raises(DataError, match=r"files were changed: \d+ images are not each of \d+ once"):
        merged(parts, tmp_path / "out")


def test_nothing_to_merge_and_nothing_that_matches(tmp_path):
    with pytest.raises(ConfigError, match=r"task=merge needs runs=\[SHARD,SHARD,\.\.\.\]"):
        run_task("task=merge")
    with pytest.raises(DataError, match="nowhere matches nothing"):
        merged([tmp_path / "nowhere"], tmp_path / "out")


def test_a_shard_that_would_be_empty_is_refused_and_so_is_no_number(tmp_path):
    with pytest.raises(ConfigError, match="shard=6/6: 5 test images are scored; there can be 5 shards"):
        scored(tmp_path, "x", ("experiment=ellipse", *DRAWN), "6/6")
    for wrong in ("0/2", "3/2", "2", "a/b", "-1/2"):
        with pytest.raises(ConfigError, match=r"shard=\S+ is not K/N, the Kth of N parts, such as 3/8"):
            scored(tmp_path, "x", ("experiment=ellipse", *DRAWN), wrong)


@pytest.mark.slow
def test_as_a_sweep_from_the_command_line(tmp_path):
    words = ("experiment=ellipse", *DRAWN)
    kolbench("task=test", *words, "hydra.run.dir=one", cwd=tmp_path)
    kolbench("-m", "task=test", *words, "shard=1/2,2/2", "hydra.sweep.dir=shards", cwd=tmp_path)
    runs = sorted(path.parent.name for path in (tmp_path / "shards").rglob("run.json"))
    assert runs == ["0_ellipse", "1_ellipse"]
    kolbench("task=merge", "runs=[shards/0_ellipse,shards/1_ellipse]", cwd=tmp_path)
    (found,) = (tmp_path / "runs").glob("ellipse/*")
    assert_equal_runs(tmp_path / "one", found)
    refused = kolbench(*words, "shard=1/2", cwd=tmp_path, code=2)
    assert "this task has no shard=; task=test has it." in refused.stderr
