"""Building blocks that several networks share: RSUs, MODNet's convolutions, channel context, resizing."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import ConfigError


def require_multiple(image: Tensor, multiple: int) -> None:
    """Refuses pictures whose halved and doubled maps would not meet.

    Raises:
        ConfigError: a side of the (B, C, H, W) pictures is no multiple.
    """
    height, width = image.shape[-2:]
    if height % multiple or width % multiple:
        raise ConfigError(
            f"the network is given images of {height}x{width} px, and needs sides that are multiples of "
            f"{multiple}; where augment crops them, add multiple: {multiple} there."
        )


def resize_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear with align_corners=False and no antialiasing."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


def resize_aligned(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear with align_corners=True: the corners keep their values."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=True)


def resize_by(x: Tensor, factor: float) -> Tensor:
    """(B, C, h, w) -> (B, C, h * factor, w * factor), as `resize_to`; h * factor must be whole."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Takes one channel of each group in turn (ShuffleNet): of 0..5 in two groups comes 0 3 1 4 2 5."""
    return torch.unflatten(x, 1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def halve(x: Tensor) -> Tensor:
    """2x2 max-pool with stride 2; odd sides are rounded up, so that nothing is dropped."""
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)


def init_kaiming(module: nn.Module) -> None:
    """MODNet's initialisation of all convolutions outside RSUs: Kaiming uniform (fan in, ReLU), bias 0.

    Batch norms already start at weight 1, bias 0; RSU blocks keep PyTorch's defaults, as U2Net's code does.
    """
    if isinstance(module, NestedU):
        return
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for child in module.children():
        init_kaiming(child)


class CBR(nn.Module):
    """Convolution with bias, batch norm, ReLU; padding keeps the size at stride 1."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2)
        self.bn = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride), at least 0."""
        out: Tensor = self.relu(self.bn(self.conv(x)))
        return out


class REBNConv(nn.Module):
    """U2Net's unit: 3x3 convolution with bias and dilation, batch norm, ReLU; official names."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(channels_out)
        self.relu_s1 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W), at least 0."""
        out: Tensor = self.relu_s1(self.bn_s1(self.conv_s1(x)))
        return out


class NestedU(nn.Module):
    """A small U-shaped network with a residual from its first unit; RSU and RSU4F are its two kinds.

    Args:
        channels_in, mid, channels_out: channels of the input, of the inner maps, of the output.
        dilations: of the encoder's units 1..L, the last is the bottom; decoder unit k has encoder unit k's.
        pooled: halve the map before the encoder's units 2..L-1.
    """

    def __init__(
        self, channels_in: int, mid: int, channels_out: int, dilations: Sequence[int], pooled: bool
    ) -> None:
        super().__init__()
        self.height = len(dilations)
        self.pooled = pooled
        self.rebnconvin = REBNConv(channels_in, channels_out, 1)
        for level, dilation in enumerate(dilations, start=1):
            unit = REBNConv(channels_out if level == 1 else mid, mid, dilation)
            self.add_module(f"rebnconv{level}", unit)
        for level in range(self.height - 1, 0, -1):
            unit = REBNConv(2 * mid, channels_out if level == 1 else mid, dilations[level - 1])
            self.add_module(f"rebnconv{level}d", unit)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W), any H and W; no activation after the sum."""
        entry: Tensor = self.rebnconvin(x)
        skips = [self._unit("rebnconv1", entry)]
        for level in range(2, self.height):
            below = halve(skips[-1]) if self.pooled else skips[-1]
            skips.append(self._unit(f"rebnconv{level}", below))
        y = self._unit(f"rebnconv{self.height}", skips[-1])
        for level in range(self.height - 1, 0, -1):
            skip = skips[level - 1]
            y = self._unit(f"rebnconv{level}d", torch.cat((resize_to(y, skip.shape[-2:]), skip), 1))
        return y + entry

    def _unit(self, name: str, x: Tensor) -> Tensor:
        out: Tensor = getattr(self, name)(x)
        return out


class RSU(NestedU):
    """RSU-L: L - 2 poolings, the bottom dilated by 2 (U2Net, u2net.py of the released code).

    Args:
        height: L, 4 to 8.
        channels_in, mid, channels_out: channels of the input, of the inner maps, of the output.
    """

    def __init__(self, height: int, channels_in: int, mid: int, channels_out: int) -> None:
        super().__init__(channels_in, mid, channels_out, (*[1] * (height - 1), 2), pooled=True)


class RSU4F(NestedU):
    """RSU-4F: four levels at one resolution, dilations 1, 2, 4, 8 instead of poolings."""

    def __init__(self, channels_in: int, mid: int, channels_out: int) -> None:
        super().__init__(channels_in, mid, channels_out, (1, 2, 4, 8), pooled=False)


class IBNorm(nn.Module):
    """Batch norm on the first half of the channels, instance norm without parameters on the rest (MODNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split = channels // 2
        self.bnorm = nn.BatchNorm2d(self.split)
        self.inorm = nn.InstanceNorm2d(channels - self.split)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return torch.cat((self.bnorm(x[:, : self.split]), self.inorm(x[:, self.split :])), 1)


class ConvIBR(nn.Module):
    """MODNet's unit: convolution with bias, IBNorm, ReLU, in one Sequential named `layers`.

    Args:
        channels_in, channels_out, kernel, stride: of the convolution; padding keeps the size at stride 1.
        plain: the convolution alone, for heads.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, plain: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2)]
        if not plain:
            layers += [IBNorm(channels_out), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        out: Tensor = self.layers(x)
        return out


class SE(nn.Module):
    """Squeeze and excitation: each channel is scaled by a gate in [0, 1] made from all channel means."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        gate: Tensor = self.fc(x.mean(dim=(2, 3)))
        return x * gate[:, :, None, None]


class EASPP(nn.Module):
    """Efficient atrous spatial pyramid pooling, as MODNet's paper describes it; never released.

    Channels are reduced by 4, five depth-wise atrous convolutions look at different scales, their maps
    are fused per channel, and one point-wise convolution mixes and restores the channels. The rates
    1, 2, 4, 8, 16 are our choice: the paper names none.
    """

    RATES = (1, 2, 4, 8, 16)

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = channels // reduction
        scales = len(self.RATES)
        self.reduce = CBR(channels, inner, 1)
        self.atrous = nn.ModuleList(
            nn.Conv2d(inner, inner, 3, padding=rate, dilation=rate, groups=inner, bias=False)
            for rate in self.RATES
        )
        self.norm = nn.BatchNorm2d(scales * inner)
        self.fuse = nn.Conv2d(scales * inner, inner, 1, groups=inner, bias=False)
        self.fuse_norm = nn.BatchNorm2d(inner)
        self.expand = CBR(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape, at least 0."""
        reduced = self.reduce(x)
        # channel-major, so that the grouped convolution sees the scales of one channel together
        scales = torch.stack([conv(reduced) for conv in self.atrous], dim=2).flatten(1, 2)
        fused = F.relu(self.fuse_norm(self.fuse(F.relu(self.norm(scales)))))
        out: Tensor = self.expand(fused)
        return out


def context_block(kind: str, channels: int) -> nn.Module:
    """The block on the backbone's deepest map: `se` (released MODNet) or `easpp` (its paper)."""
    return EASPP(channels) if kind == "easpp" else SE(channels)
