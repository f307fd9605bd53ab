"""What fit and test hand to the command line."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from kolbench.data.corruptions import Corruption
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.synthetic import SyntheticSource
from kolbench.errors import ConfigError, DataError
from kolbench.io.images import write_png
from kolbench.metrics import scores
from kolbench.models.checkpoints.read import load_state_strict, read_state_dict
from kolbench.models.components.refinement import RefinementNetwork
from kolbench.models.precomputed import MasksSegmenter
from kolbench.runs import record, run_folder
from kolbench.tasks import evaluation
from tests.helpers.data import NO_LIMIT, data_config
from tests.helpers.data_files import picture, put
from tests.helpers.tasks import configured, run_task

CPU = torch.device("cpu")


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


def test_mattes_of_whole_pictures_are_not_stretched_over_squares(tmp_path):
    source = SyntheticSource(0, 64, {"train": 1, "val": 1, "test": 1})
    for name in source.names:
        write_png(tmp_path / f"{name}.png", np.full((64, 64), 255, np.uint8))
    native, squares = (
        SegmentationDataModule(source, 0, 1, [], data_config(), NO_LIMIT, eval_protocol=protocol)
        for protocol in ("native", "portraitnet")
    )
    stretching, exact = MasksSegmenter(tmp_path), MasksSegmenter(tmp_path, resize=False)
    assert evaluation.ready(stretching, native) is stretching
    with pytest.raises(ConfigError, match=r"stretched over .* model\.resize=false"):
        evaluation.ready(stretching, squares)
    evaluation.ready(exact, squares)
    batch = squares.test_batch(0)
    with pytest.raises(DataError, match=r"is 64x64 px, but the image .* is 224x224 px"):
        exact.predict(batch["image"], batch["name"])


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
    with pytest.raises(ConfigError, match=r"not scored on the same test images.*eval_protocol=portraitnet"):
        run_task("task=compare", a=str(tmp_path / "runs/ellipse/native"), b=str(folder))


def evaluated(tmp_path, *words):
    """The folder that an evaluation of these words is kept in."""
    config = configured("experiment=ellipse", "budget=smoke", *words)
    data = evaluation.open_data(config, torch.device("cpu"))
    return evaluation.evaluation_folder(tmp_path, data, config).name


def test_an_evaluation_without_mattes_is_not_taken_for_one_with_them(tmp_path):
    scenes = ("data.picture_size=64",)
    plain = evaluated(tmp_path, *scenes)
    assert plain == evaluated(tmp_path, *scenes, "data.truth=binary")
    soft = evaluated(tmp_path, *scenes, "data.truth=alpha")
    assert soft != plain
    # squares hold no mattes
    squares = ("eval_protocol=portraitnet", *scenes)
    assert evaluated(tmp_path, *squares, "data.truth=alpha") == evaluated(tmp_path, *squares)


def test_an_evaluation_of_corrupted_pictures_is_one_of_its_own(tmp_path):
    scenes = ("data.picture_size=64",)
    plain = evaluated(tmp_path, *scenes)
    assert plain == evaluated(tmp_path, *scenes, "corrupt=none", "severity=5")
    others = [("jpeg", 3), ("jpeg", 5), ("dark", 5)]
    kept = {evaluated(tmp_path, *scenes, f"corrupt={kind}", f"severity={level}") for kind, level in others}
    assert len({plain, *kept}) == 4
    # not typed, it is 3
    assert evaluated(tmp_path, *scenes, "corrupt=jpeg") in kept


@pytest.mark.slow
def test_corrupted_test_pictures_are_scored_apart_and_reported_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("experiment=kmeans", "budget=smoke", "data.picture_size=64")
    after = {"clean": (), "noisy": ("corrupt=noise", "severity=5"), "cut": ("corrupt=crop", "severity=4")}
    runs = {name: tmp_path / "runs" / "kmeans" / name for name in after}
    for name, folder in runs.items():
        run_task(*words, *after[name], paths={"runs": "runs", "run": str(folder)})
    known = {name: record.read(folder / "run.json") for name, folder in runs.items()}
    said = {name: (found.corrupt, found.severity) for name, found in known.items()}
    assert said == {"clean": ("none", None), "noisy": ("noise", 5), "cut": ("crop", 4)}
    kept = {path.parent for path in (tmp_path / "runs" / "untrained").rglob("histograms.parquet")}
    assert len(kept) == 3
    counts = {name: run_folder.read_histograms(f / run_folder.HISTOGRAMS) for name, f in runs.items()}
    for name in ("noisy", "cut"):
        # validation pictures, and so the threshold, are those of before
        assert np.array_equal(counts[name]["val"].counts.fg, counts["clean"]["val"].counts.fg)
        assert known[name].threshold == known["clean"].threshold
    assert counts["clean"]["test"].sizes[0] == (64, 64)
    assert counts["cut"]["test"].sizes[0] == (38, 38)
    # task=test does the same
    again = tmp_path / "runs" / "kmeans" / "again"
    run_task("task=test", *words, *after["noisy"], paths={"runs": "runs", "run": str(again)})
    assert record.read(again / "run.json").scores == known["noisy"].scores
    run_task("task=report", runs=str(tmp_path / "runs"), output=str(tmp_path / "report"))
    table = pd.read_csv(tmp_path / "report" / "tables" / "robustness.csv").set_index("score")
    assert list(table) == ["method", "clean", "noise 5", "crop 4"]
    found = table.loc["miou"]
    expected = [known[name].scores["miou"] for name in ("clean", "noisy", "cut")]
    assert found[["clean", "noise 5", "crop 4"]].tolist() == pytest.approx(expected)
    assert (tmp_path / "report" / "figures" / "robustness.png").is_file()
    with pytest.raises(ConfigError, match=r"same test images.*after corrupt=crop severity=4"):
        run_task("task=compare", a=str(runs["clean"]), b=str(runs["cut"]))


def test_corruptions_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="corrupt=fog is not one of none, jpeg"):
        evaluated(tmp_path, "corrupt=fog")
    with pytest.raises(ConfigError, match="severity=6 is not a whole number"):
        evaluated(tmp_path, "corrupt=dark", "severity=6")
    with pytest.raises(ConfigError, match=r"corrupt=dark corrupts the test images alone.*data\.protocol=all"):
        evaluated(tmp_path, "corrupt=dark", "data.protocol=all")
    source = SyntheticSource(0, 64, {"train": 1, "val": 1, "test": 1})
    write_png(tmp_path / "x.png", np.zeros((64, 64), np.uint8))
    dark = Corruption("dark", 2, 0)
    data = SegmentationDataModule(source, 0, 1, [], data_config(), NO_LIMIT, corruption=dark)
    with pytest.raises(ConfigError, match=r"corrupt=dark changes images.*model\.masks_dir"):
        evaluation.ready(MasksSegmenter(tmp_path), data)


def test_true_alphas_are_refused_where_a_layout_holds_none(tmp_path):
    for number in range(4):
        put(tmp_path / "Images" / f"{number}.png", picture(number))
        put(tmp_path / "Labels" / f"{number}.png", np.eye(12, 20, dtype=np.uint8))
    words = ("data=eg1800", f"data.root={tmp_path}")
    with pytest.raises(ConfigError, match=r"data\.truth=alpha: data=eg1800 holds no true alphas\. data=fold"):
        evaluated(tmp_path, *words, "data.truth=alpha")
    assert evaluated(tmp_path, *words, "data.truth=binary") == evaluated(tmp_path, *words)
    with pytest.raises(ConfigError, match=r"data\.truth=soft is not one of auto, binary, alpha"):
        configured("experiment=ellipse", "data.truth=soft")


@pytest.mark.slow
@pytest.mark.parametrize("truth", ["binary", "alpha"])
def test_a_run_says_what_its_truth_was(tmp_path, monkeypatch, truth):
    monkeypatch.chdir(tmp_path)
    words = ("experiment=ellipse", "budget=smoke", "data.picture_size=64", f"data.truth={truth}")
    run_task(*words, paths={"runs": "runs", "run": "run"})
    assert record.read(tmp_path / "run" / "run.json").truth == truth


@pytest.mark.slow
def test_a_refiner_is_trained_and_scored_on_rough_masks_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("budget=smoke", "budget.size=32", "data.picture_size=64", "device=cpu")
    own = tmp_path / "runs" / "cascadepsp" / "own"
    run_task("experiment=cascadepsp", *words, paths={"runs": "runs", "run": str(own)})
    known = record.read(own / "run.json")
    assert known.truth_access == "mask"
    assert known.input_keys == ("image", "rough")
    assert known.cost is not None
    assert known.cost.macs > 0
    # another evaluation of the same weights sees the same rough masks
    again = tmp_path / "runs" / "cascadepsp" / "again"
    run_task("task=test", *words, weights=str(own), threshold=0.5, paths={"runs": "runs", "run": str(again)})
    first, second = (run_folder.read_histograms(f / run_folder.HISTOGRAMS)["test"] for f in (own, again))
    assert first.names == second.names
    assert np.array_equal(first.counts.fg, second.counts.fg)
    assert np.array_equal(first.counts.bg, second.counts.bg)
    refiner = RefinementNetwork("mobilenet_v2", 0.25)
    assert load_state_strict(refiner, read_state_dict(own / "checkpoints" / "best.ckpt")) == []
    write_png(tmp_path / "x.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(ConfigError, match="cascadepsp needs more than the image"):
        run_task("task=predict", weights=str(own), input="x.png", output="y.png")


def test_only_methods_that_read_them_are_given_rough_masks():
    made = {
        name: evaluation.open_data(configured(f"experiment={name}"), CPU) for name in ("cascadepsp", "unet")
    }
    assert {name: "rough" in data.test_batch(0) for name, data in made.items()} == {
        "cascadepsp": True,
        "unet": False,
    }
