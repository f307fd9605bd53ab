"""A run and its repetition, by hand: what is told of the surroundings, which scores are equal."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from kolbench.runs import repetition
from kolbench.runs.record import DataFingerprint, Machine, RunRecord
from kolbench.runs.repetition import Surroundings

BEFORE = RunRecord(
    threshold=0.5,
    scores={"acc": 0.75, "miou": 0.5, "dark": math.nan, "gone": 1.0},
    video={"j_mean": 0.25},
    instances={"box_ap": 0.125},
)
NOW = replace(
    BEFORE, threshold=0.25, scores={"acc": 0.75, "miou": 0.5 + 2**-40, "dark": math.nan, "new": 2.0}
)


def test_changes_by_hand():
    found = repetition.changes(BEFORE, NOW)
    assert [change.name for change in found] == [
        *("threshold", "miou", "acc", "dark", "gone", "box_ap", "clips/j_mean", "new")
    ]
    known = {change.name: (change.equal, change.difference) for change in found}
    assert known["threshold"] == (False, -0.25)
    # no digits are dropped
    assert known["miou"] == (False, 2**-40)
    assert known["acc"] == (True, 0.0)
    assert known["dark"][0] is True
    assert known["gone"] == known["new"] == (None, None)
    assert known["clips/j_mean"] == (True, 0.0)


ALIKE = Surroundings(
    {"torch": "2.15.0", "kolbench": "0.1.0"},
    "57c3ce4",
    "cpu (2 threads)",
    Machine("Linux", 2, 2),
    DataFingerprint("a" * 64, "b" * 16),
)


def test_nothing_differs():
    assert repetition.told(ALIKE, ALIKE) == [
        "versions: the same",
        "code: the same commit, 57c3ce4",
        "data: the same images, masks and split",
        "device: the same, cpu (2 threads)",
    ]


@pytest.mark.parametrize(
    ("now", "line"),
    [
        ({"versions": {"torch": "3.0", "kolbench": "0.1.0"}}, "versions: torch 2.15.0 then, 3.0 now"),
        (
            {"versions": {"torch": "2.15.0"}},
            "versions: kolbench 0.1.0 then, not there now",
        ),
        ({"commit": "57c3ce5"}, "code: commit 57c3ce4 then, 57c3ce5 now"),
        ({"commit": None}, "code: no commit is known of both; the versions are all there is"),
        (
            {"data": DataFingerprint("c" * 64, "b" * 16)},
            "data: images or masks differ (aaaaaaaaaaaa then, cccccccccccc now)",
        ),
        (
            {"data": DataFingerprint("a" * 64, "d" * 16)},
            "data: the split differs (bbbbbbbbbbbb then, dddddddddddd now)",
        ),
        (
            {"device": "cuda:0 (H200)", "machine": Machine("Linux", 16, 2)},
            "device: cpu (2 threads) then, cuda:0 (H200) now; cores 2 then, 16 now",
        ),
    ],
)
def test_one_thing_differs(now, line):
    lines = repetition.told(ALIKE, replace(ALIKE, **now))
    assert line in lines
    assert len(set(lines) - set(repetition.told(ALIKE, ALIKE))) == 1


def test_files_that_differ_from_their_commit_are_told():
    (_, line, _, _) = repetition.told(ALIKE, replace(ALIKE, commit="57c3ce4-dirty"))
    assert line == "code: commit 57c3ce4 then, 57c3ce4-dirty now; files differ from the commit (-dirty)"


def test_a_run_of_before_has_recorded_little():
    lines = repetition.told(Surroundings.of_run(RunRecord()), ALIKE)
    assert [line.partition(":")[0] for line in lines] == ["versions", "code", "data", "device"]
    assert sum("not recorded" in line for line in lines) == 3


def test_where_a_run_was_started():
    folder = Path("/home/me/work/runs/unet/one")
    assert repetition.started_in(folder, Path("runs")) == Path("/home/me/work")
    assert repetition.started_in(folder, Path("work/runs")) == Path("/home/me")
    assert repetition.started_in(folder, Path("elsewhere")) is None
    assert repetition.folder_of_runs(folder, Path("runs")) == Path("/home/me/work/runs")
    assert repetition.folder_of_runs(folder, Path("/home/me/work/runs")) == Path("/home/me/work/runs")
    assert repetition.folder_of_runs(folder, Path("/data/runs")) is None


def test_relative_paths_of_a_configuration():
    values = {"weights": "a.pth", "data": {"root": "/photos", "masks": "masks"}, "init": None, "seed": 0}
    keys = frozenset(("weights", "init", "data.root", "data.masks", "model.file"))
    assert list(repetition.relative_paths(values, keys)) == [("data.masks", "masks"), ("weights", "a.pth")]
