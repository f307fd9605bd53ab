"""J, and statistics over frames: figures of the authors' code, and worked by hand."""

import numpy as np
import pytest

from kolbench.metrics.video.accuracy import bin_edges, region_j, scored_frames, statistics_of
from tests.helpers.counted import disk

EMPTY, FULL = np.zeros((120, 160), bool), np.ones((120, 160), bool)


def at(x: int, radius: int) -> np.ndarray:
    return np.asarray(disk(x, radius)[0, 0].numpy() == 1)


@pytest.mark.parametrize(
    ("predicted", "golden"),
    [(at(80, 30), 1), (at(84, 30), 0.844394), (at(80, 27), 0.811414), (EMPTY, 0), (FULL, 0.146927)],
)
def test_j_equals_the_authors_figures(predicted: np.ndarray, golden: float) -> None:
    assert region_j(predicted, at(80, 30)) == pytest.approx(golden, abs=5e-7)


def test_j_of_nothing_and_without_void_pixels() -> None:
    assert region_j(EMPTY, EMPTY) == 1
    predicted, truth = np.array([[1, 1, 0, 1]], bool), np.array([[1, 0, 0, 0]], bool)
    assert region_j(predicted, truth) == pytest.approx(1 / 3)
    assert region_j(predicted, truth, void=np.array([[0, 1, 1, 0]], bool)) == 0.5
    assert region_j(predicted, truth, void=np.ones((1, 4), bool)) == 1


@pytest.mark.parametrize(
    ("frames", "edges"),
    [(20, [0, 5, 10, 14, 19]), (50, [0, 12, 25, 37, 49]), (300, [0, 75, 150, 224, 299])],
)
def test_quarters_begin_where_the_authors_begin_them(frames: int, edges: list[int]) -> None:
    assert bin_edges(frames).tolist() == edges


def test_statistics_equal_the_authors_figures() -> None:
    found = statistics_of(np.linspace(1, 0.2, 20))
    assert found[:3] == pytest.approx((0.6, 0.6, 0.589474), abs=5e-7)
    assert not found.short


def test_clips_of_more_than_256_frames_have_a_decay() -> None:
    """The official code keeps frame numbers in 8 bits: 300 becomes 44, and the last quarter is empty."""
    assert statistics_of(np.linspace(1, 0.2, 300)).decay == pytest.approx(0.599331, abs=5e-7)
    assert bin_edges(300).dtype == np.int64
    assert bin_edges(100_000).tolist() == [0, 25_000, 50_000, 74_999, 99_999]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.8], (0.8, 1.0, 0.0, True)),
        # half is not found
        ([0.5], (0.5, 0.0, 0.0, True)),
        ([0.9, 0.3], (0.6, 0.5, 0.0, True)),
        ([0.9, 0.6, 0.3], (0.6, 2 / 3, 0.0, True)),
        # edges 0 1 2 2 3 of 4 frames: quarters share them
        ([1.0, 0.6, 0.4, 0.2], (0.55, 0.5, 0.8 - 0.3, False)),
    ],
)
def test_short_clips_by_hand(values: list[float], expected: tuple[float, ...]) -> None:
    assert statistics_of(np.array(values)) == pytest.approx(expected, abs=1e-12)


def test_no_frame_has_no_statistics() -> None:
    with pytest.raises(ValueError, match="no frame is scored"):
        statistics_of(np.array([]))


@pytest.mark.parametrize(
    ("trim", "annotated", "scored"),
    [
        ("none", "1111", "1111"),
        ("none", "0101", "0101"),
        ("davis2016", "11111", "01110"),
        ("mvps", "11111", "01110"),
        # every other frame: the ends of the clip have no truth, those of the truth are dropped
        ("davis2016", "0101010", "0101010"),
        ("mvps", "0101010", "0001000"),
        ("davis2016", "1000100001", "0000100000"),
        ("mvps", "1", "0"),
        ("davis2016", "1", "0"),
        ("davis2016", "11", "00"),
        ("mvps", "000", "000"),
        ("davis2016", "", ""),
    ],
)
def test_which_frames_are_scored(trim: str, annotated: str, scored: str) -> None:
    given = np.array([sign == "1" for sign in annotated], bool)
    found = scored_frames(given, trim)
    assert "".join("1" if kept else "0" for kept in found) == scored
    assert "".join("1" if kept else "0" for kept in given) == annotated


def test_an_unknown_trim_is_refused() -> None:
    with pytest.raises(ValueError, match="trim=both is none of none, davis2016, mvps"):
        scored_frames(np.ones(3, bool), "both")
