"""mBA against OpenCV, which thresholds anew for each threshold, and worked by hand."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kolbench.metrics import scores
from kolbench.metrics.histogram import level_counts
from kolbench.metrics.scores.boundary_accuracy import edge, radii_of
from tests.helpers.counted import disk, saved, two_pictures

pytestmark = pytest.mark.usefixtures("all_families")


def found(alpha: Tensor, mask: Tensor, threshold: float = 0.5) -> float:
    counts = level_counts(alpha, mask, extra=scores.extra_counts())
    return float(scores.image_scores(counts, threshold)["mba"][0])


def by_opencv(predicted: np.ndarray, truth: np.ndarray) -> float:
    """The mean over radii as its authors have it: the edge is the morphological gradient of the truth."""
    most = sum(truth.shape) / 300
    shares = []
    for step in range(5):
        radius = 1 + int((most - 1) / 5 * step)
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        inside = cv2.morphologyEx(truth.astype(np.uint8), cv2.MORPH_GRADIENT, ellipse) > 0
        shares.append((predicted == truth)[inside].mean() if inside.any() else np.nan)
    return float(np.mean(shares))


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**16),
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    threshold=st.integers(0, 100).map(lambda percent: percent / 100),
)
def test_equals_cutting_at_each_threshold(seed: int, height: int, width: int, threshold: float) -> None:
    draw = np.random.default_rng(seed)
    noise = cv2.resize(draw.normal(size=(4, 5)), (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = torch.from_numpy(np.clip(0.5 + noise + draw.normal(0, 0.2, noise.shape), 0, 1))[
        None, None
    ].float()
    mask = torch.from_numpy(noise > 0.1)[None, None].float()
    expected = by_opencv(saved(alpha)[0, 0] > 255 * threshold, mask[0, 0].numpy() == 1)
    assert found(alpha, mask, threshold) == pytest.approx(expected, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize("radius", [1, 2, 3, 5, 8, 13])
def test_the_edge_is_opencvs_gradient(radius: int) -> None:
    mask = (disk(80, 30) + disk(150, 20) + disk(20, 3)).clamp(max=1)[0, 0]
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    expected = cv2.morphologyEx(mask.byte().numpy(), cv2.MORPH_GRADIENT, ellipse)
    assert np.array_equal(edge(mask == 1, radius).numpy(), expected > 0)


@pytest.mark.parametrize(
    ("size", "radii"),
    [
        ((120, 160), (1, 1, 1, 1, 1)),
        ((427, 640), (1, 1, 2, 2, 3)),
        ((1080, 1920), (1, 2, 4, 6, 8)),
        ((1, 1), (1, 1, 1, 1, 1)),
    ],
)
def test_the_radii_by_hand(size: tuple[int, int], radii: tuple[int, ...]) -> None:
    assert radii_of(*size) == radii


def columns(count: int) -> Tensor:
    """(1, 1, 5, 8) with so many columns set from the left."""
    return (torch.arange(8) < count).float().expand(1, 1, 5, 8)


def test_by_hand() -> None:
    """All radii are 1, so the edge is the columns on both sides of it."""
    assert edge(columns(3)[0, 0] == 1, 1).sum(0).tolist() == [0, 0, 5, 5, 0, 0, 0, 0]
    assert [found(columns(predicted), columns(3)) for predicted in (0, 2, 3, 4, 8)] == [0.5, 0.5, 1, 0.5, 0.5]
    soft = columns(3) * 0.4 + columns(4) * 0.2
    assert [found(soft, columns(3), threshold) for threshold in (0.1, 0.3, 0.7)] == [0.5, 1, 0.5]


def test_pictures_without_an_edge_are_left_out_and_counted() -> None:
    alpha = columns(4).repeat(4, 1, 1, 1)
    mask = torch.cat([columns(count) for count in (0, 3, 4, 8)])
    counts = level_counts(alpha, mask, extra=scores.extra_counts())
    images = scores.image_scores(counts, 0.5)["mba"]
    assert list(np.isnan(images)) == [True, False, False, True]
    means = scores.mean_scores(counts, 0.5)
    assert means["mba"] == (0.5 + 1) / 2
    assert means["mba_images"] == 2
    none = scores.mean_scores(counts.rows([0, 3]), 0.5)
    assert none["mba_images"] == 0
    assert "mba" not in none


def test_runs_whose_edges_were_not_counted_have_none() -> None:
    assert not {"mba", "mba_images"} & set(scores.mean_scores(two_pictures(), 0.5))
