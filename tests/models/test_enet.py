"""ENet: its counts, its unpooling against torch's, and its stages one by one."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.models.enet import Down, ENet, ENetSegmenter, Regular, Up, halve_with_places, unpool
from tests.conftest import drawn
from tests.helpers.networks import conv_macs, count, shaken


def test_counts() -> None:
    with torch.device("meta"):
        network = ENet()
    # those of PortraitNet's copy, which the specification measured; 345.6 M
    assert count(network) == 355_542
    assert conv_macs(network, 3, 224) == 345_649_920


def test_a_fourth_channel_takes_a_filter_from_the_first_convolution() -> None:
    network = shaken(ENet(channels_in=4))
    assert network.initial.weight.shape == (12, 4, 3, 3)
    with torch.no_grad():
        assert network(torch.randn(1, 4, 32, 64)).shape == (1, 1, 32, 64)


def test_unpooling_by_hand() -> None:
    x = torch.tensor([[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 2.0, 1.0]]]])
    maxima, places = halve_with_places(x)
    assert maxima.flatten().tolist() == [5, 2]
    assert places.flatten().tolist() == [1, 0]
    spread = unpool(torch.tensor([[[[7.0, -8.0]]]]), places)
    assert spread[0, 0].tolist() == [[0, 7, -8, 0], [0, 0, 0, 0]]


def test_unpooling_is_that_of_torch() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 10, dtype=torch.float64)
    values = torch.randn(2, 3, 3, 5, dtype=torch.float64)
    maxima, places = halve_with_places(x)
    expected, indices = F.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(maxima, expected)
    assert torch.equal(unpool(values, places), F.max_unpool2d(values, indices, 2))


def test_dilations_dropout_and_activations_of_the_stages() -> None:
    network = ENet()
    for stage in (network.stage2, network.stage3):
        middles = [list(block.convs)[1:-1] for block in stage]
        assert [[m.kernel_size for m in middle] for middle in middles] == [
            [(5, 1), (1, 5)] if k in (2, 6) else [(3, 3)] for k in range(8)
        ]
        assert [m.dilation[0] for middle in middles for m in middle] == [1, 2, 1, 1, 4, 1, 8, 1, 1, 16]
    rates = {n: m.p for n, m in network.named_modules() if isinstance(m, nn.Dropout2d)}
    assert {n.partition(".")[0] for n, p in rates.items() if p == 0.01} == {"down1", "stage1"}
    assert set(rates.values()) == {0.01, 0.1}
    decoder = {n for n, m in network.named_modules() if isinstance(m, nn.ReLU)}
    encoder = {n for n, m in network.named_modules() if isinstance(m, nn.PReLU)}
    assert {n.partition(".")[0] for n in decoder} == {"up4", "stage4", "up5", "stage5"}
    assert len(encoder) == 23
    assert not [n for n, m in network.named_modules() if getattr(m, "bias", None) is not None and conv(m)]


def conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.ConvTranspose2d)


def functional_bottleneck(state: dict[str, Tensor], main: Tensor, x: Tensor, convolve) -> Tensor:
    """Reduction, convolutions, expansion, as the specification says; `convolve` are all but the last."""

    def norm(x, k):
        values = [state[f"norms.{k}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *values)

    def act(x):
        slope = state.get("act.weight", torch.zeros(1, dtype=x.dtype))
        return torch.where(x > 0, x, slope * x)

    for k, function in enumerate(convolve):
        x = act(norm(function(x, state[f"convs.{k}.weight"]), k))
    last = len(convolve)
    return act(main + norm(F.conv2d(x, state[f"convs.{last}.weight"]), last))


def lively(module: nn.Module) -> nn.Module:
    return shaken(module).double()


@torch.no_grad()
def test_regular_blocks_against_functional_ones() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 12, 10, dtype=torch.float64)
    dilated = lively(Regular(16, 4, 0.1, nn.PReLU()))
    ways = [F.conv2d, lambda x, w: F.conv2d(x, w, padding=4, dilation=4)]
    torch.testing.assert_close(dilated(x), functional_bottleneck(dilated.state_dict(), x, x, ways))
    crossed = lively(Regular(16, 0, 0.1, nn.PReLU()))
    ways = [
        F.conv2d,
        lambda x, w: F.conv2d(x, w, padding=(2, 0)),
        lambda x, w: F.conv2d(x, w, padding=(0, 2)),
    ]
    torch.testing.assert_close(crossed(x), functional_bottleneck(crossed.state_dict(), x, x, ways))


@torch.no_grad()
def test_down_and_up_against_functional_ones() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 12, 8, dtype=torch.float64)
    down, up = lively(Down(16, 64, 0.1)), lively(Up(64, 16, 0.1))
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    ways = [lambda x, w: F.conv2d(x, w, stride=2), lambda x, w: F.conv2d(x, w, padding=1)]
    main = torch.cat((pooled, torch.zeros(2, 48, 6, 4)), 1)
    y, places = down(x)
    torch.testing.assert_close(y, functional_bottleneck(down.state_dict(), main, x, ways))
    state = up.state_dict()
    values = [state[f"main.1.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
    main = F.max_unpool2d(F.batch_norm(F.conv2d(y, state["main.0.weight"]), *values), indices, 2)
    ways = [F.conv2d, lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1)]
    torch.testing.assert_close(up(y, places), functional_bottleneck(state, main, y, ways))


@torch.no_grad()
def test_each_pool_is_undone_by_its_own_places() -> None:
    network = shaken(ENet())
    seen: dict[str, Tensor] = {}
    for name in ("down1", "down2"):
        getattr(network, name).register_forward_hook(
            lambda _m, _given, out, name=name: seen.update({name: out[1]})
        )
    for name in ("up4", "up5"):
        getattr(network, name).register_forward_pre_hook(
            lambda _m, given, name=name: seen.update({name: given[1]})
        )
    probability = network(torch.randn(2, 3, 32, 96))
    assert torch.equal(seen["up4"], seen["down2"])
    assert torch.equal(seen["up5"], seen["down1"])
    assert probability.shape == (2, 1, 32, 96)
    assert 0 <= probability.min() < probability.max() <= 1


@torch.no_grad()
def test_the_entry_is_filters_and_the_pooled_picture() -> None:
    network = shaken(ENet())
    seen = []
    network.initial_act.register_forward_pre_hook(lambda _m, given: seen.append(given[0]))
    image = torch.arange(3 * 32 * 32.0).view(1, 3, 32, 32) / 1000
    network(image)
    # the last row and column of every 3x3 window hold its maximum
    assert torch.equal(seen[0][:, 13:], image[:, :, 1::2, 1::2])
    torch.testing.assert_close(seen[0][:, :13], F.conv2d(image, network.initial.weight, stride=2, padding=1))


def test_cross_entropy_and_gradients() -> None:
    torch.manual_seed(0)
    segmenter = ENetSegmenter(64)
    batch = drawn(64)
    loss = segmenter.losses(batch)["ce"]
    loss.backward()
    assert [n for n, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()] == []
    with torch.no_grad():
        alpha = segmenter.eval().predict(batch["image"]).alpha
        likelihood = torch.where(batch["mask"] == 1, alpha, 1 - alpha)
        expected = -likelihood.log().mean().item()
        assert segmenter.losses(batch)["ce"].item() == pytest.approx(expected, rel=1e-5)
