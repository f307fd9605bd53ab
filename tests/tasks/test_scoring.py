"""What fit and test hand to the command line."""

import pytest
from PIL import Image

from kolbench.errors import ConfigError
from kolbench.metrics import scores
from kolbench.runs import record, run_folder
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


@pytest.mark.slow
def test_one_method_under_two_protocols(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("experiment=ellipse", "budget=smoke", "data.picture_size=64")
    for protocol, side in (("native", 64), ("portraitnet", 224)):
        folder = tmp_path / "runs" / "ellipse" / protocol
        run_task(*words, f"eval_protocol={protocol}", paths={"runs": "runs", "run": str(folder)})
        assert ("eval_protocol=portraitnet" in capsys.readouterr().out) == (side == 224)
        assert record.read(folder / "run.json").eval_protocol == protocol
        truth = next(iter((folder / "truths").rglob("*.png")))
        with Image.open(truth) as opened:
            assert opened.size == (side, side)
    # the second was not taken for the first, which was kept
    kept = {path.parent for path in (tmp_path / "runs" / "untrained").rglob("histograms.parquet")}
    assert len(kept) == 2
    with pytest.raises(ConfigError, match="eval_protocol=paper is not one of native, portraitnet"):
        run_task(*words, "eval_protocol=paper", paths={"runs": "runs", "run": "runs/other"})
    with pytest.raises(ConfigError, match=r"not scored on the same test pictures.*eval_protocol=portraitnet"):
        run_task("task=compare", a=str(tmp_path / "runs/ellipse/native"), b=str(folder))
