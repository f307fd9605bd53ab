"""Parts painted over a picture."""

import numpy as np
import torch

from kolbench.models.components.part_colours import PART_COLOURS, painted_parts

GREY = torch.full((3, 2, 2), 100 / 255)
INSIDE = torch.tensor([[[True, True], [True, False]]])


def test_colours_mix_as_pixels_belong_to_parts():
    parts = torch.zeros(2, 2, 2)
    parts[0, 0, 0] = parts[1, 0, 1] = 1
    parts[:, 1] = 0.5
    shown = painted_parts(GREY, parts, INSIDE).astype(int)
    first, second = (np.array(colour) for colour in PART_COLOURS[:2])
    assert abs(shown[0, 0] - (0.65 * first + 35)).max() <= 0.5
    assert abs(shown[0, 1] - (0.65 * second + 35)).max() <= 0.5
    assert abs(shown[1, 0] - (0.65 * (first + second) / 2 + 35)).max() <= 0.5
    assert shown[1, 1].tolist() == [35, 35, 35]


def test_parts_of_a_sigmoid_are_brought_to_shares_and_the_eighth_has_the_first_colour():
    parts = torch.zeros(8, 2, 2)
    parts[7] = 0.25
    first = painted_parts(GREY, parts[7:], INSIDE)
    assert np.array_equal(painted_parts(GREY, parts, INSIDE), first)


def test_where_no_part_is_there_is_no_colour():
    shown = painted_parts(GREY, torch.zeros(2, 2, 2), INSIDE)
    assert shown[0, 0].tolist() == [35, 35, 35]
