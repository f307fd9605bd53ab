"""MODNet: its input sizes and its losses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kolbench.errors import ConfigError
from kolbench.models.modnet import MODNetSegmenter
from kolbench.models.u2net import U2NetSegmenter
from tests.helpers.networks import array, batch_for, make


def test_the_input_size_of_modnet_keeps_the_aspect() -> None:
    with torch.device("meta"):
        modnet, other = MODNetSegmenter(512), U2NetSegmenter(320, variant="p")
    assert modnet.training_input_size(1080, 1920) == (512, 896)
    assert other.training_input_size(1080, 1920) == (320, 320)


def test_modnet_losses_of_both_recipes() -> None:
    segmenter = make("modnet").eval()
    assert isinstance(segmenter, MODNetSegmenter)
    batch = batch_for(segmenter)
    maps = segmenter.network.forward_train(2 * batch["image"] - 1)
    s, d, p = (array(value) for value in maps)
    g, m, image = array(batch["alpha"]), array(batch["transition"]), 2 * array(batch["image"]) - 1
    inside = np.where(m > 0, p, g)
    semantic = np.mean((s - array(batch["semantic"])) ** 2)
    detail = np.mean(m * np.abs(d - g))
    plain = np.mean(np.abs(p - g)) + np.mean(np.abs(image * p - image * g))
    edge = np.mean(np.abs(inside - g)) + np.mean(np.abs(image * inside - image * g))
    official = {name: term.item() for name, term in segmenter.losses(batch).items()}
    expected = {"semantic": 10 * semantic, "detail": 10 * detail, "matte": plain + 4 * edge}
    assert official == pytest.approx(expected, rel=1e-5)
    paper = MODNetSegmenter(64, loss="paper").eval()
    paper.network = segmenter.network
    found = {name: term.item() for name, term in paper.losses(batch).items()}
    assert found == pytest.approx({"semantic": semantic, "detail": 10 * detail, "matte": plain}, rel=1e-5)
    alone = MODNetSegmenter(64, loss="matte").eval()
    alone.network = segmenter.network
    found = {name: term.item() for name, term in alone.losses(batch).items()}
    assert found == pytest.approx({"semantic": 0, "detail": 0, "matte": 10 * (plain + 4 * edge)}, rel=1e-5)


@torch.no_grad()
def test_modnet_may_see_wide_pictures_stretched() -> None:
    torch.manual_seed(0)
    segmenter = MODNetSegmenter(64, resize_mode="stretch").eval()
    image = torch.rand(1, 3, 90, 160)
    assert segmenter.training_input_size(90, 160) == (64, 64)
    small = F.interpolate(image, (64, 64), mode="bilinear", antialias=True)
    alpha = F.interpolate(segmenter.network(2 * small - 1), (90, 160), mode="bilinear")
    torch.testing.assert_close(segmenter.predict(image).alpha, alpha, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["modnet", "rsudisnet"])
def test_pictures_of_odd_sides_are_refused_in_training(name: str) -> None:
    segmenter = make(name)
    network = segmenter.inference_network()
    with pytest.raises(ConfigError, match=r"128x144 px.*multiples of 32.*add multiple: 32"):
        network.forward_train(torch.zeros(1, 3, 128, 144))
