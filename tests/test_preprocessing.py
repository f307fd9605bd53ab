"""Input sizes: the aspect is kept up to 1:8, and no picture is so thin that they grow without bound."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kolbench.preprocessing import LONGEST_SIDES, InputSpec
from tests.helpers.encoded import Encoded

SIDES = st.integers(1, 5000)
MULTIPLES = st.sampled_from([1, 8, 32])


def down(side, multiple):
    return max(multiple, side // multiple * multiple)


@given(SIDES, st.integers(0, 7 * 5000), st.integers(1, 24), MULTIPLES, st.booleans())
def test_up_to_one_to_eight_the_aspect_is_kept(short, more, factor, multiple, tall):
    """In whole numbers: the longer side is the floor of size * long / short."""
    long, size = short + more % (7 * short + 1), factor * multiple
    expected = (size, down(size * long // short, multiple))
    spec = InputSpec(size, "shortest_edge", multiple)
    if tall:
        assert spec.input_size(long, short) == expected[::-1]
    else:
        assert spec.input_size(short, long) == expected


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 24), MULTIPLES)
def test_no_input_is_longer_than_eight_sizes(height, width, factor, multiple):
    size = factor * multiple
    found = InputSpec(size, "shortest_edge", multiple).input_size(height, width)
    assert min(found) == size
    assert max(found) <= LONGEST_SIDES * size
    assert all(side % multiple == 0 for side in found)
    assert (max(found) == LONGEST_SIDES * size) == (max(height, width) >= 8 * min(height, width))


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ((1, 192), (512, 4096)),
        ((192, 1), (4096, 512)),
        ((100, 800), (512, 4096)),
        # 7.99 * 512 = 4090.9, and the multiple of 32 below
        ((100, 799), (512, 4064)),
        ((100, 801), (512, 4096)),
        ((1080, 1920), (512, 896)),
    ],
)
def test_input_sizes_by_hand(picture, expected):
    assert InputSpec(512, "shortest_edge").input_size(*picture) == expected


def test_a_line_of_pixels_comes_back_at_its_own_size():
    seen = []

    class Red(nn.Module):
        def forward(self, image):
            seen.append(image.shape[-2:])
            return image[:, :1]

    line = torch.linspace(0, 1, 1000).expand(1, 3, 1, 1000)
    alpha = Encoded(Red()).predict(line).alpha
    assert seen == [(64, 512)]
    # 1000 pixels through an input of 512: neighbours are averaged, the ramp stays
    assert (alpha - line[:, :1]).abs().max() < 2e-3
