"""Corrupted test pictures in the report: which runs belong together, what the tables and the figure hold."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from kolbench.config.schema import CORRUPTIONS
from kolbench.metrics import scores
from kolbench.report import drawing, robustness
from kolbench.report.figures import all_figures
from kolbench.report.numbers import numbers_of
from kolbench.report.tables import all_tables
from kolbench.runs import corrupted, folds, run_folder
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import make_run

SMALL = {"pictures": 8, "files": False}


@pytest.fixture
def runs(tmp_path):
    """Makes runs below one folder: runs(method, kind, severity, ...); without a kind on clean pictures."""
    made = []

    def make(method, kind=None, severity=None, **choices):
        after = {} if kind is None else {"corrupt": kind, "severity": severity}
        words = [f"{key}={value}" for key, value in after.items()]
        overrides = [*words, *choices.pop("overrides", [])]
        folder = tmp_path / "runs" / str(len(made))
        # one training, however well it does
        made.append(make_run(folder, method, **{**SMALL, **choices}, overrides=overrides, changes=after))
        values = json.loads((folder / run_folder.RUN).read_text())
        if values["training"]:
            values["training"]["fingerprint"] = method
            (folder / run_folder.RUN).write_text(json.dumps(values))
        return made[-1]

    return make


def comparisons(tmp_path):
    return corrupted.comparisons(folds.joined(find(str(tmp_path / "runs")))[0])


def cells(table):
    """(method, score) -> column -> cell."""
    rows = table.frame.set_index(["method", "score"]).to_dict("index")
    return {
        key: {name: value for name, value in row.items() if not pd.isna(value)} for key, row in rows.items()
    }


def mean(folder, score="miou"):
    (run,) = find(str(folder))
    return scores.mean_scores(run.test.counts, run.threshold)[score]


def test_values_and_losses_of_every_method_and_corruption(runs, tmp_path):
    folders = {
        ("modnet", "clean"): runs("modnet", quality=0.9),
        ("modnet", "dark 5"): runs("modnet", "dark", 5, quality=0.3),
        ("modnet", "jpeg 1"): runs("modnet", "jpeg", 1, quality=0.8),
        ("modnet", "jpeg 3"): runs("modnet", "jpeg", 3, quality=0.6),
        ("unet", "clean"): runs("unet", quality=0.7),
        ("unet", "jpeg 1"): runs("unet", "jpeg", 1, quality=0.5),
    }
    (comparison,) = comparisons(tmp_path)
    assert [run.label for run in comparison.runs] == ["modnet", "unet"]
    table = robustness.robustness(numbers_of(comparison))
    assert list(table.frame) == ["method", "score", "clean", "jpeg 1", "jpeg 3", "dark 5"]
    found = cells(table)
    assert list(found) == [
        *(("modnet", "miou"), ("unet", "miou"), ("modnet", "miou, loss"), ("unet", "miou, loss")),
        *(("modnet", "product_recall"), ("unet", "product_recall")),
        *(("modnet", "product_recall, loss"), ("unet", "product_recall, loss")),
    ]
    for score in ("miou", "product_recall"):
        for method in ("modnet", "unet"):
            known = {name: mean(run, score) for (of, name), run in folders.items() if of == method}
            assert found[method, score] == pytest.approx(known)
            clean = known.pop("clean")
            losses = {name: 100 * (clean - value) for name, value in known.items()}
            assert found[method, f"{score}, loss"] == pytest.approx(losses)
    assert found["modnet", "miou, loss"]["dark 5"] > found["modnet", "miou, loss"]["jpeg 1"] > 0


def test_runs_on_corrupted_pictures_are_not_ranked_and_have_an_interval_of_their_loss(runs, tmp_path):
    clean, bad = runs("modnet", quality=0.9), runs("modnet", "noise", 4, quality=0.2)
    runs("unet", quality=0.7)
    (comparison,) = comparisons(tmp_path)
    tables = {table.name: table for table in all_tables(comparison)}
    (pair,) = tables["differences"].frame[["A", "B"]].values.tolist()
    assert set(pair) == {"modnet", "unet"}
    assert tables["scores"].frame["method"].tolist()[:2] == ["modnet", "unet"]
    (row,) = tables["corrupted"].frame.to_dict("records")
    assert row["method"] == "modnet corrupt=noise severity=4"
    loss = 100 * (mean(clean) - mean(bad))
    assert row["miou, loss"] == pytest.approx(loss)
    # three groups are too few for an interval
    assert row["low"] is row["high"] is None
    assert row["miou"] == pytest.approx(mean(bad))


def test_intervals_of_losses_need_groups(runs, tmp_path):
    runs("modnet", quality=0.9, pictures=40)
    runs("modnet", "noise", 4, quality=0.2, pictures=40)
    (comparison,) = comparisons(tmp_path)
    (row,) = robustness.corrupted(numbers_of(comparison)).frame.to_dict("records")
    numbers = numbers_of(comparison)
    loss = 100 * np.mean(numbers.runs[0].images["miou"] - numbers.corrupted[0].images["miou"])
    assert row["miou, loss"] == pytest.approx(loss)
    assert 0 < row["low"] < loss < row["high"] < 100


def test_without_corrupted_runs_there_is_neither_table_nor_figure(runs, tmp_path):
    runs("modnet", quality=0.9)
    (comparison,) = comparisons(tmp_path)
    assert comparison.corrupted == ()
    assert len(robustness.robustness(numbers_of(comparison)).frame) == 0
    assert len(robustness.corrupted(numbers_of(comparison)).frame) == 0
    assert robustness.severities(numbers_of(comparison)) is None
    names = {table.name for table in all_tables(comparison)} | {f.name for f in all_figures(comparison)}
    assert not names & {"robustness", "corrupted"}


def test_a_crop_belongs_to_the_pictures_as_they_are_although_its_truth_is_another(runs, tmp_path):
    runs("modnet", quality=0.9)
    cut = runs("modnet", "crop", 2, quality=0.5, scene_seed=1)
    # cut pictures have the source of the whole ones
    values = json.loads((cut / run_folder.RUN).read_text())
    other = json.loads((tmp_path / "runs" / "0" / run_folder.RUN).read_text())
    (cut / run_folder.RUN).write_text(json.dumps(values | {"fingerprint": other["fingerprint"]}))
    assert len(sets_of(find(str(tmp_path / "runs")))) == 2
    (comparison,) = comparisons(tmp_path)
    found = cells(robustness.robustness(numbers_of(comparison)))
    assert found["modnet", "miou"]["crop 2"] == pytest.approx(mean(cut))
    # other pictures stay apart
    runs("unet", "dark", 2, scene_seed=2)
    assert [len(found.corrupted) for found in comparisons(tmp_path)] == [1, 1]


def test_without_clean_runs_the_corrupted_ones_stand_alone(runs, tmp_path):
    folders = [runs("modnet", "blur", severity, quality=1 - severity / 6) for severity in (1, 3, 5)]
    (comparison,) = comparisons(tmp_path)
    labels = [f"modnet corrupt=blur severity={severity}" for severity in (1, 3, 5)]
    assert [run.label for run in comparison.runs] == labels
    found = cells(robustness.robustness(numbers_of(comparison)))
    assert set(found) == {("modnet", "miou"), ("modnet", "product_recall")}
    expected = dict(zip(("blur 1", "blur 3", "blur 5"), map(mean, folders), strict=True))
    assert found["modnet", "miou"] == pytest.approx(expected)
    assert robustness.severities(numbers_of(comparison)) is not None


def test_a_severity_of_clean_pictures_means_nothing(runs, tmp_path):
    runs("modnet", started="2026-11-20T10:00:00+0000")
    newest = runs("modnet", started="2026-11-22T10:00:00+0000", overrides=["corrupt=none", "severity=5"])
    (found,) = find(str(tmp_path / "runs"))
    assert found.folder == newest.resolve()
    assert found.label == "modnet"


def test_labels_name_a_corruption_even_where_nobody_typed_it(runs, tmp_path):
    make_run(tmp_path / "runs" / "a", "modnet", **SMALL, changes={"corrupt": "dark", "severity": 3})
    (found,) = find(str(tmp_path / "runs"))
    assert (found.label, found.clean_label) == ("modnet corrupt=dark severity=3", "modnet")


def test_methods_that_read_alike_when_shortened_are_not_mixed(runs, tmp_path):
    long = [f"model.{'abcd'[number] * 24}=1" for number in range(4)]
    clean, losses = {}, {}
    for last, quality in (("x", 0.9), ("y", 0.5)):
        words = [*long, f"model.zzzz={last}"]
        clean[last] = runs("modnet", quality=quality, overrides=words)
        losses[last] = runs("modnet", "dark", 3, quality=quality - 0.2, overrides=words)
    runs("modnet", quality=0.7)
    (comparison,) = comparisons(tmp_path)
    found = robustness.methods(numbers_of(comparison))
    assert len(found) == 2
    together = {
        (method.clean.run.folder if method.clean else None, method.any_run.run.folder) for method in found
    }
    assert together == {(clean[last], losses[last]) for last in ("x", "y")}


def test_seeds_are_rows_of_their_own(runs, tmp_path):
    for seed in (0, 1):
        runs("modnet", seed=seed, quality=0.9)
        runs("modnet", "dark", 3, seed=seed, quality=0.4)
    (comparison,) = comparisons(tmp_path)
    found = cells(robustness.robustness(numbers_of(comparison)))
    assert {key for key in found if key[1] == "miou, loss"} == {
        ("modnet seed=0", "miou, loss"),
        ("modnet seed=1", "miou, loss"),
    }


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_figure_has_axes_for_corruptions_and_lines_for_methods(runs, tmp_path, count, monkeypatch):
    for method, quality in (("modnet", 0.9), ("unet", 0.7)):
        runs(method, quality=quality)
        for kind in CORRUPTIONS[:count]:
            for severity in (1, 4):
                runs(method, kind, severity, quality=quality - severity / 8)
    (comparison,) = comparisons(tmp_path)
    drawn = []
    grid = drawing.grid

    def remembered(*given):
        drawn.append(grid(*given))
        return drawn[-1]

    monkeypatch.setattr(drawing, "grid", remembered)
    figure = robustness.severities(numbers_of(comparison))
    assert figure is not None
    (axes,) = drawn
    assert [panel.get_title() for panel in axes] == list(CORRUPTIONS[:count])
    table = cells(robustness.robustness(numbers_of(comparison)))
    for panel, kind in zip(axes, CORRUPTIONS, strict=False):
        for line, method in zip(panel.lines[:2], ("modnet", "unet"), strict=True):
            row = table[method, "miou"]
            assert list(line.get_xdata()) == [0, 1, 4]
            assert list(line.get_ydata()) == pytest.approx(
                [100 * row[column] for column in ("clean", f"{kind} 1", f"{kind} 4")]
            )
    for word in ("MODNet", "U-Net", "severity", "mIoU (%)"):
        assert re.search(rf">{re.escape(word)}<", figure.svg)
