"""RCRNet and PortraitNet with the alpha of the frame before, in training, plain, merged and exported."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from kolbench.data.scenes import scene
from kolbench.errors import TrainingError
from kolbench.inference.apply.loading import Fast, FastShot
from kolbench.inference.export import exporting
from kolbench.inference.export.exported import open_exported
from kolbench.inference.export.exporting import Origin
from kolbench.inference.export.graph import GraphSegmenter, InferenceGraph, network_of
from kolbench.inference.race import Race
from kolbench.models.portraitnet import PortraitNetSegmenter
from kolbench.models.rcrnet import RCRNetSegmenter
from kolbench.preprocessing import InputSpec, with_prior
from kolbench.segmenter import Clip
from tests.helpers.networks import count, shaken

METHODS = {
    "rcrnet": partial(RCRNetSegmenter, 64, prior=True),
    "portraitnet": partial(PortraitNetSegmenter, 64, prior=True),
}
FRAMES = [scene.make_scene(0, number, 96).image[:64] for number in range(3)]


@pytest.fixture(params=METHODS)
def method(request):
    torch.manual_seed(0)
    segmenter = METHODS[request.param]()
    shaken(segmenter.network)
    # a prior that hardly counted could be lost unseen
    first = next(m for m in segmenter.network.modules() if isinstance(m, nn.Conv2d))
    first.weight.data[:, 3] *= 50
    return segmenter.eval()


def by_hand(segmenter, frames):
    """Alphas of a clip, the fourth channel put there by hand."""
    prior, alphas = torch.zeros(1, 1, 64, 64), []
    for frame in frames:
        image = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            prior = segmenter.network(torch.cat((segmenter.input_spec.preprocess(image), prior), 1))
        alphas.append(segmenter.input_spec.postprocess(prior, *frame.shape[:2])[0, 0].numpy())
    return alphas


def assert_same(found, expected, tolerance=0.0):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


def test_the_fourth_channel_costs_what_the_specification_says():
    # rcrnet.md, sections 1 and 5
    assert count(METHODS["rcrnet"]().network) == 789_410
    assert count(METHODS["portraitnet"]().network) == 2_081_192


def test_a_clip_is_given_the_alpha_before_and_a_picture_nothing(method):
    expected = by_hand(method, FRAMES)
    clip = Clip(method)
    assert_same([clip.segment(frame) for frame in FRAMES], expected)
    # the prior counts, and single pictures have none
    alone = [method.segment(frame) for frame in FRAMES]
    assert_same(alone[:1], expected[:1])
    assert np.abs(alone[1] - expected[1]).max() > 0.01


@pytest.mark.parametrize("backend", ["channels_last", pytest.param("onnx", marks=pytest.mark.slow)])
def test_the_fast_forms_carry_it_too(method, backend):
    expected = by_hand(method, FRAMES)
    fast = Fast(method, torch.device("cpu"), backend, 100)
    for _ in range(2):
        shot = FastShot(fast)
        assert_same([shot(frame) for frame in FRAMES], expected, 1e-4)
    assert_same([fast(FRAMES[1])], [method.segment(FRAMES[1])], 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("format_name", "suffix"), [("onnx", ".onnx"), ("torchscript", ".pt")])
def test_an_exported_file_carries_it_too(method, format_name, suffix, tmp_path):
    file = tmp_path / f"network{suffix}"
    written = exporting.export(method, file, format_name, Origin("rcrnet", {}, {}, 0.5))
    assert written.input["channels"] == "RGB and prior"
    clip = Clip(open_exported(file, "cpu"))
    assert_same([clip.segment(frame) for frame in FRAMES], by_hand(method, FRAMES), 1e-4)


def batch(**entries):
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 16:48, 20:40] = 1
    return {"image": torch.rand(2, 3, 64, 64, generator=generator), "mask": mask, **entries}


def test_training_learns_from_the_batchs_priors_for_every_view(method):
    prior = torch.rand(2, 1, 64, 64)
    image = torch.rand(4, 3, 64, 64)
    given = method.training_input(batch(prior=prior), image)
    torch.testing.assert_close(given[:, :3], method.input_spec.normalise(image))
    assert torch.equal(given[:, 3:], torch.cat((prior, prior)))
    with_one, without = (method.losses(batch(prior=p)) for p in (torch.ones(2, 1, 64, 64), 0 * prior))
    assert all(with_one[name] != without[name] for name in without)


def test_a_recipe_without_priors_is_named(method):
    with pytest.raises(TrainingError, match=r"augment list makes none; add .*PriorFromMask"):
        method.losses(batch())


def test_a_prior_of_another_size_is_resized():
    found = with_prior(torch.zeros(1, 3, 4, 4), torch.full((1, 1, 2, 2), 0.5))
    assert found.shape == (1, 4, 4, 4)
    assert found[:, 3].unique().tolist() == [0.5]


def test_a_prior_is_not_divided_by_the_brightest_pixel():
    spec = InputSpec(64, mean=(0, 0, 0), std=(1, 1, 1), divide_by_max=True)
    graph = InferenceGraph(nn.Identity(), spec, prior=True)
    given = torch.cat((torch.full((1, 3, 2, 2), 0.5), torch.full((1, 1, 2, 2), 0.25)), 1)
    found = graph(given)
    assert found[:, :3].unique().tolist() == [1.0]
    assert found[:, 3:].unique().tolist() == [0.25]


def test_a_fast_form_that_loses_the_prior_is_not_used(method):
    class Forgetful(GraphSegmenter):
        def predict(self, *inputs, state=None):
            return super().predict(*inputs)

    class Broken(GraphSegmenter):
        def predict(self, *inputs, state=None):
            found = super().predict(*inputs, state=state)
            return found if state is None else found._replace(alpha=found.alpha * torch.nan)

    network = network_of(method)
    race = Race("eager", method, FRAMES[0])
    race.enter("folded", lambda: Forgetful(network.graph, network.spec, "none", True).eval())
    race.enter("folded", lambda: Broken(network.graph, network.spec, "none", True).eval())
    assert ["differs by" in note for note in race.notes] == [True, True]
    race.enter("folded", lambda: GraphSegmenter(network.graph, network.spec, "none", True).eval())
    assert len(race.notes) == 2
