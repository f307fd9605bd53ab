"""An export format is one Python file, outside the package too."""

import sys

import numpy as np
import pytest
import torch

import kolbench
from kolbench.config.compose import build_segmenter, model_config
from kolbench.errors import ConfigError
from kolbench.inference.export.formats import built_in, format_of
from tests.helpers.tasks import run_task

CODE = """
import torch
from kolbench.errors import KolbenchError
from kolbench.inference.export.export_format import ExportFormat
from kolbench.inference.export.graph import fed


def write_program(graph, example, path, free):
    if free:
        raise KolbenchError("this format holds one size")
    with path.open("wb") as file:
        torch.export.save(torch.export.export(graph, (example,)), file)


def open_program(path, feeding, device):
    program = torch.export.load(path).module()
    # a function: an exported module refuses eval()
    return fed(lambda image: program(image), feeding, device)


FORMAT = ExportFormat("program", ".pt2", write_program, open_program)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "my_format.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_format", None)


@pytest.mark.slow
def test_a_format_of_ones_own_is_written_compared_and_opened(own):
    torch.manual_seed(0)
    unet = build_segmenter(model_config("unet", "smoke", filters=2, size=32)).eval()
    torch.save(unet.network.state_dict(), own / "unet.pth")
    words = ("experiment=unet", "model.filters=2", "model.size=32", f"weights={own / 'unet.pth'}")
    done = run_task("task=export", *words, "format=my_format.FORMAT", f"output={own / 'x.pt2'}")
    assert done.figures["max_difference"] < 1e-4
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    opened = kolbench.load(own / "x.pt2", device="cpu")
    assert np.abs(opened.segment(picture) - unet.segment(picture)).max() < 1e-4
    # a file alone never makes this program import anything
    del sys.modules["my_format"]
    with pytest.raises(ConfigError, match=r"written by format=my_format\.FORMAT.* import my_format, then"):
        kolbench.load(own / "x.pt2")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("onxx", r"it is one of onnx, torchscript, or my_module\.FORMAT\. Did you mean format=onnx\?"),
        ("no_module_here.FORMAT", "the module no_module_here cannot be imported"),
        ("math.pi", r"format=math\.pi is no ExportFormat of the module math"),
    ],
)
def test_what_is_no_format_is_named(name, told):
    with pytest.raises(ConfigError, match=told):
        format_of(name)


def test_the_formats_of_this_package():
    assert {name: found.suffix for name, found in built_in().items()} == {
        "onnx": ".onnx",
        "torchscript": ".pt",
    }
