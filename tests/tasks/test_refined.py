"""A refiner with weights behind a method, from the command to the run folder, the matte and the page."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from kolbench.config.compose import instantiate
from kolbench.config.groups import Component
from kolbench.data.scenes.scene import make_scene
from kolbench.io import images
from kolbench.models.components.refinement import RefinementNetwork
from kolbench.refiners.cascadepsp import CascadePSP
from kolbench.segmenter import Segmenter
from kolbench.serve import methods
from kolbench.tasks import evaluation
from tests.helpers.tasks import configured, run_task

NETWORK = ("refiner=cascadepsp", "refiner.backbone=mobilenet_v2", "refiner.width=0.25", "refiner.longest=66")
PARAMETERS = 3_706_745


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights whose results lie on both sides of 0.5."""
    torch.manual_seed(0)
    network = RefinementNetwork("mobilenet_v2", 0.25)
    torch.nn.init.normal_(network.final_21.weight, std=2.0)
    path = tmp_path_factory.mktemp("refiner") / "small.pth"
    torch.save(network.state_dict(), path)
    return path


def refiner_of(weights: Path) -> CascadePSP:
    made: CascadePSP = instantiate(
        {
            "_target_": "kolbench.refiners.cascadepsp.from_weights",
            **{"weights": str(weights), "backbone": "mobilenet_v2", "width": 0.25, "longest": 66},
        }
    )
    return made


def test_an_evaluation_is_found_again_by_the_weights_content(weights: Path, tmp_path: Path) -> None:
    data: Any = SimpleNamespace(
        fingerprint=lambda: {"source": "x"},
        evaluated_rows=lambda: {"test": [0]},
        eval_protocol="native",
        truth="binary",
        corruption=None,
        source=SimpleNamespace(groups=None, clips=[""], tags=None),
    )
    config = configured("experiment=ellipse", *NETWORK, f"refiner.weights={weights}")
    copy, other = tmp_path / "copy.pth", tmp_path / "other.pth"
    copy.write_bytes(weights.read_bytes())
    torch.save({}, other)

    def folder(refiner: Component) -> Path:
        return evaluation.evaluation_folder(tmp_path, data, replace(config, refiner=refiner))

    def with_option(**options: object) -> Component:
        return Component("cascadepsp", {**config.refiner.options, **options})

    found = folder(config.refiner)
    assert folder(with_option(weights=str(copy))) == found
    assert folder(with_option(weights=str(other))) != found
    assert folder(with_option(longest=96)) != found


@pytest.mark.slow
def test_a_run_records_the_refiner_with_its_cost_and_its_weights(weights: Path, tmp_path: Path) -> None:
    words = ("task=test", "experiment=ellipse", "budget=smoke", "data.picture_size=64", "logger={}")
    run_task(*words, *NETWORK, f"refiner.weights={weights}", f"paths.run={tmp_path / 'run'}")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["refiner"] == "cascadepsp"
    assert record["parameters"] == PARAMETERS
    # 15.6 GMACs at 224 pixels; those of pyramid pooling do not grow with the picture
    assert record["cost"]["macs"] == pytest.approx(15_626_230_016 * (64 / 224) ** 2, rel=0.02)
    assert record["cost"]["checkpoint"] > 4 * PARAMETERS
    assert {"role": "refiner's weights", "name": str(weights)}.items() <= record["rests_on"][-1].items()
    ellipse = instantiate({"_target_": "kolbench.models.trivial.Ellipse"})
    assert isinstance(ellipse, Segmenter)
    (alpha, *_) = sorted((tmp_path / "run" / "alphas").rglob("*.png"))
    levels = images.read_rgb(alpha)[..., 0]
    plain = (ellipse.segment(np.zeros((*levels.shape, 3), np.uint8)) * 255).round()
    assert np.abs(levels - plain).max() > 5


def test_a_matte_is_the_refiners(weights: Path, tmp_path: Path) -> None:
    picture = make_scene(0, 0, 64).image
    images.write_png(tmp_path / "in.png", picture)
    run_task(
        *("task=predict", "experiment=ellipse", *NETWORK, f"refiner.weights={weights}", "save=alpha"),
        input=str(tmp_path / "in.png"),
        output=str(tmp_path / "out.png"),
    )
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    ellipse: Segmenter = instantiate({"_target_": "kolbench.models.trivial.Ellipse"})
    expected = refiner_of(weights)(image, torch.from_numpy(ellipse.segment(picture))[None, None])
    found = images.read_rgb(tmp_path / "out.png")[..., 0] / 255
    assert np.abs(found - expected[0, 0].numpy()).max() <= 0.51 / 255


def test_the_page_refines_too(weights: Path) -> None:
    (plain,) = methods.load_methods(["ellipse"], "cpu")
    (refined,) = methods.load_methods(["ellipse"], "cpu", refiner_of(weights))
    picture = make_scene(0, 0, 64).image
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    expected = refiner_of(weights)(image, torch.from_numpy(plain.alpha(picture))[None, None])
    assert np.array_equal(refined.alpha(picture), expected[0, 0].numpy())
