"""Weighted F against pysodmetrics, and worked by hand."""

import types

import cv2
import numpy as np
import pytest

from kolbench.metrics.scores.weighted_f import values, weighted_f
from kolbench.types import UInt8Array
from tests.helpers.pysodmetrics import pysodmetrics


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    (module,) = pysodmetrics(monkeypatch, "sod_metrics")
    return module


def picture(seed: int, height: int = 40, width: int = 52) -> tuple[UInt8Array, UInt8Array]:
    """A soft alpha that does not reach the extremes, and a truth of several parts that it follows."""
    draw = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(draw.normal(size=(height, width)), (0, 0), 4)
    noise = noise / np.abs(noise).max()
    alpha = np.clip(0.5 + noise * 0.6 + draw.normal(0, 0.08, noise.shape), 0.03, 0.93)
    return np.asarray((alpha * 255).round(), np.uint8), np.where(noise > 0.1, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("minmax", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_equals_pysodmetrics(theirs: types.ModuleType, seed: int, minmax: bool) -> None:
    levels, truth = picture(seed, 40 + seed, 52 - seed)
    judge = theirs.WeightedFmeasure()
    if minmax:
        judge.step(levels, truth, normalize=True)
    else:
        judge.step(levels / 255, truth > 127, normalize=False)
    assert weighted_f(levels, truth, minmax) == pytest.approx(judge.get_results()["wfm"], abs=1e-9)
    assert 0.2 < judge.get_results()["wfm"] < 0.99


def test_edges_by_hand() -> None:
    nothing, everything = (np.full((9, 11), level, np.uint8) for level in (0, 255))
    box = nothing.copy()
    box[3:6, 4:8] = 255
    assert weighted_f(nothing, nothing) == 0
    assert weighted_f(everything, nothing) == 0
    assert weighted_f(box, box) == pytest.approx(1, abs=1e-12)
    assert weighted_f(everything, everything) == pytest.approx(1, abs=1e-12)
    assert weighted_f(nothing, box) == pytest.approx(0, abs=1e-12)
    # a constant is not stretched, and a truth is cut above 127
    assert weighted_f(everything, box, minmax=True) == weighted_f(everything, box)
    assert weighted_f(box, np.where(box == 255, 128, 127).astype(np.uint8)) == weighted_f(box, box)
    assert values(box, box) == (weighted_f(box, box),)


def test_one_false_pixel_by_hand() -> None:
    """A lone false alarm 5 pixels away from a foreground of 4 counts 2 - 0.5 = 1.5."""
    truth = np.zeros((1, 12), np.uint8)
    truth[0, :4] = 255
    alpha = truth.copy()
    alpha[0, 8] = 255
    precision = 4 / (4 + 1.5)
    assert weighted_f(alpha, truth) == pytest.approx(2 * precision / (1 + precision), abs=1e-12)


def test_stretching_matters_where_the_extremes_are_not_reached() -> None:
    truth = picture(1)[1]
    faint = np.where(truth == 255, 200, 20).astype(np.uint8)
    assert weighted_f(faint, truth, minmax=True) == pytest.approx(1, abs=1e-12)
    assert weighted_f(faint, truth) < 0.9
