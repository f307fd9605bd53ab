"""From pictures to alphas: order, processes, refiner, threshold, pictures that a method refuses."""

import numpy as np
import pytest
import torch

from kolbench.configs import build_segmenter, model_config
from kolbench.data import synthetic
from kolbench.errors import ConfigError
from kolbench.predictor import Predictor, hardened
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction


@pytest.fixture(scope="module")
def pictures():
    return [synthetic.make_scene(0, number, 96).image for number in range(5)]


class Brightness(Segmenter):
    """Alpha = the mean of the channels; refuses pictures that are black."""

    def predict(self, image):
        if not image.any():
            raise ConfigError("nothing to see")
        return Prediction(image.mean(1, keepdim=True))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


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
    alpha = hardened(Predictor(Brightness())(image), threshold)
    assert alpha.dtype == np.float32
    assert alpha.tolist() == [foreground]


def test_the_refiner_works_on_soft_alpha_before_the_threshold():
    image = np.full((3, 4, 3), 100, np.uint8)
    seen = []

    def refiner(picture, alpha):
        seen.append((picture.shape, float(picture.max()), float(alpha.max())))
        return alpha + 0.5

    alpha = hardened(Predictor(Brightness(), refiner)(image), 0.8)
    assert seen == [((1, 3, 3, 4), pytest.approx(100 / 255), pytest.approx(100 / 255))]
    assert (alpha == 1).all()


def test_a_picture_that_is_refused_stops_none_of_the_others():
    light, dark = np.full((2, 2, 3), 255, np.uint8), np.zeros((2, 2, 3), np.uint8)
    found = [alpha for _, _, alpha in Predictor(Brightness()).each([("a", light), ("b", dark), ("c", light)])]
    assert isinstance(found[1], ConfigError)
    assert str(found[1]) == "nothing to see"
    assert found[0].all()
    assert found[2].all()
