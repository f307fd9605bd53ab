"""What fit and test hand to the command line."""

import pytest

from kolbench.metrics import scores
from kolbench.runs import run_folder
from tests.helpers.tasks import run_task


@pytest.mark.slow
def test_sweepers_are_given_the_validation_score_and_never_the_test_score(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("experiment=ellipse", "budget=smoke", "data.picture_size=64")
    result = run_task(*words, paths={"runs": "runs", "run": "runs/ellipse/one"})
    counts = run_folder.read_histograms(tmp_path / "runs/ellipse/one" / run_folder.HISTOGRAMS)
    threshold = result.row["threshold"]
    validation, test = (
        scores.mean_scores(counts[split].counts, threshold)["miou"] for split in ("val", "test")
    )
    assert result.objective == pytest.approx(validation, abs=1e-12)
    assert result.row["miou"] == pytest.approx(test, abs=1e-12)
    assert abs(validation - test) > 0.01
