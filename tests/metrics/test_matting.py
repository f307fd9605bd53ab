"""Matting scores of pictures: whole, in the transition region, and where there is none."""

import numpy as np
import pytest

from kolbench.metrics import matte_error, scores
from kolbench.metrics.counts import Counts
from kolbench.metrics.score import registered
from kolbench.metrics.scores import matting
from tests.metrics.test_matte_error import levels, soft_disk

NAMES = ("sad", "mad", "mse", "grad", "conn", "grad_rvm")


def test_the_transition_region_forgives_what_lies_outside() -> None:
    truth, alpha = levels(soft_disk(80)), levels(soft_disk(82))
    far = alpha.copy()
    far[:10, :10] = 255
    for of in (matting.quick, matting.slow):
        near_whole, near_band = np.split(np.array(of(alpha, truth)), 2)
        far_whole, far_band = np.split(np.array(of(far, truth)), 2)
        assert (far_whole > near_whole).all()
        assert far_band.tolist() == near_band.tolist()
    whole, band = np.split(np.array(matting.quick(alpha, truth)), 2)
    size = int(matte_error.transition(truth).sum())
    # all errors of these disks lie in the band, so the sums agree and the means differ by the sizes
    assert band[0] == whole[0]
    assert band[1:] * size == pytest.approx(whole[1:] * truth.size, rel=1e-12)


@pytest.mark.parametrize("level", [0, 255])
def test_without_a_transition_region_its_scores_do_not_apply(level: int) -> None:
    truth = np.full((20, 50), level, np.uint8)
    alpha = 255 - truth
    assert matting.quick(alpha, truth)[:3] == (1, 1, 1)
    for of in (matting.quick, matting.slow):
        whole, band = np.split(np.array(of(alpha, truth)), 2)
        assert np.isfinite(whole).all()
        assert np.isnan(band).all()


def test_they_are_means_over_the_pictures_to_which_they_apply() -> None:
    none = np.zeros((3, 256), np.int64)
    counts = Counts(
        none, none, none, values={"sad": np.array([1.0, 2, 6]), "sad_t": np.array([1, np.nan, 2])}
    )
    # a score of the six needs all of their values
    assert "sad" not in scores.mean_scores(counts, 0.5)
    values = dict.fromkeys(registered()["sad"].needs[0].names, counts.values["sad"])
    counts = Counts(none, none, none, values={**values, "sad_t": counts.values["sad_t"]})
    found = scores.mean_scores(counts, 0.5)
    assert (found["sad"], found["sad_t"]) == (3, 1.5)
    assert np.isnan(scores.image_scores(counts, 0.3)["sad_t"]).tolist() == [False, True, False]


def test_they_say_what_they_are() -> None:
    for name in (*NAMES, *(f"{name}_t" for name in NAMES)):
        score = registered()[name]
        assert not score.higher_is_better
        assert not score.depends_on_threshold
        assert score.family == "matting"
        assert [need.needs_alpha for need in score.needs] == [True]  # type: ignore[union-attr]
        assert "only where the ground truth is an alpha matte" in score.definition
