"""Suites: every run in them composes; finished runs are not run again; results come from run folders."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from kolbench.config import compose as configs
from kolbench.config.compose import build_segmenter
from kolbench.errors import ConfigError, DataError
from kolbench.io.images import write_png
from kolbench.models.checkpoints.named import entry_of
from kolbench.tasks import panels
from kolbench.tasks import suite as suites
from kolbench.tasks.panels import HEADING, NAME_SIZE, WIDTH, side_by_side
from kolbench.tasks.suite import jobs_of, own_words, panels_of
from kolbench.tracking.lettering import height_of
from tests.helpers.commands import kolbench, run_forked
from tests.helpers.paths import ROOT
from tests.helpers.run_folders import make_run
from tests.helpers.tasks import configured

SUITES = sorted(path.parent for path in (ROOT / "experiments").rglob("suite.yaml"))


@pytest.fixture(scope="module")
def built():
    """Configurations of methods that could be built."""
    return []


@pytest.mark.parametrize("folder", SUITES, ids=lambda folder: str(folder.relative_to(ROOT / "experiments")))
def test_every_run_of_a_suite_composes(folder, tmp_path, built):
    jobs = jobs_of(folder, tmp_path)
    assert {name for names in panels_of(folder).values() for name in names} <= {job.name for job in jobs}
    assert len({job.folder for job in jobs}) == len(jobs)
    for job in jobs:
        words = dict(word.split("=", 1) for word in job.words)
        model = configured(*job.words, "budget.backbone_weights=null").model
        if "file" in model.options or "weights" in words:
            # what is downloaded is known by its name
            name = words.get("weights", model.options.get("file"))
            assert entry_of(name, words["experiment"]).addresses
        elif model not in built:
            # no weight is looked at
            with torch.device("meta"):
                build_segmenter(model)
            built.append(model)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    (folder / "07_baselines").mkdir()
    (folder / "07_baselines" / "suite.yaml").write_text(
        "common: [budget=smoke]\nruns:\n  oval: [experiment=my_oval]\n"
        "  broken: [experiment=kmeans, model.kk=4]\n"
        "  user's box: [experiment=grabcut, model.variant=box]\n"
        "panels:\n  shown: [oval, user's box, broken]\n"
    )
    (folder / "own" / "experiment").mkdir(parents=True)
    (folder / "own" / "experiment" / "my_oval.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /model: ellipse\n"
    )
    words = ("--config-dir", "own", "task=suite", "suite=07_baselines", "data.picture_size=64")
    with pytest.MonkeyPatch.context() as patch:
        # test_readme runs a suite with a Python of its own for its job
        patch.setattr(suites, "subprocess", SimpleNamespace(run=run_forked))
        return folder, kolbench(*words, cwd=folder, code=1)


@pytest.mark.slow
def test_a_suite_runs_all_and_names_what_failed(suite):
    folder, done = suite
    assert "failed: broken" in done.stdout
    assert "1 of the inputs failed" in done.stderr
    table = pd.read_csv(folder / "07_baselines" / "results" / "scores.csv").set_index("run")
    assert list(table.index) == ["oval", "user's box"]
    assert list(table["truth_access"]) == ["none", "box"]
    assert table["miou"].between(0, 1).all()
    curves = pd.read_csv(folder / "07_baselines" / "results" / "curves.csv")
    at = curves[(curves["run"] == "oval") & curves["chosen"]]
    assert at["iou"].iloc[0] == pytest.approx(table.loc["oval", "iou"])
    assert "uses ground-truth box" in done.stdout


@pytest.mark.slow
def test_panels_show_finished_runs_side_by_side(suite):
    folder, _ = suite
    panel = np.asarray(Image.open(folder / "07_baselines" / "results" / "shown.png"))
    # the image itself and two runs; a heading above two test images, each with its name below
    assert panel.shape == (HEADING + 2 * (WIDTH + height_of(NAME_SIZE)), 3 * WIDTH, 3)
    picture, oval, box = (panel[HEADING:, left : left + WIDTH] for left in (0, WIDTH, 2 * WIDTH))
    assert (oval[0, 0] == 0).all()
    centre = np.s_[WIDTH // 2 - 10 : WIDTH // 2 + 10, WIDTH // 2 - 10 : WIDTH // 2 + 10]
    assert np.array_equal(oval[centre], picture[centre])
    assert not np.array_equal(box[:WIDTH], picture[:WIDTH])


def test_no_word_of_a_panel_is_cut_by_its_column():
    one, other = np.full((10, 20, 3), 200, np.uint8), np.full((10, 20, 3), 100, np.uint8)
    panel = side_by_side({"image": [one], "mask r-cnn 101 FPN with a very long name": [other]}, ["a" * 200])
    assert panel.shape == (HEADING + WIDTH // 2 + height_of(NAME_SIZE), 2 * WIDTH, 3)
    assert (panel[HEADING : HEADING + WIDTH // 2, :WIDTH] == 200).all()
    assert (panel[HEADING : HEADING + WIDTH // 2, WIDTH:] == 100).all()
    heading = panel[:HEADING]
    assert (heading[:, :WIDTH] < 128).any()
    assert (heading[:, WIDTH:] < 128).any()
    # nothing touches a side of its column
    assert (heading[:, [0, WIDTH - 1, WIDTH, -1]] == 255).all()


def test_shown_clusters_have_their_mean_colour():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = (200, 30, 90)
    image[::2, 20:] = (210, 30, 90)
    method = build_segmenter(configs.model_config("kmeans", "smoke", k=2, pos_weight=0.0))
    given = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    shown = method.visualize(given)
    assert (shown[:, :20] == 0).all()
    assert (shown[:, 20:] == (205, 30, 90)).all()


def test_a_network_is_shown_by_the_alphas_that_its_run_kept(tmp_path):
    settings = {"model": configs.model_config("unet", "smoke").to_mapping()}
    configs.save_yaml(settings, tmp_path / "config.yaml")
    assert not panels._is_seen_in_alpha(tmp_path)
    (tmp_path / "alphas").mkdir()
    write_png(tmp_path / "alphas" / "a.png", np.array([[0, 51], [255, 102]], np.uint8))
    assert panels._is_seen_in_alpha(tmp_path)
    batch: Any = {"name": ["a"], "image": torch.full((1, 3, 2, 2), 100 / 255)}
    assert panels._drawn_alpha(tmp_path)(batch)[..., 0].tolist() == [[0, 20], [100, 40]]
    configs.save_yaml(
        {"model": configs.model_config("kmeans", "smoke").to_mapping()}, tmp_path / "config.yaml"
    )
    assert not panels._is_seen_in_alpha(tmp_path)


@pytest.mark.slow
def test_a_second_call_runs_only_what_failed(suite):
    folder, _ = suite
    _, broken, _ = jobs_of(folder / "07_baselines", folder / "runs", ["data.picture_size=64"])
    make_run(broken.folder, "kmeans", changes={"status": "failed"})
    words = ("--config-dir=own", "task=suite", "suite=07_baselines", "data.picture_size=64")
    again = kolbench(*words, cwd=folder, code=1)
    assert f"--config-dir={folder / 'own'}" in again.stdout
    assert "1 of 3, oval: finished already" in again.stdout
    assert "2 of 3, broken: to run" in again.stdout
    assert "3 of 3, user's box: finished already" in again.stdout
    # a run that is repeated begins in an empty folder
    assert not broken.folder.exists()
    # another override is another run
    dry = kolbench("task=suite", "suite=07_baselines", "data.picture_size=96", "--dry-run", cwd=folder)
    assert dry.stdout.count(": to run") == 3
    assert "python -m kolbench budget=smoke experiment=my_oval data.picture_size=96" in dry.stdout


def test_words_may_come_from_the_environment_and_decide_the_folder(tmp_path, monkeypatch):
    (tmp_path / "suite.yaml").write_text('runs: {a: ["init=${oc.env:START,official}"]}\n')
    monkeypatch.delenv("START", raising=False)
    (plain,) = jobs_of(tmp_path, tmp_path)
    monkeypatch.setenv("START", "runs/mine")
    (chosen,) = jobs_of(tmp_path, tmp_path)
    assert (plain.words, chosen.words) == (("init=official",), ("init=runs/mine",))
    assert plain.folder != chosen.folder
    (tmp_path / "suite.yaml").write_text('runs: {a: ["init=${oc.env:NOBODY_SETS_THIS}"]}\n')
    with pytest.raises(ConfigError, match=r"suite.yaml: .*NOBODY_SETS_THIS"):
        jobs_of(tmp_path, tmp_path)


def test_words_of_the_suite_itself_do_not_go_to_its_runs():
    words = ["task=suite", "suite=x", "dry_run=true", "data=folder", "output=y", "+treshold=1"]
    assert own_words(words) == ["data=folder", "+treshold=1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runs: {}\n", "has no `runs`"),
        ("runs: {a: experiment=x}\n", "`runs.a` is not a list"),
        ("runs: {a: [x]}\n", "`runs.a` is not a list"),
        ("common: x\nruns: {a: [b=c]}\n", "`common` is not a list"),
        (None, "does not exist"),
    ],
)
def test_a_suite_that_cannot_be_understood_is_refused(text, message, tmp_path):
    if text is not None:
        (tmp_path / "suite.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        jobs_of(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ("{shown: [modnet, rsudisnt]}", r"`panels\.shown` names rsudisnt, .* Did you mean rsudisnet\?"),
        ("{shown: [xyz]}", r"names xyz, which is no run of the suite\. It has modnet, rsudisnet, 4\."),
        ("{shown: modnet}", "not a mapping of file names to lists"),
        ("[modnet]", "not a mapping of file names to lists"),
    ],
)
def test_panels_that_cannot_be_drawn_are_refused(panels, message, tmp_path):
    runs = "runs: {modnet: [a=b], rsudisnet: [a=c], 4: [a=d]}\n"
    (tmp_path / "suite.yaml").write_text(f"{runs}panels: {panels}\n")
    with pytest.raises(DataError, match=message):
        panels_of(tmp_path)


@pytest.mark.parametrize(
    ("panels", "found"),
    [("panels: null", {}), ("", {}), ("panels: {4: [4, modnet]}", {"4": ["4", "modnet"]})],
)
def test_panels_may_be_left_out(panels, found, tmp_path):
    (tmp_path / "suite.yaml").write_text(f"runs: {{modnet: [a=b], 4: [a=c]}}\n{panels}\n")
    assert panels_of(tmp_path) == found


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.root=/home/me/faces", "data.root=ROOT"),
        ("data.root=~/faces", "data.root=ROOT"),
        ("+refiner.weights=/tmp/run", "+refiner.weights=WEIGHTS"),
        ("refiner.weights=official", "refiner.weights=official"),
        ("data.root=faces", "data.root=faces"),
        ("paths.runs=/tmp/runs", "paths.runs=RUNS"),
        ("experiment=modnet", "experiment=modnet"),
        ("weights='/a folder/best.ckpt'", "weights=WEIGHTS"),
        (
            "data.still={source: folder, root: '/home/me/my faces', split: auto}",
            "'data.still={source: folder, root: ROOT, split: auto}'",
        ),
        ("data.still={source:folder,root:/home/me}", "'data.still={source:folder,root: ROOT}'"),
        ("data.still={source: folder, root: faces}", "'data.still={source: folder, root: faces}'"),
    ],
)
def test_results_name_no_folder_of_this_machine(word, told, tmp_path):
    job = suites.job_of("one", [word], tmp_path)
    assert suites.published(job) == f"python -m kolbench {told}"
