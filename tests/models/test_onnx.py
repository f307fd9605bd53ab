"""Networks of anybody as ONNX files: run exactly, refused with a reason."""

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

import kolbench
from kolbench.config import compose
from kolbench.errors import ConfigError, WeightsError
from kolbench.io import images
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.models.onnx import OnnxSegmenter
from kolbench.preprocessing import InputSpec
from kolbench.segmenter import Clip
from tests.helpers.tasks import configured

WEIGHTS = np.array([[0.5, -1.0, 0.25], [1.0, 0.5, -0.5]], np.float32)

BIAS = np.array([0.1, -0.2], np.float32)

FREE = ("n", 3, "h", "w")


def net(
    path,
    shape=FREE,
    channels=1,
    nodes=None,
    outputs=("y",),
    dtype=TensorProto.FLOAT,
    extra=(),
    made=TensorProto.FLOAT,
    **attributes,
):
    """Writes y = weights x + bias, or other nodes on the input `x` and the constants `w`, `b`."""
    weights = [
        numpy_helper.from_array(WEIGHTS[:channels, :, None, None], "w"),
        numpy_helper.from_array(BIAS[:channels], "b"),
    ]
    nodes = nodes or [helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)]
    given = [helper.make_tensor_value_info("x", dtype, shape), *extra]
    taken = [helper.make_tensor_value_info(name, made, None) for name in outputs]
    graph = helper.make_graph(nodes, "net", given, taken, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs, outputs, **attributes)


def picture(height=6, width=8, count=1, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def convolved(x, channels=1):
    """(B, 3, H, W) float64 -> (B, channels, H, W) by sums of products."""
    return np.einsum("oc,bchw->bohw", WEIGHTS[:channels], x) + BIAS[:channels, None, None]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def alpha_of(path, image, **options):
    alpha = OnnxSegmenter(path, **{"resize_mode": "native", **options}).predict(image).alpha
    assert alpha.shape == (len(image), 1, *image.shape[-2:])
    assert alpha.dtype == torch.float32
    return alpha.numpy()


MEAN, STD = np.array([104.0, 117.0, 123.0]), np.array([50.0, 60.0, 70.0])


def test_values_channels_and_activation(tmp_path):
    path = net(tmp_path / "x.onnx")
    image = picture(count=2)
    x = image.double().numpy()
    normalised = (x[:, ::-1] * 255 - MEAN[:, None, None]) / STD[:, None, None]
    options = {"range": [0, 255], "channels": "bgr", "mean": MEAN, "std": STD, "activation": "sigmoid"}
    found = alpha_of(path, image, **options)
    assert np.abs(found - sigmoid(convolved(normalised))).max() < 1e-6
    peak = x.max(axis=(1, 2, 3), keepdims=True)
    found = alpha_of(path, image, divide_by_max=True, mean=[0.1, 0.2, 0.3], activation="sigmoid")
    shifted = x / peak - np.array([0.1, 0.2, 0.3])[:, None, None]
    assert np.abs(found - sigmoid(convolved(shifted))).max() < 1e-6


def test_outputs_with_several_channels(tmp_path):
    path = net(tmp_path / "x.onnx", channels=2)
    image = picture()
    logits = convolved(image.double().numpy(), 2)
    odds = np.exp(logits)
    softmax = odds / odds.sum(axis=1, keepdims=True)
    for index in (0, 1):
        found = alpha_of(path, image, activation="softmax", class_index=index)
        assert np.abs(found[:, 0] - softmax[:, index]).max() < 1e-6
    found = alpha_of(path, image, activation="sigmoid", class_index=1)
    assert np.abs(found[:, 0] - sigmoid(logits[:, 1])).max() < 1e-6
    for options in ({}, {"class_index": 2}, {"class_index": -1}):
        with pytest.raises(ConfigError, match=r"has 2 channels, but model\.class_index=.*, 0 to 1"):
            alpha_of(path, image, **options)
    with pytest.raises(ConfigError, match=r"activation=softmax needs model\.class_index"):
        OnnxSegmenter(path, resize_mode="native", activation="softmax")


def test_outputs_are_chosen_by_name_or_position(tmp_path):
    nodes = [
        node("Conv", ["x", "w", "b"], ["1960"]),
        node("Sigmoid", ["1960"], ["matte"]),
        node("GlobalAveragePool", ["matte"], ["score"]),
        node("Squeeze", ["matte"], ["flat"]),
    ]
    path = net(tmp_path / "x.onnx", nodes=nodes, outputs=("1960", "matte", "score", "flat"))
    image = picture()
    logits = convolved(image.double().numpy())
    for output in ("matte", 1, "flat", 3):
        assert np.abs(alpha_of(path, image, output=output) - sigmoid(logits)).max() < 1e-6
    for raw in (None, 0, 1960, "1960"):
        found = alpha_of(path, image, output=raw, activation="sigmoid")
        assert np.abs(found - sigmoid(logits)).max() < 1e-6
    with pytest.raises(
        ConfigError, match=r"no output model\.output=mate; it has .*Did you mean model\.output=matte"
    ):
        OnnxSegmenter(path, resize_mode="native", output="mate")
    with pytest.raises(ConfigError, match=r"model\.output=4; it has 1960, matte"):
        OnnxSegmenter(path, resize_mode="native", output=4)
    with pytest.raises(ConfigError, match=r"no input model\.input=y; it has x"):
        OnnxSegmenter(path, resize_mode="native", input="y")
    with pytest.raises(
        WeightsError, match=r"output score .* is \(1, 1, 1, 1\).*\(1, C, 60, 80\).*1960, matte"
    ):
        alpha_of(path, picture(60, 80), output="score")


def test_a_minmax_stretch_reaches_0_and_1(tmp_path):
    path = net(tmp_path / "x.onnx")
    image = picture(count=2)
    logits = convolved(image.double().numpy())
    low, high = logits.min(axis=(1, 2, 3), keepdims=True), logits.max(axis=(1, 2, 3), keepdims=True)
    found = alpha_of(path, image, postprocess="minmax")
    assert np.abs(found - (logits - low) / (high - low)).max() < 1e-6


def test_values_outside_the_range_are_said_once(tmp_path):
    path = net(tmp_path / "x.onnx")
    method = OnnxSegmenter(path, resize_mode="native", range=[0, 255])
    image = picture()
    with pytest.warns(UserWarning, match=r"reaches from -\d+.* to .*model\.activation=sigmoid"):
        found = method.predict(image).alpha.numpy()
    assert np.allclose(found, np.clip(convolved(image.double().numpy() * 255), 0, 1), atol=1e-4)
    method.predict(image)


def test_channels_last_and_other_numbers(tmp_path):
    image = picture()
    logits = convolved(image.double().numpy())
    wrapped = [
        node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]),
        node("Conv", ["first", "w", "b"], ["z"]),
        node("Transpose", ["z"], ["y"], perm=[0, 2, 3, 1]),
    ]
    last = net(tmp_path / "last.onnx", ("n", "h", "w", 3), nodes=wrapped)
    free = net(tmp_path / "free.onnx", ("n", "a", "b", "c"), nodes=wrapped)
    # the picture's axes first, the output's as networks usually have them
    mixed = net(tmp_path / "mixed.onnx", (1, "h", "w", 3), nodes=wrapped[:2], outputs=("z",))
    for path, layout in ((last, "auto"), (free, "nhwc"), (mixed, "auto")):
        found = alpha_of(path, image, layout=layout, activation="sigmoid")
        assert np.abs(found - sigmoid(logits)).max() < 1e-6
    # as many channels as rows and columns: only the input's layout tells the axes apart
    small = picture(2, 2)
    two = net(tmp_path / "two.onnx", ("n", "h", "w", 3), nodes=wrapped, channels=2)
    found = alpha_of(two, small, activation="sigmoid", class_index=1)
    expected = sigmoid(convolved(small.double().numpy(), 2))
    assert np.abs(found[:, 0] - expected[:, 1]).max() < 1e-6
    levels = np.rint(image.double().numpy() * 255)
    cast = [node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), node("Conv", ["f", "w", "b"], ["y"])]
    path = net(tmp_path / "u8.onnx", nodes=cast, dtype=TensorProto.UINT8)
    found = alpha_of(path, image, range=[0, 255], activation="sigmoid")
    assert np.abs(found - sigmoid(convolved(levels))).max() < 1e-6
    path = net(tmp_path / "half.onnx", nodes=cast, dtype=TensorProto.FLOAT16)
    assert np.abs(alpha_of(path, image, activation="sigmoid") - sigmoid(logits)).max() < 1e-3


def test_whole_numbers_are_given_as_levels(tmp_path):
    image = picture()
    levels = np.rint(image.double().numpy() * 255)
    nodes = [
        node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]),
        node("Cast", ["first"], ["f"], to=TensorProto.FLOAT),
        node("Conv", ["f", "w", "b"], ["y"]),
    ]
    for dtype in (TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64):
        path = net(tmp_path / "x.onnx", ("n", "h", "w", 3), nodes=nodes, dtype=dtype)
        found = alpha_of(path, image, activation="sigmoid")
        assert np.abs(found - sigmoid(convolved(levels))).max() < 1e-6
    for options in ({"range": [0, 1]}, {"mean": [1, 2, 3]}, {"std": [2, 2, 2]}, {"divide_by_max": True}):
        with pytest.raises(ConfigError, match=r"whole numbers, the levels 0 to 255: leave model\.range"):
            OnnxSegmenter(path, resize_mode="native", **options)


# bounds and axis of a slice
FIRST_CHANNEL = [numpy_helper.from_array(np.array([n]), name) for n, name in enumerate(("zero", "one"))]


def classes(path, made, shape=(1, "h", "w")):
    """Class 0, 7 or 15 of each pixel, as its first channel is dark, middling or bright."""
    bounds = [
        node("Slice", ["x", "zero", "one", "one"], ["red"]),
        node("Greater", ["red", "low"], ["above"]),
        node("Greater", ["red", "high"], ["far"]),
        node("Where", ["above", "seven", "none"], ["some"]),
        node("Where", ["far", "person", "some"], ["found"]),
        node("Cast", ["found"], ["y"], to=made),
    ]
    values = {"low": 1 / 3, "high": 2 / 3, "none": 0.0, "seven": 7.0, "person": 15.0}
    constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items()]
    constants += FIRST_CHANNEL
    graph = helper.make_graph(
        bounds,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, FREE)],
        [helper.make_tensor_value_info("y", made, None)],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_whole_numbers_that_come_out_are_classes(tmp_path):
    image = picture()
    image[0, 0] = torch.tensor([0.1, 0.5, 0.9]).repeat(16).reshape(6, 8)
    red = image[0, 0].numpy()
    for made in (TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8):
        path = classes(tmp_path / "x.onnx", made)
        assert np.array_equal(alpha_of(path, image, class_index=15)[0, 0], (red > 2 / 3).astype(np.float32))
        found = alpha_of(path, image, class_index=7)[0, 0]
        assert np.array_equal(found, ((red > 1 / 3) & (red <= 2 / 3)).astype(np.float32))
    with pytest.raises(ConfigError, match=r"whole numbers \(0, 7, 15 in this .*set model\.class_index"):
        alpha_of(classes(tmp_path / "x.onnx", TensorProto.INT64), image)


def scaled(path, factor, made=TensorProto.FLOAT):
    """The first channel, times a factor."""
    nodes = [
        node("Slice", ["x", "zero", "one", "one"], ["red"]),
        node("Mul", ["red", "factor"], ["z"]),
        node("Round", ["z"], ["rounded"]),
        node("Cast", ["rounded" if made == TensorProto.UINT8 else "z"], ["y"], to=made),
    ]
    constants = [numpy_helper.from_array(np.array(factor, np.float32), "factor")]
    constants += FIRST_CHANNEL
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, FREE)]
    taken = [helper.make_tensor_value_info("y", made, None)]
    graph = helper.make_graph(nodes, "net", given, taken, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_outputs_of_0_to_255_are_scaled(tmp_path):
    image = picture()
    red = image[:, :1].numpy()
    levels = alpha_of(scaled(tmp_path / "levels.onnx", 255, TensorProto.UINT8), image)
    assert np.allclose(levels, np.rint(red * 255) / 255, atol=1e-7)
    path = scaled(tmp_path / "numbers.onnx", 255)
    assert np.allclose(alpha_of(path, image, output_range=[0, 255]), red, atol=1e-6)
    method = OnnxSegmenter(path, resize_mode="native")
    with pytest.warns(UserWarning, match=r"taken as levels of 0 to 255 \(model\.output_range\)"):
        assert np.allclose(method.predict(image).alpha, red, atol=1e-6)
    # the first picture has decided, also for one that is nearly black
    assert np.allclose(method.predict(image / 300).alpha, red / 300, atol=1e-6)
    late = OnnxSegmenter(path, resize_mode="native")
    # black says nothing, so that the next one decides
    assert late.predict(0 * image).alpha.max() == 0
    with pytest.warns(UserWarning, match="taken as levels"):
        assert np.allclose(late.predict(image).alpha, red, atol=1e-6)
    doubtful = OnnxSegmenter(path, resize_mode="native")
    doubtful.predict(image / 300)
    with pytest.raises(ConfigError, match=r"images before it was within 0 to 1: set model\.output_range="):
        doubtful.predict(image)
    other = OnnxSegmenter(path, resize_mode="native", output_range=[0, 1])
    with pytest.warns(UserWarning, match=r"cut off to \[0, 1\].*model\.output_range=\[0,255\]"):
        other.predict(image)
    with pytest.raises(ConfigError, match=r"model\.output_range=\[0, 9\] is not a choice"):
        OnnxSegmenter(path, resize_mode="native", output_range=[0, 9])


def recurrent(path, state="r1i", back="r1o", extra=(("ratio", (1,)),), dtype=TensorProto.FLOAT, channels=3):
    """Logits are ratio * (weights x + bias) and those of the frame before."""
    numbers = [name for name, _ in extra]
    nodes = [
        node("Cast", [state], ["before"], to=TensorProto.FLOAT),
        node("Conv", ["x", "w", "b"], ["z"]),
        node("Mul", ["z", numbers[0]], ["weighted"]) if numbers else node("Identity", ["z"], ["weighted"]),
        node("Add", ["weighted", "before"], ["y"]),
        node("Cast", ["y"], [back], to=dtype),
    ]
    constants = [
        numpy_helper.from_array(np.resize(WEIGHTS[:1], (1, channels, 1, 1)), "w"),
        numpy_helper.from_array(BIAS[:1], "b"),
    ]
    given = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", channels, "h", "w")),
        helper.make_tensor_value_info(state, dtype, ("n", 1, "a", "c")),
        *(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in extra),
    ]
    taken = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        helper.make_tensor_value_info(back, dtype, None),
    ]
    graph = helper.make_graph(nodes, "net", given, taken, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("r1i", "r1o"), {}),
        (("state_in", "state_out"), {}),
        (("memory", "kept"), {"states": {"memory": "kept"}}),
        (("h0", "hn"), {}),
    ],
)
def test_recurrent_networks_remember_along_a_clip(tmp_path, names, options):
    path = recurrent(tmp_path / "x.onnx", *names)
    given = {"resize_mode": "native", "activation": "sigmoid", "constants": {"ratio": 0.5}, **options}
    method = OnnxSegmenter(path, **given)
    assert method.stateful
    frames = [picture(seed=seed) for seed in range(3)]
    logits = [0.5 * convolved(frame.double().numpy()) for frame in frames]
    for _ in range(2):
        clip = Clip(method)
        for number, frame in enumerate(frames):
            alpha = clip.predict(frame).alpha.numpy()
            assert np.abs(alpha - sigmoid(sum(logits[: number + 1]))).max() < 1e-6
    # two clips at once, each with what was before in it
    pair = torch.cat(frames[:2])
    first = method.predict(pair)
    second = method.predict(pair.flip(0), state=first.state)
    assert np.abs(second.alpha.numpy() - sigmoid(sum(logits[:2]))).max() < 1e-6


def test_states_keep_their_type_and_constants_may_follow_the_picture(tmp_path):
    path = recurrent(tmp_path / "half.onnx", dtype=TensorProto.FLOAT16)
    for size, ratio in ((4, 0.5), (100, 1.0)):
        method = OnnxSegmenter(
            path, resize_mode="native", activation="sigmoid", constants={"ratio": {"longest": size}}
        )
        found = method.predict(picture())
        assert isinstance(found.state, tuple)
        (kept,) = found.state
        assert kept.dtype == torch.float16
        expected = ratio * convolved(picture().double().numpy())
        assert np.abs(kept.numpy() - expected).max() < 1e-3
        again = method.predict(picture(), state=found.state).alpha.numpy()
        assert np.abs(again - sigmoid(2 * expected)).max() < 1e-3


def test_inputs_that_nobody_explains_are_asked_for(tmp_path):
    path = recurrent(tmp_path / "x.onnx", "memory", "kept")
    with pytest.raises(WeightsError, match=r"needs memory, ratio beside the image x.*outputs are y, kept"):
        OnnxSegmenter(path, resize_mode="native")
    with pytest.raises(ConfigError, match=r"no constants model\.constants=ration; .*Did you mean .*ratio"):
        OnnxSegmenter(path, resize_mode="native", constants={"ration": 1.0})
    with pytest.raises(ConfigError, match=r"no states model\.states=keep; it has y, kept"):
        OnnxSegmenter(path, resize_mode="native", constants={"ratio": 1.0}, states={"memory": "keep"})
    with pytest.raises(ConfigError, match=r"remembers frames by itself: leave model\.prior away"):
        OnnxSegmenter(
            recurrent(tmp_path / "four.onnx", extra=(), channels=4), resize_mode="native", prior=True
        )


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        ("half", r"\{ratio: half\} is not a choice"),
        (None, "is not a choice"),
        (math.nan, "is not a choice"),
        ({"longst": 512}, r"give a number, or \{longest: N\}"),
        ({"longest": "x"}, "is not a choice"),
        ({"longest": 0}, "1 at least"),
    ],
)
def test_constants_are_numbers(tmp_path, ratio, said):
    path = recurrent(tmp_path / "x.onnx")
    with pytest.raises(ConfigError, match=said):
        OnnxSegmenter(path, resize_mode="native", constants={"ratio": ratio})
    with pytest.raises(ConfigError, match=r"model\.constants and model\.states are mappings"):
        OnnxSegmenter(path, resize_mode="native", constants="ratio")


def saved(path, nodes, inputs, outputs):
    """A network of these nodes; inputs, outputs: name -> type and shape."""
    given, taken = (
        [helper.make_tensor_value_info(name, *what) for name, what in values.items()]
        for values in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "net", given, taken)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_constant_of_whole_numbers_is_not_cut_to_one(tmp_path):
    nodes = [node("Cast", ["k"], ["times"], to=TensorProto.FLOAT), node("Mul", ["x", "times"], ["y"])]
    inputs = {"x": (TensorProto.FLOAT, FREE), "k": (TensorProto.INT64, ())}
    path = saved(tmp_path / "x.onnx", nodes, inputs, {"y": (TensorProto.FLOAT, None)})
    image = picture()
    found = alpha_of(path, image, constants={"k": 1}, class_index=0)
    assert np.array_equal(found, image[:, :1].numpy())
    for value in (0.5, {"longest": 512}):
        with pytest.raises(ConfigError, match="the file takes whole numbers as k"):
            alpha_of(path, image, constants={"k": value}, class_index=0)


def test_a_state_that_stands_before_the_picture_is_told_by_its_output(tmp_path):
    inputs = {"r1i": (TensorProto.FLOAT, (1, None, None, None)), "src": (TensorProto.FLOAT, FREE)}
    nodes = [node("Add", ["r1i", "src"], ["r1o"]), node("Identity", ["src"], ["fgr"])]
    outputs = {"fgr": (TensorProto.FLOAT, None), "r1o": (TensorProto.FLOAT, None)}
    path = saved(tmp_path / "x.onnx", nodes, inputs, outputs)
    image = picture()
    assert np.array_equal(alpha_of(path, image, class_index=2), image[:, 2:].numpy())


@pytest.mark.parametrize(("made", "white"), [(TensorProto.UINT8, 255), (TensorProto.INT64, 1)])
def test_whole_numbers_in_several_channels_have_one_for_each_class(tmp_path, made, white):
    factor = node("Constant", [], ["white"], value_float=float(white))
    nodes = [node("Round", ["x"], ["z"]), factor, node("Mul", ["z", "white"], ["l"])]
    nodes.append(node("Cast", ["l"], ["y"], to=made))
    path = saved(tmp_path / "x.onnx", nodes, {"x": (TensorProto.FLOAT, FREE)}, {"y": (made, None)})
    image = picture()
    assert np.array_equal(alpha_of(path, image, class_index=1), np.rint(image[:, 1:2].numpy()))
    with pytest.raises(ConfigError, match=r"has 3 channels, but model\.class_index=None"):
        alpha_of(path, image)


def test_the_catalogue_feeds_robust_video_matting(tmp_path):
    """A graph with the inputs and outputs of the released file: four states, and the ratio as a number."""
    numbers = range(1, 5)
    nodes = [node("Identity", ["src"], ["fgr"]), node("Conv", ["src", "w", "b"], ["z"])]
    nodes += [node("Mul", ["z", "downsample_ratio"], ["y"]), node("Sigmoid", ["y"], ["fresh"])]
    nodes += [node("Add", [f"r{n}i", "fresh"], [f"r{n}o"]) for n in numbers]
    nodes += [node("Mul", ["r4o", "half"], ["pha"])]
    constants = [
        numpy_helper.from_array(WEIGHTS[:1, :, None, None], "w"),
        numpy_helper.from_array(BIAS[:1], "b"),
        numpy_helper.from_array(np.array(0.5, np.float32), "half"),
    ]
    number = TensorProto.FLOAT
    given = [helper.make_tensor_value_info("src", number, ("n", 3, "h", "w"))]
    free = ("n", "c", "h", "w")
    given += [
        helper.make_tensor_value_info(f"r{n}i", number, [f"{side}{n}" for side in free]) for n in numbers
    ]
    given += [helper.make_tensor_value_info("downsample_ratio", number, (1,))]
    taken = [helper.make_tensor_value_info(name, number, None) for name in ("fgr", "pha")]
    taken += [helper.make_tensor_value_info(f"r{n}o", number, None) for n in numbers]
    graph = helper.make_graph(nodes, "rvm", given, taken, constants)
    path = tmp_path / "rvm.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    method = OnnxSegmenter(path, **catalogue().entry("rvm-mobilenetv3-onnx").feed)
    clip, frames = Clip(method), [picture(8, 1024, seed=seed) for seed in range(2)]
    fresh = [sigmoid(0.5 * convolved(frame.double().numpy())) for frame in frames]
    for count, frame in enumerate(frames, start=1):
        alpha = clip.predict(frame).alpha.numpy()
        assert np.abs(alpha - 0.5 * sum(fresh[:count])).max() < 1e-6


def test_a_coarser_output_is_brought_to_the_pictures_size(tmp_path):
    path = net(tmp_path / "x.onnx", strides=[4, 4])
    image = picture(33, 47)
    logits = convolved(image[..., ::4, ::4].double().numpy())
    coarse = torch.from_numpy(sigmoid(logits)).float()
    expected = F.interpolate(coarse, (33, 47), mode="bilinear", align_corners=False).numpy()
    assert np.abs(alpha_of(path, image, activation="sigmoid") - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("options", "size", "expected"),
    [
        ({"resize_mode": "stretch", "size": 320}, (1080, 1920), (320, 320)),
        # 512 / 1080 * 1920 = 910.2
        ({"resize_mode": "shortest_edge", "size": 512}, (1080, 1920), (512, 910)),
        ({"resize_mode": "shortest_edge", "size": 512, "multiple": 32}, (1080, 1920), (512, 896)),
        ({"resize_mode": "shortest_edge", "size": 512, "multiple": 32}, (427, 640), (512, 736)),
        ({"resize_mode": "modnet", "size": 512, "multiple": 32}, (427, 640), (416, 640)),
        ({"resize_mode": "modnet", "size": 512, "multiple": 32}, (1080, 1920), (512, 896)),
        ({"resize_mode": "modnet", "size": 512, "multiple": 32}, (300, 400), (512, 672)),
        ({"resize_mode": "native", "multiple": 32}, (427, 640), (416, 640)),
        ({"resize_mode": "native", "multiple": 32}, (20, 70), (32, 64)),
        ({"resize_mode": "native"}, (33, 47), (33, 47)),
        # thinner than 1:8
        ({"resize_mode": "shortest_edge", "size": 512}, (1, 192), (512, 4096)),
        ({"resize_mode": "modnet", "size": 512, "multiple": 32}, (192, 1), (4096, 512)),
        ({"resize_mode": "modnet", "size": 512, "multiple": 32}, (1, 600), (32, 576)),
        ({"resize_mode": "modnet", "size": 512, "multiple": 32}, (600, 60000), (512, 4096)),
        ({"resize_mode": "native", "multiple": 32}, (1, 600), (32, 576)),
    ],
)
def test_resize_modes(tmp_path, options, size, expected):
    method = OnnxSegmenter(net(tmp_path / "x.onnx"), **options)
    assert method.input_size(*size) == expected


def test_input_sizes_are_those_of_our_own_networks(tmp_path):
    path = net(tmp_path / "x.onnx")
    pairs = [
        (
            OnnxSegmenter(path, size=size, resize_mode="shortest_edge", multiple=multiple),
            InputSpec(size, "shortest_edge", multiple),
        )
        for size, multiple in ((320, 1), (96, 32))
    ]
    sides = (1, 2, 31, 97, 250, 1001, 7999)
    for theirs, ours in pairs:
        for height, width in itertools.product(sides, sides):
            assert theirs.input_size(height, width) == ours.input_size(height, width)


def test_sizes_that_the_file_fixes(tmp_path):
    square = net(tmp_path / "square.onnx", (1, 3, 32, 32))
    wide = net(tmp_path / "wide.onnx", (1, 3, 24, 40))
    half = net(tmp_path / "half.onnx", (1, 3, 24, "w"))
    free = net(tmp_path / "free.onnx")
    assert OnnxSegmenter(square).input_size(50, 60) == (32, 32)
    assert OnnxSegmenter(square, size=32).input_size(50, 60) == (32, 32)
    # its side is the file's, so the multiple says nothing
    assert OnnxSegmenter(square, size=32, multiple=5).input_size(50, 60) == (32, 32)
    assert OnnxSegmenter(wide).input_size(50, 60) == (24, 40)
    assert OnnxSegmenter(half, size=24).input_size(50, 60) == (24, 24)
    for path, options, message in (
        (square, {"size": 64}, r"32x32 px, not model\.size=64: set model\.size=32\."),
        (wide, {"size": 24}, r"40x24 px, not model\.size=24: set model\.size=null\."),
        (half, {"size": 32}, r"anyx24 px, not model\.size=32: set model\.size=24\."),
        (half, {}, r"anyx24 px: set model\.size"),
        (
            square,
            {"resize_mode": "shortest_edge", "size": 32},
            r"32x32 px only: set model\.resize_mode=stretch",
        ),
        (square, {"resize_mode": "native"}, r"set model\.resize_mode=stretch"),
        (free, {}, r"set model\.size"),
        (free, {"resize_mode": "shortest_edge"}, r"set model\.size"),
        (free, {"size": 100, "multiple": 32}, r"model\.size=100 must be a positive multiple of .*32"),
    ):
        with pytest.raises(ConfigError, match=message):
            OnnxSegmenter(path, **options)
    image = picture(50, 60)
    resized = F.interpolate(image, (24, 40), mode="bilinear", align_corners=False, antialias=True)
    coarse = torch.from_numpy(sigmoid(convolved(resized.double().numpy()))).float()
    expected = F.interpolate(coarse, (50, 60), mode="bilinear", align_corners=False).numpy()
    assert np.abs(alpha_of(wide, image, resize_mode="stretch", activation="sigmoid") - expected).max() < 1e-6


def test_weights_in_a_file_beside_are_found(tmp_path):
    model = onnx.load(net(tmp_path / "x.onnx"))
    onnx.save(
        model, tmp_path / "y.onnx", save_as_external_data=True, location="y.onnx.data", size_threshold=0
    )
    assert (tmp_path / "y.onnx.data").is_file()
    image = picture()
    expected = alpha_of(tmp_path / "x.onnx", image, activation="sigmoid")
    assert np.array_equal(alpha_of(tmp_path / "y.onnx", image, activation="sigmoid"), expected)


def test_it_uses_as_many_threads_as_torch(tmp_path):
    method = OnnxSegmenter(net(tmp_path / "x.onnx"), resize_mode="native")
    options = method.graph._session.get_session_options()
    assert options.intra_op_num_threads == torch.get_num_threads()
    assert method.graph._session.get_providers() == ["CPUExecutionProvider"]


def test_files_that_are_no_network_are_refused(tmp_path):
    net(tmp_path / "modnet.onnx")
    with pytest.raises(
        WeightsError, match=r"no file model\.file=.*modnt\.onnx\. Did you mean .*modnet\.onnx"
    ):
        OnnxSegmenter(tmp_path / "modnt.onnx")
    torch.save({"w": torch.ones(2)}, tmp_path / "x.pth")
    whole = (tmp_path / "modnet.onnx").read_bytes()
    for name, content in (
        ("empty.onnx", b""),
        ("checkpoint.onnx", (tmp_path / "x.pth").read_bytes()),
        ("half.onnx", whole[: len(whole) // 2]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=rf"{name} cannot be opened as an ONNX network"):
            OnnxSegmenter(tmp_path / name, size=32)
    for name, content, told in (
        ("page.onnx", b"\n<!DOCTYPE html><html>Sign in</html>", "a web page; download the file itself"),
        ("bare.onnx", b"<html>Sign in</html>", "a web page"),
        ("pointer.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "run git lfs pull"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=rf"{name} is no ONNX network: it is .*{told}"):
            OnnxSegmenter(tmp_path / name, size=32)
    path = net(tmp_path / "own.onnx", nodes=[node("Mine", ["x"], ["y"], domain="my.domain")])
    with pytest.raises(WeightsError, match=r"own\.onnx cannot be opened .*Mine"):
        OnnxSegmenter(path, size=32)


def test_networks_that_take_something_else_are_refused(tmp_path):
    second = helper.make_tensor_value_info("state", TensorProto.FLOAT, (1, 1, 1, 1))
    double = [node("Conv", ["x", "w", "b"], ["z"]), node("Add", ["z", "state"], ["y"])]
    mean = [node("ReduceMean", ["x"], ["y"])]
    cast = [node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    cases = {
        "two": (
            {"nodes": double, "extra": [second]},
            r"needs state beside the image x.*model\.states=\{state: OUTPUT\}.*are y",
        ),
        "flat": ({"shape": (1, 12), "nodes": mean}, r"takes \(1, 12\), but one image is \(1, 3, H, W\)"),
        "pair": ({"shape": (2, 3, "h", "w")}, r"takes \(2, 3, \?, \?\)"),
        "grey": (
            {"shape": (1, 1, "h", "w"), "nodes": mean},
            r"\(1, 1, \?, \?\), read as nchw with 1 channels",
        ),
        "truth": ({"dtype": TensorProto.BOOL, "nodes": cast}, r"takes tensor\(bool\) as x"),
    }
    for name, (options, message) in cases.items():
        path = net(tmp_path / f"{name}.onnx", **options)
        with pytest.raises(WeightsError, match=message):
            OnnxSegmenter(path, size=32)


def test_what_fails_on_a_picture_says_which(tmp_path):
    # 8 x 6 pixels cannot be laid out in rows of 5
    shape = numpy_helper.from_array(np.array([1, 3, -1, 5]), "s")
    constant = node("Constant", [], ["s"], value=shape)
    path = net(tmp_path / "rows.onnx", nodes=[constant, node("Reshape", ["x", "s"], ["y"])])
    with pytest.raises(ConfigError, match=r"rows\.onnx fails on an image of 8x6 px: .*model\.multiple"):
        alpha_of(path, picture(6, 8))
    root = [node("Conv", ["x", "w", "b"], ["z"]), node("Sqrt", ["z"], ["y"])]
    path = net(tmp_path / "root.onnx", nodes=root)
    with pytest.raises(WeightsError, match=r"output y of .*root\.onnx is not finite"):
        alpha_of(path, picture(), range=[0, 255])


def test_options_out_of_range_are_named(tmp_path):
    path = net(tmp_path / "x.onnx")
    for options, message in (
        (
            {"resize_mode": "stretched"},
            r"model\.resize_mode=stretched .*Did you mean model\.resize_mode=stretch",
        ),
        ({"range": [0, 128]}, r"model\.range=\[0, 128\]"),
        ({"mean": [0.5]}, r"model\.mean and model\.std"),
        ({"std": [1, 0, 1]}, r"model\.std"),
        ({"channels": "gbr"}, r"model\.channels=gbr"),
        ({"layout": "hwc"}, r"model\.layout=hwc"),
        ({"activation": "relu"}, r"model\.activation=relu"),
        ({"postprocess": "stretch"}, r"model\.postprocess=stretch"),
        ({"resample": "cubic"}, r"model\.resample=cubic"),
        ({"multiple": 0}, r"model\.multiple=0"),
    ):
        with pytest.raises(ConfigError, match=message):
            OnnxSegmenter(path, **{"size": 32, **options})


def test_without_onnx_runtime_the_extra_is_named(tmp_path, monkeypatch):
    path = net(tmp_path / "x.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r'pip install "kolbench\[onnx\]"'):
        OnnxSegmenter(path, resize_mode="native")


def street(shared: Path, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8, cut from the middle of a photograph with a person."""
    path = sorted((shared / "data" / "street_kol" / "images").glob("*.jpg"))[0]
    whole = images.read_rgb(path)
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return whole[top : top + height, left : left + width].copy()


def official(shared, name, file, **options):
    return kolbench.load(name, device="cpu", file=str(shared / "weights" / file), **options)


# the first keeps its size by the official mode, the second is enlarged to 512x672 by both modes
@pytest.mark.slow
@pytest.mark.parametrize(("height", "width", "size"), [(544, 416, 416), (400, 300, 512)])
def test_official_modnet_is_our_modnet_at_equal_sizes(shared, height, width, size):
    weights = shared / "weights" / "modnet_photographic_from_onnx_bnrecal.pth"
    ours = kolbench.load("modnet", weights=weights, device="cpu", size=size, resample="area")
    theirs = official(shared, "official_modnet", "modnet.onnx")
    assert theirs.input_size(height, width) == ours.input_spec.input_size(height, width)
    image = street(shared, height, width)
    expected = ours.segment(image)
    assert np.ptp(expected) > 0.9
    assert np.abs(theirs.segment(image) - expected).max() < 2e-4


@pytest.mark.slow
@pytest.mark.parametrize("postprocess", ["none", "minmax"])
def test_official_u2netp_is_our_u2netp(shared, postprocess):
    weights = shared / "weights" / "u2netp_from_onnx_bnrecal.pth"
    ours = kolbench.load("u2netp", weights=weights, device="cpu", size=320, postprocess=postprocess)
    theirs = official(shared, "official_u2netp", "u2netp.onnx", postprocess=postprocess)
    image = street(shared, 600, 400)
    expected = ours.segment(image)
    assert np.ptp(expected) > 0.9
    assert np.abs(theirs.segment(image) - expected).max() < 2e-4


@pytest.mark.parametrize("ratio", ["0.25", "{longest: 4}"])
def test_constants_and_states_are_typed_as_the_yaml_says(tmp_path, ratio):
    path = recurrent(tmp_path / "x.onnx", "memory", "kept")
    words = ("experiment=onnx", f"model.file={path}", "model.resize_mode=native", "model.activation=sigmoid")
    given = (f"model.constants={{ratio: {ratio}}}", "model.states={memory: kept}")
    built = compose.build_segmenter(configured(*words, *given).model)
    assert built.stateful
    # 4 of the longer side of 8 px
    times = 0.25 if ratio == "0.25" else 0.5
    expected = sigmoid(times * convolved(picture().double().numpy()))
    assert np.abs(built.predict(picture()).alpha.numpy() - expected).max() < 1e-6


def test_the_yaml_of_onnx_names_every_option(tmp_path):
    path = net(tmp_path / "x.onnx", (1, 3, 32, 32))
    settings = compose.model_config("onnx", file=str(path), activation="sigmoid")
    built = compose.build_segmenter(settings)
    image = picture(40, 50)
    expected = OnnxSegmenter(path, activation="sigmoid").predict(image).alpha
    assert torch.equal(built.predict(image).alpha, expected)
    arguments = OnnxSegmenter.__init__.__code__.co_varnames[1 : OnnxSegmenter.__init__.__code__.co_argcount]
    assert set(settings.options) - {"_target_"} == set(arguments)
    with pytest.raises(ConfigError, match=r"model\.file has no value.*weights=ID"):
        compose.build_segmenter(compose.model_config("onnx"))
