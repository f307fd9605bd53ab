"""What one prediction costs, by hand."""

import pytest
import torch
from torch import nn

from kolbench.config import compose
from kolbench.engine import cost
from kolbench.inference.export.formats import format_of
from kolbench.models.mirrored import with_tta
from kolbench.models.onnx import OnnxSegmenter
from kolbench.refiners.guided import GuidedFilter
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


class Sharpened:
    """A refiner with a network: one 1 x 1 convolution over picture and alpha, none where alpha is empty."""

    def __init__(self):
        self.network = nn.Conv2d(4, 1, 1)

    def __call__(self, image, alpha):
        return self.network(torch.cat((image, alpha), 1)) if alpha.any() else alpha


@pytest.mark.parametrize("foreground", [0, 1])
def test_what_follows_a_method_is_counted_with_it(foreground):
    batch = {"image": torch.zeros(1, 3, 16, 24), "mask": torch.full((1, 1, 16, 24), float(foreground))}
    alone, refined = (
        cost.of(OneConvolution().eval(), batch),
        cost.of(OneConvolution().eval(), batch, Sharpened()),
    )
    assert refined.macs == alone.macs + 4 * 16 * 24
    assert refined.checkpoint == alone.checkpoint + 4 * 5
    # its weights, what it is given to see, and its result
    assert refined.memory >= 4 * (5 + 4 * 16 * 24 + 16 * 24) > alone.memory
    assert not batch["mask"].any() or foreground


def test_a_refiner_without_a_network_changes_no_count():
    batch = {"image": torch.rand(1, 3, 16, 24), "mask": torch.ones(1, 1, 16, 24)}
    network = OneConvolution().eval()
    assert cost.of(network, batch, GuidedFilter()) == cost.of(network, batch)


def test_a_network_behind_a_method_of_arrays_is_counted():
    method = compose.build_segmenter(compose.model_config("kmeans", "smoke"))
    batch = {"image": torch.rand(1, 3, 16, 24), "mask": torch.ones(1, 1, 16, 24)}
    found = cost.of(method, batch, Sharpened())
    assert (found.macs, found.checkpoint) == (4 * 16 * 24, 4 * 5)


@pytest.mark.parametrize("tta", ["none", "flip"])
def test_behind_an_onnx_file_whose_cost_cannot_be_seen_nothing_is_counted(tmp_path, tta):
    path = tmp_path / "x.onnx"
    format_of("onnx").write(nn.Conv2d(3, 1, 1), torch.zeros(1, 3, 16, 24), path, True)
    method = with_tta(OnnxSegmenter(path, resize_mode="native", activation="sigmoid"), tta)
    batch = {"image": torch.rand(1, 3, 16, 24), "mask": torch.ones(1, 1, 16, 24)}
    found = cost.of(method.eval(), batch, Sharpened())
    assert (found.macs, found.memory, found.checkpoint) == (None, None, 4 * 5)


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


class Headed(nn.Module):
    """A grouped convolution at half size, a transposed one back, a gate of one linear layer, and a head."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.gate = nn.Linear(6, 6)
        self.up = nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, image):
        small = self.norm(self.down(image))
        gate = self.gate(small.mean((2, 3)))
        return self.up(small * gate[..., None, None])

    def forward_train(self, image):
        return self.head(self(image))


CONVOLUTION = (8 * 10 // 4) * 6 * (4 // 2) * 9
# each input pixel of a transposed convolution is multiplied into every output channel of its group
TRANSPOSED = (8 * 10 // 4) * 6 * (4 // 2) * 16
HEAD = 8 * 10 * 4 * 2


@pytest.mark.parametrize(
    ("conv_only", "method", "macs"),
    [
        (True, "forward", CONVOLUTION),
        (True, "forward_train", CONVOLUTION + HEAD),
        (False, "forward", CONVOLUTION + TRANSPOSED + 6 * 6),
        (False, "forward_train", CONVOLUTION + TRANSPOSED + 6 * 6 + HEAD),
    ],
)
def test_operations_by_hand(conv_only, method, macs):
    assert cost.count_macs(Headed(), torch.zeros(1, 4, 8, 10), conv_only, method) == macs


def test_counting_leaves_a_network_as_it_was():
    network = Headed().train()
    network.gate.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    image = torch.rand(2, 4, 8, 10, generator=torch.Generator().manual_seed(0))
    for conv_only in (True, False):
        once = cost.count_macs(network, image[:1], conv_only)
        assert cost.count_macs(network, image, conv_only) == 2 * once
    assert (network.training, network.norm.training, network.gate.training) == (True, True, False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(part._forward_hooks for part in network.modules())


def test_a_lone_convolution_counts_itself():
    assert cost.count_macs(nn.Conv2d(3, 2, 1), torch.zeros(1, 3, 5, 7), True) == 3 * 2 * 35
