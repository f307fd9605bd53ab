"""ESPNet: its counts, and an implementation of its own from the specification."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.models.espnet import ESPNet, ESPNetSegmenter, Pyramid
from tests.conftest import drawn
from tests.helpers.networks import conv_macs, count, shaken


def test_counts() -> None:
    with torch.device("meta"):
        network = ESPNet()
    # 347,784 with five classes, and the 1x1 from five channels to two
    assert count(network) == 347_784 + 10
    # 344.9 M in the specification, without the 1x1
    assert conv_macs(network, 3, 224) == 344_868_272 + 10 * 224**2


def test_sums_by_hand() -> None:
    pyramid = Pyramid(torch.nn.Identity(), 7)
    # five channels of three, one, one, one, one; each branch only looks at its middle
    with torch.no_grad():
        for k, branch in enumerate(pyramid.branches):
            branch.weight.zero_()
            branch.weight[:, 0, 1, 1] = 10.0**k
        out = pyramid(torch.ones(1, 1, 3, 3))
    assert out[0, :, 1, 1].tolist() == [1, 1, 1, 10, 110, 1110, 11110]
    assert [branch.dilation[0] for branch in pyramid.branches] == [1, 2, 4, 8, 16]


def functional_espnet(state: dict[str, Tensor], image: Tensor) -> Tensor:
    """Logits, written from the specification; sums are written out, not accumulated."""

    def conv(x, name, **options):
        weight = state[name + ".weight"]
        options.setdefault("padding", weight.shape[-1] // 2)
        return F.conv2d(x, weight, **options)

    def norm(x, name):
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-3)

    def norm_act(x, name, first=0):
        return F.prelu(norm(x, f"{name}.{first}"), state[f"{name}.{first + 1}.weight"])

    def up(x, name):
        # every pixel becomes a 2x2 patch of its own
        b, _, h, w = x.shape
        patches = torch.einsum("bchw,cokl->bohkwl", x, state[name + ".weight"])
        return patches.reshape(b, -1, 2 * h, 2 * w)

    def pyramid(x, name, stride=1):
        reduced = conv(x, f"{name}.reduce", stride=stride)
        d1, d2, d4, d8, d16 = (
            conv(reduced, f"{name}.branches.{k}", dilation=2**k, padding=2**k) for k in range(5)
        )
        return torch.cat((d1, d2, d2 + d4, d2 + d4 + d8, d2 + d4 + d8 + d16), 1)

    def esp(x, name, residual=True):
        y = pyramid(x, f"{name}.pyramid")
        return norm_act(x + y if residual else y, f"{name}.norm_act")

    half, quarter = F.avg_pool2d(image, 3, 2, 1), F.avg_pool2d(F.avg_pool2d(image, 3, 2, 1), 3, 2, 1)
    first = norm_act(conv(image, "encoder.level1.0", stride=2), "encoder.level1", 1)
    nineteen = norm_act(torch.cat((first, half), 1), "encoder.norms.0")
    entry = norm_act(pyramid(nineteen, "encoder.down2.0", 2), "encoder.down2", 1)
    y = entry
    for k in range(2):
        y = esp(y, f"encoder.level2.{k}")
    wide = norm_act(torch.cat((y, entry, quarter), 1), "encoder.norms.1")
    entry = norm_act(pyramid(wide, "encoder.down3.0", 2), "encoder.down3", 1)
    y = entry
    for k in range(8):
        y = esp(y, f"encoder.level3.{k}")
    y = norm_act(torch.cat((entry, y), 1), "encoder.norms.2")
    y = up(norm(conv(y, "scores"), "scores_norm"), "up3")
    y = norm_act(torch.cat((conv(wide, "skip2"), y), 1), "join2.0")
    y = norm_act(up(esp(y, "join2.1", residual=False), "up2.0"), "up2.1")
    y = norm_act(conv(torch.cat((y, nineteen), 1), "join1.0"), "join1", 1)
    return conv(up(y, "up1"), "head")


@pytest.mark.parametrize("channels", [3, 4])
@torch.no_grad()
def test_the_whole_network_against_a_functional_one(channels: int) -> None:
    torch.manual_seed(0)
    network = shaken(ESPNet(channels)).double()
    image = torch.randn(2, channels, 32, 96, dtype=torch.float64)
    expected = functional_espnet(network.state_dict(), image)
    assert expected.shape == (2, 2, 32, 96)
    torch.testing.assert_close(network.forward_train(image), expected)
    probability = network(image)
    torch.testing.assert_close(probability[:, 0], expected.softmax(1)[:, 1].float())
    assert 0 <= probability.min() < probability.max() <= 1


def test_cross_entropy_and_gradients() -> None:
    torch.manual_seed(0)
    segmenter = ESPNetSegmenter(64)
    batch = drawn(64)
    segmenter.losses(batch)["ce"].backward()
    assert [n for n, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()] == []
    with torch.no_grad():
        alpha = segmenter.eval().predict(batch["image"]).alpha
        likelihood = torch.where(batch["mask"] == 1, alpha, 1 - alpha)
        expected = -likelihood.log().mean().item()
        assert segmenter.losses(batch)["ce"].item() == pytest.approx(expected, rel=1e-5)
