"""Scores of pictures and of sets, worked by hand."""

import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kolbench.errors import DataError
from kolbench.metrics import scores
from kolbench.metrics.counts import Counts
from kolbench.metrics.histogram import level_counts
from tests.helpers.counted import counted, disk, flat, of, planes, saved, scored, two_pictures


def test_scores_need_no_torch() -> None:
    code = "import sys, kolbench.metrics.scores; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def of_each_threshold(found: Mapping[str, float]) -> dict[str, float]:
    """Without those over all thresholds, which `test_saliency.py` has."""
    saliency = {score.name for score in scores.all_scores() if score.family == "saliency"}
    return {name: value for name, value in found.items() if name not in saliency}


def test_scores_by_hand() -> None:
    # at 0.5: TP 3, FN 1, FP 2, TN 4
    fg, bg, product = flat(255, 200, 128, 127), flat(255, 128, 0, 0, 51, 102), flat(128, 127)
    assert of_each_threshold(scored(of(fg, bg, product))) == pytest.approx(
        {
            "miou": (3 / 6 + 4 / 7) / 2,
            "iou": 3 / 6,
            "acc": 7 / 10,
            "precision": 3 / 5,
            "recall": 3 / 4,
            "mae": (0 + 55 + 127 + 128 + 255 + 128 + 51 + 102) / 2550,
            "f0.3": 1.3 * (3 / 5) * (3 / 4) / (0.3 * 3 / 5 + 3 / 4),
            "f0.09": 1.09 * (3 / 5) * (3 / 4) / (0.09 * 3 / 5 + 3 / 4),
            "f1": 6 / 9,
            "product_recall": 1 / 2,
            "product_iou": 1 / 2,
        },
        abs=1e-12,
    )


EMPTY_CASES = {
    # truth, prediction: (fg counts, bg counts, foreground scores, background IoU, accuracy)
    "both empty": (flat(), flat(0, 0, 0, 0), 1, 1, 1),
    "only the truth is empty": (flat(), flat(255, 0, 0, 0), 0, 3 / 4, 3 / 4),
    "only the prediction is empty": (flat(0), flat(0, 0, 0), 0, 3 / 4, 3 / 4),
    "both full": (flat(255, 255), flat(), 1, 1, 1),
    "full and empty": (flat(0, 0), flat(), 0, 0, 0),
    "empty and full": (flat(), flat(255, 255), 0, 0, 0),
    "no pixel at all": (flat(), flat(), 1, 1, 1),
}


@pytest.mark.parametrize("case", EMPTY_CASES)
def test_empty_masks(case: str) -> None:
    fg, bg, foreground, background_iou, accuracy = EMPTY_CASES[case]
    found = scored(of(fg, bg))
    for name in ("iou", "precision", "recall", "f0.3", "f0.09", "f1"):
        assert found[name] == foreground, name
    assert found["miou"] == (foreground + background_iou) / 2
    assert found["acc"] == accuracy
    assert found["mae"] == 1 - accuracy
    assert np.isnan(found["product_recall"])
    assert np.isnan(found["product_iou"])


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**16), sparse=st.booleans(), threshold=st.floats(0, 1))
def test_scores_lie_between_0_and_1_and_are_never_nan(seed: int, sparse: bool, threshold: float) -> None:
    draw = np.random.default_rng(seed)
    fg, bg, product = (draw.integers(0, 3, (6, 256)) * (draw.random((6, 256)) > 0.99 * sparse) for _ in "abc")
    fg[0] = bg[1] = product[2] = 0
    bg[0, :2] = fg[1, :2] = 1
    counts = Counts(fg, bg, product)
    pixels = np.maximum((fg + bg).sum(1), 2)
    for name, values in scores.image_scores(counts, threshold).items():
        judged = values[product.sum(1) > 0] if name.startswith("product") else values
        # E divides by one pixel less than there are
        most = pixels / (pixels - 1) if name.startswith("e_") else 1
        assert ((judged >= 0) & (judged <= most + 1e-12)).all(), name
    means = scores.mean_scores(counts, threshold)
    assert all(np.isfinite(value) for value in means.values())


def test_all_background_shows_why_accuracy_is_no_headline() -> None:
    found = scored(of(flat(*[0] * 5), flat(*[0] * 95)))
    assert found["acc"] == pytest.approx(0.95)
    assert found["miou"] == pytest.approx(0.475)


@pytest.mark.parametrize(
    ("predicted", "golden"),
    [
        (disk(80, 30), 1),
        (disk(84, 30), 0.844394),
        (disk(80, 27), 0.811414),
        (torch.zeros(1, 1, 120, 160), 0),
        (torch.ones(1, 1, 120, 160), 0.146927),
    ],
)
def test_iou_equals_the_davis_toolkits_figures(predicted: Tensor, golden: float) -> None:
    assert scored(level_counts(predicted, disk(80, 30)))["iou"] == pytest.approx(golden, abs=5e-7)


def test_mae_is_that_of_the_8_bit_picture() -> None:
    alpha, mask, _ = planes(10, n=6)
    counts = level_counts(alpha, mask)
    by_numpy = np.abs(saved(alpha) / 255 - mask.numpy()).mean((1, 2, 3))
    for threshold in (0.1, 0.5, 0.9):
        found = scores.image_scores(counts, threshold)["mae"]
        assert np.allclose(found, by_numpy, atol=1e-14, rtol=0)


def test_means_and_pooled_scores_by_hand() -> None:
    found = of_each_threshold(scores.mean_scores(two_pictures(), 0.5))
    assert found == pytest.approx(
        {
            "miou": ((1 / 2 + 2 / 3) / 2 + (4 / 8 + 0) / 2) / 2,
            "iou": (1 / 2 + 1 / 2) / 2,
            "acc": (3 / 4 + 4 / 8) / 2,
            "precision": (1 / 2 + 1) / 2,
            "recall": (1 + 1 / 2) / 2,
            "mae": (1 / 4 + 4 / 8) / 2,
            "f0.3": (1.3 / 2.3 + 1.3 * 4 / (1.3 * 4 + 0.3 * 4)) / 2,
            "f0.09": (1.09 / 2.09 + 1.09 * 4 / (1.09 * 4 + 0.09 * 4)) / 2,
            "f1": 2 / 3,
            "product_recall": 1 / 4,
            "product_iou": 1 / 4,
            "miou_pooled": (5 / 10 + 2 / 7) / 2,
            "iou_pooled": 5 / 10,
            "f0.3_pooled": 1.3 * (5 / 6) * (5 / 9) / (0.3 * 5 / 6 + 5 / 9),
            "f0.09_pooled": 1.09 * (5 / 6) * (5 / 9) / (0.09 * 5 / 6 + 5 / 9),
            "images": 2,
            "both_empty": 0,
            "both_full": 0,
            "product_images": 1,
        },
        abs=1e-12,
    )


def test_every_score_is_defined_and_in_the_order_of_the_definitions() -> None:
    counted_always = [score.name for score in scores.all_scores() if not (score.needs or score.family)]
    assert list(scores.mean_scores(two_pictures(), 0.5)) == counted_always
    assert [score.name for score in scores.all_scores()] == list(scores.DEFINITIONS)
    per_picture = list(scores.image_scores(two_pictures(), 0.5))
    assert per_picture == [name for name in scores.DEFINITIONS if name in per_picture]
    assert all("\n" not in definition for definition in scores.DEFINITIONS.values())


def test_without_any_product_there_is_no_product_score() -> None:
    counts = two_pictures()
    found = scores.mean_scores(of(counts.fg, counts.bg), 0.5)
    assert found["product_images"] == 0
    assert "product_recall" not in found
    assert "product_iou" not in found


def test_pictures_scored_by_rule_are_counted() -> None:
    fg = np.concatenate([flat(), flat(), flat(255), flat()])
    bg = np.concatenate([flat(0, 0), flat(0, 128), flat(), flat()])
    at_half = scores.mean_scores(of(fg, bg), 0.5)
    # the last picture has no pixel at all and is both
    assert (at_half["both_empty"], at_half["both_full"]) == (2, 2)
    assert scores.mean_scores(of(fg, bg), 0.51)["both_empty"] == 3


def test_the_curve_is_the_means_at_each_threshold() -> None:
    counts = counted(11, 7)
    curve = scores.threshold_curve(counts, scores.THRESHOLDS)
    assert scores.THRESHOLDS == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    for column, threshold in enumerate(scores.THRESHOLDS):
        assert {name: values[column] for name, values in curve.items()} == scores.mean_scores(
            counts, threshold
        )


def test_means_are_the_means_of_the_pictures_scores() -> None:
    counts = counted(12, 7)
    counts.product[3] = 0
    per_picture = scores.image_scores(counts, 0.4)
    means = scores.mean_scores(counts, 0.4)
    for name, values in per_picture.items():
        assert means[name] == pytest.approx(np.nanmean(values), abs=1e-14)
    assert np.isnan(per_picture["product_recall"]).sum() == 1


def test_no_picture_has_no_mean() -> None:
    none = of(*[np.zeros((0, 256), np.int64)] * 2)
    assert all(len(values) == 0 for values in scores.image_scores(none, 0.5).values())
    for mean in (
        lambda: scores.mean_scores(none, 0.5),
        lambda: scores.best_threshold(none),
        lambda: scores.max_f(none),
    ):
        with pytest.raises(DataError, match="no image"):
            mean()


def test_counts_of_other_shapes_are_refused() -> None:
    narrow, wide = np.zeros((2, 255), np.int64), np.zeros((2, 256), np.int64)
    for arrays in ((narrow, narrow), (wide, wide[:1]), (wide[0], wide[0])):
        with pytest.raises(ValueError, match=r"must all be \(N, 256\)"):
            of(*arrays)
