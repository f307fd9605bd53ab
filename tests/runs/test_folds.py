"""Runs of a cross-validation become one row."""

import statistics

import numpy as np
import pytest

from kolbench.metrics import scores
from kolbench.metrics.counts import Counts
from kolbench.report.sentences import sentences
from kolbench.report.tables import all_tables
from kolbench.runs import folds
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import make_run


def fold(folder, number, method="modnet", count=3, **options):
    """A run on pictures of its own, told apart by their scene."""
    words = [f"data.folds={count}", f"data.fold={number}"][: 2 if number else 1]
    source = {
        "fingerprint": {"source": "a" * 64, "splits": str(number) * 16},
        "clips": {
            f"clip {number}": {"pictures": ["x"], "flicker": number / 10, "scores": {"j_mean": number / 5}}
        },
    }
    return make_run(
        folder / f"{method}{number}",
        method,
        pictures=4 + number,
        scene_seed=number,
        overrides=words,
        changes=source,
        **options,
    )


@pytest.fixture(scope="module")
def cross_validation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    for method in ("modnet", "unet"):
        for number in range(3):
            fold(folder, number, method, quality=0.9 if method == "modnet" else 0.7, model={"name": method})
    return folder


def test_every_picture_of_all_folds_counts_once(cross_validation):
    found, said = folds.joined(find(str(cross_validation)))
    assert said == []
    assert [run.method for run in found] == ["modnet", "unet"]
    run = found[0]
    assert isinstance(run, folds.JoinedFolds)
    parts = sorted(find(str(cross_validation / "modnet*")), key=lambda part: part.folder.name)
    assert [part.folder.name for part in run.folds] == ["modnet0", "modnet1", "modnet2"]
    assert len(run.test.names) == run.record.pictures["test"] == 4 + 5 + 6
    assert run.model == {"name": "modnet"}
    assert run.threshold == statistics.median(part.threshold for part in parts)
    whole = Counts.joined([part.test.counts for part in parts])
    assert run.scores == scores.mean_scores(whole, run.threshold)
    sizes = np.array([4, 5, 6])
    means = np.array([part.record.baselines["ellipse"]["miou"] for part in parts])
    assert run.record.baselines["ellipse"]["miou"] == pytest.approx((means * sizes).sum() / 15)
    assert not any("pooled" in name for name in run.record.baselines["ellipse"])
    assert {clip: found.flicker for clip, found in run.record.clips.items()} == {
        "clip 0": 0.0,
        "clip 1": 0.1,
        "clip 2": 0.2,
    }
    assert run.record.video == pytest.approx({"j_mean": 0.2})


def test_the_report_has_one_row_for_each_method_and_says_why(cross_validation):
    (comparison,) = sets_of(folds.joined(find(str(cross_validation)))[0])
    assert [run.label for run in comparison.runs] == ["modnet (3 folds joined)", "unet (3 folds joined)"]
    assert len(comparison.pictures) == 15
    table = next(made for made in all_tables(comparison) if made.name == "scores")
    row = next(row for row in table.frame.to_dict("records") if row["method"] == "modnet (3 folds joined)")
    assert row["threshold from"] == "the folds (median of their own thresholds)"
    assert row["pictures"] == 15
    said = [line for line in sentences(comparison) if line.startswith("Cross-validation")]
    assert said == [
        "Cross-validation: MODNet (3 folds joined) and U-Net (3 folds joined). Each image was tested once, "
        "by a training that had not seen it; the threshold is the median of the folds' own."
    ]


def test_missing_folds_are_told_and_the_others_stay_as_they_are(tmp_path):
    for number in (0, 2):
        fold(tmp_path, number, files=False)
    make_run(tmp_path / "other", "unet", files=False)
    found, said = folds.joined(find(str(tmp_path)))
    assert said == ["modnet: 2 of 3 folds of one version of the code are finished; they are not joined yet"]
    assert sorted(run.folder.name for run in found) == ["modnet0", "modnet2", "other"]
    assert all(run.fold_count == 0 for run in found)


def test_seeds_are_cross_validations_of_their_own(tmp_path):
    for seed in (0, 1):
        for number in range(3):
            fold(tmp_path / str(seed), number, seed=seed, files=False)
    found, said = folds.joined(find(str(tmp_path)))
    assert (len(found), said) == (2, [])
    (comparison,) = sets_of(found)
    assert [run.label for run in comparison.runs] == [
        "modnet seed=0 (3 folds joined)",
        "modnet seed=1 (3 folds joined)",
    ]
