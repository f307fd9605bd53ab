"""The examples run as they stand."""

import json
import runpy

import pytest

from kolbench.runs import record
from tests.helpers.commands import kolbench
from tests.helpers.paths import ROOT

EXAMPLES = ROOT / "examples"


def test_the_python_interface(capsys):
    found = runpy.run_path(str(EXAMPLES / "python_api.py"))["main"]("ellipse")
    # an upright ellipse over a drawn person: far from empty, far from right
    assert 0.3 < found["iou"] < 0.95
    assert f"iou {found['iou']:.3f}" in capsys.readouterr().out


@pytest.mark.slow
def test_trainings_from_python(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(EXAMPLES / "train_and_compare.py"))["on_drawn_scenes"]()
    recorded = {path.parts[-3]: record.read(path).scores["miou"] for path in tmp_path.rglob("run.json")}
    assert found == recorded
    assert set(found) == {"unet", "grabcut"}
    assert "alpha from 0." in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_a_method_of_ones_own_is_trained_and_scored(tmp_path, weight, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "own_method"))
    conf = str(EXAMPLES / "own_method" / "conf")
    words = ("model=lraspp", "budget=smoke", "data.picture_size=64", f"model.dice_weight={weight}")
    kolbench("--config-dir", conf, *words, "hydra.run.dir=run", cwd=tmp_path)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert 0 <= record["scores"]["miou"] <= 1
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    row = dict(zip(history[0].split(","), history[1].split(","), strict=True))
    assert float(row["train/bce"]) > 0
    assert (float(row["train/dice"]) > 0) == (weight > 0)
