"""Scores of clips from the command to the report, of masks that anybody made."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kolbench.errors import ConfigError
from kolbench.io.images import write_png
from kolbench.runs import clips, record
from tests.helpers.tasks import run_task

HEIGHT, WIDTH, SIDE = 24, 40, 8
# clip -> how many pixels each frame's mask lies to the right of its truth
OFF = {"near": [4, 0, 1, 0, 4], "far": [12, 12, 12]}


def square(left: int) -> np.ndarray:
    plane = np.zeros((HEIGHT, WIDTH), np.uint8)
    plane[8 : 8 + SIDE, left : left + SIDE] = 255
    return plane


def j_of(off: int) -> float:
    return max(0, SIDE - off) / (SIDE + min(off, SIDE))


def made(folder: Path) -> None:
    """`data` in clips of a square that moves by a pixel, `masks` for its names."""
    for clip, offs in OFF.items():
        for number, off in enumerate(offs):
            truth = square(number + 2)
            for part, plane in (("images", np.dstack([truth] * 3)), ("masks", truth)):
                path = folder / "data" / clip / part / f"{number:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png(path, plane)
            mask = folder / "masks" / clip / f"{number:05d}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            write_png(mask, square(number + 2 + off))
    (folder / "data" / "test.txt").write_text("\n".join(OFF))


@pytest.mark.slow
def test_masks_of_anybody_get_the_scores_of_video(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made(tmp_path)
    words = ("experiment=masks", "data=davis", "model.masks_dir=masks", "data.root=data", "data.split=test")
    for trim in ("none", "mvps"):
        run_task(*words, f"trim={trim}", "name=rival", paths={"runs": "runs", "run": f"runs/rival/{trim}"})
        said = capsys.readouterr().out
        assert f"mean of 2 clips (trim={trim}, alpha cut at 0.5): J&F " in said
        assert ("no forward pass is needed" in said) == (trim == "mvps")
    whole, trimmed = (record.read(Path(f"runs/rival/{trim}/run.json")) for trim in ("none", "mvps"))
    frames = clips.read_frames(Path("runs/rival/mvps"))
    for clip, offs in OFF.items():
        expected = [j_of(off) for off in offs]
        assert list(frames[clip]["j"]) == pytest.approx(expected)
        assert whole.clips[clip].scores["j_mean"] == pytest.approx(np.mean(expected))
        assert trimmed.clips[clip].scores["j_mean"] == pytest.approx(np.mean(expected[1:-1]))
    means = [np.mean([j_of(off) for off in offs]) for offs in OFF.values()]
    assert whole.video["j_mean"] == pytest.approx(np.mean(means))
    assert (whole.trim, trimmed.trim) == ("none", "mvps")
    # a square that moves as its truth does changes as much, elsewhere: 4 of its columns
    far = whole.clips["far"].scores
    assert far["flicker_mad"] == pytest.approx(2 * SIDE / (HEIGHT * WIDTH))
    assert far["dtssd"] == pytest.approx(100 * np.sqrt(4 * SIDE / (HEIGHT * WIDTH)))
    assert json.loads(Path("runs/rival/none/run.json").read_text())["clips"]["far"]["short"] is True
    calm = ("smooth=ema", "smooth.time_constant=0.04")
    run_task(*words, *calm, name="rival", paths={"runs": "runs", "run": "runs/rival/calm"})
    smoothed = record.read(Path("runs/rival/calm/run.json"))
    assert (whole.smooth, smoothed.smooth) == ("none", "ema")
    assert smoothed.video["flicker_mad"] < whole.video["flicker_mad"]
    run_task("task=report", runs="runs/rival/none", output="report")
    (row,) = pd.read_csv("report/tables/video.csv").to_dict("records")
    assert row["j_mean"] == pytest.approx(whole.video["j_mean"])
    assert (row["clips"], row["too short for a decay"], row["frames"]) == (2, 1, 8)
    rows = pd.read_csv("report/tables/clips.csv").set_index("clip")
    assert rows["dtssd"]["far"] == pytest.approx(far["dtssd"])
    assert Path("report/figures/j_over_time.png").is_file()
    assert "Scores of video segmentation" in Path("report/report.html").read_text()


def test_smoothing_pictures_of_no_clip_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="smooth=ofd calms the frames of clips, but the images"):
        run_task(
            *("experiment=allfg", "data=synthetic", "budget=smoke", "smooth=ofd"),
            paths={"runs": str(tmp_path), "run": str(tmp_path / "allfg" / "one")},
        )


def test_an_unknown_trim_is_refused_before_anything_runs():
    with pytest.raises(ConfigError, match="trim=davis is not one of none, davis2016, mvps"):
        run_task("experiment=masks", "trim=davis", "model.masks_dir=masks")
