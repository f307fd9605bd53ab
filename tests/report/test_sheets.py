"""Sheets of images as PNG files, which show every error."""

from dataclasses import replace

import numpy as np
import pytest

from kolbench.io import images
from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.report import sheets
from kolbench.report.numbers import numbers_of
from tests.helpers.hand_made_runs import GOOD, HALF, columns, comparison_of, gallery_of, write_run


@pytest.fixture
def shot(tmp_path):
    """Truth columns 0 to 3; method a finds 2 to 5, at a level of 128."""
    write_run(tmp_path / "a", "a", [columns(2, 6, level=128)])
    return gallery_of(tmp_path).rows[0]


def test_foreground_on_black_by_hand(shot):
    seen = sheets.foreground_on_black(shot, "a", 0.5)
    assert seen.shape == (6, 8, 3)
    assert seen.dtype == np.uint8
    assert (seen[:, 2:6] == 200).all()
    assert (seen[:, [0, 1, 6, 7]] == 0).all()
    # level 128 is above 255 * 0.50 and below 255 * 0.51
    assert (sheets.foreground_on_black(shot, "a", 0.51) == 0).all()


def test_errors_by_hand(shot):
    seen = sheets.errors(shot, "a", 0.5).astype(int)
    grey = 0.6 * 200 + 80
    red = np.round(0.25 * grey + 0.75 * np.array(FALSE_FOREGROUND))
    blue = np.round(0.25 * grey + 0.75 * np.array(MISSED_FOREGROUND))
    # true positives keep their colour
    assert (seen[:, [2, 3]] == 200).all()
    assert (seen[:, [6, 7]] == grey).all()
    assert (seen[:, [4, 5]] == red).all()
    assert (seen[:, [0, 1]] == blue).all()
    assert red[0] > 200 > 130 > red[2]
    assert blue[2] > 200 > 100 > blue[0]


def test_sheets_show_every_error_and_are_the_same_bytes_twice(tmp_path, shot):
    made = ("Good and bad: 1/2", "A rule.", (shot,), {"a": 0.5}, {"a": "A"}, tmp_path / "sheets")
    path = sheets.write_sheet(*made)
    assert path == tmp_path / "sheets" / "good_and_bad_1_2.png"
    first = path.read_bytes()
    sheets.write_sheet(*made)
    assert path.read_bytes() == first
    pixels = images.read_rgb(path)
    errors = sheets.errors(shot, "a", 0.5)
    # tiles are 192 px wide, 24 times the image
    for colour in (errors[0, 0], errors[0, 4]):
        assert (pixels == colour).all(-1).sum() == 12 * 24 * 24
    # the image, half of it once more on black, and its true positives
    assert (pixels == 200).all(-1).sum() >= (48 + 24 + 12) * 24 * 24
    assert (pixels[[0, -1]] == 255).all()


def test_sheets_of_many_methods_break_into_lines(tmp_path, shot):
    labels = [f"method {number} with a rather long name that must be broken" for number in range(9)]
    many = replace(shot, alphas=dict.fromkeys(labels, shot.alphas["a"]))
    names = dict(zip(labels, labels, strict=True))
    path = sheets.write_sheet("Many", "A rule.", (many,), dict.fromkeys(labels, 0.5), names, tmp_path)
    pixels = images.read_rgb(path)
    # two lines of five and four methods, each after the picture and its truth
    assert pixels.shape[1] == 6 * 192 + 5 * 8 + 2 * 16
    assert (pixels == sheets.errors(shot, "a", 0.5)[0, 4]).all(-1).sum() == 9 * 12 * 24 * 24


def test_rows_and_held_products_are_a_sheet_each(tmp_path):
    write_run(tmp_path / "runs" / "a", "a", [GOOD, HALF], held=(1,))
    numbers = numbers_of(comparison_of(tmp_path / "runs"))
    sheets.write_sheets(gallery_of(tmp_path / "runs"), numbers, tmp_path / "sheets")
    written = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert written == ["held_products.png", "qualitative_results.png"]
    # a smaller image is drawn at the size of its masks
    write_run(tmp_path / "large" / "a", "a", [GOOD], size=30)
    numbers = numbers_of(comparison_of(tmp_path / "large"))
    sheets.write_sheets(gallery_of(tmp_path / "large"), numbers, tmp_path / "of_large")
    assert (images.read_rgb(tmp_path / "of_large" / "qualitative_results.png") == 200).all(-1).sum() > 9000
