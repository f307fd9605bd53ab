"""What one prediction costs, by hand."""

import torch
from torch import nn

from kolbench.config import compose
from kolbench.engine import cost
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction


class OneConvolution(Segmenter):
    """3 -> 1 channels, 3 x 3, at half the size."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 1, 3, padding=1)

    def predict(self, *inputs):
        (image,) = inputs
        halves = image[..., ::2, ::2].contiguous()
        return Prediction(
            self.convolution(halves).sigmoid().repeat_interleave(2, -1).repeat_interleave(2, -2)
        )


def test_a_convolution_by_hand():
    found = cost.of(OneConvolution().eval(), {"image": torch.zeros(1, 3, 16, 24)})
    assert found.macs == 3 * 9 * 8 * 12
    assert found.checkpoint == 4 * (3 * 9 + 1)
    assert found.picture == (16, 24)
    # at the last step live the weights, the halves, the convolution, its sigmoid, one widening and the other
    weights, halves, half_plane = 4 * 28, 4 * 3 * 96, 4 * 96
    assert weights + halves + half_plane < found.memory <= weights + halves + 12 * half_plane


def test_only_what_lives_together_counts():
    live = cost.LiveTensors()
    with live:
        first = torch.zeros(1000)
        second = first + 1
        view = second[10:]
        del first
        third = view + 1
        del second, view, third
        torch.zeros(1500)
    assert live.peak == 8000


def test_in_place_work_makes_nothing():
    live = cost.LiveTensors()
    given = torch.zeros(1000)
    with live:
        given.add_(1)
        given.view(10, 100).mul_(2)
    assert live.peak == 0


def test_methods_of_arrays_have_no_operations_but_memory():
    method = compose.build_segmenter(compose.model_config("kmeans", "smoke"))
    image = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    found = cost.of(method, {"image": image})
    assert (found.macs, found.checkpoint) == (None, 0)
    # at least the alpha itself
    assert found.memory > 4 * 96 * 64


def test_modnet_is_as_large_as_its_specification_says():
    method = compose.build_segmenter(compose.model_config("modnet", "paper", backbone_weights=None)).eval()
    found = cost.of(method, {"image": torch.zeros(1, 3, 512, 512)})
    assert round(found.macs / 1e9, 3) == 15.466
