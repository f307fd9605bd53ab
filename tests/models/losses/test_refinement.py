"""CascadePSP's losses by hand, and written out a second time."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from kolbench.models.components.refinement import RefinementMaps
from kolbench.models.losses.refinement import gradient_loss, refinement_losses, slope


def test_the_slope_of_a_ramp_and_of_an_edge_by_hand():
    ramp = 0.1 * torch.arange(9.0).repeat(9, 1)[None, None]
    # a mean leaves a ramp as it is, Sobel's filter sums 4 differences over two pixels
    expected = math.sqrt((4 * 0.2 / 4) ** 2 + 1e-4)
    assert slope(ramp)[0, 0, 2:-2, 2:-2].flatten().tolist() == pytest.approx([expected] * 25)
    assert torch.allclose(slope(ramp.mT), slope(ramp).mT)
    edge = (torch.arange(12) >= 6).float().repeat(9, 1)[None, None]
    # the mean makes 0 1/3 2/3 1 of it; differences over two pixels around it are 1/3 2/3 2/3 1/3
    row = [math.sqrt(d**2 + 1e-4) for d in (0, 1 / 3, 2 / 3, 2 / 3, 1 / 3, 0)]
    assert slope(edge)[0, 0, 4, 3:9].tolist() == pytest.approx(row)


def test_nothing_is_steep_where_nothing_changes_but_at_the_frame():
    flat = torch.ones(1, 1, 8, 8)
    found = slope(flat)[0, 0]
    assert found[2:-2, 2:-2].flatten().tolist() == pytest.approx([0.01] * 16)
    # beyond the frame is 0: the mean's corner is 4/9, its edge 6/9, then 1
    corner = (2 * (2 / 3) + 1) / 4
    assert float(found[0, 0]) == pytest.approx(math.sqrt(2 * corner**2 + 1e-4))
    assert slope(torch.zeros(1, 1, 4, 4)).flatten().tolist() == pytest.approx([0.01] * 16)


def steepness(plane):
    """The slope a second time, by SciPy."""
    smooth = ndimage.uniform_filter(plane, 3, mode="constant")
    gradients = [ndimage.sobel(smooth, axis, mode="constant") / 4 for axis in (0, 1)]
    return np.sqrt(sum(g**2 for g in gradients) + 1e-4)


def random_maps(generator, size=(2, 1, 11, 13)):
    return RefinementMaps(*(2 * torch.randn(size, generator=generator) for _ in range(6)))


def test_gradient_loss_is_scipys():
    generator = torch.Generator().manual_seed(0)
    alpha, truth = torch.rand(2, 3, 1, 10, 14, generator=generator)
    planes = [(a[0].double().numpy(), t[0].double().numpy()) for a, t in zip(alpha, truth, strict=True)]
    expected = np.mean([np.abs(steepness(a) - steepness(t)) for a, t in planes])
    assert gradient_loss(alpha, truth).item() == pytest.approx(expected, rel=1e-5)
    assert gradient_loss(truth, truth).item() == 0


def test_all_terms_written_out():
    generator = torch.Generator().manual_seed(1)
    maps = random_maps(generator)
    truth = torch.rand(2, 1, 11, 13, generator=generator)
    t, hard = truth.double(), (truth > 0.5).double()
    p = {name: logits.double().sigmoid() for name, logits in maps._asdict().items()}

    def entropy(name):
        return -(hard * p[name].log() + (1 - hard) * (1 - p[name]).log()).mean()

    steep = [np.stack([steepness(plane[0].numpy()) for plane in planes]) for planes in (p["out_224"], t)]
    expected = {
        "l1_224": (p["out_224"] - t).abs().mean(),
        "l2_224": ((p["out_224"] - t) ** 2).mean(),
        "bce_28": entropy("out_28"),
        "bce_56": entropy("out_56") / 2,
        "l1_56": (p["out_56"] - t).abs().mean() / 4,
        "l2_56": ((p["out_56"] - t) ** 2).mean() / 4,
        "bce_28_2": entropy("out_28_2"),
        "bce_28_3": entropy("out_28_3"),
        "bce_56_2": entropy("out_56_2") / 2,
        "l1_56_2": (p["out_56_2"] - t).abs().mean() / 4,
        "l2_56_2": ((p["out_56_2"] - t) ** 2).mean() / 4,
        "gradient": 5 * np.abs(steep[0] - steep[1]).mean(),
    }
    found = refinement_losses(maps, truth)
    assert {name: term.item() for name, term in found.items()} == pytest.approx(
        {name: float(term) for name, term in expected.items()}, rel=1e-5
    )
    assert list(found) == list(expected)


def test_one_pixel_by_hand():
    # every output says 0.75 of one pixel of foreground
    maps = RefinementMaps(*(torch.full((1, 1, 1, 1), math.log(3)) for _ in range(6)))
    found = refinement_losses(maps, torch.ones(1, 1, 1, 1))
    entropy = math.log(4 / 3)
    # a ninth of it is left by the mean, and Sobel's filter sees only zeros around
    expected = {
        **dict.fromkeys(("bce_28", "bce_28_2", "bce_28_3"), entropy),
        **dict.fromkeys(("bce_56", "bce_56_2"), entropy / 2),
        "l1_224": 0.25,
        "l2_224": 0.0625,
        **dict.fromkeys(("l1_56", "l1_56_2"), 0.0625),
        **dict.fromkeys(("l2_56", "l2_56_2"), 0.015625),
        "gradient": 0,
    }
    assert {name: term.item() for name, term in found.items()} == pytest.approx(expected, abs=1e-6)


def test_every_output_has_a_gradient_and_half_precision_stays_finite():
    maps = RefinementMaps(
        *(logits.bfloat16().requires_grad_() for logits in random_maps(torch.Generator().manual_seed(2)))
    )
    truth = torch.zeros(2, 1, 11, 13)
    terms = refinement_losses(maps, truth)
    torch.stack(list(terms.values())).sum().backward()
    for logits in maps:
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
        assert logits.grad.any()
    assert all(term.dtype == torch.float32 for term in terms.values())
