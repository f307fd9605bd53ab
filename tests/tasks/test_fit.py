"""Whole runs through the command line, at `budget=smoke`."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from kolbench import load
from kolbench.config import compose
from kolbench.config.groups import Invocation
from kolbench.data.sources.synthetic import SyntheticSource
from kolbench.errors import ConfigError
from kolbench.metrics import scores
from kolbench.models.checkpoints.run import model_of
from kolbench.runs import run_folder
from tests.helpers.commands import kolbench
from tests.helpers.files import only

SCENES = {"train": 4, "val": 2, "test": 2}
SIZE = 64
SMALL = ("experiment=u2netp", "budget=smoke", f"budget.size={SIZE}", f"data.picture_size={SIZE}")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """One sweep over two thresholds: one training, two run folders."""
    folder = tmp_path_factory.mktemp("sweep")
    done = kolbench("-m", *SMALL, "threshold=0.3,0.6", "logger=all", cwd=folder)
    return folder, done


def run_folders(folder):
    return sorted((folder / "runs" / "sweeps").glob("*/*_u2netp"))


@pytest.mark.slow
def test_a_threshold_sweep_trains_once(sweep):
    folder, done = sweep
    training = only((folder / "runs" / "trainings").iterdir())
    assert done.stdout.count("training input size") == 1
    assert f"{training.name.rpartition('-')[2]} is finished already" in done.stdout
    records = [json.loads((run / "run.json").read_text()) for run in run_folders(folder)]
    assert [record["threshold"] for record in records] == [0.3, 0.6]
    assert [record["training"]["reused"] for record in records] == [False, True]
    assert {record["threshold_from"] for record in records} == {"the command"}
    assert done.stdout.count("no forward pass is needed") == 1
    evaluation = only((training / "evaluations").glob("*/histograms.parquet")).parent
    # the seconds are those of one evaluation, so both runs name its device
    device = json.loads((evaluation / "timing.json").read_text())["device"]
    assert {record["timed_on"] for record in records} == {device} == {records[0]["device"]}


@pytest.mark.slow
def test_both_runs_agree_on_every_threshold(sweep):
    folder, _ = sweep
    first, second = (run_folder.read_histograms(run / "histograms.parquet") for run in run_folders(folder))
    for split in ("val", "test"):
        assert scores.mean_scores(first[split].counts, 0.6) == scores.mean_scores(second[split].counts, 0.6)
    headline = json.loads((run_folders(folder)[1] / "run.json").read_text())["scores"]
    assert headline == pytest.approx(scores.mean_scores(first["test"].counts, 0.6))


@pytest.mark.slow
def test_saved_alphas_give_the_stored_histograms(sweep):
    folder, _ = sweep
    run = run_folders(folder)[1]
    source = SyntheticSource(0, SIZE, SCENES)
    stored = run_folder.read_histograms(run / "histograms.parquet")["test"]
    assert stored.names == [source.names[index] for index in source.given_splits["test"]]
    for row, index in enumerate(source.given_splits["test"]):
        picture = source.read(index)
        level = cv2.imread(str(run / "alphas" / f"{source.names[index]}.png"), cv2.IMREAD_UNCHANGED)
        truth = cv2.imread(str(run / "truths" / f"{source.names[index]}.png"), cv2.IMREAD_UNCHANGED)
        assert level is not None
        assert np.array_equal(truth, 255 * picture.mask)
        assert level.shape == picture.mask.shape
        assert np.array_equal(np.bincount(level[picture.mask == 1], minlength=256), stored.counts.fg[row])
        assert np.array_equal(np.bincount(level[picture.mask == 0], minlength=256), stored.counts.bg[row])
        assert np.array_equal(
            np.bincount(level[picture.product == 1], minlength=256), stored.counts.product[row]
        )
        assert stored.tags[row]


@pytest.mark.slow
def test_a_run_shows_how_it_learned_and_what_it_costs(sweep):
    folder, _ = sweep
    for run in run_folders(folder):
        assert sorted(path.name for path in (run / "progress").iterdir()) == ["epoch_0000.png", "picture.jpg"]
        alpha = cv2.imread(str(run / "progress" / "epoch_0000.png"), cv2.IMREAD_UNCHANGED)
        assert alpha is not None
        assert alpha.shape == (SIZE, SIZE)
        found = json.loads((run / "run.json").read_text())["cost"]
        assert found["picture"] == [SIZE, SIZE]
        assert found["macs"] > 1e8
        # the weights in float32, and the running averages of batch norm
        assert 4 * 1_131_181 < found["checkpoint"] < 4.1 * 1_131_181 < found["memory"]


@pytest.mark.slow
def test_a_run_folder_stands_alone(sweep):
    folder, _ = sweep
    for run in run_folders(folder):
        record = json.loads((run / "run.json").read_text())
        assert record["status"] == "finished"
        assert record["parameters"] == 1_131_181
        assert record["training"]["lr_factor"] == 1.0
        assert set(record["baselines"]) == {"ellipse", "meanmask"}
        assert record["versions"]["torch"] == torch.__version__
        table = pd.read_parquet(run / "scores.parquet")
        assert list(table["split"]) == ["val", "val", "test", "test"]
        assert table.loc[table["split"] == "test", "miou"].mean() == pytest.approx(record["scores"]["miou"])
        assert {f"miou@{t}" for t in (0.1, 0.5, 0.9)} <= set(table)
        curve = pd.read_csv(run / "curve.csv")
        assert set(curve["threshold"]) >= {0.1, 0.5, 0.9}
        history = pd.read_csv(run / "history.csv")
        assert {"train/loss", "train/tar", "val/miou"} <= set(history)
        assert (run / "checkpoints" / "best.ckpt").is_file()
        assert (run / "overview.png").is_file()
        assert list((run / "tensorboard").rglob("events.*"))
        assert list((run / "wandb").rglob("*.wandb"))
    assert "wandb sync" in sweep[1].stdout


@pytest.mark.slow
def test_a_run_folder_loads_and_predicts_what_it_saved(sweep):
    import kolbench

    folder, _ = sweep
    run = run_folders(folder)[0]
    segmenter = kolbench.load(run, device="cpu")
    source = SyntheticSource(0, SIZE, SCENES)
    index = source.given_splits["test"][0]
    alpha = segmenter.segment(source.read(index).image)
    saved = cv2.imread(str(run / "alphas" / f"{source.names[index]}.png"), cv2.IMREAD_UNCHANGED)
    assert alpha.dtype == np.float32
    assert np.abs(np.round(alpha * 255) - saved).max() <= 1


@pytest.mark.slow
def test_task_test_scores_a_run_folder_without_training(sweep, tmp_path):
    folder, _ = sweep
    run = run_folders(folder)[0]
    done = kolbench("task=test", *SMALL[1:], f"weights={run}", "threshold=0.3", cwd=tmp_path)
    tested = only((tmp_path / "runs").glob("*/*"))
    record = json.loads((tested / "run.json").read_text())
    expected = json.loads((run / "run.json").read_text())
    assert record["scores"] == pytest.approx(expected["scores"])
    assert record["method"] == "u2netp"
    assert tested.parent.name == "u2netp"
    assert "training input size" not in done.stdout
    assert f"network input {SIZE} px" in done.stdout


def model_with(name, weights, *words, budget="quick", **options):
    model = compose.model_config(name, budget, **options)
    return model_of(model, weights, Invocation(overrides=words).typed_keys)


def test_released_weights_are_scored_at_their_own_size(tmp_path):
    released = tmp_path / "modnet.pth"
    torch.save({"weight": torch.zeros(1)}, released)
    assert model_with("modnet", released).options["size"] == 512
    assert model_with("modnet", released, "budget=quick").options["size"] == 128
    assert model_with("modnet", released, "model.size=128").options["size"] == 128


@pytest.mark.slow
def test_a_checkpoint_of_ours_knows_its_settings(sweep):
    run = run_folders(sweep[0])[0]
    file = run / "checkpoints" / "best.ckpt"
    assert load("u2netp", weights=file, device="cpu").input_spec.size == SIZE
    for weights in (file, run):
        assert model_with("u2netp", weights, budget="paper").options["size"] == SIZE
        words = ("experiment=u2netp", "model.postprocess=minmax")
        typed = model_with("u2netp", weights, *words, budget="paper", postprocess="minmax")
        assert (typed.options["postprocess"], typed.options["size"]) == ("minmax", SIZE)
        with pytest.raises(ConfigError, match="is a u2netp, not a modnet"):
            model_with("modnet", weights, "experiment=modnet")


@pytest.mark.slow
def test_what_only_changes_predictions_trains_nothing(sweep):
    folder, _ = sweep
    done = kolbench(*SMALL, "model.postprocess=minmax", cwd=folder)
    assert "is finished already" in done.stdout
    assert "no forward pass is needed" not in done.stdout
    plain = run_folder.read_histograms(run_folders(folder)[0] / "histograms.parquet")["test"]
    run = max((folder / "runs" / "u2netp").iterdir())
    stretched = run_folder.read_histograms(run / "histograms.parquet")["test"]
    for before, after in zip(plain.counts.fg, stretched.counts.fg, strict=True):
        assert np.ptp(np.flatnonzero(after)) > np.ptp(np.flatnonzero(before))
    # a reused training still gives the trackers its curves
    assert (run / "history.csv").read_bytes() == (run_folders(folder)[0] / "history.csv").read_bytes()


@pytest.mark.slow
def test_both_views_train_nothing_and_are_scored_anew(sweep):
    folder, _ = sweep
    before = run_folders(folder)[0]
    done = kolbench(*SMALL, "tta=flip", "threshold=0.3", "hydra.run.dir=runs/twice", cwd=folder)
    assert "is finished already" in done.stdout
    assert "no forward pass is needed" not in done.stdout
    once, twice = (json.loads((run / "run.json").read_text()) for run in (before, folder / "runs" / "twice"))
    assert (once["tta"], twice["tta"]) == ("none", "flip")
    assert twice["cost"]["macs"] == 2 * once["cost"]["macs"]
    for key in ("parameters", "truth_access", "input_keys"):
        assert twice[key] == once[key]
    assert twice["cost"]["checkpoint"] == once["cost"]["checkpoint"]
    source = SyntheticSource(0, SIZE, SCENES)
    index = source.given_splits["test"][0]
    alpha = load(before, device="cpu", tta="flip").segment(source.read(index).image)
    name = f"alphas/{source.names[index]}.png"
    saved = cv2.imread(str(folder / "runs" / "twice" / name), cv2.IMREAD_UNCHANGED)
    assert np.abs(np.round(alpha * 255) - saved).max() <= 1
    # found again, by its own key
    done = kolbench(*SMALL, "tta=flip", "threshold=0.6", "hydra.run.dir=runs/again", cwd=folder)
    assert "no forward pass is needed" in done.stdout


@pytest.mark.slow
def test_a_baseline_that_a_kill_left_out_is_made_again_and_seconds_keep_their_device(sweep):
    folder, _ = sweep
    lost = sorted((folder / "runs" / "trainings").glob("*/evaluations/*-baselines-*/meanmask.parquet"))
    for path in lost:
        path.unlink()
    for evaluation in (folder / "runs" / "trainings").glob("*/evaluations/*/timing.json"):
        evaluation.write_text('{"device": "another machine"}')
    done = kolbench(*SMALL, "threshold=0.3", cwd=folder)
    assert lost
    assert "Mean mask" in done.stdout
    assert "an earlier evaluation (on another machine)" in done.stdout
    record = json.loads((max((folder / "runs" / "u2netp").iterdir()) / "run.json").read_text())
    assert record["timed_on"] == "another machine"
    assert record["device"].startswith("cpu")
