"""Errors of alphas: published figures, cases worked by hand, and slow implementations written anew."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from kolbench.metrics import matte_error
from kolbench.types import Float64Array, UInt8Array

SIZE = (120, 160)


def soft_disk(x: int) -> Float64Array:
    """A disk of radius 30 at height 60 whose alpha falls from 1 to 0 over 6 pixels."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    away = np.hypot(rows - 60.0, columns - x)
    return np.asarray(np.clip((33 - away) / 6, 0, 1), np.float64)


def levels(alpha: Float64Array) -> UInt8Array:
    return np.asarray((alpha * 255).round(), np.uint8)


def blobs(seed: int, height: int, width: int) -> tuple[Float64Array, Float64Array]:
    """Two alphas of few, smooth spots that resemble each other, on 8-bit levels."""
    draw = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(draw.normal(size=(height, width)), (0, 0), 2.0)
    other = noise + cv2.GaussianBlur(draw.normal(size=(height, width)), (0, 0), 1.5) / 4
    a, b = (levels(np.clip(0.5 + plane * 3, 0, 1)) / 255 for plane in (noise, other))
    return a, b


def test_equals_the_figures_of_the_authors_code() -> None:
    alpha, truth = soft_disk(82), soft_disk(80)
    assert matte_error.gradient(alpha, truth) == pytest.approx(0.390002, abs=5e-7)
    assert matte_error.gradient_rvm(alpha, truth) == pytest.approx(0.371131, abs=5e-7)
    assert matte_error.connectivity(alpha, truth) == pytest.approx(0.255643, abs=5e-7)
    # theirs of alphas that are not rounded to levels
    sad, mad, mse = matte_error.pixel_errors(levels(alpha), levels(truth))
    assert sad == pytest.approx(0.239932, abs=2e-4)
    assert mad == pytest.approx(0.012496, abs=1e-5)
    assert mse == pytest.approx(0.002969, abs=1e-5)
    assert sad == pytest.approx(np.abs(levels(alpha) / 255.0 - levels(truth) / 255.0).sum() / 1000, abs=1e-12)


def test_constant_alphas_by_hand() -> None:
    nothing, everything, half = (np.full((20, 50), level, np.uint8) for level in (0, 255, 51))
    assert matte_error.pixel_errors(everything, nothing) == (1.0, 1.0, 1.0)
    # 51 / 255 = 0.2, of 1000 pixels
    assert matte_error.pixel_errors(half, nothing) == pytest.approx((0.2, 0.2, 0.04), abs=1e-15)
    for error in (matte_error.gradient, matte_error.gradient_rvm):
        assert error(everything / 255, nothing / 255) == pytest.approx(0, abs=1e-20)
    # nothing is shared, so all leave at 0: what is opaque hangs on nothing
    assert matte_error.connectivity(everything / 255, nothing / 255) == 1.0
    assert matte_error.connectivity(half / 255, nothing / 255) == pytest.approx(0.2, abs=1e-15)
    for plane in (nothing, everything, half):
        assert matte_error.connectivity(plane / 255, plane / 255) == 0
        assert matte_error.pixel_errors(plane, plane) == (0, 0, 0)


def test_an_island_does_not_hang_together() -> None:
    """The truth's body is found; an island of 4 opaque pixels is not of it."""
    truth = np.zeros((8, 12))
    truth[:, :6] = 1
    alpha = truth.copy()
    alpha[2:4, 9:11] = 1
    assert matte_error.connectivity(alpha, truth) == pytest.approx(4 / 1000, abs=1e-15)
    # what lies less than 0.15 above the level at which it leaves counts as hanging on
    alpha[2:4, 9:11] = 0.14
    assert matte_error.connectivity(alpha, truth) == 0


def left_alone(alpha: Float64Array, truth: Float64Array) -> float:
    """The connectivity error pixel by pixel, after Rhemann et al., with RVM's rule for no component."""
    height, width = alpha.shape
    leaving: list[list[float | None]] = [[None] * width for _ in range(height)]
    for step in range(1, 11):
        common = (alpha >= step / 10) & (truth >= step / 10)
        largest: set[tuple[int, int]] = set()
        seen: set[tuple[int, int]] = set()
        for start in zip(*np.nonzero(common), strict=True):
            if start in seen:
                continue
            part, pending = {start}, [start]
            while pending:
                y, x = pending.pop()
                for other in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                    inside = 0 <= other[0] < height and 0 <= other[1] < width
                    if inside and common[other] and other not in part:
                        part.add(other)
                        pending.append(other)
            seen |= part
            largest = part if len(part) > len(largest) else largest
        for y in range(height):
            for x in range(width):
                if leaving[y][x] is None and (y, x) not in largest:
                    leaving[y][x] = (step - 1) / 10
    total = 0.0
    for y in range(height):
        for x in range(width):
            at = leaving[y][x]
            level = 1.0 if at is None else at
            hanging = [
                1 - (plane[y, x] - level if plane[y, x] - level >= 0.15 else 0) for plane in (alpha, truth)
            ]
            total += abs(hanging[0] - hanging[1])
    return total / 1000


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**16), height=st.integers(1, 24), width=st.integers(1, 30))
def test_connectivity_equals_a_search_pixel_by_pixel(seed: int, height: int, width: int) -> None:
    alpha, truth = blobs(seed, height, width)
    assert matte_error.connectivity(alpha, truth) == pytest.approx(left_alone(alpha, truth), abs=1e-12)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**16), height=st.integers(1, 40), width=st.integers(1, 50))
def test_gradients_equal_scipys(seed: int, height: int, width: int) -> None:
    alpha, truth = blobs(seed, height, width)

    def magnitude(plane: Float64Array) -> Float64Array:
        parts = (ndimage.gaussian_filter(plane, 1.4, order) for order in ([0, 1], [1, 0]))
        return np.asarray(np.sqrt(sum(part**2 for part in parts)))

    expected = ((magnitude(alpha) - magnitude(truth)) ** 2).sum() / 10
    assert matte_error.gradient(alpha, truth) == pytest.approx(expected, abs=1e-11)


def test_the_other_gradient_equals_filters_built_pixel_by_pixel() -> None:
    alpha, truth = blobs(7, 30, 40)
    half = math.ceil(1.4 * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * 1.4 * 0.01)))
    at = np.arange(-half, half + 1)
    bell = np.exp(-(at**2) / (2 * 1.4**2)) / (1.4 * math.sqrt(2 * math.pi))
    across = np.outer(bell, -at * bell / 1.4**2)
    across /= np.sqrt((across**2).sum())
    assert across.shape == (9, 9)

    def magnitude(plane: Float64Array) -> Float64Array:
        parts = (ndimage.correlate(plane, each, mode="nearest") for each in (across, across.T))
        return np.asarray(np.sqrt(sum(part**2 for part in parts)))

    expected = ((magnitude(alpha) - magnitude(truth)) ** 2).sum() / 1000
    assert matte_error.gradient_rvm(alpha, truth) == pytest.approx(expected, abs=1e-12)


def test_the_transition_region_is_where_the_truth_may_be_neither() -> None:
    truth = np.zeros((60, 60), np.uint8)
    truth[20:40, 20:] = 255
    truth[30, 10] = 1
    band = matte_error.transition(truth)
    assert (truth[~band] % 255 == 0).all()
    # around the edge and around the faint pixel, not deep inside, not far outside
    assert band[20, 30]
    assert band[16, 30]
    assert band[30, 10]
    assert not band[30, 30]
    assert not band[5, 50]
    # the object runs out of the frame there, which is no edge
    assert not band[30, 59]
    for level in (0, 255):
        assert not matte_error.transition(np.full((9, 9), level, np.uint8)).any()


def test_errors_of_a_region_are_of_its_pixels() -> None:
    alpha, truth = blobs(3, 30, 40)
    region = np.zeros(alpha.shape, bool)
    region[5:15, 10:30] = True
    inside = matte_error.pixel_errors(levels(alpha), levels(truth), region)
    cut = (levels(plane[5:15, 10:30]) for plane in (alpha, truth))
    assert inside == matte_error.pixel_errors(*cut)
    for error in (matte_error.gradient, matte_error.gradient_rvm, matte_error.connectivity):
        parts = [error(alpha, truth, chosen) for chosen in (region, ~region)]
        assert sum(parts) == pytest.approx(error(alpha, truth), abs=1e-12)
    empty = matte_error.pixel_errors(levels(alpha), levels(truth), np.zeros_like(region))
    assert empty[0] == 0
    assert math.isnan(empty[1])
    assert math.isnan(empty[2])
