"""Blocks of light networks against their formulas, written out anew."""

import pytest
import torch
import torch.nn.functional as F

from kolbench.models.components.light import InvertedResidual, conv_bn, inverted_residuals, separable
from tests.helpers.networks import leaves, normed, shaken


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "size"),
    [(1, 1, 1, (7, 10)), (3, 1, 1, (7, 10)), (3, 1, 4, (7, 10)), (5, 2, 1, (4, 5)), (3, 2, 1, (4, 5))],
)
def test_convolutions_keep_the_size_or_halve_it_rounded_up(kernel, stride, dilation, size):
    block = conv_bn(3, 4, kernel, stride, dilation)
    assert block(torch.rand(2, 3, 7, 10)).shape == (2, 4, *size)
    assert block[0].bias is None


@torch.no_grad()
def test_separable_has_one_relu_at_its_end():
    block = shaken(separable(4, 6, stride=2))
    x = torch.randn(1, 4, 9, 9)
    deep, deep_norm, point, point_norm, _ = leaves(block)
    each = torch.cat(
        [F.conv2d(x[:, k : k + 1], deep.weight[k : k + 1], stride=2, padding=1) for k in range(4)], 1
    )
    mixed = torch.einsum("oi,bihw->bohw", point.weight[:, :, 0, 0], normed(each, deep_norm))
    expected = normed(mixed, point_norm).clamp(min=0)
    torch.testing.assert_close(block(x), expected)
    assert (normed(each, deep_norm) < 0).any()
    assert (expected == 0).any()


@pytest.mark.parametrize(("channels_out", "stride", "adds"), [(4, 1, True), (4, 2, False), (5, 1, False)])
@torch.no_grad()
def test_inverted_residual_adds_its_input_where_the_shape_stays(channels_out, stride, adds):
    block = shaken(InvertedResidual(4, channels_out, stride, expansion=3))
    x = torch.randn(1, 4, 8, 8)
    wide, wide_norm, _, deep, deep_norm, _, narrow, narrow_norm = leaves(block.layers)
    assert wide.weight.shape == (12, 4, 1, 1)
    y = normed(F.conv2d(x, wide.weight), wide_norm).clamp(min=0)
    y = normed(F.conv2d(y, deep.weight, stride=stride, padding=1, groups=12), deep_norm).clamp(min=0)
    y = normed(F.conv2d(y, narrow.weight), narrow_norm)
    torch.testing.assert_close(block(x), y + x if adds else y)


def test_an_expansion_of_1_keeps_its_first_convolution():
    weights = [p.shape for p in InvertedResidual(8, 16, 1, 1).parameters() if p.ndim == 4]
    assert weights == [(8, 8, 1, 1), (8, 1, 3, 3), (16, 8, 1, 1)]


def test_only_the_first_block_of_a_stage_strides_and_widens():
    stage = inverted_residuals(4, 6, repetitions=3, stride=2, expansion=2)
    assert [block.adds_input for block in stage] == [False, True, True]
    assert stage(torch.rand(2, 4, 8, 8)).shape == (2, 6, 4, 4)
