"""Anybody's mattes and anybody's networks: read exactly, run exactly, refused with a reason."""

import itertools
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import kolbench
from kolbench.config import compose
from kolbench.errors import ConfigError, DataError, WeightsError
from kolbench.io import images
from kolbench.models.precomputed import MasksSegmenter, OnnxSegmenter
from kolbench.preprocessing import InputSpec

LEVELS = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
ALPHA = LEVELS / 255


def save(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)


def read(folder, name="a", height=2, width=3, **options):
    alpha = MasksSegmenter(folder, **options).predict(torch.rand(1, 3, height, width), [name]).alpha
    assert alpha.shape == (1, 1, height, width)
    assert alpha.dtype == torch.float32
    return alpha[0, 0].numpy()


def palette_image(indices, colours):
    image = Image.new("P", indices.shape[::-1])
    image.putdata(indices.ravel().tolist())
    image.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    return image


WRITTEN = {
    "a.png": LEVELS,
    "a.bmp": LEVELS,
    "a.tif": LEVELS.astype(np.uint16) * 257,
    "a.tiff": ALPHA.astype(np.float32),
    "a.PNG": np.repeat(LEVELS[..., None], 3, axis=2),
    "a.webp": np.dstack([np.full((2, 3, 3), 90, np.uint8), LEVELS]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_common_formats_give_the_same_alpha(tmp_path, name):
    save(tmp_path / name, WRITTEN[name], **({"lossless": True} if name == "a.webp" else {}))
    assert np.abs(read(tmp_path) - ALPHA).max() < 1e-6


def test_sixteen_bits_are_kept(tmp_path):
    deep = np.array([[0, 100, 30000], [40001, 65000, 65535]], np.uint16)
    save(tmp_path / "a.png", deep)
    assert np.abs(read(tmp_path) - deep / 65535).max() < 1e-6


def test_the_alpha_channel_wins_unless_it_is_opaque(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    grey = np.repeat(LEVELS[..., None], 3, axis=2)
    full, none = np.full((2, 3), 255, np.uint8), np.zeros((2, 3), np.uint8)
    cases = {
        "cutout": (np.dstack([colours, LEVELS]), ALPHA),
        "empty_cutout": (np.dstack([colours, none]), none),
        "opaque": (np.dstack([grey, full]), ALPHA),
        "grey_and_alpha": (np.dstack([none, LEVELS]), ALPHA),
    }
    for name, (array, expected) in cases.items():
        save(tmp_path / f"{name}.png", array)
        assert np.abs(read(tmp_path, name) - expected).max() < 1e-6


def test_palettes_and_two_valued_files(tmp_path):
    indices = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    # the colours of Pascal VOC: class 1 is dark red, whose grey level would be 0.15
    palette_image(indices, [(0, 0, 0), (128, 0, 0)]).save(tmp_path / "voc.png")
    palette_image(indices, [(51, 51, 51), (204, 204, 204)]).save(tmp_path / "greys.png")
    save(tmp_path / "bits.png", indices * 255, "1")
    save(tmp_path / "labels.png", np.stack([indices * 200, indices * 30, indices * 0], axis=2))
    for name in ("voc", "bits", "labels"):
        assert np.array_equal(read(tmp_path, name), indices)
    assert np.allclose(read(tmp_path, "greys"), np.where(indices, 0.8, 0.2), atol=1e-6)


def test_masks_of_zero_and_one_are_seen_to_be_dark(tmp_path):
    mask = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
    save(tmp_path / "a.png", mask)
    with pytest.warns(UserWarning, match=r"brightest level of .*a\.png is 1 where 255 .*model\.white=1"):
        assert np.allclose(read(tmp_path), mask / 255)
    assert np.array_equal(read(tmp_path, white=1), mask)


def test_grey_jpegs_are_mattes_and_photographs_are_not(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    save(tmp_path / "a.jpg", np.repeat(ramp[..., None], 3, axis=2), quality=95)
    assert np.abs(read(tmp_path, "a", 64, 64) - ramp / 255).max() < 0.02
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for suffix in ("jpg", "png"):
        save(tmp_path / suffix / f"b.{suffix}", colours)
        with pytest.raises(DataError, match=rf"b\.{suffix} .*not (like )?a (matte|mask)"):
            read(tmp_path / suffix, "b", 64, 64)


# pixel centres: 4 samples of 2 pixels lie at -0.25, 0.25, 0.75, 1.25
def test_other_sizes_are_resized_bilinearly(tmp_path):
    save(tmp_path / "a.png", np.array([[0, 255]], np.uint8))
    assert np.allclose(read(tmp_path, "a", 1, 4), [[0, 0.25, 0.75, 1]], atol=1e-6)
    with pytest.raises(
        DataError, match=r"a\.png is 2x1 px, but the picture a is 4x1 px: .*model\.resize=true"
    ):
        read(tmp_path, "a", 1, 4, resize=False)
    assert np.allclose(read(tmp_path, "a", 1, 2, resize=False), [[0, 1]])


def test_turned_mattes_are_refused(tmp_path):
    save(tmp_path / "a.png", LEVELS)
    with pytest.raises(DataError, match=r"3x2 px, but the picture a is 2x3 px: it seems to be turned"):
        read(tmp_path, "a", 3, 2)


def test_a_batch_takes_its_mattes_by_name_from_subfolders(tmp_path):
    save(tmp_path / "clip" / "00001.png", LEVELS)
    save(tmp_path / "x.y.png", 255 - LEVELS)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._x.y.png").write_bytes(b"left by a file manager")
    method = MasksSegmenter(tmp_path)
    assert method.input_keys == ("image", "name")
    assert method.truth_access == "none"
    assert not method.trainable
    alpha = method.predict(torch.rand(2, 3, 2, 3), ["x.y", "clip/00001"]).alpha
    assert np.allclose(alpha[:, 0], [1 - ALPHA, ALPHA], atol=1e-6)


def test_all_missing_mattes_are_named_at_once(tmp_path):
    save(tmp_path / "p03.png", LEVELS)
    names = [f"p{index:02}" for index in range(26)]
    method = MasksSegmenter(tmp_path)
    with pytest.raises(DataError) as raised:
        method.check(names)
    message = str(raised.value)
    assert f"25 of 26 pictures have no matte in {tmp_path}: p00, p01, p02, p04, " in message
    assert "p20, ... (5 more)" in message
    assert "p21" not in message
    with pytest.raises(DataError, match=r"1 of 1 pictures have no matte in .*: q\."):
        method.predict(torch.rand(1, 3, 2, 3), ["q"])
    method.check(["p03"])


def test_missing_mattes_may_count_as_empty(tmp_path):
    save(tmp_path / "a.png", LEVELS)
    method = MasksSegmenter(tmp_path, missing="empty")
    with pytest.warns(
        UserWarning, match=r"2 of 3 pictures have no matte in .*: b, c\. They count as alpha 0"
    ):
        method.check(["a", "b", "c"])
    assert method.absent == {"b", "c"}
    # said once; any further warning would be an error here
    alpha = method.predict(torch.rand(2, 3, 2, 3), ["b", "a"]).alpha
    assert not alpha[0].any()
    assert np.allclose(alpha[1, 0], ALPHA, atol=1e-6)


def test_nothing_outside_the_folder_is_read(tmp_path):
    save(tmp_path / "secret.png", LEVELS)
    save(tmp_path / "mattes" / "a.png", LEVELS)
    (tmp_path / "mattes" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "mattes" / "up").symlink_to(tmp_path)
    (tmp_path / "mattes" / "alias.png").symlink_to(tmp_path / "mattes" / "a.png")
    outside = ["../secret", str(tmp_path / "secret"), "a/../../secret", "up/secret"]
    method = MasksSegmenter(tmp_path / "mattes")
    for name in outside:
        with pytest.raises(DataError, match="1 of 1 pictures have no matte"):
            method.predict(torch.rand(1, 3, 2, 3), [name])
    for use in (lambda: method.check(["link"]), lambda: method.predict(torch.rand(1, 3, 2, 3), ["link"])):
        with pytest.raises(DataError, match=r"link\.png is a link that leads out of"):
            use()
    assert np.allclose(read(tmp_path / "mattes", "alias"), ALPHA, atol=1e-6)


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"model\.masks_dir=.*absent is no folder"):
        MasksSegmenter(tmp_path / "absent")
    with pytest.raises(DataError, match="holds no pictures"):
        MasksSegmenter(tmp_path)
    save(tmp_path / "a.png", LEVELS)
    with pytest.raises(ConfigError, match=r"model\.missing=skip"):
        MasksSegmenter(tmp_path, missing="skip")
    with pytest.raises(ConfigError, match=r"model\.white=0"):
        MasksSegmenter(tmp_path, white=0)
    with pytest.raises(ConfigError, match="by their names"):
        MasksSegmenter(tmp_path).segment(np.zeros((2, 3, 3), np.uint8))
    save(tmp_path / "a.bmp", LEVELS)
    with pytest.raises(DataError, match=r"a\.bmp and .*a\.png are mattes of the same picture"):
        MasksSegmenter(tmp_path)


# networks: a 1x1 convolution, whose result is known by hand

WEIGHTS = np.array([[0.5, -1.0, 0.25], [1.0, 0.5, -0.5]], np.float32)
BIAS = np.array([0.1, -0.2], np.float32)
FREE = ("n", 3, "h", "w")


def net(
    path, shape=FREE, channels=1, nodes=None, outputs=("y",), dtype=TensorProto.FLOAT, extra=(), **attributes
):
    """Writes y = weights x + bias, or other nodes on the input `x` and the constants `w`, `b`."""
    weights = [
        numpy_helper.from_array(WEIGHTS[:channels, :, None, None], "w"),
        numpy_helper.from_array(BIAS[:channels], "b"),
    ]
    nodes = nodes or [helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)]
    given = [helper.make_tensor_value_info("x", dtype, shape), *extra]
    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
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
    alpha = OnnxSegmenter(path, **{"rule": "native", **options}).predict(image).alpha
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
        OnnxSegmenter(path, rule="native", activation="softmax")


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
    for output in (None, 0, 1960, "1960"):
        found = alpha_of(path, image, output=output, activation="sigmoid")
        assert np.abs(found - sigmoid(logits)).max() < 1e-6
    with pytest.raises(
        ConfigError, match=r"no output model\.output=mate; it has .*Did you mean model\.output=matte"
    ):
        OnnxSegmenter(path, rule="native", output="mate")
    with pytest.raises(ConfigError, match=r"model\.output=4; it has 1960, matte"):
        OnnxSegmenter(path, rule="native", output=4)
    with pytest.raises(ConfigError, match=r"no input model\.input=y; it has x"):
        OnnxSegmenter(path, rule="native", input="y")
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
    method = OnnxSegmenter(path, rule="native", range=[0, 255])
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


def test_a_coarser_output_is_brought_to_the_pictures_size(tmp_path):
    path = net(tmp_path / "x.onnx", strides=[4, 4])
    image = picture(33, 47)
    logits = convolved(image[..., ::4, ::4].double().numpy())
    coarse = torch.from_numpy(sigmoid(logits)).float()
    expected = F.interpolate(coarse, (33, 47), mode="bilinear", align_corners=False).numpy()
    assert np.abs(alpha_of(path, image, activation="sigmoid") - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("options", "size", "canvas"),
    [
        ({"rule": "squash", "size": 320}, (1080, 1920), (320, 320)),
        # 512 / 1080 * 1920 = 910.2
        ({"rule": "short_side", "size": 512}, (1080, 1920), (512, 910)),
        ({"rule": "short_side", "size": 512, "multiple": 32}, (1080, 1920), (512, 896)),
        ({"rule": "short_side", "size": 512, "multiple": 32}, (427, 640), (512, 736)),
        ({"rule": "modnet", "size": 512, "multiple": 32}, (427, 640), (416, 640)),
        ({"rule": "modnet", "size": 512, "multiple": 32}, (1080, 1920), (512, 896)),
        ({"rule": "modnet", "size": 512, "multiple": 32}, (300, 400), (512, 672)),
        ({"rule": "native", "multiple": 32}, (427, 640), (416, 640)),
        ({"rule": "native", "multiple": 32}, (20, 70), (32, 64)),
        ({"rule": "native"}, (33, 47), (33, 47)),
        # thinner than 1:8
        ({"rule": "short_side", "size": 512}, (1, 192), (512, 4096)),
        ({"rule": "modnet", "size": 512, "multiple": 32}, (192, 1), (4096, 512)),
        ({"rule": "modnet", "size": 512, "multiple": 32}, (1, 600), (32, 576)),
        ({"rule": "modnet", "size": 512, "multiple": 32}, (600, 60000), (512, 4096)),
        ({"rule": "native", "multiple": 32}, (1, 600), (32, 576)),
    ],
)
def test_canvas_rules(tmp_path, options, size, canvas):
    method = OnnxSegmenter(net(tmp_path / "x.onnx"), **options)
    assert method.canvas(*size) == canvas


def test_canvases_are_those_of_our_own_networks(tmp_path):
    path = net(tmp_path / "x.onnx")
    pairs = [
        (
            OnnxSegmenter(path, size=size, rule="short_side", multiple=multiple),
            InputSpec(size, "short_side", multiple),
        )
        for size, multiple in ((320, 1), (96, 32))
    ]
    sides = (1, 2, 31, 97, 250, 1001, 7999)
    for theirs, ours in pairs:
        for height, width in itertools.product(sides, sides):
            assert theirs.canvas(height, width) == ours.canvas(height, width)


def test_sizes_that_the_file_fixes(tmp_path):
    square = net(tmp_path / "square.onnx", (1, 3, 32, 32))
    wide = net(tmp_path / "wide.onnx", (1, 3, 24, 40))
    half = net(tmp_path / "half.onnx", (1, 3, 24, "w"))
    free = net(tmp_path / "free.onnx")
    assert OnnxSegmenter(square).canvas(50, 60) == (32, 32)
    assert OnnxSegmenter(square, size=32).canvas(50, 60) == (32, 32)
    # its side is the file's, so the multiple says nothing
    assert OnnxSegmenter(square, size=32, multiple=5).canvas(50, 60) == (32, 32)
    assert OnnxSegmenter(wide).canvas(50, 60) == (24, 40)
    assert OnnxSegmenter(half, size=24).canvas(50, 60) == (24, 24)
    for path, options, message in (
        (square, {"size": 64}, r"32x32 px, not model\.size=64: set model\.size=32\."),
        (wide, {"size": 24}, r"40x24 px, not model\.size=24: set model\.size=null\."),
        (half, {"size": 32}, r"anyx24 px, not model\.size=32: set model\.size=24\."),
        (half, {}, r"anyx24 px: set model\.size"),
        (square, {"rule": "short_side", "size": 32}, r"32x32 px only: set model\.rule=squash"),
        (square, {"rule": "native"}, r"set model\.rule=squash"),
        (free, {}, r"set model\.size"),
        (free, {"rule": "short_side"}, r"set model\.size"),
        (free, {"size": 100, "multiple": 32}, r"model\.size=100 must be a positive multiple of .*32"),
    ):
        with pytest.raises(ConfigError, match=message):
            OnnxSegmenter(path, **options)
    image = picture(50, 60)
    canvas = F.interpolate(image, (24, 40), mode="bilinear", align_corners=False, antialias=True)
    coarse = torch.from_numpy(sigmoid(convolved(canvas.double().numpy()))).float()
    expected = F.interpolate(coarse, (50, 60), mode="bilinear", align_corners=False).numpy()
    assert np.abs(alpha_of(wide, image, rule="squash", activation="sigmoid") - expected).max() < 1e-6


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
    method = OnnxSegmenter(net(tmp_path / "x.onnx"), rule="native")
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
        ("page.onnx", b"<html>Sign in</html>"),
        ("checkpoint.onnx", (tmp_path / "x.pth").read_bytes()),
        ("half.onnx", whole[: len(whole) // 2]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=rf"{name} cannot be opened as an ONNX network"):
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
        "two": ({"nodes": double, "extra": [second]}, r"needs 2 inputs \(x, state\)"),
        "flat": ({"shape": (1, 12), "nodes": mean}, r"takes \(1, 12\), but one picture is \(1, 3, H, W\)"),
        "pair": ({"shape": (2, 3, "h", "w")}, r"takes \(2, 3, \?, \?\)"),
        "grey": (
            {"shape": (1, 1, "h", "w"), "nodes": mean},
            r"\(1, 1, \?, \?\), read as nchw with 1 channels",
        ),
        "whole": ({"dtype": TensorProto.INT64, "nodes": cast}, r"takes tensor\(int64\)"),
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
    with pytest.raises(ConfigError, match=r"rows\.onnx fails on a picture of 8x6 px: .*model\.multiple"):
        alpha_of(path, picture(6, 8))
    root = [node("Conv", ["x", "w", "b"], ["z"]), node("Sqrt", ["z"], ["y"])]
    path = net(tmp_path / "root.onnx", nodes=root)
    with pytest.raises(WeightsError, match=r"output y of .*root\.onnx is not finite"):
        alpha_of(path, picture(), range=[0, 255])


def test_options_out_of_range_are_named(tmp_path):
    path = net(tmp_path / "x.onnx")
    for options, message in (
        ({"rule": "squish"}, r"model\.rule=squish .*Did you mean model\.rule=squash"),
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
        OnnxSegmenter(path, rule="native")


def street(shared: Path, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8, cut from the middle of a photograph with a person."""
    path = sorted((shared / "data" / "street_kol" / "images").glob("*.jpg"))[0]
    whole = images.read_rgb(path)
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return whole[top : top + height, left : left + width].copy()


def official(shared, name, file, **options):
    return kolbench.load(name, device="cpu", file=str(shared / "weights" / file), **options)


# the first keeps its size by the official rule, the second is enlarged to 512x672 by both rules
@pytest.mark.parametrize(("height", "width", "size"), [(544, 416, 416), (400, 300, 512)])
def test_official_modnet_is_our_modnet_at_equal_sizes(shared, height, width, size):
    weights = shared / "weights" / "modnet_photographic_from_onnx_bnrecal.pth"
    ours = kolbench.load("modnet", weights=weights, device="cpu", size=size, resample="area")
    theirs = official(shared, "official_modnet", "modnet.onnx")
    assert theirs.canvas(height, width) == ours.input_spec.canvas(height, width)
    image = street(shared, height, width)
    expected = ours.segment(image)
    assert np.ptp(expected) > 0.9
    assert np.abs(theirs.segment(image) - expected).max() < 2e-4


@pytest.mark.parametrize("postprocess", ["none", "minmax"])
def test_official_u2netp_is_our_u2netp(shared, postprocess):
    weights = shared / "weights" / "u2netp_from_onnx_bnrecal.pth"
    ours = kolbench.load("u2netp", weights=weights, device="cpu", size=320, postprocess=postprocess)
    theirs = official(shared, "official_u2netp", "u2netp.onnx", postprocess=postprocess)
    image = street(shared, 600, 400)
    expected = ours.segment(image)
    assert np.ptp(expected) > 0.9
    assert np.abs(theirs.segment(image) - expected).max() < 2e-4


def test_the_yaml_of_onnx_names_every_option(tmp_path):
    path = net(tmp_path / "x.onnx", (1, 3, 32, 32))
    settings = compose.model_config("onnx", file=str(path), activation="sigmoid")
    built = compose.build_segmenter(settings)
    image = picture(40, 50)
    expected = OnnxSegmenter(path, activation="sigmoid").predict(image).alpha
    assert torch.equal(built.predict(image).alpha, expected)
    arguments = OnnxSegmenter.__init__.__code__.co_varnames[1 : OnnxSegmenter.__init__.__code__.co_argcount]
    assert set(settings) - {"_target_", "name"} == set(arguments)
    with pytest.raises(ConfigError, match=r"model\.file=\.\.\."):
        compose.model_config("official_modnet")
