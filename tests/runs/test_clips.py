"""What an evaluation left of clips, as the run folder keeps it."""

import json
from pathlib import Path

import numpy as np
import pytest

from kolbench.errors import DataError
from kolbench.metrics.video.meter import COLUMNS
from kolbench.runs import clips, record
from kolbench.runs.record import ClipRecord, RunRecord
from kolbench.runs.run_folder import CLIP_FRAMES, CLIPS

J = {"w": [0.2, 1.0, 0.8, 0.4], "v": [0.6]}


def written(folder: Path) -> Path:
    rows = [
        {"clip": clip, "name": f"{clip}{number}", **dict.fromkeys(COLUMNS, np.nan), "j": j, "f": j / 2}
        for clip, values in J.items()
        for number, j in enumerate(values)
    ]
    clips.write_frames(folder / CLIP_FRAMES, rows)
    flicker = {clip: {"pictures": [f"{clip}0"], "flicker": 0.1, "border_flicker": None} for clip in J}
    (folder / CLIPS).write_text(json.dumps(flicker))
    return folder


def test_frames_are_read_by_clip_as_they_were_written(tmp_path: Path) -> None:
    frames = clips.read_frames(written(tmp_path))
    assert {clip: list(rows["j"]) for clip, rows in frames.items()} == J
    assert list(frames["w"]["name"]) == ["w0", "w1", "w2", "w3"]
    assert list(frames["v"].columns) == ["clip", "name", *COLUMNS]
    assert frames["v"]["dtssd"].isna().all()


def test_scores_follow_from_the_frames_kept_whatever_the_trim(tmp_path: Path) -> None:
    whole, trimmed = (clips.read(written(tmp_path), trim) for trim in ("none", "mvps"))
    assert whole["w"].scores["j_mean"] == pytest.approx(0.6)
    assert whole["w"].scores["f_mean"] == pytest.approx(0.3)
    assert (whole["w"].scored_frames, whole["w"].short) == (4, False)
    assert whole["w"].flicker == trimmed["w"].flicker == 0.1
    assert trimmed["w"].scores["j_mean"] == pytest.approx(0.9)
    assert (trimmed["w"].scored_frames, trimmed["w"].short) == (2, True)
    assert (trimmed["v"].scores, trimmed["v"].scored_frames) == ({}, 0)


def test_folders_of_before_have_no_scores(tmp_path: Path) -> None:
    (written(tmp_path) / CLIP_FRAMES).unlink()
    found = clips.read(tmp_path)
    assert found["w"] == ClipRecord(pictures=("w0",), flicker=0.1)
    assert clips.read_frames(tmp_path) == {}
    (tmp_path / CLIPS).unlink()
    assert clips.read(tmp_path) == {}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (written(tmp_path) / CLIP_FRAMES).write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"clips\.parquet cannot be read"):
        clips.read(tmp_path)


def test_a_record_keeps_what_clips_scored(tmp_path: Path) -> None:
    run = RunRecord(clips=clips.read(written(tmp_path)), video={"j_mean": 0.6}, trim="none")
    run.write(tmp_path / "run.json")
    found = record.read(tmp_path / "run.json")
    assert found == run
    (tmp_path / "old.json").write_text(json.dumps({"version": 2, "clips": {"w": {"flicker": 0.5}}}))
    old = record.read(tmp_path / "old.json")
    assert (old.trim, old.video, old.clips["w"].scores) == ("", {}, {})
