"""How a network of others is fed, in words, and when its normalisation seems to be missing."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kolbench.models.checkpoints import download
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.models.components.onnx_feeding import first_layer
from kolbench.models.onnx import OnnxSegmenter, told_of
from kolbench.models.trivial import Ellipse

WEIGHTS = np.full((1, 3, 1, 1), 0.25, np.float32)


def net(path, *before, outputs=("y",), size=("h", "w"), shape=None):
    """Writes y = weights x behind other layers, each (type, further inputs, attributes)."""
    constants = {
        "w": WEIGHTS,
        "three": np.ones((1, 3, 1, 1), np.float32),
        "s": np.ones(3, np.float32),
        "b": np.zeros(3, np.float32),
        "pads": np.array([0, 0, 0, 0, 0, 0, 0, 0]),
    }
    nodes, last = [], "x"
    for number, (kind, more, attributes) in enumerate(before):
        nodes.append(helper.make_node(kind, [last, *more], [f"v{number}"], **attributes))
        last = f"v{number}"
    nodes += [helper.make_node("Conv", [last, "w"], [name]) for name in outputs]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape or ("n", 3, *size))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def lines(path, typed=(), **options):
    return told_of(OnnxSegmenter(path, **{"resize_mode": "native", **options}), typed)


def test_one_line_says_how_a_network_is_fed(tmp_path):
    path = net(tmp_path / "u2netp.onnx", size=(320, 320), outputs=("d0", "d1", "d2"))
    options = {"mean": [0.485, 0.456, 0.406], "std": [0.25] * 3, "divide_by_max": True, "output": "d1"}
    assert lines(path, resize_mode="stretch", **options) == [
        "u2netp.onnx is fed: 320x320 px, stretched, values 0 to 1 after division by the image's maximum, "
        "mean 0.485 0.456 0.406, std 0.25, RGB, NCHW, float32; output d1 (2 of 3)"
    ]
    free = net(tmp_path / "free.onnx")
    plain = "RGB, NCHW, float32; output y"
    start = "free.onnx is fed: "
    options = {"range": [0, 255], "channels": "bgr", "multiple": 32}
    assert lines(free, **options)[0] == (
        start + "each image's own size, in multiples of 32, values 0 to 255, no mean and std, BGR, NCHW, "
        "float32; output y"
    )
    for mode, words in (
        ("shortest_edge", "shorter side 64 px"),
        ("modnet", "shorter side 64 px, unless that lies between the sides"),
        ("stretch", "64x64 px, stretched"),
    ):
        told = lines(free, resize_mode=mode, size=64)[0]
        assert told == f"{start}{words}, values 0 to 1, no mean and std, {plain}"
    assert told_of(Ellipse()) == []


def test_a_convolution_on_the_image_as_it_comes_is_hinted_at(tmp_path):
    path = net(tmp_path / "x.onnx")
    (_, said) = lines(path)
    assert said.startswith("warning: no mean and std are set, and the first layer of x.onnx (Conv) takes")
    assert "model.mean=[0.485,0.456,0.406] model.std=[0.229,0.224,0.225]" in said


@pytest.mark.parametrize(
    "options",
    [
        {"mean": [0.5] * 3},
        {"std": [0.5] * 3},
        {"divide_by_max": True},
        {"range": [0, 255]},
        {"typed": ("model.mean",)},
        {"typed": ("model.file", "model.std")},
    ],
)
def test_whoever_says_how_values_are_fed_is_not_hinted_at(tmp_path, options):
    assert len(lines(net(tmp_path / "x.onnx"), **options)) == 1


NORM = ("BatchNormalization", ["s", "b", "b", "s"], {})


@pytest.mark.parametrize(
    ("before", "layer"),
    [
        ((), "Conv"),
        ((("Sub", ["three"], {}), ("Div", ["three"], {})), "Sub"),
        ((("Mul", ["three"], {}),), "Mul"),
        ((NORM,), "BatchNormalization"),
        # what only moves values is passed
        ((("Pad", ["pads"], {}), ("Identity", [], {}), ("Sub", ["three"], {})), "Sub"),
        ((("Cast", [], {"to": TensorProto.FLOAT}),), "Conv"),
    ],
)
def test_the_first_layer_tells_whether_a_normalisation_is_inside(tmp_path, before, layer):
    path = net(tmp_path / "x.onnx", *before)
    assert first_layer(path, "x") == layer
    assert (len(lines(path)) == 2) == (layer == "Conv")


def test_what_is_not_clear_is_not_hinted_at(tmp_path):
    # a convolution and a branch beside it
    path = net(tmp_path / "x.onnx")
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Sigmoid", ["x"], ["other"]))
    onnx.save(model, path)
    assert first_layer(path, "x") is None
    assert first_layer(path, "none") is None
    (tmp_path / "no.onnx").write_bytes(b"no network")
    assert first_layer(tmp_path / "no.onnx", "x") is None


def test_a_file_of_the_catalogue_is_known_by_its_content(tmp_path, shared):
    """Whatever its name: the official MODNet as somebody may have saved it."""
    path = tmp_path / "mine.onnx"
    path.symlink_to(shared / "weights" / "modnet.onnx")
    options = {"size": 512, "resize_mode": "modnet", "multiple": 32}
    (_, said) = lines(path, **options)
    assert "this file is modnet-onnx of the catalogue" in said
    assert "weights=modnet-onnx instead" in said
    assert len(lines(path, **catalogue().entries["modnet-onnx"].feed)) == 1
    assert download.weights_folder()  # nothing was fetched
