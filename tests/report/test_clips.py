"""Scores of video segmentation in the report: tables worked by hand, intervals, J over time."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from kolbench.report.clip_curves import j_over_time
from kolbench.report.clips import clips as clip_table
from kolbench.report.clips import videos
from kolbench.report.intervals import mean_interval
from kolbench.report.numbers import Numbers
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import add_clips, make_run

SVG = "{http://www.w3.org/2000/svg}"


def numbers_of(folder):
    (comparison,) = sets_of(find(str(folder)))
    return Numbers(comparison)


def scored(folder, method, j_of_clips, trim="none"):
    """A run whose clips are its videos, of three and two pictures in turn, with a J for each."""
    run = make_run(folder / method, method, pictures=5 * len(j_of_clips) // 2, files=False)
    add_clips(run, j_of_clips, trim)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    scored(folder, "modnet", [0.9, 0.2, 0.4, 0.6])
    scored(folder, "unet", [0.8, 0.8, 0.8, 0.8], trim="mvps")
    make_run(folder / "old", "sinet", pictures=10, files=False)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    scored(folder, "modnet", [0.9, 0.2, 0.4, 0.6, 0.5, 0.7, 0.8, 0.3])
    return folder


def test_methods_are_averaged_over_clips(few):
    table = videos(numbers_of(few))
    # a run of before has no row
    assert sorted(table.frame["method"]) == ["modnet", "unet"]
    row, trimmed = table.frame.sort_values("method").to_dict("records")
    # clips of 3, 2, 3, 2 frames count alike
    assert row["j_mean"] == pytest.approx((0.9 + 0.2 + 0.4 + 0.6) / 4)
    assert row["f_mean"] == pytest.approx(row["j_mean"] / 2)
    assert row["j_and_f"] == pytest.approx(row["j_mean"] * 0.75)
    assert row["j_recall"] == 0.5
    assert row["dtssd"] == 3
    assert row["dtssd_rvm"] == pytest.approx((2 + 1.5) / 2)
    assert (row["trim"], row["clips"], row["too short for a decay"], row["frames"]) == ("none", 4, 4, 10)
    iou = Numbers(sets_of(find(str(few)))[0]).of["modnet"].images["iou"]
    # of frames 0 to 2, 3 and 4, 5 to 7, 8 and 9
    parts = [iou[:3], iou[3:5], iou[5:8], iou[8:]]
    assert row["iou"] == pytest.approx(np.mean([part.mean() for part in parts]))
    # clips of two frames have none left between their ends
    assert (trimmed["trim"], trimmed["clips"], trimmed["frames"]) == ("mvps", 2, 2)
    assert trimmed["j_mean"] == pytest.approx(0.8)
    assert not [name for name in table.frame if "95 %" in name]
    assert any("Too few groups for an interval: clips of 4 videos, 6 are needed." in n for n in table.notes)
    shown = [name for name in table.frame if name in ("j_mean", "dtssd", "messddt")]
    assert shown == ["j_mean", "dtssd"]
    assert all(any(note.startswith(f"{name}: ") for note in table.notes) for name in shown)


def test_clips_stand_one_by_one_beside_their_flicker(few):
    frame = clip_table(numbers_of(few)).frame
    assert list(frame["clip"]) == sorted(frame["clip"])
    assert len(frame) == 8
    rows = frame[frame["method"] == "modnet"]
    assert list(rows["j_mean"]) == pytest.approx([0.9, 0.2, 0.4, 0.6])
    assert list(rows["j_decay"]) == [0, 0, 0, 0]
    assert set(rows["flicker"]) == {0.1}
    assert list(rows["frames"]) == [3, 2, 3, 2]


def test_enough_clips_have_an_interval_over_them(many):
    numbers = numbers_of(many)
    table = videos(numbers)
    (row,) = table.frame.to_dict("records")
    values = np.array([0.9, 0.2, 0.4, 0.6, 0.5, 0.7, 0.8, 0.3])
    found = mean_interval(values, [str(clip) for clip in range(8)])
    assert row["j_mean 95 %"] == f"[{found.low:.4f}, {found.high:.4f}]"
    assert found.low < row["j_mean"] < found.high
    assert row["dtssd 95 %"] == "[3.0000, 3.0000]"
    assert any("95 % confidence interval over clips of 8 videos" in note for note in table.notes)


def test_without_clips_there_is_neither_table_nor_figure(tmp_path):
    make_run(tmp_path / "a", "modnet", pictures=4, files=False)
    numbers = numbers_of(tmp_path)
    assert len(videos(numbers).frame) == len(clip_table(numbers).frame) == 0
    assert j_over_time(numbers) is None


def test_j_is_drawn_over_time_for_the_hardest_clips(many):
    figure = j_over_time(numbers_of(many))
    assert figure is not None
    drawn = ["".join(text.itertext()) for text in ET.fromstring(figure.svg).iter(f"{SVG}text")]
    shown = [text for text in drawn if text.startswith("test_video_")]
    # J is 0.2, 0.3, 0.4, 0.5, 0.6, 0.7; 0.8 and 0.9 are left out
    assert shown == [f"test_video_{number:03d}" for number in (1, 7, 2, 4, 3, 5)]
    assert "Of 8 clips, those with the lowest J are drawn." in figure.caption
    assert "MODNet" in drawn


def test_a_clip_without_a_truth_is_not_drawn(tmp_path):
    scored(tmp_path, "modnet", [0.9, np.nan])
    figure = j_over_time(numbers_of(tmp_path))
    assert figure is not None
    assert "test_video_000" in figure.svg
    assert "test_video_001" not in figure.svg
