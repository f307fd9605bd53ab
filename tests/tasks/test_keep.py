"""keep=largest as the command line runs it: images, clips, an ad, and what it combines with."""

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import kolbench
from kolbench.errors import ConfigError
from kolbench.io import images
from tests.helpers.tasks import run_task

SIZE = (48, 64)
LEFT, RIGHT = np.s_[10:40, 4:24], np.s_[10:40, 36:60]


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    """Words of a network whose alpha is the red channel."""
    path = tmp_path_factory.mktemp("net") / "red.onnx"
    constants = [numpy_helper.from_array(np.array([value]), name) for name, value in (("a", 0), ("b", 1))]
    axis = numpy_helper.from_array(np.array([1]), "axis")
    node = helper.make_node("Slice", ["x", "a", "b", "axis"], ["y"])
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3, "h", "w"))]
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "red", given, made, [*constants, axis])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return "experiment=onnx", f"model.file={path}", "model.resize_mode=native"


def frame(left, right, soft=0):
    """Persons of so many pixels in height, soft ones of a lower red beside them."""
    image = np.full((*SIZE, 3), (0, 120, 90), np.uint8)
    image[..., 2] += (np.arange(SIZE[1]) * 2).astype(np.uint8)
    image[40 - left : 40, 4:24, 0] = 255
    image[40 - right : 40, 36:60, 0] = 255
    image[40 - left : 40, 24:27, 0] = soft
    return image


def predicted(given, output, *words):
    run_task("task=predict", *words, input=str(given), output=str(output))


def alphas_of(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]


def test_an_image_loses_its_islands_and_keeps_its_soft_edge(red, tmp_path):
    Image.fromarray(frame(30, 20, soft=60)).save(tmp_path / "a.png")
    for keep in ("all", "largest"):
        predicted(tmp_path / "a.png", tmp_path / f"{keep}.png", *red, f"keep={keep}")
    everything, one = (images.read_rgb(tmp_path / f"{keep}.png")[..., 0] for keep in ("all", "largest"))
    np.testing.assert_array_equal(everything, frame(30, 20, soft=60)[..., 0])
    np.testing.assert_array_equal(one[:, :30], everything[:, :30])
    assert not one[:, 30:].any()
    assert one[20, 25] == 60
    # cut at a threshold afterwards, as without keep
    predicted(tmp_path / "a.png", tmp_path / "cut.png", *red, "keep=largest", "threshold=0.2")
    np.testing.assert_array_equal(images.read_rgb(tmp_path / "cut.png")[..., 0], 255 * (one > 51))


@pytest.mark.parametrize("smooth", ["none", "ofd", "ema", "hysteresis"])
def test_a_clip_stays_with_one_person_while_another_grows(red, tmp_path, smooth):
    frames = [Image.fromarray(frame(26, 16 + 2 * number)) for number in range(8)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=40)
    words = (*red, "keep=largest", "format=png", f"smooth={smooth}")
    predicted(tmp_path / "a.png", tmp_path / "out", *words)
    found = alphas_of(tmp_path / "out" / "a")
    assert len(found) == 8
    for alpha in found:
        assert not alpha[:, 30:].any()
        assert (alpha[14:40, 4:24] == 255).all()


def test_high_resolution_keeps_one_part_of_the_full_alpha(red, tmp_path):
    large = cv2.resize(frame(30, 20), (2112, 1584), interpolation=cv2.INTER_NEAREST)
    Image.fromarray(large).save(tmp_path / "a.png")
    predicted(tmp_path / "a.png", tmp_path / "o.png", *red, "keep=largest")
    alpha = images.read_rgb(tmp_path / "o.png")[..., 0]
    assert alpha.shape == (1584, 2112)
    assert alpha[800, 400] == 255
    assert not alpha[:, 1000:].any()


def test_an_ad_covers_those_who_are_not_kept(red, tmp_path):
    Image.fromarray(frame(30, 20)).save(tmp_path / "a.png")
    Image.fromarray(np.full((8, 8, 3), (0, 0, 255), np.uint8)).save(tmp_path / "ad.png")
    words = ("placement.left=0", "placement.top=0", "placement.width=1", "placement.height=1")
    placed = (*red, "task=place", "keep=largest", *words, "placement.fit=stretch")
    run_task(*placed, ad=tmp_path / "ad.png", input=str(tmp_path / "a.png"), output=str(tmp_path / "o.png"))
    image = images.read_rgb(tmp_path / "o.png")
    assert image[20, 10, 0] == 255
    assert tuple(image[35, 50]) == (0, 0, 255)


def test_an_unknown_choice_is_named_before_anything_is_read(red, tmp_path):
    with pytest.raises(ConfigError, match="keep=one is not a choice"):
        predicted(tmp_path / "none.png", tmp_path / "o.png", *red, "keep=one")


def test_python_has_the_same_function():
    alpha = np.zeros(SIZE, np.float32)
    alpha[LEFT], alpha[RIGHT] = 0.75, 1
    found = kolbench.keep_largest(alpha)
    assert found[RIGHT].min() == 1
    assert not found[LEFT].any()
