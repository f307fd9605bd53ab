"""`task=score`: scores added to runs that were finished without them, from what they keep."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kolbench.engine import completion
from kolbench.errors import ConfigError
from kolbench.io import masks
from kolbench.io.images import write_png
from kolbench.metrics import scores
from kolbench.metrics.boundary_f import boundary_f
from kolbench.metrics.scores import matting, weighted_f
from kolbench.runs import record as records
from kolbench.runs import run_folder
from kolbench.tasks import score
from tests.helpers.run_folders import make_run
from tests.helpers.tasks import run_task

BANDS = ["boundary_band", "boundary_eroded", "boundary_eroded_band"]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    scores.load([])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run of a version that counted no bands and had no values, its histograms shared with a cache."""
    folder = make_run(tmp_path / "runs" / "old", "kmeans", pictures=5)
    path = folder / run_folder.HISTOGRAMS
    pd.read_parquet(path).drop(columns=BANDS).to_parquet(path, index=False)
    for name in (run_folder.SCORES, "scores.csv", run_folder.CURVE):
        read, write = (
            (pd.read_parquet, pd.DataFrame.to_parquet)
            if name.endswith(".parquet")
            else (pd.read_csv, pd.DataFrame.to_csv)
        )
        table = read(folder / name)
        own = pd.concat([table, pd.Series(0.25, table.index, name="of_a_module")], axis=1)
        write(own[[c for c in own if "boundary" not in c]], folder / name, index=False)
    values = json.loads((folder / "run.json").read_text())
    del values["scores"]["boundary_iou"]
    values["scores"]["of_a_module"] = 0.25
    values["of_tomorrow"] = [1, 2]
    (folder / "run.json").write_text(json.dumps(values))
    os.link(path, tmp_path / "cached.parquet")
    return folder


def maps(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Alpha and truth of each test picture, (H, W) uint8."""

    def levels(part: str, name: str) -> np.ndarray:
        return np.asarray(masks.read_alpha(folder / part / name)[0])

    names = sorted(path.name for path in (folder / "alphas").iterdir())
    return [(levels("alphas", name), levels("truths", name)) for name in names]


def test_an_old_run_is_given_what_it_lacks(old: Path, tmp_path: Path, capsys) -> None:
    cached = (tmp_path / "cached.parquet").read_bytes()
    before = records.read(old / "run.json")
    untouched = {p: p.read_bytes() for p in old.rglob("*") if p.is_file() and p.suffix in (".png", ".jpg")}
    result = run_task("task=score", "metrics=[saliency,boundary]", runs=str(old.parent))
    assert result.failed == 0
    said = capsys.readouterr().out
    for name in ("boundary_iou", "weighted_f", "boundary_f"):
        assert name in said
    # what the cache shares with it stays as it is
    assert (tmp_path / "cached.parquet").read_bytes() == cached
    assert untouched == {path: path.read_bytes() for path in untouched}

    wanted = [
        (weighted_f.weighted_f(alpha, truth), boundary_f(alpha > 127, truth > 127))
        for alpha, truth in maps(old)
    ]
    # equal to a run that was counted with bands from the start
    whole = make_run(tmp_path / "whole", "kmeans", pictures=5)
    expected = records.read(whole / "run.json").scores
    found = records.read(old / "run.json")
    assert found.scores["boundary_iou"] == expected["boundary_iou"]
    assert found.scores["weighted_f"] == pytest.approx(np.mean([row[0] for row in wanted]), abs=1e-12)
    assert found.scores["boundary_f"] == pytest.approx(np.mean([row[1] for row in wanted]), abs=1e-12)
    assert {**found.scores, **before.scores} == found.scores
    assert found.scores["of_a_module"] == 0.25
    assert found.threshold == before.threshold
    assert json.loads((old / "run.json").read_text())["of_tomorrow"] == [1, 2]

    for table in (pd.read_parquet(old / run_folder.SCORES), pd.read_csv(old / "scores.csv")):
        test = table[table["split"] == "test"]
        assert test["weighted_f"].to_numpy() == pytest.approx([row[0] for row in wanted], abs=1e-12)
        assert test["boundary_f"].to_numpy() == pytest.approx([row[1] for row in wanted], abs=1e-12)
        assert table.loc[table["split"] == "val", "weighted_f"].isna().all()
        assert (table["of_a_module"] == 0.25).all()
    curve = pd.read_csv(old / run_folder.CURVE)
    assert curve.loc[curve["split"] == "test", "boundary_iou"].notna().all()
    assert curve.loc[curve["split"] == "val", "boundary_iou"].isna().all()
    assert (curve["of_a_module"] == 0.25).all()
    counts = run_folder.read_histograms(old / run_folder.HISTOGRAMS)
    assert "boundary_band" in counts["test"].counts
    assert "boundary_band" not in counts["val"].counts
    # without the words, the run has them still
    scores.load([])
    means = scores.mean_scores(counts["test"].counts, 0.5)
    assert means["weighted_f"] == found.scores["weighted_f"]
    assert "weighted_f" not in scores.mean_scores(counts["val"].counts, 0.5)

    files = {path: path.stat().st_ino for path in old.rglob("*") if path.is_file()}
    run_task("task=score", "metrics=[saliency,boundary]", runs=str(old))
    assert "has all of these scores" in capsys.readouterr().out
    assert files == {path: path.stat().st_ino for path in old.rglob("*") if path.is_file()}


def test_true_alphas_are_asked_for_where_they_are_needed(old: Path, capsys) -> None:
    result = run_task("task=score", "metrics=[matting]", runs=str(old))
    assert result.failed == 1
    said = capsys.readouterr().out
    assert (
        "metrics=[matting] needs alpha mattes as ground truth, and this run was scored on binary masks"
        in said
    )
    assert "python -m kolbench model=kmeans data.truth=alpha 'metrics=[matting]'" in said
    # what needs none was added all the same
    assert "boundary_iou" in records.read(old / "run.json").scores
    assert "sad" not in records.read(old / "run.json").scores


def test_a_trained_run_is_scored_again_without_training(old: Path) -> None:
    (old / "checkpoints").mkdir()
    words = ("model=unet", "data=folder", "data.root=my images", "seed=3", "metrics=[boundary]", "tta=flip")
    # squares of a protocol have no true alpha
    record = records.RunRecord(
        method="unet", overrides=(*words, "eval_protocol=portraitnet", "paths.run=run")
    )
    said = score.refusal(old, record, ["matting"])
    assert said.endswith(
        f"python -m kolbench task=test weights={old} data=folder 'data.root=my images' tta=flip "
        "data.truth=alpha 'metrics=[matting]'"
    )


def test_true_alphas_give_matting_scores(old: Path) -> None:
    for path in (old / "truths").iterdir():
        truth, _ = masks.read_alpha(path)
        write_png(path, np.asarray(np.where(truth > 127, 255 - np.arange(truth.shape[1]) % 90, 0), np.uint8))
    values = json.loads((old / "run.json").read_text())
    (old / "run.json").write_text(json.dumps({**values, "truth": "alpha"}))
    # three of the six cost nothing, and need no word
    assert run_task("task=score", runs=str(old)).failed == 0
    wanted = np.mean([matting.quick(*pair) for pair in maps(old)], axis=0)
    found = records.read(old / "run.json").scores
    names = ("sad", "mad", "mse", "sad_t", "mad_t", "mse_t")
    assert [found[name] for name in names] == pytest.approx(wanted.tolist(), abs=1e-12)
    assert "grad" not in found
    assert run_task("task=score", "metrics=[matting]", runs=str(old)).failed == 0
    wanted = np.mean([matting.slow(*pair) for pair in maps(old)], axis=0)
    found = records.read(old / "run.json").scores
    assert [found[name] for name in ("grad", "conn", "grad_rvm")] == pytest.approx(wanted[:3], abs=1e-12)


def test_damaged_and_missing_pictures_are_named(old: Path, tmp_path: Path, capsys) -> None:
    good = tmp_path / "runs" / "good"
    shutil.copytree(old, good)
    lost, broken = sorted((old / "alphas").iterdir())[:2]
    broken.write_bytes(b"no image")
    before = (old / run_folder.HISTOGRAMS).read_bytes()
    for name, reason in (("broken", broken.name), ("lost", f"{lost} is missing")):
        if name == "lost":
            lost.unlink()
        assert run_task("task=score", runs=str(old.parent)).failed == 1
        assert reason in capsys.readouterr().out
        assert (old / run_folder.HISTOGRAMS).read_bytes() == before
    write_png(lost, np.zeros((3, 4), np.uint8))
    run_task("task=score", runs=str(old))
    assert f"{lost} is 4x3 px" in capsys.readouterr().out
    # and the others are scored
    assert "boundary_iou" in records.read(good / "run.json").scores


def test_what_other_code_has_counted_is_counted_anew(old: Path) -> None:
    completion.complete(old, False, "old")
    noted = json.loads((old / completion.COUNTED).read_text())
    assert set(noted["code"]) == set(BANDS)
    assert completion.complete(old, False, "old") == []
    noted["code"]["boundary_band"] = "another"
    (old / completion.COUNTED).write_text(json.dumps(noted))
    right = run_folder.read_histograms(old / run_folder.HISTOGRAMS)["test"].counts["boundary_band"]
    table = pd.read_parquet(old / run_folder.HISTOGRAMS)
    wrong = pd.Series([np.zeros(256, np.int64) for _ in range(len(table))])
    table.assign(boundary_band=wrong).to_parquet(old / run_folder.HISTOGRAMS)
    assert completion.complete(old, False, "old") == BANDS
    found = run_folder.read_histograms(old / run_folder.HISTOGRAMS)
    assert np.array_equal(found["test"].counts["boundary_band"], right)
    # of the validation pictures nothing is kept, so what the other code counted is gone
    assert "boundary_band" not in found["val"].counts


def test_runs_must_be_named() -> None:
    with pytest.raises(ConfigError, match="task=score needs runs="):
        run_task("task=score")


@pytest.mark.slow
def test_an_earlier_evaluation_is_completed_and_not_repeated(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("experiment=ellipse", "budget=smoke", "data.picture_size=64", "threshold=0.5")
    run_task(*words, paths={"runs": "runs", "run": "runs/ellipse/one"})
    capsys.readouterr()
    first = records.read(tmp_path / "runs/ellipse/one/run.json")
    assert "weighted_f" not in first.scores
    for name in ("two", "three"):
        run_task(*words, "metrics=[saliency,matting]", paths={"runs": "runs", "run": f"runs/ellipse/{name}"})
        said = capsys.readouterr().out
        assert "no forward pass is needed" in said
        assert ("added to it, from its alphas and truths: " in said) == (name == "two")
        assert "metrics=[matting] needs true alphas" in said
        found = records.read(tmp_path / "runs/ellipse" / name / "run.json")
        assert {**found.scores, **first.scores} == found.scores
        wanted = [weighted_f.weighted_f(*pair) for pair in maps(tmp_path / "runs/ellipse" / name)]
        assert found.scores["weighted_f"] == pytest.approx(np.mean(wanted), abs=1e-12)
        assert found.baselines["ellipse"]["weighted_f"] == found.scores["weighted_f"]
    # fewer words are no other evaluation either
    run_task(*words, paths={"runs": "runs", "run": "runs/ellipse/four"})
    assert len(list((tmp_path / "runs/untrained").rglob("histograms.parquet"))) == 1
    # and one that is made with them says the same
    run_task(*words, "metrics=[saliency]", paths={"runs": "other", "run": "other/one"})
    anew = records.read(tmp_path / "other/one/run.json").scores
    assert anew["weighted_f"] == found.scores["weighted_f"]
