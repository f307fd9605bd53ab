"""8-bit files: what they lose is what an independent computation gives, and nothing half done stays."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import jaccard_score
from torch import nn

import kolbench
from kolbench.config.compose import model_config, save_yaml
from kolbench.data.scenes.scene import make_scene
from kolbench.errors import ConfigError, KolbenchError
from kolbench.inference.export import quantising
from kolbench.inference.export.exporting import Origin
from kolbench.inference.export.quantising import export_int8, halves
from kolbench.io.files import read_json
from kolbench.models.checkpoints.run import BEST_IN_RUN
from kolbench.models.unet import UNetSegmenter
from kolbench.runs.run_folder import CONFIG
from tests.helpers.encoded import Encoded
from tests.helpers.tasks import run_task

ORIGIN = Origin("unet", {"name": "unet", "size": 64}, {}, 0.35)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven scenes, five with a mask."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(7):
        scene = make_scene(3, number, 96)
        Image.fromarray(scene.image).save(folder / "images" / f"{number}.png")
        if number not in (2, 5):
            mask = (scene.alpha > 0.5).astype(np.uint8) * 255
            Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(1)
    segmenter = UNetSegmenter(64, filters=4).eval()
    for module in segmenter.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.mul_(1.7)
    return segmenter


def test_what_is_lost_is_what_another_computation_gives(folder, method, tmp_path):
    steps = []
    file = tmp_path / "x.onnx"
    sidecar, loss = export_int8(method, file, folder, ORIGIN, steps.append)
    # pictures 0, 2, 4 and 6 calibrate
    assert (loss.calibrated, loss.pictures, loss.masks, sum(steps)) == (4, 3, 2, 7)
    exported = kolbench.load(file)
    gaps, mious = [], {"before": [], "after": []}
    for number in (1, 3, 5):
        picture = folder / "images" / f"{number}.png"
        alphas = {"before": method.segment(picture), "after": exported.segment(picture)}
        gaps.append(np.abs(alphas["before"] - alphas["after"]).mean())
        if number != 5:
            truth = np.asarray(Image.open(folder / "masks" / f"{number}.png")).ravel() > 0
            for name, alpha in alphas.items():
                # as a saved PNG is cut
                found = np.rint(255 * alpha.ravel()) > 255 * 0.35
                mious[name].append(jaccard_score(truth, found, average="macro", zero_division=1))
    assert loss.alpha_mae == pytest.approx(np.mean(gaps), rel=1e-5)
    assert 0 < loss.alpha_mae < 0.05
    assert loss.miou == pytest.approx(np.mean(mious["before"]), abs=1e-9)
    assert loss.miou_int8 == pytest.approx(np.mean(mious["after"]), abs=1e-9)
    words = loss.in_words()
    assert f"alphas of 3 others differ by {loss.alpha_mae:.4f} on average" in words
    assert f"mIoU at 0.35 of the 2 with a mask: {loss.miou:.4f} before, {loss.miou_int8:.4f} now" in words
    assert (sidecar.precision, sidecar.loss) == ("int8", loss.as_values())
    assert read_json(tmp_path / "x.onnx.json")["loss"]["alpha_mae"] == loss.alpha_mae
    # weights are of 8 bits indeed
    assert file.stat().st_size < 0.8 * sum(4 * p.numel() for p in method.parameters())


def test_pictures_alone_and_masks_beside_them(folder, tmp_path):
    calibrating, held = halves(folder / "images")
    assert [shown.picture.stem for shown in calibrating] == ["0", "2", "4", "6"]
    assert [shown.mask and shown.mask.stem for shown in held] == ["1", "3", None]
    with pytest.raises(ConfigError, match=r"holds 0 images; half of them calibrate"):
        halves(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        halves(tmp_path / "none")


class Pooled(nn.Module):
    """Has no ONNX form."""

    def forward(self, image):
        return torch.linalg.pinv(image.mean(dim=1, keepdim=True))


@pytest.mark.parametrize("broken", ["network", "quantiser"])
def test_what_cannot_be_quantised_leaves_nothing(folder, method, tmp_path, monkeypatch, broken):
    told = "cannot be written as ONNX"
    if broken == "network":
        method = Encoded(Pooled(), "stretch").eval()
    else:
        told = r"cannot be quantised to 8 bits: .* precision=float32 works\."
        # what the quantiser is given is not what the network takes
        monkeypatch.setattr(quantising, "INPUT", "another")
    with pytest.raises(KolbenchError, match=told):
        export_int8(method, tmp_path / "x.onnx", folder, ORIGIN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("precision=int8",), "precision=int8 needs calibrate=DIR"),
        (("calibrate=DIR",), "calibrate= is for precision=int8"),
        (("precision=int4",), "precision=int4 is not one of float32, int8"),
        (
            ("precision=int8", "calibrate=DIR", "format=torchscript", "output=x.pt"),
            "is written as format=onnx",
        ),
    ],
)
def test_words_that_do_not_fit_are_refused(words, told):
    output = () if "output=x.pt" in words else ("output=x.onnx",)
    with pytest.raises(ConfigError, match=told):
        run_task("task=export", "experiment=unet", *output, *words)


def test_the_command_says_what_is_lost(folder, method, tmp_path, capsys):
    model = model_config("unet", size=64, filters=4)
    checkpoint = tmp_path / "RUN" / BEST_IN_RUN
    checkpoint.parent.mkdir(parents=True)
    torch.save(method.network.state_dict(), checkpoint)
    save_yaml({"model": model.to_mapping()}, tmp_path / "RUN" / CONFIG)
    words = ("task=export", "precision=int8")
    given = {"weights": tmp_path / "RUN", "output": tmp_path / "x.onnx", "calibrate": folder}
    run_task(*words, **{key: str(value) for key, value in given.items()})
    loss = read_json(tmp_path / "x.onnx.json")["loss"]
    said = capsys.readouterr().out
    assert f"8 bits, calibrated on 4 images: alphas of 3 others differ by {loss['alpha_mae']:.4f}" in said
    assert "mIoU at 0.50 of the 2 with a mask" in said
