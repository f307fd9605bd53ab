"""Official networks: the same names, sizes and output; every damaged file is refused with a reason."""

import argparse
import functools
import io
import json
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # has no types
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from kolbench.errors import WeightsError
from kolbench.models.checkpoints.read import COUNTER, load_state_strict, read_state_dict
from kolbench.models.components.gt_encoder import GTEncoder, GTEncoderSegmenter
from kolbench.models.components.mobilenet import MobileNetV2Backbone, load_backbone
from kolbench.models.modnet import TRAINING_HEADS, MODNet, MODNetSegmenter
from kolbench.models.portraitnet import PortraitNetSegmenter
from kolbench.models.rsudisnet import RSUDISNet, RSUDISNetSegmenter
from kolbench.models.u2net import U2Net, U2NetSegmenter

MODNET_WEIGHTS = "modnet_photographic_from_onnx_bnrecal.pth"
MOBILENET_WEIGHTS = "mobilenet_v2-b0353104.pth"
SLIM = {"channels": 16, "mid": 8, "gt_mid": 8, "tail": 320}


def person(shared: Path, height: int, width: int) -> Tensor:
    """(1, 3, height, width) in [0, 1], a photograph with a person in it."""
    path = sorted((shared / "data" / "davis_person").glob("*/images/*.jpg"))[0]
    picture = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(1, height, width, 3).permute(0, 3, 1, 2).float() / 255


@functools.cache
def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def onnx_outputs(path: Path, value: Tensor) -> list[Tensor]:
    session = session_of(path)
    outputs = session.run(None, {session.get_inputs()[0].name: value.numpy()})
    return [torch.from_numpy(output) for output in outputs]


@pytest.fixture(scope="module")
def modnet(shared: Path) -> MODNetSegmenter:
    segmenter = MODNetSegmenter(256).eval()
    with pytest.warns(UserWarning, match=r"lr_branch\.conv_lr, hr_branch\.conv_hr"):
        lacking = segmenter.load_weights(read_state_dict(shared / "weights" / MODNET_WEIGHTS))
    assert lacking == list(TRAINING_HEADS)
    return segmenter


def with_twin(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as the released code wants it with strict=True: the backbone under both names."""
    twins = {f"lr_branch.{name}": value for name, value in state.items() if name.startswith("backbone.")}
    return {**state, **twins}


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(256, 256), (224, 320)])
def test_modnet_agrees_with_the_official_network(
    shared: Path, modnet: MODNetSegmenter, height: int, width: int
) -> None:
    for seen in (person(shared, height, width), torch.rand(1, 3, height, width)):
        value = 2 * seen - 1
        (official,) = onnx_outputs(shared / "weights" / "modnet.onnx", value)
        with torch.no_grad():
            ours = modnet.network(value)
        assert official.max() - official.min() > 0.1
        torch.testing.assert_close(ours, official, atol=2e-4, rtol=0)


def test_modnet_predicts_what_the_official_demo_does(shared: Path, modnet: MODNetSegmenter) -> None:
    seen = person(shared, 256, 320)
    (official,) = onnx_outputs(shared / "weights" / "modnet.onnx", 2 * seen - 1)
    with torch.no_grad():
        alpha = modnet.predict(seen).alpha
    torch.testing.assert_close(alpha, official, atol=2e-4, rtol=0)


@pytest.mark.slow
def test_u2netp_agrees_with_the_official_network(shared: Path) -> None:
    segmenter = U2NetSegmenter(320, variant="p").eval()
    state = read_state_dict(shared / "weights" / "u2netp_from_onnx_bnrecal.pth")
    assert segmenter.load_weights(state) == []
    value = segmenter.input_spec.normalise(person(shared, 320, 320))
    official = onnx_outputs(shared / "weights" / "u2netp.onnx", value)
    with torch.no_grad():
        maps = segmenter.network.forward_train(value)
        fused = segmenter.network(value)
    assert len(official) == 7
    assert official[0].max() > 0.5
    for logits, expected in zip((maps.fused_logits, *maps.side_logits), official, strict=True):
        torch.testing.assert_close(logits.sigmoid(), expected, atol=2e-4, rtol=0)
    torch.testing.assert_close(fused, official[0], atol=2e-4, rtol=0)


def test_backbone_agrees_with_torchvision(shared: Path) -> None:
    path = shared / "weights" / MOBILENET_WEIGHTS
    backbone = MobileNetV2Backbone().eval()
    load_backbone(backbone, str(path))
    theirs = mobilenet_v2(weights=None).eval()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    image = (person(shared, 96, 128) - 0.45) / 0.225
    with torch.no_grad():
        taps = backbone(image)
        expected = theirs.features(image)
        shallow = theirs.features[:4](image)
    torch.testing.assert_close(taps.enc32x, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(taps.enc4x, shallow, atol=1e-5, rtol=1e-5)


def test_backbone_of_the_segmenters(shared: Path, tmp_path: Path) -> None:
    path = str(shared / "weights" / MOBILENET_WEIGHTS)
    first = torch.load(path, weights_only=True)["features.0.0.weight"]
    modnet = MODNetSegmenter(64, backbone_weights=path).network.backbone
    slim = RSUDISNetSegmenter(128, backbone_weights=path, **SLIM).network.lr.backbone
    for backbone in (modnet, slim):
        assert torch.equal(backbone.model.features[0][0].weight, first)
    torch.save(modnet.model.state_dict(), tmp_path / "human_seg.pth")
    again = MobileNetV2Backbone()
    load_backbone(again, str(tmp_path / "human_seg.pth"))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), modnet.parameters(), strict=True))


def test_portraitnets_encoder_takes_the_imagenet_file(shared: Path) -> None:
    path = shared / "weights" / MOBILENET_WEIGHTS
    segmenter = PortraitNetSegmenter(64, backbone_weights=str(path))
    given = torch.load(path, weights_only=True)
    stages = segmenter.network.stages
    assert torch.equal(stages[0][0].weight, given["features.0.0.weight"])
    assert torch.equal(stages[1][0].layers[1][0].weight, given["features.1.conv.0.0.weight"])
    assert torch.equal(stages[7][0].layers[2][1].running_var, given["features.17.conv.3.running_var"])
    assert "306 of the encoder's 312 tensors" in segmenter.beginning[0]


def test_backbone_file_must_be_what_its_name_says(tmp_path: Path) -> None:
    state = mobilenet_v2(weights=None).state_dict()
    torch.save(state, tmp_path / MOBILENET_WEIGHTS)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_backbone(MobileNetV2Backbone(), str(tmp_path / MOBILENET_WEIGHTS))
    torch.save({"classifier.1.weight": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth holds 0 tensors named features"):
        load_backbone(MobileNetV2Backbone(), str(tmp_path / "other.pth"))


@pytest.fixture
def offline_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty hub folder, and a network that refuses every connection."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield tmp_path / "hub" / "checkpoints"
    torch.hub.set_dir(before)


def test_imagenet_weights_without_a_network(offline_hub: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        MODNetSegmenter(64, backbone_weights="imagenet")
    for said in (MOBILENET_WEIGHTS, str(offline_hub), "model.backbone_weights=FILE", "=null"):
        assert said in str(raised.value)


def test_imagenet_weights_from_the_hub_folder(shared: Path, offline_hub: Path) -> None:
    offline_hub.mkdir(parents=True, exist_ok=True)
    shutil.copy(shared / "weights" / MOBILENET_WEIGHTS, offline_hub)
    from_hub, from_file = MobileNetV2Backbone(), MobileNetV2Backbone()
    load_backbone(from_hub, "imagenet")
    load_backbone(from_file, str(shared / "weights" / MOBILENET_WEIGHTS))
    assert all(torch.equal(a, b) for a, b in zip(from_hub.parameters(), from_file.parameters(), strict=True))


@pytest.mark.parametrize(
    ("names", "build", "translate"),
    [
        ("u2net", lambda: U2Net("full"), dict),
        ("u2netp", lambda: U2Net("p"), dict),
        ("modnet_dataparallel", MODNet, with_twin),
    ],
)
def test_official_names_and_shapes(shared: Path, names: str, build, translate) -> None:
    official = json.loads((shared / "spec" / "keys" / f"{names}.json").read_text())
    with torch.device("meta"):
        ours = translate(build().state_dict())
    assert {name.removeprefix("module."): shape for name, shape in official.items()} == {
        name: list(tensor.shape) for name, tensor in ours.items()
    }


@pytest.mark.parametrize(
    ("build", "low", "high"),
    [
        (RSUDISNet, 29.5, 30.5),
        (lambda: RSUDISNet(rsu8_mid=16), 29.5, 30.5),
        (MODNet, 25.5, 26.5),
        (lambda: U2Net("full"), 171.5, 172.5),
    ],
)
def test_checkpoint_sizes_of_table_1(build, low: float, high: float) -> None:
    file = io.BytesIO()
    torch.save(build().state_dict(), file)
    assert low < file.tell() / 1024 / 1000 < high


def test_the_released_modnet_layout_is_accepted_and_given(tmp_path: Path) -> None:
    source, target = MODNet(), MODNetSegmenter(64)
    official = {f"module.{name}": tensor for name, tensor in with_twin(source.state_dict()).items()}
    assert len(official) == 751
    torch.save(official, tmp_path / "modnet.ckpt")
    assert target.load_weights(read_state_dict(tmp_path / "modnet.ckpt")) == []
    assert same(target.network, source)
    one_copy = {name: tensor for name, tensor in official.items() if not name.startswith("module.backbone.")}
    torch.save({"state_dict": one_copy, "epoch": 3}, tmp_path / "one.ckpt")
    other = MODNetSegmenter(64)
    assert other.load_weights(read_state_dict(tmp_path / "one.ckpt")) == []
    assert same(other.network, source)


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    return list(mine) == list(theirs) and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize(
    "build",
    [
        lambda: U2NetSegmenter(64, variant="p"),
        lambda: MODNetSegmenter(64, context="easpp"),
        lambda: RSUDISNetSegmenter(128, **SLIM),
        lambda: GTEncoderSegmenter(GTEncoder(8, 16)),
    ],
)
def test_state_dict_round_trip(tmp_path: Path, build) -> None:
    torch.manual_seed(1)
    trained = build()
    torch.manual_seed(2)
    fresh = build()
    assert not same(trained.network, fresh.network)
    best = {"state_dict": trained.inference_network().state_dict(), "epoch": 1, "score": 0.5}
    torch.save(best, tmp_path / "best.ckpt")
    assert fresh.load_weights(read_state_dict(tmp_path / "best.ckpt")) == []
    assert same(trained.network, fresh.network)


def test_old_files_without_counters_load(tmp_path: Path) -> None:
    source, target = U2NetSegmenter(64, "p"), U2NetSegmenter(64, "p")
    state = {name: value for name, value in source.network.state_dict().items() if not name.endswith(COUNTER)}
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert target.load_weights(read_state_dict(tmp_path / "old.pth")) == []
    assert same(source.network, target.network)


def test_what_does_not_fit_is_named() -> None:
    segmenter = MODNetSegmenter(64)
    before = {name: value.clone() for name, value in segmenter.network.state_dict().items()}
    state = MODNet().state_dict()
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({**state, "extra.weight": torch.ones(1)}, r"1 unknown: extra\.weight"),
        ({**state, "hr_branch.conv_hr.1.layers.0.bias": torch.ones(2)}, r"conv_hr.*\(2,\) instead of \(1,\)"),
        ({n: v for n, v in state.items() if n != "f_branch.conv_f.1.layers.0.bias"}, r"1 missing: f_branch"),
        # half a head is a damaged file, not a file without that head
        ({n: v for n, v in state.items() if n != "lr_branch.conv_lr.layers.0.bias"}, r"1 missing: lr_branch"),
        (MODNet("easpp").state_dict(), r"2 missing: lr_branch\.se_block\.fc.* unknown: .*\(\d+ more\)"),
    ]
    for wrong, message in cases:
        with pytest.raises(WeightsError, match=message):
            segmenter.load_weights(wrong)
    assert all(torch.equal(before[name], value) for name, value in segmenter.network.state_dict().items())


def test_rsudisnet_without_its_training_heads_predicts_the_same() -> None:
    source, target = RSUDISNetSegmenter(128, **SLIM).eval(), RSUDISNetSegmenter(128, **SLIM).eval()
    heads = ("lr.head.", "hr.head.", "hr.side", "fusion.side")
    state = {n: v for n, v in source.network.state_dict().items() if not n.startswith(heads)}
    with pytest.warns(UserWarning, match=r"lr\.head"):
        assert len(target.load_weights(state)) == 6
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(source.predict(image).alpha, target.predict(image).alpha)


class Malice:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [True, False])
def test_code_in_a_checkpoint_is_never_executed(tmp_path: Path, legacy: bool) -> None:
    trap = tmp_path / "trap"
    pickle.loads(pickle.dumps(Malice(trap)))
    assert trap.exists()  # the weapon is loaded
    trap.unlink()
    path = tmp_path / "bad.pth"
    torch.save({"w": torch.ones(1), "x": Malice(trap)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        WeightsError, match=r"Python objects \(getattr\).* could run code and are never loaded"
    ):
        read_state_dict(path)
    path.write_bytes(pickle.dumps(Malice(trap)))
    with pytest.raises(WeightsError):
        read_state_dict(path)
    assert not trap.exists()
    torch.save({"w": torch.ones(1), "args": argparse.Namespace(lr=1)}, path)
    with pytest.raises(WeightsError, match=r"Python objects \(argparse\.Namespace\)"):
        read_state_dict(path)


def test_damaged_files_are_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(WeightsError, match=r"no checkpoint file .*weights\.pth"):
        read_state_dict(path)
    torch.save({"w": torch.rand(5000)}, path)
    whole = path.read_bytes()
    contents = {
        b"": "is empty",
        b"\n<!DOCTYPE html><html>Sign in</html>": "is a web page",
        whole[: len(whole) // 2]: "is damaged",
        whole[:20]: "is damaged",
        b"\x00" * 200: "is damaged",
        b"not a checkpoint at all": "is damaged",
    }
    for content, message in contents.items():
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            read_state_dict(path)
    path.write_bytes(whole)
    assert list(read_state_dict(path)) == ["w"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "a list"),
        ({}, "nothing"),
        ({"state_dict": {}}, "a mapping of state_dict"),
        ({"epoch": 3, "optimizer": {"state": {"w": torch.ones(1)}}}, "a mapping of epoch, optimizer"),
        ({"netG": {"w": torch.ones(1)}, "netD": {"w": torch.ones(1)}}, r"several networks \(netG, netD\)"),
    ],
)
def test_files_without_a_state_dict_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (lambda s: s, "plain.pth"),
        (lambda s: {**s, "epoch": 3, "best": np.float64(0.5), "note": "a"}, "beside.PT"),
        (
            lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {}}, "args": {"lr": 1}},
            "a.tar",
        ),
        (lambda s: {"net": s, "acc": 0.9}, "b.t7"),
        (lambda s: {"params_ema": s}, "c.pth"),
        (lambda s: {"params": s, "params_ema": {n: 2 * v for n, v in s.items()}}, "d.pth"),
        (lambda s: {"checkpoint": {"model": s, "epoch": 3}, "optim": {"w": torch.ones(1)}}, "e.ckpt"),
        (lambda s: {"only_this": s}, "f.pth"),
        (lambda s: {"state_dict": {f"model._orig_mod.{n}": v for n, v in s.items()}}, "g.ckpt"),
        (lambda s: {f"_orig_mod.module.{n}": v for n, v in s.items()}, "h.pth"),
    ],
)
def test_checkpoints_as_training_scripts_write_them(tmp_path: Path, wrap: Any, name: str) -> None:
    network = GTEncoder(4, 4)
    torch.save(wrap(network.state_dict()), tmp_path / name)
    other = GTEncoder(4, 4)
    assert load_state_strict(other, read_state_dict(tmp_path / name)) == []
    assert same(network, other)


def test_the_suffix_of_safetensors_may_be_written_large(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="an optional package")
    safetensors.save_file({"w": torch.ones(2)}, tmp_path / "W.SafeTensors")
    assert torch.equal(read_state_dict(tmp_path / "W.SafeTensors")["w"], torch.ones(2))


def test_safetensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="an optional package")
    network = GTEncoder(4, 4)
    path = tmp_path / "w.safetensors"
    safetensors.save_file({f"module.{n}": v for n, v in network.state_dict().items()}, path)
    other = GTEncoder(4, 4)
    assert load_state_strict(other, read_state_dict(path)) == []
    assert same(network, other)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="is damaged"):
        read_state_dict(path)
