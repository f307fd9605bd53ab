"""`tta=flip`: the mean of both views, for every kind of method, and what it passes through."""

import pickle

import numpy as np
import pytest
import torch

from kolbench.config.compose import build_segmenter, model_config
from kolbench.engine import cost
from kolbench.errors import ConfigError
from kolbench.inference.apply.loading import Fast, FastShot
from kolbench.inference.backends import prepare
from kolbench.inference.export.graph import GraphSegmenter, network_of
from kolbench.io.arrays import as_arrays
from kolbench.models.mirrored import Mirrored, viewed, with_tta
from kolbench.models.precomputed import MasksSegmenter
from kolbench.models.rcrnet import RCRNetSegmenter
from kolbench.models.unet import UNetSegmenter
from kolbench.segmenter import Clip, Segmenter
from kolbench.types import Instances, PictureResult, Prediction
from tests.helpers.networks import shaken

CPU = torch.device("cpu")
IMAGE = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
PICTURE = as_arrays(IMAGE)[0]


class Ramp(Segmenter):
    """Alpha is the square of the column's number, wherever anything is."""

    def predict(self, *inputs):
        columns = torch.arange(inputs[0].shape[-1]).float() / 8
        nobody = Instances(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, *inputs[0].shape[-2:]))
        alpha = columns.square().expand(len(inputs[0]), 1, *inputs[0].shape[-2:])
        return Prediction(alpha, {"ramp": alpha}, [nobody] * len(alpha))


class Late(Segmenter):
    """Alpha is the green of the frame before, 0 at a clip's beginning."""

    stateful = True

    def predict(self, *inputs, state=None):
        green = inputs[0][:, 1:2]
        return Prediction(torch.zeros_like(green) if state is None else state[0], state=(green,))


class Told(Segmenter):
    """Alpha is the true mask where the picture is bright."""

    input_keys = ("image", "mask")
    truth_access = "mask"

    def predict(self, *inputs):
        image, mask = inputs
        return Prediction(mask * (image.mean(1, keepdim=True) > 0.5))


class Noting(Segmenter):
    """A method on arrays: the first column is foreground; it notes whether that is bright."""

    def array_function(self):
        return first_column


def first_column(image):
    alpha = np.zeros(image.shape[:2], np.float32)
    alpha[:, 0] = 1
    return PictureResult(alpha, {"bright": float(image[:, 0].mean() > 128), "never": 0.0})


def unet():
    torch.manual_seed(0)
    return shaken(UNetSegmenter(32, filters=2)).eval()


def alpha_of(segmenter, *inputs):
    with torch.no_grad():
        return segmenter.predict(*inputs).alpha


def test_a_ramp_becomes_symmetric():
    found = Mirrored(Ramp()).predict(torch.zeros(1, 3, 1, 5))
    # squares of 0 to 4 eighths, and their mirror image: (0 + 16) / 2, (1 + 9) / 2, (4 + 4) / 2
    assert (64 * found.alpha).tolist() == [[[[8, 5, 4, 5, 8]]]]
    assert (found.aux, found.instances, found.state) == ({}, None, None)


def test_the_mean_of_both_views_follows_the_picture():
    plain, both = unet(), Mirrored(unet())
    mirrored = IMAGE.flip(-1)
    expected = (alpha_of(plain, IMAGE) + alpha_of(plain, mirrored).flip(-1)) / 2
    assert torch.equal(alpha_of(both, IMAGE), expected)
    assert torch.equal(alpha_of(both, mirrored), expected.flip(-1))
    assert not torch.equal(alpha_of(plain, IMAGE), alpha_of(plain, mirrored).flip(-1))


def test_a_truth_is_mirrored_with_its_picture():
    both, mask = Mirrored(Told()), (IMAGE[:, :1] > 0.3).float()
    assert (both.input_keys, both.truth_access) == (("image", "mask"), "mask")
    assert torch.equal(alpha_of(both, IMAGE, mask), alpha_of(Told(), IMAGE, mask))


def test_each_view_of_a_clip_has_a_state_of_its_own():
    frames = torch.rand(4, 1, 3, 6, 8, generator=torch.Generator().manual_seed(1))
    clip = Clip(Mirrored(Late()))
    for number, frame in enumerate(frames):
        expected = frames[number - 1, :, 1:2] if number else torch.zeros(1, 1, 6, 8)
        assert torch.equal(clip.predict(frame).alpha, expected)


def test_methods_on_arrays_give_a_function_that_processes_can_run():
    function = pickle.loads(pickle.dumps(Mirrored(Noting()).array_function()))
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, -1] = 255
    found = function(image)
    assert found.alpha.tolist() == [[0.5, 0, 0, 0.5]] * 2
    assert found.alpha.dtype == np.float32
    # true of the mirrored view alone
    assert found.notes == {"bright": 1.0, "never": 0.0}
    assert Mirrored(unet()).array_function() is None


def test_a_classic_method_gives_the_same_alone_and_in_processes():
    both = Mirrored(build_segmenter(model_config("kmeans", size=48)))
    alone = alpha_of(both, torch.from_numpy(PICTURE).permute(2, 0, 1)[None].float() / 255)[0, 0].numpy()
    function = both.array_function()
    assert function is not None
    assert np.array_equal(function(PICTURE).alpha, alone)


def test_what_belongs_to_the_method_stays_its_own():
    plain = unet()
    both = Mirrored(plain)
    both.segment(PICTURE)
    assert not any(module.training for module in both.modules())
    assert both.inference_network() is plain.network
    assert Mirrored(plain.train()).training
    assert with_tta(plain, "none") is plain
    assert viewed(with_tta(plain, "flip")) == (plain, 2)
    assert viewed(plain) == (plain, 1)


def test_it_costs_two_predictions_of_one_network():
    batch = {"image": IMAGE[:1]}
    plain, both = cost.of(unet(), batch), cost.of(Mirrored(unet()), batch)
    assert both.macs == 2 * plain.macs
    assert both.checkpoint == plain.checkpoint
    # the mirrored picture and the first alpha live beside the second prediction
    assert plain.memory < both.memory <= plain.memory + 4 * (3 + 1) * 48 * 64


@pytest.mark.parametrize("backend", ["channels_last", pytest.param("onnx", marks=pytest.mark.slow)])
def test_fast_forms_are_used_for_both_views(backend):
    both = Mirrored(unet())
    fast = Fast(both, CPU, backend, 100)
    assert np.abs(fast(PICTURE) - both.segment(PICTURE)).max() <= 1e-4
    form = fast.form_for(PICTURE)
    assert isinstance(form, Mirrored)
    assert not isinstance(form.segmenter, UNetSegmenter)
    # the picture that the forms were tried on, too
    assert np.array_equal(fast(PICTURE), form.segment(PICTURE))
    assert prepare(both, CPU, PICTURE, backend).backend == backend


def test_a_fast_form_carries_the_states_of_both_views():
    torch.manual_seed(0)
    method = RCRNetSegmenter(64, prior=True).eval()
    shaken(method.network)
    frames = [np.roll(PICTURE, 7 * number, axis=1) for number in range(3)]
    views = Clip(method), Clip(method)
    shot = FastShot(Fast(Mirrored(method), CPU, "channels_last", 100))
    for frame in frames:
        mirrored = views[1].segment(np.ascontiguousarray(frame[:, ::-1]))[:, ::-1]
        expected = (views[0].segment(frame) + mirrored) / 2
        assert np.abs(shot(frame) - expected).max() <= 1e-4
    assert isinstance(shot._fast.form_for(PICTURE).segmenter, GraphSegmenter)


def test_what_cannot_be_mirrored_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"MasksSegmenter goes by the image's name; leave tta= away"):
        with_tta(MasksSegmenter(tmp_path), "flip")
    with pytest.raises(ConfigError, match=r"tta=flop .*Did you mean tta=flip"):
        with_tta(unet(), "flop")
    with pytest.raises(ConfigError, match="tta=flip is no part of a file"):
        network_of(Mirrored(unet()))
