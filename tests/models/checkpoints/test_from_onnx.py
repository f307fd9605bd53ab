"""Our networks out of the official ONNX files: the same output as ONNX Runtime's."""

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # has no types
import pytest
import torch
from torch import nn

from kolbench.errors import WeightsError
from kolbench.inference.export.formats import format_of
from kolbench.io.files import read_json
from kolbench.models.checkpoints.from_onnx import folded_norms, state_from_onnx
from kolbench.models.modnet import MODNet, MODNetSegmenter
from kolbench.models.u2net import U2Net, U2NetSegmenter
from tests.helpers.commands import kolbench


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "file", "size", "lacking", "norms"),
    [
        (
            *(lambda: MODNetSegmenter(512), "modnet.onnx", (224, 288)),
            *(["lr_branch.conv_lr", "hr_branch.conv_hr"], 52),
        ),
        (lambda: U2NetSegmenter(320, "p"), "u2netp.onnx", (320, 320), [], 112),
    ],
    ids=["modnet", "u2netp"],
)
@pytest.mark.filterwarnings("ignore:The checkpoint lacks")  # heads that only training needs
def test_official_networks_give_the_alphas_of_their_files(shared, build, file, size, lacking, norms):
    path = shared / "weights" / file
    segmenter = build()
    state = state_from_onnx(path, segmenter.network)
    assert segmenter.load_weights(state) == lacking
    assert len(folded_norms(segmenter.network, state)) == norms
    session = onnxruntime.InferenceSession(str(path))
    given = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 3, *size)).astype(np.float32))
    expected = session.run(None, {session.get_inputs()[0].name: given.numpy()})[0]
    with torch.no_grad():
        found = segmenter.network.eval()(given).numpy()
    # the bound of the issue; measured 4.7e-6 and 7.3e-7
    assert np.abs(found - expected).max() < 2e-4


@pytest.mark.slow
def test_official_weights_are_exported_as_our_network(shared, tmp_path, monkeypatch):
    """What is written is TorchScript of MODNet; its alphas are compared with the network's by the task."""
    monkeypatch.setenv("KOLBENCH_HOME", str(shared / "weights"))
    words = ("task=export", "experiment=modnet", "weights=official", "format=torchscript", "output=x.pt")
    done = kolbench(*words, "model.size=128", cwd=tmp_path)
    assert "compared with the method: 5 images" in done.stdout
    sidecar = read_json(tmp_path / "x.pt.json")
    assert sidecar["weights"]["name"] == "modnet.onnx"
    assert sidecar["method"] == "modnet"


class Net(nn.Module):
    """A layer of each kind, a batch norm after the convolution."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, 2, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, h, w) -> (B, 2)."""
        return self.linear(self.norm(self.conv(image)).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Net, Path]:
    torch.manual_seed(0)
    net = Net()
    for _ in range(5):
        net(torch.rand(4, 3, 16, 16))
    nn.init.uniform_(net.norm.weight, 0.5, 2)
    nn.init.uniform_(net.norm.bias, -1, 1)
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    format_of("onnx").write(net.eval(), torch.zeros(1, 3, 64, 64), path, False)
    return net, path


def test_a_folded_norm_is_only_a_shift_and_the_output_is_the_same(trained):
    net, path = trained
    other = Net()
    state = state_from_onnx(path, other)
    other.load_state_dict(state)
    assert folded_norms(other, state) == ["norm"]
    given = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(other.eval()(given), net.eval()(given), atol=1e-6)


def test_another_network_is_named(trained):
    with pytest.raises(
        WeightsError, match=r"net.onnx is not an export of Net: conv.weight \(4, 3, 3, 3\) instead"
    ):
        state_from_onnx(trained[1], Net(channels=5))
    with pytest.raises(WeightsError, match="is not an export of MODNet: 2 layers without names, where"):
        state_from_onnx(trained[1], MODNet())


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"\x00 no network")
    with pytest.raises(WeightsError, match=r"x.onnx is damaged or is no ONNX file"):
        state_from_onnx(tmp_path / "x.onnx", U2Net("p"))
