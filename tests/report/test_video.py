"""Tables of portraits in video: runs beside the rows that the PDNet paper prints."""

from dataclasses import replace

import pandas as pd
import pytest

from kolbench.config.compose import model_config
from kolbench.report import layout, published
from kolbench.report.numbers import Numbers
from kolbench.report.tables import all_tables
from kolbench.report.video import ablations, portraits_in_video
from kolbench.runs import record, run_folder
from kolbench.runs.benchmark import Benchmark, MeasuredOn, Speed, Spread
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import make_run

VIDEO = {"j_and_f": 0.8, "j_mean": 0.85, "j_recall": 0.9, "j_decay": 0.02, "f_mean": 0.75}
FULL = {"ipda": True, "parts": 5, "references": 1, "losses": ["sem", "geo", "area"]}


def filmed(folder, method, video=VIDEO, overrides=(), **model):
    """A run that has scores of clips."""
    run = make_run(folder, method, files=False, overrides=overrides, model={"name": method, **model})
    path = run / run_folder.RUN
    replace(record.read(path), video=video).write(path)


def comparison_of(folder):
    (comparison,) = sets_of(find(str(folder)))
    return comparison


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    filmed(folder / "full", "pdnet", {**VIDEO, "j_and_f": 0.7}, **FULL)
    filmed(folder / "three", "pdnet", {**VIDEO, "j_and_f": 0.6}, ["model.parts=3"], **{**FULL, "parts": 3})
    filmed(folder / "modnet", "modnet")
    make_run(folder / "pictures", "unet", files=False)
    return folder


def test_runs_stand_beside_the_papers_rows(folder):
    table = portraits_in_video(Numbers(comparison_of(folder)))
    assert [heading for heading, _ in table.blocks] == ["", layout.NOT_RUN]
    rows = {row["method"]: row for row in table.frame.to_dict("records")}
    # the run of single pictures has no row; of the paper's nine PDNet is run
    assert len(rows) == 3 + 8
    (label,) = [name for name in rows if "pdnet" in name and "parts" not in name][:1]
    ours = rows[label]
    assert (ours["j_mean"], ours["j_and_f MVPS (paper)"], ours["FPS (paper)"]) == (0.85, 0.881, 26.6)
    assert ours["f_mean PP-HumanSeg (paper)"] == 0.949
    assert pd.isna(rows["modnet"]["j_and_f MVPS (paper)"])
    rival = rows["FSNet"]
    assert pd.isna(rival["j_mean"])
    assert pd.isna(rival["j_and_f PP-HumanSeg (paper)"])
    assert [rival[f"{name} MVPS (paper)"] for name in ("f_mean", "f_recall", "f_decay")] == [
        0.819,
        0.975,
        0.018,
    ]


def test_the_rows_of_the_papers_ablations_find_their_runs(folder):
    table = ablations(Numbers(comparison_of(folder)))
    rows = table.frame.set_index(["table", "row"])
    assert len(rows) == len(published.ABLATIONS) == 9
    for place in ((3, "geo, area, sem"), (4, "5 parts"), (5, "1 reference")):
        assert rows.loc[place, "j_and_f"] == 0.7
        assert rows.loc[place, "j_and_f (paper)"] == 0.881
    assert rows.loc[(4, "3 parts"), "j_and_f"] == 0.6
    assert pd.isna(rows.loc[(4, "1 part"), "run"])
    assert rows.loc[(5, "2 references"), "FPS (paper)"] == 9.7


def test_speed_counts_what_a_frame_of_a_clip_takes_and_what_is_known_ahead_is_said(tmp_path):
    keys = {"matnet": ("image", "flow"), "cosnet": ("image", "reference"), "pdnet": ("image",)}
    for method, given in keys.items():
        filmed(tmp_path / method, method)
        path = tmp_path / method / run_folder.RUN
        replace(record.read(path), input_keys=given).write(path)
    filmed(tmp_path / "late", "modnet")
    path = tmp_path / "late" / run_folder.RUN
    replace(record.read(path), smooth="ofd").write(path)
    alone, frame, flow = (Spread(ms, ms, ms) for ms in (20.0, 50.0, 15.0))
    speeds = {"matnet": Speed(2, alone, None, frame, flow), "pdnet": Speed(2, alone)}
    measured = [
        Benchmark(method, "w", "eager", (48, 64), 1, 3, (speed,), MeasuredOn(), {"name": method})
        for method, speed in speeds.items()
    ]
    numbers = Numbers(replace(comparison_of(tmp_path), benchmarks=tuple(measured)))
    rows = portraits_in_video(numbers).frame.dropna(subset="looks ahead").set_index("method")
    assert rows.loc["matnet", ["FPS", "flow ms"]].tolist() == [20, 15]
    assert rows.loc["pdnet", "FPS"] == 50
    assert pd.isna(rows.loc["pdnet", "flow ms"])
    told = {"matnet": "1 frame", "cosnet": "whole clip", "pdnet": "no", "modnet": "1 frame"}
    assert rows["looks ahead"].to_dict() == told


def test_our_settings_have_the_keys_that_the_rows_ask_for():
    options = model_config("pdnet", "smoke").options
    assert all(set(row.settings) <= set(options) for row in published.ABLATIONS)


def test_without_a_method_or_a_set_of_the_paper_there_is_no_such_table(tmp_path):
    filmed(tmp_path / "a", "modnet")
    filmed(tmp_path / "b", "unet")
    found = {table.name for table in all_tables(comparison_of(tmp_path))}
    assert {"portrait_video", "pdnet_ablation"}.isdisjoint(found)
    assert "video" in found
