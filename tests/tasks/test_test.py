"""`task=test` on pictures that nobody split: all are scored, at a threshold that is known before."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kolbench.data.scenes.scene import make_scene
from kolbench.io import images
from kolbench.runs import finished
from kolbench.types import JsonObject
from tests.helpers.catalogue import small_catalogue
from tests.helpers.commands import kolbench

# a small network is trained, once
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of five pictures, and `run`, a U-Net trained on the first."""
    folder = tmp_path_factory.mktemp("test")
    for seed, name in enumerate(("mine", "theirs")):
        for index in range(5):
            scene = make_scene(seed, index, 64)
            for part in ("images", "masks"):
                (folder / name / part).mkdir(parents=True, exist_ok=True)
            images.write_png(folder / name / "images" / f"{index}.png", scene.image)
            mask = (scene.alpha >= 0.5).astype(np.uint8) * 255
            images.write_png(folder / name / "masks" / f"{index}.png", mask)
    data = ("data=folder", "data.root=mine", "data.allow_duplicates=true")
    kolbench("experiment=unet", *data, "budget=smoke", "budget.size=64", "hydra.run.dir=run", cwd=folder)
    return folder


def scored(folder: Path, *words: str) -> tuple[JsonObject, str]:
    run = f"out{len(list(folder.glob('out*')))}"
    shared = ("task=test", "data=folder", "data.allow_duplicates=true", f"hydra.run.dir={run}")
    done = kolbench(*shared, *words, cwd=folder)
    return json.loads((folder / run / "run.json").read_text()), done.stdout


def test_all_pictures_at_the_runs_threshold(place):
    found, told = scored(place, "weights=run", "data.root=theirs")
    trained = json.loads((place / "run" / "run.json").read_text())
    assert found["pictures"] == {"test": 5}
    assert found["threshold"] == trained["threshold"]
    assert found["threshold_from"] == "the run"
    assert "all 5 images are test images" in told
    assert "no training images are listed, so all are scored; data.split=auto splits them" in told
    assert f"threshold {trained['threshold']:.2f} from the run" in told
    assert set(found["baselines"]) == {"ellipse"}
    assert found["baselines"]["ellipse"]["threshold"] == 0.5


def test_pictures_of_the_training_keep_their_split(place):
    found, _ = scored(place, "weights=run", "data.root=mine")
    assert found["pictures"] == {"val": 1, "test": 1}
    assert found["threshold_from"] == "validation"


def test_where_pictures_were_skipped_the_rest_keeps_its_split(place: Path) -> None:
    shutil.copytree(place / "mine", place / "hurt")
    (place / "hurt" / "images" / "4.png").write_bytes(b"<html>")
    data = ("data=folder", "data.root=hurt", "data.allow_duplicates=true", "data.on_error=skip")
    kolbench("experiment=unet", *data, "budget=smoke", "budget.size=64", "hydra.run.dir=part", cwd=place)
    trained = json.loads((place / "part" / "run.json").read_text())
    found, told = scored(place, "weights=part", "data.root=hurt", "data.on_error=skip")
    assert trained["skipped"] == found["skipped"] == ["4"]
    assert "data.on_error=skip: left out, as they cannot be used, 1 of 5 images:" in told
    assert found["pictures"] == {name: trained["pictures"][name] for name in ("val", "test")}
    assert sum(trained["pictures"].values()) == 4


@pytest.mark.parametrize("weights", ["fold", "fold/checkpoints/best.ckpt"])
def test_pictures_of_another_fold_are_no_test_pictures(place: Path, weights: str) -> None:
    if not (place / "fold").exists():
        data = ("data=folder", "data.root=mine", "data.allow_duplicates=true", "data.folds=5", "data.fold=3")
        words = ("experiment=unet", *data, "budget=smoke", "budget.size=64", "hydra.run.dir=fold")
        kolbench(*words, cwd=place)
    run, said = scored(place, f"weights={weights}", "data.root=mine")
    assert "fold 3 of 5" in said
    own = json.loads((place / "fold" / "run.json").read_text())
    assert run["fingerprint"] == own["fingerprint"]
    assert run["pictures"]["test"] == 1


def test_a_split_or_a_threshold_that_is_typed_wins(place):
    found, _ = scored(place, "weights=run", "data.root=theirs", "data.split=paper", "threshold=0.3")
    assert found["pictures"] == {"val": 1, "test": 1}
    assert found["threshold_from"] == "the command"
    found, _ = scored(place, "weights=run", "data.root=theirs", "data.split=auto")
    assert found["pictures"] == {"val": 1, "test": 1}


def test_a_lone_list_of_test_pictures_is_enough(place):
    (place / "theirs" / "test.txt").write_text("1\n3\n")
    try:
        found, told = scored(place, "weights=run", "data.root=theirs")
    finally:
        (place / "theirs" / "test.txt").unlink()
    assert found["pictures"] == {"test": 2}
    assert "\n2 images are test images" in told


def test_official_weights_at_a_half(place, tmp_path, monkeypatch):
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path))
    with small_catalogue():
        found, told = scored(place, "experiment=modnet", "weights=official", "data.root=theirs")
    assert found["method"] == "official_modnet"
    assert (found["threshold"], found["threshold_from"]) == (0.5, "its authors' use")
    assert "threshold 0.50 from its authors' use" in told


def test_a_report_is_made_of_such_a_run(place):
    record, _ = scored(place, "weights=run", "data.root=theirs")
    assert record["status"] == "finished"
    out = max(place.glob("out*"), key=lambda path: int(path.name[3:]))
    kolbench("task=report", f"runs={out.name}", "output=report", cwd=place)
    assert (place / "report" / "report.html").is_file()
    runs = finished.find(str(out))
    assert [len(run.test.names) for run in runs] == [5]


@pytest.fixture(scope="module")
def saliency(place):
    """The pictures of `theirs` as ECSSD and as DUTS-TE alone have them."""
    names = {
        "ecssd": ("images", "ground_truth_mask"),
        "duts": ("DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask"),
    }
    for data, folders in names.items():
        for part, folder in zip(("images", "masks"), folders, strict=True):
            shutil.copytree(place / "theirs" / part, place / data / folder)
    return place


@pytest.mark.parametrize("data", ["ecssd", "duts"])
def test_a_set_of_test_pictures_is_scored_whole(saliency, data):
    words = (
        f"data={data}",
        f"data.root={data}",
        "data.allow_duplicates=true",
        "hydra.run.dir=" + data + "-run",
    )
    told = kolbench("task=test", "weights=run", *words, cwd=saliency).stdout
    assert "only test images are listed: these are scored" in told
    assert "all 5 images are test images" in told
    found = json.loads((saliency / f"{data}-run" / "run.json").read_text())
    assert found["pictures"] == {"test": 5}


def test_a_set_of_test_pictures_is_not_trained_on(saliency):
    words = ("data=ecssd", "data.root=ecssd", "data.allow_duplicates=true", "budget=smoke")
    told = kolbench("experiment=unet", *words, "hydra.run.dir=refused", cwd=saliency, code=1).stderr
    assert "data=ecssd gives test images only, but unet is to be trained" in told
    # what is not trained is scored on them
    kolbench("experiment=ellipse", *words, "hydra.run.dir=classic", cwd=saliency)
    found = json.loads((saliency / "classic" / "run.json").read_text())
    # budget=smoke takes two
    assert found["pictures"] == {"test": 2}
    assert found["threshold"] == 0.5
