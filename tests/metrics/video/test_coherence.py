"""Changes from frame to frame: the figure of Robust Video Matting's code, hand-worked pairs, moved disks."""

import math

import numpy as np
import pytest

from kolbench.metrics.video import coherence

ROWS, COLUMNS = np.mgrid[:120, :160]


def soft_disk(x: float) -> np.ndarray:
    distance = np.hypot(ROWS - 60, COLUMNS - x)
    return np.clip((33 - distance) / 6, 0, 1).astype(np.float32)


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_dtssd_equals_the_authors_figure() -> None:
    found = coherence.dtssd(soft_disk(82), soft_disk(83), soft_disk(80), soft_disk(82))
    assert found == pytest.approx(3.429077, abs=5e-6)


def test_dtssd_by_hand() -> None:
    # changes 0.5, 0, 0 and 1 less those of the truth, 0.5, 0, 1 and 0
    pair = row(0, 0.2, 0.3, 0), row(0.5, 0.2, 0.3, 1), row(0.5, 0, 0, 1), row(1, 0, 1, 1)
    assert coherence.dtssd(*pair) == pytest.approx(100 * math.sqrt(2 / 4))
    region = np.array([[True, True, False, True]])
    assert coherence.dtssd(*pair, region) == pytest.approx(100 * math.sqrt(1 / 3))
    assert math.isnan(coherence.dtssd(*pair, np.zeros((1, 4), bool)))


def test_an_alpha_that_changes_as_its_truth_does_has_no_dtssd() -> None:
    assert coherence.dtssd(soft_disk(80), soft_disk(90), soft_disk(80), soft_disk(90)) == 0
    # an error that stays where it is does not flicker
    assert coherence.dtssd(soft_disk(80), soft_disk(80), soft_disk(60), soft_disk(60)) == 0


def test_messddt_follows_the_flow_to_the_right_and_down() -> None:
    """An error of 0.5 at (0, 0) is at (1, 2) in the next frame: two to the right and one down."""
    nothing, before, now = (np.zeros((3, 4), np.float32) for _ in range(3))
    before[0, 0] = now[1, 2] = 0.5
    flow = np.zeros((3, 4, 2), np.float32)
    flow[0, 0] = 2.4, 0.6
    only = np.zeros((3, 4), bool)
    only[0, 0] = True
    assert coherence.messddt(before, now, nothing, nothing, flow, only) == 0
    # flow with its axes exchanged leads to (2, 1), where nothing is
    assert coherence.messddt(before, now, nothing, nothing, flow[..., ::-1], only) == 250
    # of all pixels, the one at (1, 2) itself had no error before
    assert coherence.messddt(before, now, nothing, nothing, flow) == pytest.approx(250 / 12)
    assert math.isnan(coherence.messddt(before, now, nothing, nothing, flow, ~np.ones((3, 4), bool)))


def test_messddt_stays_inside_the_frame() -> None:
    nothing, before, now = (np.zeros((3, 4), np.float32) for _ in range(3))
    before[...], now[2, 3] = 1, 1
    assert coherence.messddt(before, now, nothing, nothing, np.full((3, 4, 2), 99, np.float32)) == 0


@pytest.mark.parametrize("longest", [None, 80])
def test_the_flow_of_a_disk_that_moves_points_where_it_goes(longest: int | None) -> None:
    flow = coherence.truth_flow(soft_disk(80), soft_disk(84), longest)
    assert flow.shape == (120, 160, 2)
    edge = coherence.soft(soft_disk(80)) & (np.abs(ROWS - 60) < 10)
    assert np.median(flow[edge], axis=0) == pytest.approx((4, 0), abs=0.75)


def test_a_moved_error_costs_less_than_one_that_comes_and_goes() -> None:
    truths = soft_disk(80), soft_disk(84)
    flow = coherence.truth_flow(*truths, None)
    region = coherence.soft(truths[0])
    moving = coherence.messddt(soft_disk(82), soft_disk(86), *truths, flow, region)
    flickering = coherence.messddt(soft_disk(82), soft_disk(84), *truths, flow, region)
    assert coherence.messddt(*truths, *truths, flow, region) == 0
    assert flickering > 1
    assert moving < flickering / 3


def test_flicker_by_hand() -> None:
    before, now = row(0, 0.5, 1, 1), row(0.25, 0.5, 0, 1)
    assert coherence.flicker_mad(before, now) == pytest.approx(1.25 / 4)
    assert coherence.flicker_iou(before >= 0.5, now >= 0.5) == pytest.approx(1 / 3)
    assert coherence.flicker_iou(before > 2, now > 2) == 0
    # changes 0.25, 0, 1, 0; the truth's 0, 0.5, 0.5, 0: what is more of it does not make up for what is less
    truth = row(0, 0.5, 0.5, 1), row(0, 0, 1, 1)
    assert coherence.flicker_excess(before, now, *truth) == pytest.approx(0.75 / 4)


def test_where_a_truth_is_unknown() -> None:
    truth = row(*[0.0] * 20, *[1.0] * 20)
    band = np.flatnonzero(coherence.unknown_band(truth)[0])
    assert not coherence.soft(truth).any()
    assert (band.min(), band.max()) == (16, 24)
    truth[0, 20] = 0.5
    assert np.flatnonzero(coherence.soft(truth)[0]).tolist() == [20]
    assert not coherence.unknown_band(row(0, 0, 0)).any()
    assert not coherence.unknown_band(row(1, 1, 1)).any()
