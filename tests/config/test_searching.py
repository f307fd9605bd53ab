"""Searches of knobs: what is searched, what a trial may see, and that a stopped search goes on."""

import importlib.util
import json
import re
import shlex

import pytest

from kolbench.errors import ConfigError
from kolbench.runs import record
from tests.helpers.commands import kolbench

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="needs optuna, of the extra hpo"
)


def searched(word):
    from kolbench.config.searching import split

    (found,) = split([word])[1].values()
    return found


@pytest.mark.parametrize(
    ("word", "low", "high", "step", "log"),
    [
        ("a=interval(0.1,10)", 0.1, 10.0, None, False),
        ("a=tag(log,interval(0.1,10))", 0.1, 10.0, None, True),
        ("a=interval(2,9)", 2.0, 9.0, None, False),
        ("a=int(interval(2,9))", 2, 9, 1, False),
        ("a=tag(log,int(interval(2,9)))", 2, 9, 1, True),
        ("a=range(2,9)", 2, 8, 1, False),
        ("a=range(2,9,3)", 2, 8, 3, False),
        ("a=range(0.5,2,0.5)", 0.5, 1.5, 0.5, False),
    ],
)
def test_numbers_are_searched_between_their_bounds(word, low, high, step, log):
    found = searched(word)
    assert (found.low, found.high, found.step, found.log) == (low, high, step, log)
    assert type(found.low) is type(low)


@pytest.mark.parametrize(
    ("word", "choices"),
    [
        ("tta=none,flip", ("none", "flip")),
        ("a=1,null,'b c'", ("1", "null", "'b c'")),
        ("a=shuffle(range(1,4))", ("1", "2", "3")),
    ],
)
def test_other_words_are_choices_in_hydras_grammar(word, choices):
    assert sorted(searched(word).choices) == sorted(choices)


def test_what_is_typed_wins_over_what_is_searched_by_default():
    from kolbench.config.searching import split

    fixed, found = split(["a=interval(0,1)", "b=1,2", "a=0.5", "+c={d: e}"])
    assert fixed == ["a=0.5", "+c={d: e}"]
    assert list(found) == ["b"]


def test_a_search_of_nothing_and_one_that_would_see_test_pictures_are_refused():
    from kolbench.config.searching import split

    with pytest.raises(ConfigError, match="nothing to search"):
        split(["experiment=unet"])
    with pytest.raises(ConfigError, match="never scores the test images"):
        split(["a=1,2", "test=true"])
    assert split(["a=1,2", "test=false"])[0] == []


def test_the_command_for_the_test_pictures_leaves_out_what_only_trains():
    from kolbench.config.searching import Trial, test_command

    trial = Trial(3, ("model.training.recipes.a.optimizer.lr=0.1", "tta=flip"), 0.5, "runs/a b/3_unet")
    words = test_command(
        trial, ["task=fit", "experiment=unet", "init=official", "+callbacks=ema", "data=folder"]
    )
    assert shlex.split(words)[3:] == [
        "task=test",
        "weights=runs/a b/3_unet",
        "experiment=unet",
        "data=folder",
        "tta=flip",
    ]


@pytest.mark.slow
def test_a_search_scores_validation_pictures_alone_goes_on_and_names_the_best_trial(tmp_path):
    words = ("-m", "hydra/sweeper=optuna", "experiment=unet", "budget=smoke", "budget.size=32")
    searched = ("data.picture_size=32", "budget.lr_factor=tag(log,interval(0.1,100))", "tta=none,flip")
    first = kolbench(*words, *searched, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    (sweep,) = (tmp_path / "runs" / "sweeps").iterdir()
    trials = json.loads((sweep / "search.json").read_text())["trials"]
    runs = [record.read(path) for path in sorted(sweep.glob("*_unet/run.json"))]
    assert [run.status for run in runs] == ["validated", "validated"]
    assert [set(run.pictures) for run in runs] == [{"train", "val"}] * 2
    assert not any(run.scores for run in runs)
    # of test pictures there is nothing, on the disk or on the screen
    assert not [path for path in sweep.rglob("*") if path.name in ("alphas", "truths", "overview.png")]
    assert all("test" not in path.read_text() for path in sweep.rglob("curve.csv"))
    assert "test images, each row" not in first.stdout
    assert "all jobs of the sweep" not in first.stdout
    assert not list((tmp_path / "runs" / "trainings").glob("*/evaluations/*/"))
    best = max(trials, key=lambda trial: trial["value"])
    assert f"best: trial {best['number']}, validation mIoU {best['value']:.4f}" in first.stdout
    # the report says why they are not in it
    assert "test images are not scored" in kolbench("task=report", "runs=runs", cwd=tmp_path, code=1).stdout
    # the same trials again, found by their fingerprints, and one more
    again = kolbench(*words, *searched, "hydra.sweeper.n_trials=3", cwd=tmp_path).stdout
    assert again.count("is finished already") == 2
    (other,) = set((tmp_path / "runs" / "sweeps").iterdir()) - {sweep}
    repeated = json.loads((other / "search.json").read_text())["trials"]
    assert [trial["words"] for trial in repeated[:2]] == [trial["words"] for trial in trials]
    assert [trial["value"] for trial in repeated[:2]] == [trial["value"] for trial in trials]
    # what it says to type does what it says
    command = re.search(r"python -m kolbench (task=test .*)", first.stdout)[1]
    kolbench(*shlex.split(command), "hydra.run.dir=tested", cwd=tmp_path)
    tested = record.read(tmp_path / "tested" / "run.json")
    assert tested.finished
    assert tested.pictures == {"val": 2, "test": 2}
    assert tested.threshold == runs[best["number"]].threshold
