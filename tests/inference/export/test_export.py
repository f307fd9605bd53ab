"""Exported files give the network's alphas and say how they are fed; what is not what it says is refused."""

import functools
import hashlib
import shutil
from collections.abc import Callable

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # has no types
import pytest
import torch
from torch import nn

import kolbench
from kolbench.config import compose
from kolbench.config.compose import build_segmenter, model_config
from kolbench.errors import ConfigError, KolbenchError, WeightsError
from kolbench.inference.export import parity
from kolbench.inference.export.exporting import Origin, export
from kolbench.inference.export.graph import InferenceGraph, network_of
from kolbench.inference.export.sidecar import read
from kolbench.io.files import read_json, write_json
from kolbench.models.modnet import MODNetSegmenter
from kolbench.models.onnx import OnnxSegmenter, told_of
from kolbench.models.rsudisnet import RSUDISNetSegmenter
from kolbench.models.trivial import Ellipse
from kolbench.models.u2net import U2NetSegmenter
from kolbench.models.unet import UNetSegmenter
from kolbench.models.unet_smp import SmpSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from kolbench.segmenter import Segmenter
from tests.helpers.encoded import Encoded
from tests.helpers.tasks import run_task

SLIM = {"channels": 16, "mid": 8, "gt_mid": 8, "tail": 320}
METHODS: dict[str, Callable[[], Segmenter]] = {
    "rsudisnet": lambda: RSUDISNetSegmenter(128, context="easpp", alpha_head="sigmoid", **SLIM),
    "modnet": lambda: MODNetSegmenter(96, resample="area"),
    "u2netp": lambda: U2NetSegmenter(64, variant="p", postprocess="minmax", resize_mode="shortest_edge"),
    "unet": lambda: UNetSegmenter(48, filters=4),
    "unet_smp": lambda: SmpSegmenter(64),
}
ORIGIN = Origin("unet", {"name": "unet", "size": 48}, {"name": "x.pth", "sha256": "0"}, 0.35)


def trained(name):
    """A method whose batch norms and head are not those of an untrained network."""
    torch.manual_seed(7)
    segmenter = METHODS[name]().eval()
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return segmenter


# drawing a scene costs more than most of what is done with it here
picture_of = functools.cache(parity.picture_of)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(name, format) -> the method, its file and its sidecar, written once; nobody may change them."""

    @functools.cache
    def make(name, format_name):
        segmenter = trained(name)
        path = tmp_path_factory.mktemp(name) / ("x.onnx" if format_name == "onnx" else "x.pt")
        return segmenter, path, export(segmenter, path, format_name, ORIGIN)

    return make


@pytest.fixture
def unet(exported, tmp_path):
    """An exported U-Net whose files may be changed: the method, the file and its sidecar."""
    return copied(exported("unet", "onnx"), tmp_path)


def copied(made, folder):
    segmenter, path, written = made
    for name in (path.name, f"{path.name}.json"):
        shutil.copy(path.with_name(name), folder)
    return segmenter, folder / path.name, written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "format_name"),
    [*((name, "onnx") for name in METHODS), *((name, "torchscript") for name in ("modnet", "unet"))],
)
def test_a_loaded_file_gives_the_methods_alphas(exported, name, format_name):
    segmenter, path, written = exported(name, format_name)
    assert written.input["sizes"] == "free"
    assert written.parity["max"] <= 1e-4
    assert len(written.parity["pictures"]) == 5
    loaded = kolbench.load(path, device="cpu")
    assert loaded.input_keys == ("image",)
    for height, width in ((97, 181), (203, 131), (64, 64)):
        picture = picture_of(9, height, width)
        expected = segmenter.segment(picture)
        assert expected.max() - expected.min() > 1e-3
        assert np.abs(loaded.segment(picture) - expected).max() <= 1e-4


@pytest.mark.slow
def test_official_modnet_survives_the_export(shared, tmp_path):
    weights = shared / "weights" / "modnet_photographic_from_onnx_bnrecal.pth"
    modnet = kolbench.load("modnet", weights=weights, device="cpu", size=256)
    path = tmp_path / "modnet.onnx"
    written = export(modnet, path, "onnx", ORIGIN)
    lows = [row["low"] for row in written.parity["pictures"]]
    highs = [row["high"] for row in written.parity["pictures"]]
    assert min(lows) < 0.01
    assert max(highs) > 0.99
    ours = kolbench.load(path)
    official = OnnxSegmenter(
        shared / "weights" / "modnet.onnx",
        size=256,
        resize_mode="shortest_edge",
        multiple=32,
        mean=[0.5] * 3,
        std=[0.5] * 3,
    )
    clip = sorted((shared / "data" / "davis_person" / "hike" / "images").glob("*.jpg"))[0]
    for picture in (clip, picture_of(1, 211, 333)):
        expected = official.segment(picture)
        assert expected.max() > 0.9
        assert np.abs(ours.segment(picture) - expected).max() <= 1e-3
        assert np.abs(ours.segment(picture) - modnet.segment(picture)).max() <= 1e-3


def test_the_file_needs_nothing_but_rgb_in_0_to_1(unet):
    segmenter, path, written = unet
    images = torch.rand(2, 3, 64, 112, generator=torch.Generator().manual_seed(3))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run([written.output["name"]], {written.input["name"]: images.numpy()})
    with torch.no_grad():
        expected = segmenter.network(segmenter.input_spec.normalise(images))
    assert np.abs(found - expected.numpy()).max() <= 1e-5


def test_an_exported_file_is_not_said_to_lack_its_normalisation(unet, tmp_path):
    _, path, _ = unet
    # by the keys of experiment=onnx, its sidecar left behind
    alone = tmp_path / "alone" / "y.onnx"
    alone.parent.mkdir()
    shutil.copy(path, alone)
    (line,) = told_of(OnnxSegmenter(alone, size=64))
    assert line.startswith("y.onnx is fed: 64x64 px, stretched, values 0 to 1, no mean and std, RGB, NCHW")


def test_the_graph_normalises_as_the_input_spec_does():
    images = torch.rand(3, 3, 8, 9, generator=torch.Generator().manual_seed(1)) * 0.7
    images[1] = 0
    for spec in (
        InputSpec(32, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)),
        InputSpec(32, mean=IMAGENET_MEAN, std=IMAGENET_STD, divide_by_max=True),
    ):
        assert torch.equal(InferenceGraph(nn.Identity(), spec)(images), spec.normalise(images))


@pytest.mark.slow
def test_the_sidecar_tells_how_to_feed_the_file(exported):
    _, path, _ = exported("u2netp", "onnx")
    values = read_json(path.with_name("x.onnx.json"))
    assert values["file"] == "x.onnx"
    assert values["method"] == "unet"
    assert values["settings"] == {"name": "unet", "size": 48}
    assert values["threshold"] == 0.35
    assert values["opset"] == 17
    assert values["versions"]["kolbench"] == kolbench.__version__
    resizing = {key: values["input"][key] for key in ("size", "resize_mode", "multiple", "resample")}
    assert resizing == {"size": 64, "resize_mode": "shortest_edge", "multiple": 32, "resample": "bilinear"}
    assert values["input"]["range"] == [0, 1]
    assert values["input"]["normalised_inside"] == {
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "divide_by_max": True,
    }
    assert values["output"]["postprocess"] == "minmax"
    assert values["parity"]["max"] <= values["parity"]["bound"] == 1e-3
    alpha = kolbench.load(path).segment(picture_of(0, 70, 90))
    assert np.ptp(alpha) > 0.9
    alpha = kolbench.load(path, postprocess="none").segment(picture_of(0, 70, 90))
    assert np.ptp(alpha) < 0.5


def test_another_size_may_be_asked_for(unet):
    segmenter, path, _ = unet
    larger = UNetSegmenter(64, filters=4)
    larger.load_state_dict(segmenter.state_dict())
    picture = picture_of(2, 75, 101)
    assert np.abs(kolbench.load(path, size=64).segment(picture) - larger.segment(picture)).max() <= 1e-4
    with pytest.raises(ConfigError, match=r"model\.size=50 must be a positive multiple"):
        kolbench.load(path, size=50)
    with pytest.raises(ConfigError, match=r"option=sise .*Did you mean option=size"):
        kolbench.load(path, sise=64)
    with pytest.raises(ConfigError, match=r"holds its weights; leave weights=a\.pth out"):
        kolbench.load(path, weights="a.pth")
    with pytest.raises(ConfigError, match="on the CPU: use device=cpu"):
        kolbench.load(path, device="cuda")


@pytest.mark.slow
def test_a_network_that_fixes_its_size_is_written_for_that_size(tmp_path):
    torch.manual_seed(0)
    pspnet = SmpSegmenter(96, architecture="PSPNet").eval()
    written = export(pspnet, tmp_path / "x.onnx", "onnx", ORIGIN)
    assert written.input["sizes"] == [96, 96]
    picture = picture_of(4, 130, 77)
    found = kolbench.load(tmp_path / "x.onnx").segment(picture)
    assert np.abs(found - pspnet.segment(picture)).max() <= 1e-4
    with pytest.raises(ConfigError, match="of one size only; export it again"):
        kolbench.load(tmp_path / "x.onnx", size=128)


class WideOrNot(nn.Module):
    """Halves alpha of wide inputs, which a trace cannot know."""

    def forward(self, image):
        grey = image.mean(dim=1, keepdim=True)
        return grey / 2 if image.shape[3] > 100 else grey


def test_a_file_that_differs_is_not_written(tmp_path, unet):
    _, path, _ = unet
    before = path.read_bytes(), (tmp_path / "x.onnx.json").read_bytes()
    with pytest.raises(
        KolbenchError, match=r"does not give the method's alphas: .* Nothing was written"
    ) as raised:
        export(Encoded(WideOrNot(), "shortest_edge"), path, "onnx", ORIGIN)
    assert not isinstance(raised.value, ConfigError)
    assert (path.read_bytes(), (tmp_path / "x.onnx.json").read_bytes()) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.onnx", "x.onnx.json"]
    # where one size is all that is used, the file is made for it
    assert export(Encoded(WideOrNot(), "stretch"), path, "onnx", ORIGIN).input["sizes"] == [64, 64]


def test_changed_and_foreign_files_are_refused(tmp_path, unet):
    _, path, _ = unet
    content, beside = path.read_bytes(), tmp_path / "x.onnx.json"
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightsError, match=r"its sha256 differs"):
        kolbench.load(path)
    path.write_bytes(content)
    told = read_json(beside)
    for change, message in (({"version": 4}, "later kolbench"), ({"colour": 1}, r"is damaged \(.*colour")):
        write_json(beside, {**told, **change})
        with pytest.raises(WeightsError, match=message):
            kolbench.load(path)
    for text in ("{}", "[1"):
        beside.write_text(text)
        with pytest.raises(ConfigError, match=r"has no sidecar .*x\.onnx\.json .*conf/model/onnx\.yaml"):
            kolbench.load(path)
    beside.unlink()
    loaded = kolbench.load(path, size=48, resize_mode="stretch", multiple=16)
    assert np.abs(loaded.segment(picture_of(0, 60, 61)) - unet[0].segment(picture_of(0, 60, 61))).max() < 1e-4
    with pytest.raises(ConfigError, match="Did you mean activation"):
        kolbench.load(path, activashun="none")
    with pytest.raises(WeightsError, match=r"There is no file .*absent\.onnx"):
        kolbench.load(tmp_path / "absent.onnx")
    torch.save(unet[0].network.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match=r'given as weights: kolbench\.load\("modnet", weights='):
        kolbench.load(tmp_path / "weights.pt")


def test_sidecars_and_options_of_earlier_versions_are_read(tmp_path, unet):
    _, path, _ = unet
    picture, beside = picture_of(0, 60, 90), tmp_path / "x.onnx.json"
    expected = kolbench.load(path).segment(picture)
    told = read_json(beside)
    given = {key: value for key, value in told["input"].items() if key != "resize_mode"}
    write_json(beside, {**told, "version": 1, "input": {**given, "rule": "squash"}})
    assert np.array_equal(kolbench.load(path).segment(picture), expected)
    todays = kolbench.load(path, resize_mode="shortest_edge").segment(picture)
    assert np.array_equal(kolbench.load(path, rule="short_side").segment(picture), todays)
    assert not np.array_equal(todays, expected)


def test_damaged_torchscript_is_refused(exported, tmp_path):
    _, path, written = copied(exported("unet", "torchscript"), tmp_path)
    path.write_bytes(b"not a program")
    values = read_json(tmp_path / "x.pt.json")
    with pytest.raises(WeightsError, match="its sha256 differs"):
        kolbench.load(path)
    write_json(tmp_path / "x.pt.json", {**values, "sha256": digest(path)})
    with pytest.raises(WeightsError, match="damaged or is no TorchScript"):
        kolbench.load(path)
    assert written.opset is None


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_only_earlier_exports_are_replaced(tmp_path, unet):
    segmenter, path, _ = unet
    export(segmenter, path, "onnx", ORIGIN)
    checkpoint = tmp_path / "best.pt"
    torch.save(segmenter.network.state_dict(), checkpoint)
    kept = checkpoint.read_bytes()
    with pytest.raises(ConfigError, match=r"best\.pt is there and was not written by task=export"):
        export(segmenter, checkpoint, "torchscript", ORIGIN)
    assert checkpoint.read_bytes() == kept
    (tmp_path / "run.onnx.json").write_text('{"status": "finished"}')
    with pytest.raises(ConfigError, match=r"would write .*run\.onnx\.json, which is there and is no sidecar"):
        export(segmenter, tmp_path / "run.onnx", "onnx", ORIGIN)
    assert (tmp_path / "run.onnx.json").read_text() == '{"status": "finished"}'
    with pytest.raises(ConfigError, match=r"format=onxx .*Did you mean format=onnx"):
        export(segmenter, path, "onxx", ORIGIN)
    with pytest.raises(ConfigError, match=r"does not end in \.pt"):
        export(segmenter, path, "torchscript", ORIGIN)


def test_both_formats_of_one_name_stand_side_by_side_and_may_be_renamed(tmp_path, unet):
    segmenter, picture = unet[0], picture_of(5, 70, 90)
    export(segmenter, tmp_path / "x.pt", "torchscript", ORIGIN)
    for name in ("x.onnx", "x.pt"):
        for suffix in ("", ".json"):
            (tmp_path / f"{name}{suffix}").rename(tmp_path / f"my {name}{suffix}")
        found = kolbench.load(tmp_path / f"my {name}", device="cpu").segment(picture)
        assert np.abs(found - segmenter.segment(picture)).max() < 1e-4


def test_methods_without_such_a_network_say_why(unet):
    with pytest.raises(ConfigError, match="Ellipse has no network to export"):
        network_of(Ellipse())
    with pytest.raises(ConfigError, match="is an ONNX file already"):
        network_of(OnnxSegmenter(unet[1], size=48))
    maskrcnn = build_segmenter(model_config("maskrcnn", backbone_weights=None, network="fpn_mobilenet_v2"))
    with pytest.raises(ConfigError, match=r"Mask R-CNN cannot be exported: it resizes images inside"):
        network_of(maskrcnn)


def test_the_method_itself_is_not_changed(tmp_path):
    segmenter = trained("unet").train()
    before = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    export(segmenter, tmp_path / "x.onnx", "onnx", ORIGIN)
    assert segmenter.training
    assert all(parameter.requires_grad for parameter in segmenter.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in segmenter.state_dict().items())


@pytest.mark.slow
def test_the_task_takes_a_run_folder_with_its_threshold(tmp_path, capsys):
    segmenter = trained("unet")
    model = model_config("unet", filters=4, size=48)
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    checkpoint = folder / "checkpoints" / "best.ckpt"
    values = model.to_mapping()
    torch.save({"state_dict": segmenter.network.state_dict(), "model": values}, checkpoint)
    compose.save_yaml({"model": values}, folder / "config.yaml")
    write_json(folder / "run.json", {"threshold": 0.62, "threshold_from": "validation"})
    output = tmp_path / "new" / "x.onnx"
    words = ("task=export", f"weights={folder}", f"output={output}")
    result = run_task(*words).figures
    said = capsys.readouterr().out
    assert f"largest difference {result['max_difference']:.1e}, mean {result['mean_difference']:.1e}" in said
    assert "threshold 0.62 from validation" in said
    assert "model.size=48 model.resize_mode=stretch model.multiple=16" in said
    assert sorted(path.name for path in output.parent.iterdir()) == ["x.onnx", "x.onnx.json"]
    sidecar = read(output)
    assert sidecar is not None
    assert (sidecar.method, sidecar.threshold, sidecar.settings["filters"]) == ("unet", 0.62, 4)
    assert sidecar.weights == {"name": "run", "sha256": digest(checkpoint)}
    picture = picture_of(6, 88, 120)
    assert np.abs(kolbench.load(output).segment(picture) - segmenter.segment(picture)).max() <= 1e-4
    write_json(folder / "run.json", {"threshold": 0.5, "threshold_from": "the command"})
    run_task(*words)
    again = read(output)
    assert again is not None
    assert again.threshold is None


def test_a_command_without_what_it_needs_is_answered(tmp_path):
    output = f"output={tmp_path / 'x.onnx'}"
    for words, message in (
        (
            ("experiment=unet", "model.filters=2", output),
            "needs weights=RUN_FOLDER, or weights=FILE with experiment=unet",
        ),
        (("experiment=unet",), "needs output=FILE"),
        (("format=png", output), "format=png is not a choice; it is one of onnx, torchscript"),
        (("experiment=ellipse", output), "Ellipse has no network to export"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_task("task=export", *words)
