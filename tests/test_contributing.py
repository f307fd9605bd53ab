"""The recipes of CONTRIBUTING.md, as they stand there: what they write, and what their commands leave."""

import json
import os
import re
import runpy
import shlex
from pathlib import Path

import pandas as pd
import pytest

from kolbench.metrics import scores
from tests.helpers.commands import kolbench
from tests.helpers.forked import Finished, Forked, program
from tests.helpers.paths import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^## (Add an? .*?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
COMMANDS = re.compile(r"<!-- run -->\n```bash\n(.*?)```", re.DOTALL)


def recipe(title: str) -> str:
    return dict(RECIPES)[title]


def written(title: str, folder: Path) -> list[str]:
    """The recipe's files in `folder`, and its commands."""
    files = FILE.findall(recipe(title))
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return [line for block in COMMANDS.findall(recipe(title)) for line in block.splitlines()]


def run(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Finished | None:
    python, *words = shlex.split(command)
    assert python == "python"
    if words[:2] == ["-m", "kolbench"]:
        return kolbench(*words[2:], *more, cwd=folder)
    if words[0] == "-c":
        return Forked(program, words[1], cwd=folder, environment=os.environ).wait()
    monkeypatch.chdir(folder)
    runpy.run_path(words[0], run_name="__main__")
    return None


@pytest.fixture(autouse=True)
def no_scores_of_users():
    yield
    scores.load([])


@pytest.mark.slow
def test_a_method_and_that_a_change_but_no_comment_trains_it_anew(tmp_path, monkeypatch):
    (command,) = written("Add a method", tmp_path)
    small = ("data.picture_size=64", "budget.size=64")
    done = run(command, tmp_path, monkeypatch, *small, "hydra.run.dir=run")
    assert done is not None
    assert "tiny is not trained" not in done.stdout
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert 0 <= record["scores"]["miou"] <= 1
    (training,) = (tmp_path / "runs" / "trainings").glob("tiny-*")
    assert (training / "done.json").is_file()
    code = (tmp_path / "my_method.py").read_text()
    for text, trainings in ((f"# a comment\n{code}", 1), (code.replace("nn.ReLU()", "nn.SiLU()"), 2)):
        (tmp_path / "my_method.py").write_text(text)
        # by default a folder is called by the second, and this process may take less for both runs
        run(command, tmp_path, monkeypatch, *small, f"hydra.run.dir=again{trainings}")
        assert len(list((tmp_path / "runs" / "trainings").glob("tiny-*"))) == trainings


def test_a_data_layout(tmp_path, monkeypatch):
    draw, command = written("Add a data layout", tmp_path)
    run(draw, tmp_path, monkeypatch)
    done = run(command, tmp_path, monkeypatch)
    assert done is not None
    assert "6 pairs of 3 videos" in done.stdout
    assert "2 train / 2 val / 2 test images, disjoint by group (1 / 1 / 1 groups)" in done.stdout


@pytest.mark.slow
def test_a_metric(tmp_path, monkeypatch):
    (command,) = written("Add a metric", tmp_path)
    run(command, tmp_path, monkeypatch, "data.picture_size=64", "hydra.run.dir=run")
    table = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert table["specificity"].between(0, 1).all()
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["scores"]["specificity"]
    assert recorded == pytest.approx(table.loc[table.split == "test", "specificity"].mean())


def test_a_task(tmp_path, monkeypatch):
    draw, _ = written("Add a data layout", tmp_path)
    run(draw, tmp_path, monkeypatch)
    (command,) = written("Add a task", tmp_path)
    done = run(command, tmp_path, monkeypatch)
    assert done is not None
    lines = [line for line in done.stdout.splitlines() if ".mask.png" in line]
    assert [re.fullmatch(r"video0_\d\.mask\.png: \d+\.\d%", line) is not None for line in lines] == [
        True,
        True,
    ]


@pytest.mark.slow
def test_an_export_format(tmp_path, monkeypatch):
    train, export, opened = written("Add an export format", tmp_path)
    run(train, tmp_path, monkeypatch, "data.picture_size=64", "budget.size=64")
    done = run(export, tmp_path, monkeypatch)
    assert done is not None
    assert "compared with the method: 3 images" in done.stdout
    assert json.loads((tmp_path / "unet.pt2.json").read_text())["format"] == "my_format.FORMAT"
    assert 'use it: import my_format; kolbench.load("unet.pt2")' in done.stdout
    loaded = run(opened, tmp_path, monkeypatch)
    assert loaded is not None
    assert loaded.returncode == 0, loaded.stderr
    assert "GraphSegmenter" in loaded.stdout


def test_every_recipe_is_run():
    assert [title for title, _ in RECIPES] == [
        *("Add a method", "Add a data layout", "Add a metric", "Add a task", "Add an export format")
    ]
