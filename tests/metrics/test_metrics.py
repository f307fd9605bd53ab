import importlib
import importlib.util
import subprocess
import sys
import types
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics.functional.classification as torchmetrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kolbench.errors import ConfigError, DataError, KolbenchError
from kolbench.metrics import scores
from kolbench.metrics.histogram import LevelCounts, level_counts

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def pictures(seed: int, n: int = 4, height: int = 13, width: int = 11) -> tuple[Tensor, Tensor, Tensor]:
    """Alphas that often saturate or lie on a level, masks that they follow more or less, products inside."""
    draw = torch.Generator().manual_seed(seed)
    shape = (n, 1, height, width)
    mask = (torch.rand(shape, generator=draw) > 0.6).float()
    alpha = (mask * 0.5 + torch.rand(shape, generator=draw) * 1.2 - 0.35).clamp(0, 1)
    on_level = torch.rand(shape, generator=draw) > 0.5
    alpha = torch.where(on_level, (alpha * 20).round() / 20, alpha)
    return alpha, mask, mask * (torch.rand(shape, generator=draw) > 0.5)


def levels_of(alpha: Tensor) -> np.ndarray:
    """The 8-bit picture that is saved of an alpha."""
    return (alpha * 255).round().to(torch.uint8).numpy()


def counts(alpha: Tensor, mask: Tensor, product: Tensor | None = None) -> Arrays:
    fg, bg, inside = (part.numpy() for part in level_counts(alpha, mask, product))
    return fg, bg, inside


def flat(*levels: int) -> np.ndarray:
    """One picture's counts: one pixel at each level named."""
    return np.bincount(np.array(levels, np.int64), minlength=256)[None]


NOTHING = flat()


def scored(
    fg: np.ndarray, bg: np.ndarray, product: np.ndarray = NOTHING, at: float = 0.5
) -> dict[str, float]:
    return {name: float(values[0]) for name, values in scores.image_scores(fg, bg, product, at).items()}


# the kernel


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), drops=st.booleans())
def test_level_counts_equal_counting_by_masks(seed: int, drops: bool) -> None:
    alpha, mask, product = pictures(seed)
    keep = torch.rand(alpha.shape, generator=torch.Generator().manual_seed(seed)) > 0.3 if drops else None
    found = level_counts(alpha, mask, product, keep)
    kept = np.ones(alpha.shape, bool) if keep is None else keep.numpy()
    for i, picture in enumerate(levels_of(alpha)):
        for part, region in zip(found, (mask == 1, mask == 0, product == 1), strict=True):
            expected, _ = np.histogram(picture[region[i].numpy() & kept[i]], bins=np.arange(257))
            assert np.array_equal(part[i].numpy(), expected)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), threshold=st.integers(0, 100).map(lambda percent: percent / 100))
def test_every_threshold_equals_thresholding_the_picture(seed: int, threshold: float) -> None:
    alpha, mask, product = pictures(seed)
    fg, bg, inside = counts(alpha, mask, product)
    found = scores.confusion(fg, bg, threshold)
    row = scores.image_scores(fg, bg, inside, threshold)
    for i, picture in enumerate(levels_of(alpha)):
        predicted, truth, held = picture > 255 * threshold, mask[i].numpy() == 1, product[i].numpy() == 1
        by_loop = (predicted & truth, predicted & ~truth, ~predicted & truth, ~predicted & ~truth)
        assert [int(part[i]) for part in found] == [region.sum() for region in by_loop]
        assert row["product_recall"][i] == pytest.approx(predicted[held].mean())


def test_level_counts_by_hand() -> None:
    alpha = torch.tensor([[0.0, 1.0, 0.5], [0.5, 0.25, 1.0]])[None, None]
    mask = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    product = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])[None, None]
    # 127.5 rounds to the even 128, 63.75 to 64
    fg, bg, held = counts(alpha, mask, product)
    assert np.array_equal(fg, flat(255, 128, 64))
    assert np.array_equal(bg, flat(0, 128, 255))
    assert np.array_equal(held, flat(255, 64))
    assert fg.dtype == bg.dtype == held.dtype == np.int64


def test_a_batch_is_counted_as_its_pictures_are() -> None:
    alpha, mask, product = pictures(1, n=5)
    together = level_counts(alpha, mask, product)
    for i in range(5):
        alone = level_counts(alpha[i : i + 1], mask[i : i + 1], product[i : i + 1])
        assert all(torch.equal(a[i], b[0]) for a, b in zip(together, alone, strict=True))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16])
def test_masks_of_any_dtype_count_alike(dtype: torch.dtype) -> None:
    alpha, mask, product = pictures(2)
    expected = level_counts(alpha, mask, product, mask)
    found = level_counts(alpha, mask.to(dtype), product.to(dtype), mask.to(dtype))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_alphas_of_any_float_are_rounded_as_float32(dtype: torch.dtype) -> None:
    alpha, mask, _ = pictures(3)
    found, expected = level_counts(alpha.to(dtype), mask), level_counts(alpha.to(dtype).float(), mask)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_without_a_product_mask_no_product_is_counted() -> None:
    alpha, mask, _ = pictures(4)
    assert not level_counts(alpha, mask).product.any()


def test_inputs_stay_as_they_were() -> None:
    planes = pictures(5)
    before = [plane.clone() for plane in planes]
    level_counts(*planes, planes[1])
    assert all(torch.equal(a, b) for a, b in zip(before, planes, strict=True))


def test_no_picture_gives_no_row() -> None:
    empty = torch.zeros(0, 1, 4, 4)
    assert [tuple(part.shape) for part in level_counts(empty, empty)] == [(0, 256)] * 3
    assert isinstance(level_counts(empty, empty), LevelCounts)


def test_a_picture_with_no_pixel_kept_counts_nothing() -> None:
    alpha, mask, product = pictures(6, n=2)
    assert not any(part.any() for part in level_counts(alpha, mask, product, torch.zeros_like(mask)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"alpha of nan for picture 2 .* diverged"),
        (1.01, r"alpha of 1\.01 for picture 2 .* clamp"),
        (-0.25, r"alpha of -0\.25 for picture 2 .* clamp"),
        (float("inf"), r"alpha of inf for picture 2 .* clamp"),
    ],
)
def test_impossible_alphas_are_refused(value: float, message: str) -> None:
    alpha, mask, _ = pictures(7)
    alpha[2, 0, 3, 4] = value
    with pytest.raises(KolbenchError, match=message):
        level_counts(alpha.requires_grad_(), mask)


def test_maps_of_other_shapes_are_refused() -> None:
    alpha, mask, _ = pictures(8)
    with pytest.raises(ValueError, match="mask has shape"):
        level_counts(alpha, mask[:, 0])
    with pytest.raises(ValueError, match="keep has shape"):
        level_counts(alpha, mask, None, mask[:1])


def test_counting_is_allowed_where_only_determinism_is() -> None:
    alpha, mask, product = pictures(9)
    torch.use_deterministic_algorithms(True)
    try:
        found = level_counts(alpha, mask, product, mask)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(found.fg.sum(1), mask.sum((1, 2, 3)).long())


# thresholds


@pytest.mark.parametrize(
    ("threshold", "level"),
    [(0, 0), (0.1, 25), (0.2, 51), (0.5, 127), (3 * 0.2, 153), (0.1 + 0.7, 204), (1, 255)],
)
def test_cutoff_is_the_highest_background_level(threshold: float, level: int) -> None:
    assert scores.cutoff_level(threshold) == level


def test_cutoff_is_the_literal_comparison_for_every_hundredth() -> None:
    levels = np.arange(256)
    for percent in range(101):
        literal = levels > 255 * (percent / 100)
        assert np.array_equal(literal, levels > scores.cutoff_level(percent / 100))


def test_cutoff_of_a_levels_own_fraction_is_the_level() -> None:
    assert [scores.cutoff_level(level / 255) for level in range(256)] == list(range(256))


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan")])
def test_thresholds_outside_the_range_are_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        scores.confusion(NOTHING, NOTHING, threshold)


def test_scores_need_no_torch() -> None:
    code = "import sys, kolbench.metrics.scores; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# scores of one picture


def test_scores_by_hand() -> None:
    # at 0.5: TP 3, FN 1, FP 2, TN 4
    fg, bg, product = flat(255, 200, 128, 127), flat(255, 128, 0, 0, 51, 102), flat(128, 127)
    assert scored(fg, bg, product) == pytest.approx(
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
    found = scored(fg, bg)
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
    for name, values in scores.image_scores(fg, bg, product, threshold).items():
        judged = values[product.sum(1) > 0] if name.startswith("product") else values
        assert ((judged >= 0) & (judged <= 1)).all(), name
    means = scores.mean_scores(fg, bg, product, threshold)
    assert all(np.isfinite(value) for value in means.values())


def test_all_background_shows_why_accuracy_is_no_headline() -> None:
    found = scored(flat(*[0] * 5), flat(*[0] * 95))
    assert found["acc"] == pytest.approx(0.95)
    assert found["miou"] == pytest.approx(0.475)


def disk(x: int, radius: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(120), torch.arange(160), indexing="ij")
    return ((rows - 60) ** 2 + (columns - x) ** 2 <= radius**2).float()[None, None]


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
    fg, bg, _ = counts(predicted, disk(80, 30))
    assert scored(fg, bg)["iou"] == pytest.approx(golden, abs=5e-7)


def test_mae_is_that_of_the_8_bit_picture() -> None:
    alpha, mask, _ = pictures(10, n=6)
    fg, bg, product = counts(alpha, mask)
    by_numpy = np.abs(levels_of(alpha) / 255 - mask.numpy()).mean((1, 2, 3))
    for threshold in (0.1, 0.5, 0.9):
        found = scores.image_scores(fg, bg, product, threshold)["mae"]
        assert np.allclose(found, by_numpy, atol=1e-14, rtol=0)


# sets of pictures


def two_pictures() -> Arrays:
    """At 0.5: (TP, FP, FN, TN) = (1, 1, 0, 2) and (4, 0, 4, 0); only the second has a product."""
    fg = np.concatenate([flat(255), flat(255, 255, 255, 255, 0, 0, 0, 0)])
    bg = np.concatenate([flat(255, 0, 0), flat()])
    return fg, bg, np.concatenate([flat(), flat(255, 0, 0, 0)])


def test_means_and_pooled_scores_by_hand() -> None:
    found = scores.mean_scores(*two_pictures(), 0.5)
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
    assert list(scores.mean_scores(*two_pictures(), 0.5)) == list(scores.DEFINITIONS)
    per_picture = list(scores.image_scores(*two_pictures(), 0.5))
    assert per_picture == [name for name in scores.DEFINITIONS if name in per_picture]
    assert all("\n" not in definition for definition in scores.DEFINITIONS.values())


def test_without_any_product_there_is_no_product_score() -> None:
    fg, bg, _ = two_pictures()
    found = scores.mean_scores(fg, bg, np.zeros_like(fg), 0.5)
    assert found["product_images"] == 0
    assert "product_recall" not in found
    assert "product_iou" not in found


def test_pictures_scored_by_rule_are_counted() -> None:
    fg = np.concatenate([flat(), flat(), flat(255), flat()])
    bg = np.concatenate([flat(0, 0), flat(0, 128), flat(), flat()])
    at_half = scores.mean_scores(fg, bg, np.zeros_like(fg), 0.5)
    # the last picture has no pixel at all and is both
    assert (at_half["both_empty"], at_half["both_full"]) == (2, 2)
    assert scores.mean_scores(fg, bg, np.zeros_like(fg), 0.51)["both_empty"] == 3


def test_the_curve_is_the_means_at_each_threshold() -> None:
    fg, bg, product = counts(*pictures(11, n=7))
    curve = scores.threshold_curve(fg, bg, product, scores.THRESHOLDS)
    assert scores.THRESHOLDS == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    for column, threshold in enumerate(scores.THRESHOLDS):
        assert {name: values[column] for name, values in curve.items()} == scores.mean_scores(
            fg, bg, product, threshold
        )


def test_means_are_the_means_of_the_pictures_scores() -> None:
    fg, bg, product = counts(*pictures(12, n=7))
    product[3] = 0
    per_picture = scores.image_scores(fg, bg, product, 0.4)
    means = scores.mean_scores(fg, bg, product, 0.4)
    for name, values in per_picture.items():
        assert means[name] == pytest.approx(np.nanmean(values), abs=1e-14)
    assert np.isnan(per_picture["product_recall"]).sum() == 1


def test_no_picture_has_no_mean() -> None:
    none = np.zeros((0, 256), np.int64)
    assert all(len(values) == 0 for values in scores.image_scores(none, none, none, 0.5).values())
    for mean in (
        lambda: scores.mean_scores(none, none, none, 0.5),
        lambda: scores.best_threshold(none, none),
        lambda: scores.max_f(none, none),
    ):
        with pytest.raises(DataError, match="no picture"):
            mean()


def test_counts_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must both be \(N, 256\)"):
        scores.confusion(np.zeros((2, 255), np.int64), np.zeros((2, 255), np.int64), 0.5)


# choosing a threshold


@pytest.mark.parametrize(
    ("foreground", "background", "expected"),
    [
        (255, 0, 0.5),  # every threshold is right
        (200, 180, 0.71),  # 0.71 to 0.78: level 180 is background from 0.71 on
        (100, 60, 0.39),  # 0.24 to 0.39: the nearest below
        (128, 127, 0.5),
    ],
)
def test_best_threshold_goes_to_the_one_nearest_a_half(
    foreground: int, background: int, expected: float
) -> None:
    assert scores.best_threshold(flat(foreground), flat(background)) == expected


def test_two_equally_near_best_thresholds_give_the_lower() -> None:
    # the cut-off levels are 124, 127, 130: from 0.50 on a foreground pixel is lost, from 0.51 on another won
    fg, bg = flat(126, 255), flat(129, 0)
    near = {percent: scores.mean_scores(fg, bg, fg, percent / 100)["acc"] for percent in (49, 50, 51)}
    assert near[49] == near[51]
    assert near[50] < near[49]
    assert scores.best_threshold(fg, bg, "acc") == 0.49


@pytest.mark.parametrize("score", ["miou", "iou", "acc", "f0.3", "f1", "miou_pooled", "f0.09_pooled"])
def test_best_threshold_equals_a_loop_over_all(score: str) -> None:
    fg, bg, product = counts(*pictures(13, n=5))
    by_threshold = {k / 100: scores.mean_scores(fg, bg, product, k / 100)[score] for k in range(1, 100)}
    best = scores.best_threshold(fg, bg, score)
    assert by_threshold[best] == max(by_threshold.values())
    nearest = min(abs(t - 0.5) for t, value in by_threshold.items() if value == by_threshold[best])
    assert abs(best - 0.5) == pytest.approx(nearest)


@pytest.mark.parametrize("score", ["mae", "product_recall", "acc_pooled", "moiu"])
def test_best_threshold_of_other_scores_is_refused(score: str) -> None:
    with pytest.raises(ConfigError, match=f"score={score} is not a choice"):
        scores.best_threshold(flat(255), flat(0), score)


def test_max_f_by_hand() -> None:
    # picture 1 is perfect from cut 100 to 199, picture 2 from 150 to 249: together from 150 to 199
    fg, bg = np.concatenate([flat(200), flat(250)]), np.concatenate([flat(100), flat(150)])
    assert scores.max_f(fg, bg) == 1
    # only the highest of the 255 cuts, and only the lowest, parts these
    assert scores.max_f(flat(255), flat(254)) == 1
    assert scores.max_f(flat(1), flat(0)) == 1
    # foreground below background: the best is to take both pixels, P = 1/2 and R = 1
    assert scores.max_f(flat(100), flat(200)) == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))
    assert scores.max_f(flat(100), flat(200), beta2=1) == pytest.approx(2 / 3)


def test_max_f_equals_a_loop_over_the_255_cuts() -> None:
    fg, bg, product = counts(*pictures(14, n=5))
    loop = [scores.mean_scores(fg, bg, product, level / 255)["f0.3"] for level in range(255)]
    assert scores.max_f(fg, bg) == pytest.approx(max(loop), abs=1e-14)


# independent implementations


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**16), percent=st.integers(5, 95))
def test_scores_agree_with_scikit_learn(seed: int, percent: int) -> None:
    alpha, mask, product = pictures(seed, n=3)
    fg, bg, _ = counts(alpha, mask, product)
    truth = mask.flatten(1).numpy().astype(int)
    predicted = (levels_of(alpha).reshape(3, -1) > 255 * percent / 100).astype(int)
    assume(predicted.any(1).all() and not predicted.all(1).any())
    oracle: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "iou": sklearn.metrics.jaccard_score,
        "miou": lambda t, p: sklearn.metrics.jaccard_score(t, p, average="macro"),
        "acc": sklearn.metrics.accuracy_score,
        "precision": sklearn.metrics.precision_score,
        "recall": sklearn.metrics.recall_score,
        "f0.3": lambda t, p: sklearn.metrics.fbeta_score(t, p, beta=0.3**0.5),
        "f0.09": lambda t, p: sklearn.metrics.fbeta_score(t, p, beta=0.3),
        "f1": sklearn.metrics.f1_score,
    }
    found = scores.image_scores(fg, bg, fg, percent / 100)
    means = scores.mean_scores(fg, bg, fg, percent / 100)
    for name, score in oracle.items():
        expected = [score(t, p) for t, p in zip(truth, predicted, strict=True)]
        assert found[name] == pytest.approx(expected, abs=1e-12), name
        if f"{name}_pooled" in means:
            assert means[f"{name}_pooled"] == pytest.approx(
                score(truth.ravel(), predicted.ravel()), abs=1e-12
            )
    everywhere = sklearn.metrics.confusion_matrix(truth.ravel(), predicted.ravel()).ravel()
    tn, fp, fn, tp = everywhere
    assert [int(part.sum()) for part in scores.confusion(fg, bg, percent / 100)] == [tp, fp, fn, tn]


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_scores_agree_with_torchmetrics(threshold: float) -> None:
    alpha, mask, _ = pictures(15, n=6)
    fg, bg, product = counts(alpha, mask)
    # the 8-bit picture again as probabilities; torchmetrics' foreground is value > threshold, too
    probability = torch.from_numpy(levels_of(alpha)).double() / 255
    found = scores.image_scores(fg, bg, product, threshold)
    for i in range(6):
        arguments = (probability[i], mask[i].int(), threshold)
        assert found["iou"][i] == pytest.approx(
            float(torchmetrics.binary_jaccard_index(*arguments)), abs=1e-6
        )
        assert found["acc"][i] == pytest.approx(float(torchmetrics.binary_accuracy(*arguments)), abs=1e-6)
        assert found["f1"][i] == pytest.approx(float(torchmetrics.binary_f1_score(*arguments)), abs=1e-6)
        f = torchmetrics.binary_fbeta_score(probability[i], mask[i].int(), 0.3**0.5, threshold)
        assert found["f0.3"][i] == pytest.approx(float(f), abs=1e-6)


@pytest.fixture
def py_sod(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """py_sod_metrics.fmeasurev2 alone: its package imports scikit-image for measures not compared here."""
    found = importlib.util.find_spec("py_sod_metrics")
    if found is None:
        pytest.skip(
            "needs pip install --no-deps pysodmetrics (its own dependencies name another OpenCV wheel)"
        )
    bare = types.ModuleType("py_sod_metrics")
    bare.__path__ = list(found.submodule_search_locations or [])
    monkeypatch.setitem(sys.modules, "py_sod_metrics", bare)
    return importlib.import_module("py_sod_metrics.fmeasurev2")


def test_scores_agree_with_py_sod_metrics_at_every_threshold(py_sod: types.ModuleType) -> None:
    alpha, mask, _ = pictures(16, n=5)
    fg, bg, product = counts(alpha, mask)
    handlers = {
        "iou": py_sod.IOUHandler(True, False),
        "acc": py_sod.OverallAccuracyHandler(True, False),
        "precision": py_sod.PrecisionHandler(True, False),
        "recall": py_sod.RecallHandler(True, False),
        "f0.3": py_sod.FmeasureHandler(True, False, beta=0.3),
        "f0.09": py_sod.FmeasureHandler(True, False, beta=0.09),
        "f1": py_sod.FmeasureHandler(True, False, beta=1),
    }
    judge = py_sod.FmeasureV2(handlers)
    for i in range(5):
        judge.step(levels_of(alpha)[i, 0] / 255, mask[i, 0].numpy() == 1, normalize=False)
    # theirs is level >= 255, 254 ... 0, ours level > 254, 253 ... 0; theirs has no counterpart for >= 0
    curve = scores.threshold_curve(fg, bg, product, [level / 255 for level in range(254, -1, -1)])
    results = judge.get_results()
    for name in handlers:
        assert curve[name] == pytest.approx(results[name]["dynamic"][:-1], abs=1e-12), name
    assert scores.max_f(fg, bg) == pytest.approx(results["f0.3"]["dynamic"][:-1].max(), abs=1e-12)
