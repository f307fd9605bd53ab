"""A score is one Python file, outside the package too; nothing else changes."""

import json

import pandas as pd
import pytest

from kolbench.metrics import scores
from kolbench.runs import run_folder
from tests.helpers.commands import kolbench

CODE = """
from kolbench.metrics.formulas import mean_over_pictures, ratio
from kolbench.metrics.score import Score, register


def specificity(at):
    return ratio(at.confusion.tn, at.confusion.tn + at.confusion.fp)


register(Score("specificity", "TN / (TN + FP), per picture, averaged", per_image=specificity))
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "my_score.py").write_text(CODE)
    yield tmp_path
    scores.load([])


@pytest.mark.slow
def test_a_score_of_ones_own_is_in_every_file_of_a_run(own):
    words = ("experiment=allfg", "budget=smoke", "data.picture_size=64", "threshold=0.5")
    kolbench(*words, "metrics=[my_score]", "hydra.run.dir=with", cwd=own)
    kolbench(*words, "hydra.run.dir=without", cwd=own)
    # everything is foreground: no background pixel is right
    assert json.loads((own / "with" / "run.json").read_text())["scores"]["specificity"] == 0
    assert "specificity" in pd.read_parquet(own / "with" / run_folder.SCORES)
    assert "specificity" in pd.read_csv(own / "with" / run_folder.CURVE)
    assert "specificity" not in pd.read_parquet(own / "without" / run_folder.SCORES)


def test_what_is_no_score_is_named(own):
    done = kolbench("experiment=allfg", "budget=smoke", "metrics=[my_scor]", cwd=own, code=2)
    assert "metrics: the module my_scor cannot be imported" in done.stderr
