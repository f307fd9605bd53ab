"""Boundary IoU against OpenCV, which thresholds and erodes anew for each threshold, and worked by hand."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kolbench.metrics import scores
from kolbench.metrics.histogram import level_counts
from kolbench.metrics.scores.boundary import NAMES, erode, width_of
from tests.helpers.counted import disk, saved, two_pictures

EVERY_LEVEL = tuple(level / 255 for level in range(255))


def at(alpha: Tensor, mask: Tensor, threshold: float = 0.5) -> float:
    counts = level_counts(alpha, mask, extra=scores.extra_counts())
    return float(scores.image_scores(counts, threshold)["boundary_iou"][0])


def band(binary: np.ndarray) -> np.ndarray:
    """The inner band as the authors' boundary-iou-api makes it: padded by 1, eroded by 3 x 3 d times."""
    height, width = binary.shape
    times = max(1, round(0.02 * (height**2 + width**2) ** 0.5))
    padded = cv2.copyMakeBorder(binary.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=times)
    return binary & (eroded[1:-1, 1:-1] == 0)


def by_opencv(alpha: Tensor, mask: Tensor, threshold: float) -> float:
    predicted = band(saved(alpha)[0, 0] > 255 * threshold)
    truth = band(mask[0, 0].numpy() == 1)
    union = (predicted | truth).sum()
    return float((predicted & truth).sum() / union) if union else 1.0


def soft(seed: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Blobs with soft edges, and a truth that resembles them."""
    draw = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(draw.normal(size=(height, width)), (0, 0), max(1.0, min(height, width) / 8))
    noise = noise / np.abs(noise).max()
    alpha = np.clip(0.5 + noise * draw.uniform(0.5, 4) + draw.normal(0, 0.1, noise.shape), 0, 1)
    mask = noise + draw.normal(0, 0.05, noise.shape) > 0
    return torch.from_numpy(alpha)[None, None].float(), torch.from_numpy(mask)[None, None].float()


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**16),
    height=st.integers(1, 90),
    width=st.integers(1, 130),
    threshold=st.integers(0, 100).map(lambda percent: percent / 100),
)
def test_equals_eroding_at_each_threshold(seed: int, height: int, width: int, threshold: float) -> None:
    alpha, mask = soft(seed, height, width)
    assert at(alpha, mask, threshold) == pytest.approx(by_opencv(alpha, mask, threshold), abs=1e-15)


@pytest.mark.parametrize("size", [(75, 100), (130, 40)])
def test_equals_eroding_at_every_level(size: tuple[int, int]) -> None:
    alpha, mask = soft(3, *size)
    counts = level_counts(alpha, mask, extra=scores.extra_counts())
    curve = scores.threshold_curve(counts, EVERY_LEVEL)["boundary_iou"]
    assert curve == pytest.approx([by_opencv(alpha, mask, t) for t in EVERY_LEVEL], abs=1e-15)
    assert np.ptp(curve) > 0.1


def plane(**boxes: tuple[slice, slice]) -> Tensor:
    found = torch.zeros(1, 1, 100, 75)  # a diagonal of 125, so a band of 2 pixels
    for where in boxes.values():
        found[(0, 0, *where)] = 1
    return found


EMPTY, FULL = torch.zeros(1, 1, 100, 75), torch.ones(1, 1, 100, 75)
AT_EDGE = plane(box=(slice(60, 100), slice(0, 30)))
THIN = plane(line=(slice(10, 90), slice(40, 41)))
CASES = {
    "both empty": (EMPTY, EMPTY, 1),
    "nothing found": (EMPTY, AT_EDGE, 0),
    "nothing there": (AT_EDGE, EMPTY, 0),
    "both full": (FULL, FULL, 1),
    # the band of the frame is 100 x 75 less 96 x 71, that of the box 40 x 30 less 36 x 26, which shares
    # 2 x 30 along the bottom and 2 x 38 along the side
    "full, and an object at the edge": (FULL, AT_EDGE, 136 / (684 + 264 - 136)),
    "at the edge": (AT_EDGE, AT_EDGE, 1),
    "thin": (THIN, THIN, 1),
    "thin, one pixel beside": (torch.roll(THIN, 1, -1), THIN, 0),
    # a line is its own band; of the box's three columns, all within 2 pixels of a side, one is the line
    "thin inside a box": (plane(box=(slice(10, 90), slice(39, 42))), THIN, 80 / 240),
}


@pytest.mark.parametrize("case", CASES)
def test_edges_by_hand(case: str) -> None:
    alpha, mask, expected = CASES[case]
    assert width_of(100, 75) == 2
    assert at(alpha, mask) == pytest.approx(expected, abs=1e-15)
    assert by_opencv(alpha, mask, 0.5) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("predicted", "golden"), [(disk(80, 30), 1), (disk(84, 30), 0.333333), (disk(80, 27), 0.266667)]
)
def test_equals_the_authors_figures(predicted: Tensor, golden: float) -> None:
    assert at(predicted, disk(80, 30)) == pytest.approx(golden, abs=5e-7)


@pytest.mark.parametrize(("size", "pixels"), [((1, 1), 1), ((120, 160), 4), ((1080, 1920), 44), ((3, 4), 1)])
def test_the_band_is_2_percent_of_the_diagonal_wide(size: tuple[int, int], pixels: int) -> None:
    assert width_of(*size) == pixels


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**16), size=st.tuples(st.integers(1, 20), st.integers(1, 20)), d=st.integers(1, 9)
)
def test_erosion_is_the_minimum_of_the_square(seed: int, size: tuple[int, int], d: int) -> None:
    levels = np.random.default_rng(seed).integers(1, 256, size).astype(np.uint8)
    kernel = np.ones((2 * d + 1, 2 * d + 1), np.uint8)
    expected = cv2.erode(levels, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    assert np.array_equal(erode(torch.from_numpy(levels), d).numpy(), expected)


def test_runs_whose_bands_were_not_counted_have_no_boundary_iou() -> None:
    counts = two_pictures()
    assert not set(NAMES) & set(counts)
    for found in (scores.image_scores(counts, 0.5), scores.mean_scores(counts, 0.5)):
        assert "boundary_iou" not in found


def test_it_is_the_mean_over_pictures_of_any_size() -> None:
    pairs = [soft(seed, 60 + seed, 50) for seed in range(3)]
    parts = [level_counts(alpha, mask, extra=scores.extra_counts()) for alpha, mask in pairs]
    found = scores.mean_scores(scores.Counts.joined(parts), 0.4)["boundary_iou"]
    assert found == pytest.approx(np.mean([by_opencv(*pair, 0.4) for pair in pairs]), abs=1e-15)
