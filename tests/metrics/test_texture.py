"""Entropy of co-occurring grey levels: golden values of the specification, hand-worked pictures."""

import numpy as np
import pytest

from kolbench.metrics.texture import direction_entropies, glcm_entropy

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))


def test_golden_ramp():
    assert direction_entropies(RAMP) == pytest.approx([6.977280, 6.977280, 6.0, 6.977280], abs=1e-6)


def test_turned_pictures_exchange_directions():
    right, up_right, up, up_left = direction_entropies(RAMP)
    assert direction_entropies(RAMP.T) == pytest.approx([up, up_right, right, up_left])


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        # one level; two rows of their own; a chessboard, whose nine diagonals are of five and four
        (np.full((6, 6), 9), [0, 0, 0, 0]),
        (np.array([[1, 1, 1], [5, 5, 5]]), [1, 1, 1, 1]),
        (np.indices((4, 4)).sum(0) % 2, [1, 0.99107606, 1, 0.99107606]),
        (np.array([[3]]), [0, 0, 0, 0]),
    ],
)
def test_pictures_worked_by_hand(picture, expected):
    assert direction_entropies(picture.astype(np.uint8)) == pytest.approx(expected)


def test_it_is_symmetric_and_bounded():
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    assert direction_entropies(noise[::-1, ::-1]) == pytest.approx(direction_entropies(noise))
    assert direction_entropies(noise).max() <= 16


def test_a_pictures_size_hardly_matters_and_detail_does():
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (6, 8, 3), np.uint8)
    small, large = (np.kron(coarse, np.ones((n, n, 1), np.uint8)) for n in (64, 128))
    assert glcm_entropy(small) == pytest.approx(glcm_entropy(large), abs=0.2)
    noise = generator.integers(0, 256, (384, 512, 3), np.uint8)
    assert glcm_entropy(noise) > 10 > 6 > glcm_entropy(small)
