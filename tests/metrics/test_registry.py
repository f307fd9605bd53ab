"""A metric is one file that registers one score."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kolbench.errors import ConfigError
from kolbench.metrics import scores
from kolbench.metrics.histogram import level_counts
from kolbench.metrics.score import ExtraCounts, Score, register, registered
from kolbench.report.tables import all_tables
from kolbench.runs import run_folder
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.counted import planes, two_pictures
from tests.helpers.run_folders import make_run

SPECIFICITY = """
from kolbench.metrics.formulas import ratio
from kolbench.metrics.score import Score, register

register(
    Score(
        "specificity",
        "share of the background that is left alone",
        per_image=lambda at: ratio(at.confusion.tn, at.confusion.tn + at.confusion.fp),
        shown=True,
    )
)
"""
# pixels at each level in the left half of the picture: foreground there
LEFT = """
import numpy as np
from kolbench.metrics.score import ExtraCounts, Score, register

def count(levels, mask):
    half = levels[:, : levels.shape[1] // 2]
    return half.flatten().bincount(minlength=256)[None]

register(
    Score(
        "left_share",
        "share of the predicted foreground that lies in the left half",
        pooled=lambda at: at.above("left_levels").sum(-1) / (at.confusion.tp + at.confusion.fp).sum(-1),
        higher_is_better=False,
        shown=True,
        extra=ExtraCounts(("left_levels",), count),
    )
)
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules; their scores are forgotten at the end."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(scores, "_LOADED", {})
    yield folder
    scores.load([])


def test_one_file_brings_a_score_into_every_table(modules: Path, tmp_path: Path) -> None:
    (modules / "specificity_of_mine.py").write_text(SPECIFICITY)
    scores.load(["specificity_of_mine"])
    folder = make_run(tmp_path / "runs" / "a", "modnet", threshold=0.5)
    pictures = pd.read_parquet(folder / "scores.parquet")
    assert pictures["specificity"].between(0, 1).all()
    assert {"specificity", "specificity@0.3"} <= set(pd.read_csv(folder / "scores.csv").columns)
    (run,) = find(str(folder))
    c = scores.confusion(run.test.counts, 0.5)
    expected = float(np.mean(c.tn / (c.tn + c.fp)))
    assert pictures.loc[pictures["split"] == "test", "specificity"].mean() == pytest.approx(expected)
    curve = pd.read_csv(folder / "curve.csv").set_index(["split", "threshold"])
    assert curve.loc[("test", 0.5), "specificity"] == pytest.approx(expected)
    assert scores.mean_scores(run.test.counts, 0.5)["specificity"] == pytest.approx(expected)
    (table,) = (table for table in all_tables(sets_of([run])[0]) if table.name == "scores")
    assert table.frame.loc[0, "specificity"] == pytest.approx(expected)
    assert "specificity: share of the background that is left alone." in table.notes


def test_a_file_may_bring_the_counts_that_it_needs(modules: Path, tmp_path: Path) -> None:
    (modules / "left_share_of_mine.py").write_text(LEFT)
    before = make_run(tmp_path / "before", "modnet")
    scores.load(["left_share_of_mine"])
    assert "left_share_of_mine" in scores.counting_modules()
    after = make_run(tmp_path / "after", "modnet")
    levels = run_folder.read_histograms(after / run_folder.HISTOGRAMS)["test"].counts["left_levels"]
    assert (levels.sum(-1) == 48 * 64 / 2).all()
    assert 0 < find(str(after))[0].record.scores["left_share"] < 1
    # what was evaluated without it has everything else
    old = find(str(before))[0].test.counts
    assert "left_share" not in scores.mean_scores(old, 0.5)
    assert "boundary_iou" in scores.mean_scores(old, 0.5)
    # and of a file that is not loaded the counts are kept, the score is not
    scores.load([])
    new = find(str(after))[0].test.counts
    assert "left_levels" in new
    assert "left_share" not in scores.mean_scores(new, 0.5)


def test_loading_others_forgets_the_ones_before(modules: Path) -> None:
    (modules / "first_of_mine.py").write_text(SPECIFICITY)
    (modules / "second_of_mine.py").write_text(SPECIFICITY.replace('"specificity"', '"leniency"'))
    built_in = list(scores.DEFINITIONS)
    scores.load(["first_of_mine"])
    scores.load(["second_of_mine"])
    assert list(scores.DEFINITIONS) == [*built_in, "leniency"]
    scores.load(["second_of_mine", "first_of_mine", "first_of_mine"])
    assert set(scores.DEFINITIONS) == {*built_in, "leniency", "specificity"}
    scores.load([])
    assert list(scores.DEFINITIONS) == built_in


def test_modules_that_are_not_there_or_do_nothing_are_named(modules: Path) -> None:
    with pytest.raises(ConfigError, match=r"the module no_such_metric cannot be imported .* PYTHONPATH"):
        scores.load(["no_such_metric"])
    (modules / "broken_metric.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match=r"broken_metric cannot be imported \(ZeroDivisionError"):
        scores.load(["broken_metric"])
    (modules / "idle_metric.py").write_text("")
    with pytest.raises(ConfigError, match="idle_metric registers no score"):
        scores.load(["idle_metric"])


def test_names_are_given_once(modules: Path) -> None:
    (modules / "another_iou.py").write_text(SPECIFICITY.replace('"specificity"', '"iou"'))
    with pytest.raises(ConfigError, match="two scores of the name iou"):
        scores.load(["another_iou"])
    taken = ExtraCounts(("boundary_band",), lambda levels, mask: levels)
    with pytest.raises(ConfigError, match="mine and boundary_iou both count boundary_band"):
        register(Score("mine", "a score", per_image=lambda at: np.zeros((1, 1)), extra=taken))
    with pytest.raises(ConfigError, match="neither per_image nor pooled"):
        register(Score("mine", "a score"))
    assert "mine" not in registered()


def test_what_says_not_to_depend_on_the_threshold_does_not() -> None:
    counts = level_counts(*planes(5, 6), extra=scores.extra_counts())
    curve = scores.threshold_curve(counts, scores.THRESHOLDS)
    constant = {name for name, values in curve.items() if np.ptp(values) == 0}
    said = {
        score.name for score in scores.all_scores() if not (score.depends_on_threshold or score.values)
    } & set(curve)
    assert said == {"mae", "images", "product_images"}
    assert said <= constant
    per_image = {score.name for score in scores.all_scores() if score.per_image}
    assert not constant & per_image - {"mae"}


def test_families_do_not_depend_on_the_threshold_where_they_say_so() -> None:
    scores.load(["saliency", "boundary"])
    try:
        counts = level_counts(*planes(5, 6), extra=scores.extra_counts())
        curve = scores.threshold_curve(counts, scores.THRESHOLDS)
    finally:
        scores.load([])
    constant = {name for name, values in curve.items() if np.ptp(values) == 0}
    said = {
        score.name for score in scores.all_scores() if not (score.depends_on_threshold or score.values)
    } & set(curve)
    assert said >= {"s_measure", "f_max", "mba_images"}
    assert said <= constant
    per_image = {score.name for score in scores.all_scores() if score.per_image}
    assert not constant & per_image - said


def test_definitions_are_one_line_each() -> None:
    assert all("\n" not in text and not text.endswith(".") for text in scores.DEFINITIONS.values())
    assert len(scores.DEFINITIONS) == len(list(scores.DEFINITIONS))


def test_only_errors_are_better_low() -> None:
    low = {score.name for score in scores.all_scores() if not score.higher_is_better}
    assert {name for name in low if registered()[name].family != "matting"} == {"mae", "mae_minmax"}
    assert {score.name for score in scores.family_scores("matting")} <= low
    assert scores.mean_scores(two_pictures(), 0.5)["mae"] > 0
