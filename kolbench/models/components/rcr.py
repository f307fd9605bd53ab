"""RCRNet's building blocks (spec of its paper, equations 1 to 4, figure 4) and their exact merged form."""

import copy
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.models.components.light import conv_bn, depthwise
from kolbench.models.components.portrait_decoder import doubling

KERNEL = 3


class Mergeable(nn.Module, ABC):
    """A layer of several branches in training that is one convolution at inference."""

    @abstractmethod
    def merged(self) -> nn.Module:
        """The same function in evaluation mode, of fewer operations; the layer stays as it is.

        Raises:
            ValueError: the layer is in training mode, where it has no fixed function.
        """


def deployed(network: nn.Module) -> nn.Module:
    """A copy with every mergeable layer merged; of one that is deployed already, the same again.

    Args:
        network: in evaluation mode; not changed.

    Raises:
        ValueError: it is in training mode.
    """
    if network.training:
        raise ValueError("only a network in evaluation mode can be deployed")
    copied = copy.deepcopy(network)
    for name, layer in list(copied.named_modules()):
        if isinstance(layer, Mergeable):
            copied.set_submodule(name, layer.merged())
    return copied


class RCR(Mergeable):
    """Re-parameterised convolution residual: a 1x1 convolution, then two depthwise branches and the identity.

    y = ReLU(BN(1x1(x))); out = BN(3x3(y)) + BN(kxk(y)) + y, equation 1. The identity has no batch norm.

    Args:
        channels_in, channels_out: of the 1x1 convolution.
        activated: whether a ReLU follows the sum.
        kernel: of the second depthwise branch, 1 or 3; both merge into the same form.
    """

    def __init__(self, channels_in: int, channels_out: int, activated: bool = True, kernel: int = 1) -> None:
        super().__init__()
        self.point = conv_bn(channels_in, channels_out, relu=False)
        self.wide = depthwise(channels_out, relu=False)
        self.narrow = depthwise(channels_out, kernel=kernel, relu=False)
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        y = F.relu(self.point(x))
        out: Tensor = self.wide(y) + self.narrow(y) + y
        return F.relu(out) if self.activated else out

    @torch.no_grad()
    def merged(self) -> "MergedRCR":
        """Equations 2 to 4: scaled kernels, zero-padded to 3x3, and the identity, in one depthwise kernel."""
        if self.training:
            raise ValueError("batch norms in training mode cannot be merged")
        point, point_bias = scaled(self.point)
        wide, wide_bias = scaled(self.wide)
        narrow, narrow_bias = scaled(self.narrow)
        margin = (KERNEL - narrow.shape[-1]) // 2
        deep = wide + F.pad(narrow, [margin] * 4)
        deep[:, :, KERNEL // 2, KERNEL // 2] += 1
        made = MergedRCR(point.shape[1], point.shape[0], self.activated).to(point)
        for layer, weight, bias in (
            (made.point, point, point_bias),
            (made.deep, deep, wide_bias + narrow_bias),
        ):
            layer.weight.copy_(weight)
            assert layer.bias is not None
            layer.bias.copy_(bias)
        return made.eval()


class MergedRCR(nn.Module):
    """What an RCR is at inference: a 1x1 and a depthwise 3x3 convolution, each with a bias."""

    def __init__(self, channels_in: int, channels_out: int, activated: bool) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels_in, channels_out, 1)
        self.deep = nn.Conv2d(channels_out, channels_out, KERNEL, padding=1, groups=channels_out)
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        out: Tensor = self.deep(F.relu(self.point(x)))
        return F.relu(out) if self.activated else out


def scaled(pair: nn.Sequential) -> tuple[Tensor, Tensor]:
    """A convolution's kernel and bias with the batch norm behind it taken in."""
    convolution, norm = pair[0], pair[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return convolution.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


class Keep(nn.Module):
    """Structure A, at one size: two RCRs beside a shortcut, and a ReLU after their sum."""

    def __init__(self, channels_in: int, hidden: int, channels_out: int, kernel: int = 1) -> None:
        super().__init__()
        self.first = RCR(channels_in, hidden, kernel=kernel)
        self.second = RCR(hidden, channels_out, activated=False, kernel=kernel)
        self.shortcut = (
            nn.Identity() if channels_in == channels_out else conv_bn(channels_in, channels_out, relu=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W), at least 0."""
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class Halve(nn.Module):
    """Structure B downwards: a depthwise convolution of stride 2 stands between the two RCRs."""

    def __init__(self, channels_in: int, hidden: int, channels_out: int, kernel: int = 1) -> None:
        super().__init__()
        self.first = RCR(channels_in, hidden, kernel=kernel)
        self.between = depthwise(hidden, 2, relu=False)
        self.second = RCR(hidden, channels_out, activated=False, kernel=kernel)
        self.shortcut = nn.Sequential(
            *depthwise(channels_in, 2, relu=False), *conv_bn(channels_in, channels_out, relu=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H/2, W/2), at least 0."""
        return F.relu(self.second(self.between(self.first(x))) + self.shortcut(x))


class Double(nn.Module):
    """Structure B upwards: a depthwise transposed convolution stands between the two RCRs."""

    def __init__(self, channels_in: int, hidden: int, channels_out: int, kernel: int = 1) -> None:
        super().__init__()
        self.first = RCR(channels_in, hidden, kernel=kernel)
        self.between = nn.Sequential(doubling(hidden, groups=hidden), nn.BatchNorm2d(hidden))
        self.second = RCR(hidden, channels_out, activated=False, kernel=kernel)
        self.shortcut = conv_bn(channels_in, channels_out, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, 2 H, 2 W), at least 0."""
        near = F.interpolate(self.shortcut(x), scale_factor=2, mode="bilinear", align_corners=False)
        return F.relu(self.second(self.between(self.first(x))) + near)
