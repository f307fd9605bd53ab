"""Whole networks given where weights are wanted: told apart from checkpoints, named, never run."""

import shutil

import pytest
import torch

import kolbench
from kolbench.errors import ConfigError, WeightsError
from kolbench.inference.export.exporting import Origin, export
from kolbench.models.checkpoints.run import is_torchscript, load_into, settings_of, sidecar_of
from kolbench.models.unet import UNetSegmenter

ORIGIN = Origin("unet", {"name": "unet", "size": 48}, {"name": "x.pth", "sha256": "0"}, None)
USED = r"is a whole network, not weights: use it as weights= of task=predict, place or filter, "
LONE = r"is a TorchScript program whose sidecar .*lone\.pt\.json is missing; copy it too"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """x.onnx and x.pt with their sidecars, bare.onnx and lone.pt without, two checkpoints."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    segmenter = UNetSegmenter(48, filters=4).eval()
    for name, form in (("x.onnx", "onnx"), ("x.pt", "torchscript")):
        export(segmenter, folder / name, form, ORIGIN)
    shutil.copy(folder / "x.onnx", folder / "bare.onnx")
    shutil.copy(folder / "x.pt", folder / "lone.pt")
    torch.save(segmenter.network.state_dict(), folder / "checkpoint.pt")
    torch.save(segmenter.network.state_dict(), folder / "old.pt", _use_new_zipfile_serialization=False)
    return folder


# pytest turns the warning of torch.load into an error, so none of these may reach it
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "x.onnx",
            USED + r"or score it with experiment=onnx model\.file=.*x\.onnx, or open it with "
            r'kolbench\.load\(".*x\.onnx"\)\.$',
        ),
        ("x.pt", USED + r'or open it with kolbench\.load\(".*x\.pt"\)\.$'),
        (
            "bare.onnx",
            r"is a whole network, not weights: score it with experiment=onnx model\.file=.*bare\.onnx, or ",
        ),
        ("lone.pt", LONE),
    ],
)
def test_a_whole_network_is_not_weights(files, name, message):
    with pytest.raises(WeightsError, match=message):
        kolbench.load("unet", weights=files / name)
    with pytest.raises(WeightsError, match=message):
        settings_of(str(files / name))
    with pytest.raises(WeightsError, match=message):
        load_into(UNetSegmenter(48, filters=4), files / name)


def test_a_lone_program_is_named_alike_where_it_is_opened(files):
    with pytest.raises(ConfigError, match=LONE):
        kolbench.load(files / "lone.pt")


def test_programs_are_told_by_what_their_archive_holds(files, tmp_path):
    found = {path.name for path in files.iterdir() if is_torchscript(path)}
    assert found == {"x.pt", "lone.pt"}
    assert not is_torchscript(tmp_path)
    assert not is_torchscript(tmp_path / "absent.pt")
    # the suffix says nothing
    shutil.copy(files / "x.pt", tmp_path / "weights.pth")
    assert is_torchscript(tmp_path / "weights.pth")
    half = (files / "x.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(half[: len(half) // 2])
    assert not is_torchscript(tmp_path / "half.pt")


@pytest.mark.parametrize("name", ["checkpoint.pt", "old.pt"])
def test_checkpoints_are_read_as_before(files, name):
    other = UNetSegmenter(48, filters=4)
    assert load_into(other, files / name) == []
    expected = torch.load(files / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(tensor, expected[key]) for key, tensor in other.network.state_dict().items())
    assert settings_of(files / name) is None


def test_an_absent_file_is_absent_whatever_its_name(tmp_path):
    for name in ("x.onnx", "x.pt"):
        with pytest.raises(WeightsError, match=r"There is no checkpoint file .*x\."):
            kolbench.load("unet", weights=tmp_path / name)


def test_sidecars_lie_in_one_place(tmp_path):
    for name in ("x.onnx", "a.b.pt"):
        assert sidecar_of(tmp_path / name) == tmp_path / f"{name}.json"
