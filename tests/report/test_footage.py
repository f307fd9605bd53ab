"""Clips for the page: which frames are shown, how large they are, and how many bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from kolbench.io.images import write_jpeg, write_png
from kolbench.report.footage import LONGEST, footage_of, frames_of, hardest_first, with_frames
from kolbench.report.numbers import numbers_of
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import add_clips, make_run


def filmed(folder, method, j_of_clips, **options):
    run = make_run(folder / method, method, pictures=5 * len(j_of_clips) // 2, **options)
    add_clips(run, j_of_clips)
    return run


def comparison_of(folder):
    (found,) = sets_of(find(str(folder)))
    return found


def shown(comparison, **options):
    found = footage_of(comparison, **options)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Clips of 3, 2, 3 and 2 frames; their mean J is 0.8, 0.5, 0.3 and 0.6."""
    folder = tmp_path_factory.mktemp("runs")
    filmed(folder, "modnet", [0.9, [0.2, 0.6], 0.4, 0.6])
    filmed(folder, "unet", [0.7, 0.6, 0.2, 0.6])
    return comparison_of(folder)


def test_all_frames_are_there_with_the_hardest_clip_first(runs):
    footage = shown(runs)
    assert [clip.name for clip in footage.clips] == [f"test_video_00{number}" for number in (2, 1, 3, 0)]
    assert [len(clip.shots) for clip in footage.clips] == [3, 2, 2, 3]
    assert footage.clips[1].positions == (0, 1)
    assert [shot.name for shot in footage.clips[1].shots] == ["test_0003", "test_0004"]
    assert footage.clips[1].j["modnet"].tolist() == [0.2, 0.6]
    assert footage.clips[1].j["unet"].tolist() == [0.6, 0.6]
    assert "All test clips, the hardest first" in footage.rule
    assert "All 10 frames are here." in footage.rule


def test_too_many_bytes_leave_every_other_frame_and_the_first_of_each_clip(runs):
    whole = shown(runs)
    sizes = [4 / 3 * sum(map(len, shot.files)) for clip in whole.clips for shot in clip.shots]
    thinned = shown(runs, most_bytes=round(sum(sizes)) - 1)
    assert [clip.positions for clip in thinned.clips] == [(0, 2), (0,), (0,), (0, 2)]
    assert [clip.frames for clip in thinned.clips] == [3, 2, 2, 3]
    assert len(thinned.clips[0].j["unet"]) == 3
    assert "Of 10 frames 6 are here, every second" in thinned.rule
    least = shown(runs, most_bytes=1)
    assert [clip.positions for clip in least.clips] == [(0,)] * 4
    assert "every third" in least.rule


def test_frames_are_shrunk_to_the_thumbnail_size(tmp_path):
    run = filmed(tmp_path, "modnet", [0.5, 0.5], products=False)
    for name in [f"test_000{number}" for number in range(5)]:
        # hard links of files that other tests share
        for path in (
            run / "thumbs" / f"{name}.jpg",
            run / "truths" / f"{name}.png",
            run / "alphas" / f"{name}.png",
        ):
            path.unlink()
        write_jpeg(run / "thumbs" / f"{name}.jpg", np.full((144, 256, 3), 90, np.uint8))
        halves = np.zeros((360, 640), np.uint8)
        halves[:, 320:] = 255
        write_png(run / "truths" / f"{name}.png", halves)
        write_png(run / "alphas" / f"{name}.png", 255 - halves)
    (shot, *_) = shown(comparison_of(tmp_path)).clips[0].shots
    opened = [
        np.asarray(Image.open(io.BytesIO(data))) for data in (shot.image, shot.truth, shot.alphas["modnet"])
    ]
    assert [array.shape for array in opened] == [(90, LONGEST, 3), (90, LONGEST), (90, LONGEST)]
    assert set(opened[1][:, :80].flat) == {0}
    assert set(opened[1][:, 80:].flat) == {255}
    assert (opened[2] == 255 - opened[1]).all()


def test_frames_are_joined_by_name_in_time(runs):
    frames = frames_of(with_frames(numbers_of(runs)), runs.pictures[:4])
    # the fifth picture is no test picture here, and the clips behind it have none
    assert {clip: list(rows.index) for clip, rows in frames.items()} == {
        "test_video_000": ["test_0000", "test_0001", "test_0002"],
        "test_video_001": ["test_0003"],
    }
    assert hardest_first(frames) == ["test_video_001", "test_video_000"]


def test_a_clip_without_any_j_is_last(tmp_path):
    filmed(tmp_path, "modnet", [np.nan, 0.9])
    footage = shown(comparison_of(tmp_path))
    assert [clip.name for clip in footage.clips] == ["test_video_001", "test_video_000"]


def test_nothing_is_shown_without_clips_or_without_pictures(tmp_path):
    make_run(tmp_path / "pictures" / "unet", "unet", pictures=5)
    assert footage_of(comparison_of(tmp_path / "pictures")) is None
    filmed(tmp_path / "clips", "unet", [0.5, 0.5], files=False)
    assert footage_of(comparison_of(tmp_path / "clips")) is None
