"""The worst moment of each clip: which frame it is, and what is shown of it."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from kolbench.errors import DataError
from kolbench.report.numbers import Numbers
from kolbench.report.worst_moments import worst_frame, worst_moments
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import add_clips, make_run

SVG = "{http://www.w3.org/2000/svg}"


def numbers_of(folder):
    (comparison,) = sets_of(find(str(folder)))
    return Numbers(comparison)


def texts(figure):
    return ["".join(text.itertext()) for text in ET.fromstring(figure.svg).iter(f"{SVG}text")]


def test_the_worst_frame_has_the_lowest_mean_over_methods():
    # means 0.5, 0.35, 0.3 (one method only), none
    frames = pd.DataFrame({"a": [0.9, 0.3, np.nan, np.nan], "b": [0.1, 0.4, 0.3, np.nan]})
    assert worst_frame(frames) == 2
    assert worst_frame(frames[:2]) == 1
    assert worst_frame(pd.DataFrame({"a": [0.4, 0.4]})) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips of three and two frames."""
    folder = tmp_path_factory.mktemp("runs")
    for method, j in {
        "modnet": [[0.9, 0.5, 0.7], [0.2, 0.1]],
        "a_method_of_a_long_name": [[0.9, 0.7, 0.3], [0.4, np.nan]],
        "ellipse": [[0.0, 0.9, 0.9], [0.9, 0.9]],
    }.items():
        add_clips(make_run(folder / method, method, pictures=5), j)
    return folder


def test_each_clip_has_its_strip_the_hardest_first_without_baselines(folder):
    figure = worst_moments(numbers_of(folder))
    drawn = texts(figure)
    assert [text for text in drawn if text.startswith("test_")] == [
        # J 0.1 of one method; the other has none of this frame
        "test_video_001, frame 1",
        # mean 0.5, where frame 1 has 0.6
        "test_video_000, frame 2",
    ]
    assert [text for text in drawn if not text.startswith("test_")] == [
        *("image", "ground", "truth", "MODNet", "0.10"),
        *("image", "ground", "truth", "MODNet", "0.70", "a_met…_name", "0.30"),
    ]
    assert figure is not None
    assert "Baselines and what does not fit are left out (1)." in figure.caption


def test_faces_of_the_worst_frame_are_covered(folder):
    shown, hidden = (worst_moments(numbers_of(folder), faces) for faces in ("show", "hide"))
    assert shown is not None
    assert hidden is not None
    assert texts(shown) == texts(hidden)
    assert shown.svg != hidden.svg


def test_a_missing_picture_is_named(folder, tmp_path):
    run = make_run(tmp_path / "unet", "unet", pictures=5)
    add_clips(run, [0.5, 0.6])
    (run / "alphas" / "test_0000.png").unlink()
    with pytest.raises(DataError, match=r"test_0000\.png is missing"):
        worst_moments(numbers_of(tmp_path))


def test_without_pictures_or_any_j_there_is_no_figure(tmp_path):
    add_clips(make_run(tmp_path / "a" / "unet", "unet", pictures=5, files=False), [0.5, 0.6])
    assert worst_moments(numbers_of(tmp_path / "a")) is None
    add_clips(make_run(tmp_path / "b" / "unet", "unet", pictures=5), [np.nan, np.nan])
    assert worst_moments(numbers_of(tmp_path / "b")) is None
