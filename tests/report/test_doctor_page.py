"""Parts of the doctor's page, by hand."""

import math

import numpy as np

from kolbench.data.health.measures import Measures
from kolbench.report import doctor_figures, doctor_page

ONE = Measures(100, 80, 0.3, math.nan, 0.1, 1, 0, 50.0, 12.0)


def test_measures_are_in_their_units_and_what_is_alike_is_not_drawn():
    pictures = [ONE, ONE._replace(foreground=0.5, sharpness=math.nan), ONE._replace(foreground=0.4)]
    found = {one.name: one.values.tolist() for one in doctor_figures.measured(pictures)}
    assert found["foreground"] == [30, 50, 40]
    assert found["side"] == [100, 100, 100]
    assert "product" not in found
    [figure] = doctor_figures.histograms(pictures)
    assert figure.title == "Foreground"
    assert figure.caption == "3 images. The line is the median, 40.0."
    assert doctor_figures.histograms([]) == []


def test_the_outline_is_the_inner_edge_and_the_frame_is_none():
    mask = np.zeros((6, 6), np.uint8)
    mask[1:5, 2:] = 1
    drawn = doctor_page.outlined(np.zeros((6, 6, 3), np.uint8), mask)
    expected = np.zeros((6, 6), bool)
    expected[1, 2:] = expected[4, 2:] = expected[1:5, 2] = True
    assert ((drawn == (255, 0, 200)).all(axis=2) == expected).all()


def test_tiles_stand_beside_each_other_at_the_top():
    sheet = doctor_page.beside([np.full((3, 2, 3), 1, np.uint8), np.full((5, 1, 3), 2, np.uint8)])
    assert sheet.shape == (5, 7, 3)
    assert sheet[:, :, 0].tolist() == [[1, 1, *[128] * 4, 2]] * 3 + [[128] * 6 + [2]] * 2
