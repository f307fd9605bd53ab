"""From frames to clips to data sets, worked by hand."""

import math

import numpy as np
import pytest

from kolbench.metrics.video.clip_scores import BOUNDS, DEFINITIONS, clip_scores, mean_over_clips
from kolbench.metrics.video.meter import COLUMNS, ClipMeter

NAN = math.nan
HALVES = np.array([[1, 1, 0, 0]] * 4, np.float32)
EMPTY, FULL = np.zeros_like(HALVES), np.ones_like(HALVES)


def frames_of(alphas: list[np.ndarray], truths: list[np.ndarray | None]) -> dict[str, np.ndarray]:
    meter = ClipMeter()
    rows = [meter.push(alpha, truth) for alpha, truth in zip(alphas, truths, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in COLUMNS}


def test_the_numbers_of_each_frame() -> None:
    found = frames_of([HALVES, FULL, EMPTY], [HALVES, HALVES, EMPTY])
    assert found["j"].tolist() == [1, 0.5, 1]
    # FULL has no contour
    assert found["f"].tolist() == [1, 0, 1]
    assert np.isnan([found[name][0] for name in COLUMNS if name not in ("j", "f")]).all()
    assert found["flicker_mad"][1:].tolist() == [0.5, 1]
    assert found["flicker_iou"][1:].tolist() == [0.5, 1]
    assert found["dtssd"][1:] == pytest.approx([100 * math.sqrt(0.5), 100 * math.sqrt(0.5)])
    assert found["flicker_excess"][1:].tolist() == [0.5, 0.5]
    # the truths are binary
    assert np.isnan(found["messddt"]).all()
    assert not np.isnan(found["messddt_whole"][1:]).any()


def test_frames_without_a_truth_are_neither_scored_nor_compared() -> None:
    found = frames_of([HALVES, FULL, EMPTY, EMPTY], [HALVES, None, EMPTY, EMPTY])
    assert np.isnan(found["j"]).tolist() == [False, True, False, False]
    assert np.isnan(found["dtssd"]).tolist() == [True, True, True, False]
    assert found["flicker_mad"][1:].tolist() == [0.5, 1, 0]
    scores = clip_scores(found)
    assert (scores.frames, scores.short) == (3, True)
    assert scores.scores["flicker_mad"] == 0.5
    assert scores.scores["dtssd"] == 0


def test_a_meter_that_ends_a_clip_compares_nothing_across() -> None:
    meter = ClipMeter()
    meter.push(HALVES, HALVES)
    meter.end()
    assert math.isnan(meter.push(FULL, FULL)["flicker_mad"])


def columns(j: list[float], f: list[float] | None = None, **pairs: list[float]) -> dict[str, np.ndarray]:
    given = {"j": j, "f": j if f is None else f} | pairs
    return {name: np.array(given.get(name, [NAN] * len(j)), float) for name in COLUMNS}


def test_the_scores_of_a_clip_by_hand() -> None:
    found = clip_scores(columns([1, 0.6, 0.4, 0.2], [0.8, 0.6, 0.6, 0.4], dtssd=[NAN, 2, 4, 3]))
    assert found.scores == pytest.approx(
        {
            "j_mean": 0.55,
            "j_recall": 0.5,
            "j_decay": 0.5,
            "f_mean": 0.6,
            "f_recall": 0.75,
            "f_decay": 0.2,
            "j_and_f": 0.575,
            "jitter_j": math.sqrt((0.45**2 + 0.05**2 + 0.15**2 + 0.35**2) / 4),
            "dtssd": 3,
            "dtssd_rvm": 9 / 4,
        }
    )
    assert (found.frames, found.short) == (4, False)


def test_trimmed_ends_count_for_j_and_f_alone() -> None:
    given = columns([0.1, 1, 0.8, 0.3], dtssd=[NAN, 2, 4, 3])
    for trim in ("davis2016", "mvps"):
        found = clip_scores(given, trim)
        assert found.scores["j_mean"] == pytest.approx(0.9)
        assert found.scores["j_decay"] == 0
        assert found.scores["dtssd"] == 3
        assert (found.frames, found.short) == (2, True)


@pytest.mark.parametrize(("frames", "trim"), [(1, "mvps"), (2, "davis2016")])
def test_a_clip_of_which_no_frame_is_left_has_no_j(frames: int, trim: str) -> None:
    found = clip_scores(columns([0.9] * frames), trim)
    assert (dict(found.scores), found.frames, found.short) == ({}, 0, False)
    assert clip_scores(columns([0.9] * frames)).scores["j_mean"] == 0.9


def test_the_mean_over_clips_is_none_over_frames() -> None:
    long, short = clip_scores(columns([0.9] * 30)), clip_scores(columns([0.3]))
    found = mean_over_clips([long.scores, short.scores, {}])
    assert found["j_mean"] == pytest.approx(0.6)
    assert found["j_decay"] == 0
    assert "dtssd" not in found
    assert mean_over_clips([]) == {}


def test_every_score_is_defined_and_bounded() -> None:
    softened = HALVES * 0.5
    found = frames_of([HALVES, softened, FULL, EMPTY, HALVES], [softened] * 5)
    assert set(clip_scores(found).scores) == set(DEFINITIONS) == set(BOUNDS)
    for name, value in clip_scores(found).scores.items():
        assert BOUNDS[name][0] <= value <= BOUNDS[name][1], name
