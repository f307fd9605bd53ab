"""From pictures to alphas: order, processes, refiner, threshold, pictures that a method refuses."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kolbench.config.compose import build_segmenter, model_config
from kolbench.data.scenes import scene
from kolbench.errors import ConfigError, DataError, is_of_memory
from kolbench.inference.predictor import Predictor, binarize
from kolbench.segmenter import Segmenter
from kolbench.types import PictureResult, Prediction


@pytest.fixture(scope="module")
def pictures():
    return [scene.make_scene(0, number, 96).image for number in range(5)]


class Brightness(Segmenter):
    """Alpha = the mean of the channels; refuses pictures that are black."""

    def predict(self, *inputs):
        (image,) = inputs
        if not image.any():
            raise ConfigError("nothing to see")
        return Prediction(image.mean(1, keepdim=True))


@pytest.mark.slow
def test_processes_give_what_one_by_one_gives_in_order(pictures, two_threads):
    method = build_segmenter(model_config("kmeans", size=48)).eval()
    predictor = Predictor(method)
    found = list(predictor.each(enumerate(pictures)))
    assert [number for number, _, _ in found] == [0, 1, 2, 3, 4]
    for number, image, alpha in found:
        assert image is pictures[number]
        np.testing.assert_array_equal(alpha, method.segment(pictures[number]))


@pytest.mark.parametrize(
    ("threshold", "foreground"), [(0.0, [0, 1, 1, 1]), (0.5, [0, 0, 1, 1]), (0.6, [0, 0, 0, 1])]
)
def test_a_threshold_cuts_as_the_scores_do(threshold, foreground):
    # 8-bit levels 0, 127, 128 and 255: foreground is level > 255 t
    image = np.repeat(np.array([[0, 127, 128, 255]], np.uint8)[..., None], 3, axis=2)
    alpha = binarize(Predictor(Brightness())(image), threshold)
    assert alpha.dtype == np.float32
    assert alpha.tolist() == [foreground]


def test_the_refiner_works_on_soft_alpha_before_the_threshold():
    image = np.full((3, 4, 3), 100, np.uint8)
    seen = []

    def refiner(picture, alpha):
        seen.append((picture.shape, float(picture.max()), float(alpha.max())))
        return alpha + 0.5

    alpha = binarize(Predictor(Brightness(), refiner)(image), 0.8)
    assert seen == [((1, 3, 3, 4), pytest.approx(100 / 255), pytest.approx(100 / 255))]
    assert (alpha == 1).all()


class InPlace:
    """A refiner that takes pictures as they are."""

    def __init__(self):
        self.seen = []

    def __call__(self, image, alpha):
        raise AssertionError("a float copy of the image")

    def refine_picture(self, image, alpha):
        self.seen.append(image)
        return 1 - alpha


def test_a_refiner_of_single_pictures_is_given_the_picture_itself():
    image, refiner = np.full((3, 4, 3), 51, np.uint8), InPlace()
    alpha = Predictor(Brightness(), refiner)(image)
    assert refiner.seen == [image]
    np.testing.assert_allclose(alpha, np.full((3, 4), 0.8), atol=1e-6)


def test_a_picture_that_is_refused_stops_none_of_the_others():
    light, dark = np.full((2, 2, 3), 255, np.uint8), np.zeros((2, 2, 3), np.uint8)
    found = [alpha for _, _, alpha in Predictor(Brightness()).each([("a", light), ("b", dark), ("c", light)])]
    assert isinstance(found[1], ConfigError)
    assert str(found[1]) == "nothing to see"
    for alpha in (found[0], found[2]):
        assert isinstance(alpha, np.ndarray)
        assert alpha.all()


ABSURD = {
    "torch": lambda: torch.empty(2**60),
    "numpy": lambda: np.empty(2**57),
    "opencv": lambda: cv2.resize(np.zeros((2, 2, 3), np.uint8), (2**30, 2**30)),
    "python": lambda: bytearray(2**60),
}
TOO_LITTLE = "not enough memory for an image of 3x2 px; model.size= makes the network's input smaller"


def asked_for(what):
    """A segmenter's work on a picture; dark ones ask for more memory than there is."""

    def segment(image):
        if not image.any():
            ABSURD[what]()
        return image.mean(axis=2, dtype=np.float32) / 255

    return segment


@pytest.mark.parametrize("what", ABSURD)
def test_a_picture_that_memory_does_not_suffice_for_stops_none_of_the_others(what):
    light, dark = np.full((2, 3, 3), 255, np.uint8), np.zeros((2, 3, 3), np.uint8)
    predictor = Predictor(Brightness(), segment=asked_for(what))
    found = [alpha for _, _, alpha in predictor.each([("a", light), ("b", dark), ("c", light)])]
    assert isinstance(found[1], DataError)
    assert str(found[1]) == TOO_LITTLE
    # frames of the failure would keep its arrays while the next picture is segmented
    assert (found[1].__traceback__, found[1].__context__) == (None, None)
    for alpha in (found[0], found[2]):
        assert isinstance(alpha, np.ndarray)
        assert alpha.all()
    with pytest.raises(DataError, match="not enough memory"):
        predictor(dark)


def crowded(image):
    return PictureResult(asked_for("numpy")(image))


class Crowded(Segmenter):
    """Works in processes."""

    def array_function(self):
        return crowded


@pytest.mark.slow
def test_memory_may_run_out_in_a_process_and_in_a_refiner(two_threads):
    light, dark = np.full((2, 3, 3), 255, np.uint8), np.zeros((2, 3, 3), np.uint8)
    grey = np.full((2, 3, 3), 51, np.uint8)

    def refiner(picture, alpha):
        return torch.empty(2**60) if picture.max() < 0.5 else alpha

    found = list(Predictor(Crowded(), refiner).each(enumerate([light, dark, grey, light])))
    assert [str(alpha) for _, _, alpha in found[1:3]] == [TOO_LITTLE, TOO_LITTLE]
    assert all(np.all(alpha == 1) for _, _, alpha in (found[0], found[3]))


def without_end():
    return without_end()


FAULTS = {
    "shapes": lambda: torch.zeros(2, 3) @ torch.zeros(2, 3),
    "types": lambda: cv2.resize(np.zeros((0, 2), np.uint8), (2, 2)),
    "recursion": without_end,
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_of_the_program_is_told_with_its_trace_and_is_none_of_memory(what):
    calls = iter((FAULTS[what], lambda: np.ones((2, 3), np.float32)))
    predictor = Predictor(Brightness(), segment=lambda _: next(calls)())
    (_, _, failed), (_, _, after) = predictor.each([(name, np.zeros((2, 3, 3), np.uint8)) for name in "ab"])
    assert "memory" not in str(failed)
    trace = Path(re.search(r"\S+kolbench-\S+\.txt", str(failed))[0])
    assert "Traceback" in trace.read_text()
    trace.unlink()
    assert np.all(after == 1)


def test_memory_of_a_gpu_is_memory():
    assert is_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."))
    assert is_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)."))
    assert is_of_memory(RuntimeError("std::bad_alloc"))


LIMITED = """
import resource
import numpy as np, torch
from kolbench.models.unet import UNetSegmenter
from kolbench.inference.predictor import Predictor
torch.set_num_threads(1)
segmenter = UNetSegmenter(64, filters=4).eval()
small = np.zeros((64, 64, 3), np.uint8)
# one pixel in memory, 189 MB as soon as it is copied, 756 as float32
big = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (9000, 7000, 3))
segmenter.segment(small)
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
for megabytes in (64, 512):
    resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * 2**20, resource.RLIM_INFINITY))
    try:
        segmenter.segment(big)
    except Exception as error:
        print(isinstance(error, MemoryError))
    for name, _, alpha in Predictor(segmenter).each([("a", small), ("b", big), ("c", small)]):
        print(name, alpha if isinstance(alpha, Exception) else alpha.shape)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and RLIMIT_AS binds on Linux only")
def test_a_folder_goes_on_where_memory_is_limited():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    refused = f"b {TOO_LITTLE}".replace("3x2", "7000x9000")
    # the copy of the picture fails in numpy, its float format_name in torch
    expected = [["a (64, 64)", refused, "c (64, 64)"]] * 2
    lines = done.stdout.splitlines()
    assert [lines[0], lines[4]] == ["True", "False"]
    assert [lines[1:4], lines[5:]] == expected
