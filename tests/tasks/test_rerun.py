"""`task=rerun`: the same scores from the same configuration, and what is said where they are not."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kolbench.config.schema import TaskResult
from kolbench.errors import ConfigError, DataError, KolbenchError
from kolbench.runs import record
from tests.helpers.catalogue import small_catalogue
from tests.helpers.commands import kolbench
from tests.helpers.data_files import folder as labelled
from tests.helpers.run_folders import make_run
from tests.helpers.tasks import run_task

SCENES = "budget.scenes={train:6,val:2,test:3}"
NO_LIMIT = "budget.limit={train:null,val:null,test:null}"
DRAWN = ("data=synthetic", "budget=smoke", "data.picture_size=32", SCENES, NO_LIMIT)


def scored(runs: Path, *words: str, name: str = "kmeans") -> Path:
    """A run of a classic method, in a folder of runs."""
    folder = runs / name / "first"
    run_task("task=fit", f"experiment={name}", *words, paths={"runs": str(runs), "run": str(folder)})
    return folder


def rerun(run: Path | None, *words: str, **values: object) -> TaskResult:
    """As the command line does it: the task itself has no run folder."""
    given = None if run is None else str(run)
    # what no word chooses
    paths = {"runs": "elsewhere", "run": str(Path.cwd())}
    return run_task("task=rerun", *words, **{"from": given, "paths": paths, **values})


def changed(run: Path, **values: Any) -> None:
    path = run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture(scope="module")
def classic(tmp_path_factory):
    return scored(tmp_path_factory.mktemp("work") / "runs", *DRAWN)


@pytest.fixture
def run(classic, tmp_path):
    """A run folder in a folder of runs of its own."""
    shutil.copytree(classic.parents[1], tmp_path / "runs")
    place = tmp_path / "runs" / "kmeans" / "first"
    text = (place / "config.yaml").read_text()
    (place / "config.yaml").write_text(text.replace(str(classic.parents[1]), str(tmp_path / "runs")))
    return place


def test_the_same_scores_to_the_last_digit_predicted_anew(run, capsys):
    result = rerun(run, "strict=true")
    said = capsys.readouterr().out
    assert result.exit_code == 0
    assert result.folder is not None
    # beside the run, although the command says nothing of where runs are
    assert result.folder.parent.resolve() == run.parent
    before, now = (record.read(folder / "run.json") for folder in (run, result.folder))
    assert now.scores == before.scores
    assert now.overrides == before.overrides
    assert now.task == "fit"
    assert now.fingerprint == before.fingerprint
    assert "again: K-Means, task=fit" in said
    assert "versions: the same" in said
    assert "data: the same images, masks and split" in said
    assert "scores are equal to the last digit" in said
    # the scores of the first run are not simply found again
    assert "no forward pass" not in said
    assert json.loads((result.folder / "rerun.json").read_text())["equal"] is True


def test_what_differs_is_told_before_it_runs_and_after(run, capsys):
    known = json.loads((run / "run.json").read_text())
    scores = {**known["scores"], "miou": known["scores"]["miou"] - 0.125}
    versions = {**known["versions"], "torch": "1.0"}
    changed(run, scores=scores, versions=versions, commit="0123456", fingerprint={"source": "0" * 64})
    assert rerun(run, "strict=true").exit_code == 1
    said = capsys.readouterr().out
    told, ran, compared = (said.index(text) for text in ("torch 1.0 then", "run folder", "1 of "))
    assert told < ran < compared
    assert "code: commit 0123456 then" in said
    assert "data: images or masks differ (000000000000 then" in said
    assert "+0.12" in said
    assert "the largest difference is +0.12 (miou)" in said
    for line in said.splitlines():
        if "│" in line and " before " in line:
            assert len(line) <= 80


def refusals() -> Mapping[str, tuple[dict[str, Any], str]]:
    return {
        "unfinished": ({"status": "interrupted", "error": "stopped"}, "goes on with it: python -m kolbench"),
        "validated": ({"status": "validated"}, "test=false"),
        "shard": ({"shard": {"number": 2, "count": 3}}, "task=merge"),
        "another task": ({"task": "place"}, "repeats those of fit and test"),
    }


@pytest.mark.parametrize("name", refusals())
def test_runs_that_cannot_be_had_again(run, name):
    values, says = refusals()[name]
    changed(run, **values)
    with pytest.raises(DataError, match=says):
        rerun(run)
    assert len(list(run.parent.iterdir())) == 1


def test_no_run_or_several(run, tmp_path):
    with pytest.raises(ConfigError, match="needs from=RUN"):
        rerun(None)
    with pytest.raises(DataError, match="no such folder"):
        rerun(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"no run.json"):
        rerun(run / "alphas")
    with pytest.raises(ConfigError, match="resume=sometimes"):
        rerun(run, "resume=sometimes")
    with pytest.raises(ConfigError, match="lie in no folder"):
        rerun(run, root=str(tmp_path))
    (run / "config.yaml").unlink()
    with pytest.raises(DataError, match=r"config.yaml is missing"):
        rerun(run)
    make_run(tmp_path / "runs" / "other", "modnet", pictures=4, files=False)
    with pytest.raises(DataError, match="holds 2 runs; give one of them"):
        rerun(tmp_path / "runs")


def test_images_that_have_moved(tmp_path, monkeypatch, capsys):
    """Named relative to the folder that the run was started in, then moved away from there."""
    (tmp_path / "work").mkdir()
    (tmp_path / "here").mkdir()
    labelled(tmp_path / "work" / "photos", [f"p{number}" for number in range(6)])
    monkeypatch.chdir(tmp_path / "work")
    words = ("data=folder", "data.root=photos", "data.allow_duplicates=true", "budget=smoke")
    run = scored(Path("runs"), *words).absolute()
    assert record.read(run / "run.json").checked == ("no near-duplicates across splits",)
    monkeypatch.chdir(tmp_path / "here")
    changed(run, threshold=0.25)
    result = rerun(run)
    # told, and no failure unless that is asked for
    assert result.exit_code == 0
    said = capsys.readouterr().out
    there = tmp_path / "work" / "photos"
    assert f"data.root=photos is relative to the folder that the run was started in: {there} is taken" in said
    assert re.search(r"1 of \d+ scores differ; the largest difference is \+0.25 \(threshold\)", said)
    assert result.folder is not None
    assert f"data.root='{there}'" in record.read(result.folder / "run.json").overrides

    there.rename(tmp_path / "here" / "moved")
    with pytest.raises(DataError, match=r"there is no .*photos.*root=DIR"):
        rerun(run)
    with pytest.raises(DataError, match="there is no such folder"):
        rerun(run, root="nowhere")
    rerun(run, root="moved")
    assert "data: the same images, masks and split" in capsys.readouterr().out
    # and those that are named by a whole path
    with pytest.raises(DataError, match=r"photos of .* is not there any more. Put it back.*root=DIR"):
        rerun(result.folder)


def test_weights_by_name_stay_what_they_are(tmp_path, monkeypatch, capsys):
    """The run names the file that was downloaded; its licence and hash are known by the name."""
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    with small_catalogue():
        runs = tmp_path / "runs"
        words = ("experiment=modnet", "weights=official", *DRAWN)
        done = run_task("task=test", *words, paths={"runs": str(runs), "run": str(runs / "modnet" / "first")})
        assert done.folder is not None
        first = done.folder
        run = record.read(first / "run.json")
        again = rerun(first, "strict=true")
        assert again.exit_code == 0
        assert again.folder is not None
        found = record.read(again.folder / "run.json")
    assert [part.name for part in run.rests_on if part.role == "weights"] == ["logits-onnx"]
    assert found.rests_on == run.rests_on
    assert found.method == run.method == "official_modnet"
    assert "equal to the last digit" in capsys.readouterr().out


@pytest.mark.slow
def test_a_training_is_found_again_or_made_anew(tmp_path):
    """Through the command line: what a strict rerun exits with, and where its folder is."""
    words = ("experiment=unet", *DRAWN, "budget.epochs=1", "device=cpu")
    kolbench(*words, cwd=tmp_path)
    (run,) = (tmp_path / "runs" / "unet").iterdir()
    found = kolbench("task=rerun", f"from={run}", "strict=true", cwd=tmp_path)
    assert "was found again: its weights are the same" in found.stdout
    assert "scores are equal to the last digit" in found.stdout
    anew = kolbench("task=rerun", f"from={run}", "strict=true", "resume=never", cwd=tmp_path)
    assert "was made anew, with the same fingerprint" in anew.stdout
    assert "scores are equal to the last digit" in anew.stdout
    records = [record.read(path) for path in (tmp_path / "runs" / "unet").glob("*/run.json")]
    assert len(records) == 3
    assert len({known.training and known.training.fingerprint for known in records}) == 1
    # a test of it is a run as well
    kolbench("task=test", f"weights={run}", *DRAWN[:1], *DRAWN[2:4], "device=cpu", cwd=tmp_path)
    (tested,) = (
        path.parent
        for path in (tmp_path / "runs" / "unet").glob("*/run.json")
        if record.read(path).task == "test"
    )
    again = kolbench("task=rerun", f"from={tested}", "strict=true", cwd=tmp_path)
    assert "task=test" in again.stdout
    other = {**json.loads((tested / "run.json").read_text()), "threshold": 0.125}
    (tested / "run.json").write_text(json.dumps(other))
    kolbench("task=rerun", f"from={tested}", "strict=true", cwd=tmp_path, code=1)
    kolbench("task=rerun", "from=runs/unet", cwd=tmp_path, code=1)
    kolbench("task=rerun", cwd=tmp_path, code=2)


def test_the_word_from_is_no_name_of_python(run):
    with pytest.raises(KolbenchError, match="reads no data="):
        run_task("task=rerun", "data=folder", "data.root=x", **{"from": str(run)})
