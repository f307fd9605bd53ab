"""U2Net: its normalisation, its stretched alpha and its seven losses."""

import numpy as np
import pytest
import torch

from kolbench.models.u2net import U2NetSegmenter
from kolbench.preprocessing import minmax
from tests.helpers.networks import array, batch_for, lively, make


def test_u2net_ignores_brightness_and_bears_black() -> None:
    segmenter = lively("u2netp")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(segmenter.predict(image).alpha, segmenter.predict(image / 2).alpha)
        assert torch.isfinite(segmenter.predict(torch.zeros_like(image)).alpha).all()


def test_minmax() -> None:
    alpha = torch.tensor([[[[0.2, 0.4, 0.6]]], [[[0.3, 0.3, 0.3]]]])
    expected = torch.tensor([[[[0.0, 0.5, 1.0]]], [[[0.3, 0.3, 0.3]]]])
    torch.testing.assert_close(minmax(alpha), expected)
    segmenter = lively("u2netp")
    assert isinstance(segmenter, U2NetSegmenter)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        plain = segmenter.predict(image).alpha
        segmenter.postprocess = "minmax"
        stretched = segmenter.predict(image).alpha
    low, high = plain.min(), plain.max()
    torch.testing.assert_close(stretched, (plain - low) / (high - low))


def test_u2net_losses_are_seven_cross_entropies_on_the_mask() -> None:
    segmenter = make("u2netp").eval()
    batch = batch_for(segmenter)
    terms = segmenter.losses(batch)
    assert list(terms) == ["tar", *[f"side{k}" for k in range(1, 7)]]
    with torch.no_grad():
        prediction = segmenter.predict(batch["image"])
    y = array(batch["mask"])
    for name, alpha in (("tar", prediction.alpha), ("side5", prediction.aux["side5"])):
        p = array(alpha)
        expected = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        assert terms[name].item() == pytest.approx(expected, rel=1e-5)
