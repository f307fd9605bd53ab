"""Choosing a threshold, the highest F, and the scores of an epoch."""

import numpy as np
import pytest

from kolbench.errors import ConfigError, DataError
from kolbench.metrics import scores
from kolbench.metrics.selection import best_threshold, epoch_scores, max_f
from kolbench.runs.code import closure
from kolbench.runs.fingerprint import NEVER_DECIDES
from kolbench.tasks.fit import ENTRY_MODULES
from tests.helpers.commands import python
from tests.helpers.counted import counted, flat, of


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
    assert best_threshold(of(flat(foreground), flat(background))) == expected


def test_two_equally_near_best_thresholds_give_the_lower() -> None:
    # the cut-off levels are 124, 127, 130: from 0.50 on a foreground pixel is lost, from 0.51 on another won
    counts = of(flat(126, 255), flat(129, 0))
    near = {percent: scores.mean_scores(counts, percent / 100)["acc"] for percent in (49, 50, 51)}
    assert near[49] == near[51]
    assert near[50] < near[49]
    assert best_threshold(counts, "acc") == 0.49


@pytest.mark.parametrize("score", ["miou", "iou", "acc", "f0.3", "f1", "miou_pooled", "f0.09_pooled"])
def test_best_threshold_equals_a_loop_over_all(score: str) -> None:
    counts = counted(13, 5)
    by_threshold = {k / 100: scores.mean_scores(counts, k / 100)[score] for k in range(1, 100)}
    best = best_threshold(counts, score)
    assert by_threshold[best] == max(by_threshold.values())
    nearest = min(abs(t - 0.5) for t, value in by_threshold.items() if value == by_threshold[best])
    assert abs(best - 0.5) == pytest.approx(nearest)


@pytest.mark.parametrize("score", ["mae", "product_recall", "acc_pooled", "moiu"])
def test_best_threshold_of_other_scores_is_refused(score: str) -> None:
    with pytest.raises(ConfigError, match=f"score={score} is not a choice"):
        best_threshold(of(flat(255), flat(0)), score)


def test_max_f_by_hand() -> None:
    # picture 1 is perfect from cut 100 to 199, picture 2 from 150 to 249: together from 150 to 199
    both = of(np.concatenate([flat(200), flat(250)]), np.concatenate([flat(100), flat(150)]))
    assert max_f(both) == 1
    # only the highest of the 255 cuts, and only the lowest, parts these
    assert max_f(of(flat(255), flat(254))) == 1
    assert max_f(of(flat(1), flat(0))) == 1
    # foreground below background: the best is to take both pixels, P = 1/2 and R = 1
    assert max_f(of(flat(100), flat(200))) == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))
    assert max_f(of(flat(100), flat(200)), beta2=1) == pytest.approx(2 / 3)


def test_max_f_equals_a_loop_over_the_255_cuts() -> None:
    counts = counted(14, 5)
    loop = [scores.mean_scores(counts, level / 255)["f0.3"] for level in range(255)]
    assert max_f(counts) == pytest.approx(max(loop), abs=1e-14)


@pytest.mark.parametrize("held", [True, False])
def test_the_scores_of_an_epoch_are_those_of_the_table_to_the_last_digit(held: bool) -> None:
    counts = counted(15, 40)
    if not held:
        counts = of(counts.fg, counts.bg)
    names = [
        "miou",
        "iou",
        "acc",
        "precision",
        "recall",
        "mae",
        "f0.3",
        *(["product_recall"] if held else []),
    ]
    for threshold in (0.2, 0.5, 0.81):
        found, table = epoch_scores(counts, threshold), scores.mean_scores(counts, threshold)
        assert found == {name: table[name] for name in names}
        assert list(found) == names


def test_an_epoch_without_pictures_has_no_scores() -> None:
    with pytest.raises(DataError, match="no image"):
        epoch_scores(of(*[np.zeros((0, 256), np.int64)] * 2), 0.5)


@pytest.mark.slow
def test_what_trainings_use_knows_nothing_of_single_scores() -> None:
    """So that a new or a changed score leaves the fingerprints of trainings as they are."""
    names = ("selection", "histogram", "counts", "formulas", "confusion")
    code = "import sys, importlib\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    loaded = python(f"{code}    print(*sys.modules)", *(f"kolbench.metrics.{name}" for name in names)).stdout
    assert {*loaded.split()} >= {f"kolbench.metrics.{name}" for name in names}
    assert not [name for name in loaded.split() if name.startswith("kolbench.metrics.score")]


def test_no_training_has_the_code_of_single_scores_in_its_fingerprint() -> None:
    names = set(closure(ENTRY_MODULES, NEVER_DECIDES))
    assert {"kolbench.metrics.selection", "kolbench.metrics.histogram"} <= names
    assert not [name for name in names if name.startswith("kolbench.metrics.score")]


def test_the_modules_that_count_are_those_of_what_is_asked_for() -> None:
    always = ["kolbench.metrics.scores.boundary", "kolbench.metrics.scores.matting"]
    assert scores.counting_modules() == always
    try:
        scores.load(["saliency", "boundary"])
        assert set(scores.counting_modules()) > set(always)
        assert "kolbench.metrics.scores.weighted_f" in scores.counting_modules()
    finally:
        scores.load([])
