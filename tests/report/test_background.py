"""The background-removal paper's table: U2Net with and without a refiner, per picture and pooled."""

import numpy as np
import pytest

from kolbench.metrics import scores
from kolbench.report import layout
from kolbench.report.tables import all_tables
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import make_run


def tables_of(folder):
    (comparison,) = sets_of(find(str(folder)))
    return comparison, {table.name: table for table in all_tables(comparison)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("background")
    options = {"files": False, "data": "ecssd", "pictures": 6}
    make_run(folder / "plain", "u2net", quality=0.7, model={"size": 128}, **options)
    refined = {"refiner": "cascadepsp"}
    # as weights=official is called
    make_run(
        folder / "refined",
        "official_u2net",
        quality=0.8,
        overrides=["refiner=cascadepsp"],
        changes=refined,
        **options,
    )
    make_run(folder / "small", "u2netp", quality=0.6, **options)
    make_run(folder / "other", "modnet", quality=0.6, **options)
    return tables_of(folder)


def test_runs_stand_in_the_papers_rows_and_the_rest_is_left_empty(made):
    frame = made[1]["background"].frame
    ran = frame[frame["method"].notna()]
    assert sorted(ran["row (paper)"].dropna()) == ["U2Net + CascadePSP, ECSSD", "U2Net, ECSSD"]
    assert len(ran) == 3  # MODNet is no U2Net
    assert dict(zip(ran["row (paper)"], ran["size"], strict=True))["U2Net, ECSSD"] == 128
    assert ran["size"].isna().sum() == 2
    absent = frame[frame["method"].isna()]
    assert sorted(absent["row (paper)"]) == [
        *("U2Net + CascadePSP, DUT-OMRON", "U2Net + CascadePSP, DUTS-TE"),
        *("U2Net, DUT-OMRON", "U2Net, DUTS-TE"),
    ]
    assert absent["iou"].isna().all()
    printed = dict(zip(frame["row (paper)"], frame["mae (paper)"], strict=True))
    assert printed["U2Net, DUTS-TE"] == 0.044
    assert np.isnan(printed["U2Net + CascadePSP, DUTS-TE"])
    assert dict(made[1]["background"].blocks)[layout.NOT_RUN] == (3, 4, 5, 6)


def test_scores_are_those_of_the_pixels_together_and_of_each_picture(made):
    comparison, tables = made
    frame = tables["background"].frame
    run = next(run for run in comparison.runs if run.record.refiner == "cascadepsp")
    row = frame[frame["method"] == run.label].iloc[0]
    tp, fp, fn, _ = (part.sum() for part in scores.confusion(run.test.counts, run.threshold))
    assert row["precision_pooled"] == pytest.approx(tp / (tp + fp))
    assert row["recall_pooled"] == pytest.approx(tp / (tp + fn))
    assert row["iou_pooled"] == pytest.approx(tp / (tp + fp + fn))
    means = scores.mean_scores(run.test.counts, run.threshold)
    for name in ("iou", "precision", "recall", "f0.3", "f0.09", "f0.3_pooled", "f0.09_pooled", "mae"):
        assert row[name] == pytest.approx(means[name])


def test_other_pictures_have_it_only_where_a_u2net_is_refined(tmp_path):
    make_run(tmp_path / "plain", "u2net", files=False, pictures=4)
    assert "background" not in tables_of(tmp_path)[1]
    guided = {"refiner": "guided"}
    make_run(tmp_path / "b", "u2net", files=False, pictures=4, overrides=["refiner=guided"], changes=guided)
    frame = tables_of(tmp_path)[1]["background"].frame
    assert frame["row (paper)"][frame["method"].notna()].isna().all()


def test_a_run_that_looks_twice_is_none_of_the_papers(tmp_path):
    twice = {"tta": "flip"}
    options = {"files": False, "data": "ecssd", "pictures": 4, "overrides": ["tta=flip"], "changes": twice}
    make_run(tmp_path / "twice", "u2net", **options)
    frame = tables_of(tmp_path)[1]["background"].frame
    assert frame["row (paper)"][frame["method"].notna()].isna().all()
    assert "U2Net, ECSSD" in set(frame["row (paper)"])
