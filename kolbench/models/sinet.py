"""SINet (Park et al., WACV 2020; released code clovaai/ext_portrait_segmentation)."""

from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.models.components.blocks import channel_shuffle
from kolbench.models.losses.portrait import band_cross_entropy
from kolbench.models.losses.two_class import cross_entropy
from kolbench.models.two_class import TwoClassNetwork, TwoClassSegmenter
from kolbench.types import Batch

CLASSES = 2
NORM_EPS = 1e-3
EDGE_WEIGHT = 0.5
# dilation minus erosion by a square of 15 px
BAND_PX = 14
# the released code's blue, green, red: ((x - mean) / std) / 255 with x in 0..255; here RGB in [0, 1]
MEAN = (126.91 / 255, 111.25 / 255, 102.89 / 255)
STD = (66.36, 62.82, 62.93)
# a squeeze module's two branches: (kernel, factor of the average pool before it)
Branches = tuple[tuple[int, int], tuple[int, int]]
LEVEL2: tuple[Branches, ...] = (((3, 1), (5, 1)), ((3, 1), (3, 1)))
LEVEL3: tuple[Branches, ...] = (
    ((3, 1), (5, 1)),
    ((3, 1), (3, 1)),
    ((5, 1), (3, 2)),
    ((5, 2), (3, 4)),
    ((3, 1), (3, 1)),
    ((5, 1), (5, 1)),
    ((3, 2), (3, 4)),
    ((3, 1), (5, 2)),
)


class Excitation(nn.Module):
    """Scales each channel by a number made of all channels' means, without a sigmoid.

    Args:
        channels: of the input.
        divide: 1 for one linear layer, else a bottleneck of `channels // divide` between two.
    """

    def __init__(self, channels: int, divide: int) -> None:
        super().__init__()
        widths = [channels, channels] if divide == 1 else [channels, channels // divide, channels]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.PReLU(after)]
        self.dense = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        scale: Tensor = self.dense(x.mean(dim=(2, 3)))
        return x * scale[:, :, None, None]


class SeparableDown(nn.Module):
    """Halves the sides: depthwise 3x3 with stride 2, Excitation, 1x1, norm, PReLU."""

    def __init__(self, channels_in: int, channels_out: int, divide: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels_in, channels_in, 3, stride=2, padding=1, groups=channels_in, bias=False),
            Excitation(channels_in, divide),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
        )
        self.bn = nn.BatchNorm2d(channels_out, NORM_EPS)
        self.act = nn.PReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / 2, W / 2)."""
        out: Tensor = self.act(self.bn(self.conv(x)))
        return out


class SqueezeBranch(nn.Module):
    """Depthwise k x k and 1x1 on a map that is averaged down by `pool` and resized back."""

    def __init__(self, channels: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
        self.conv = nn.Sequential(depthwise, nn.BatchNorm2d(channels, NORM_EPS))
        self.act_conv1x1 = nn.Sequential(nn.PReLU(channels), nn.Conv2d(channels, channels, 1, bias=False))
        self.bn = nn.BatchNorm2d(channels, NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), H and W multiples of `pool` -> the same shape."""
        small = x if self.pool == 1 else F.avg_pool2d(x, self.pool)
        y: Tensor = self.act_conv1x1(self.conv(small))
        out: Tensor = self.bn(y if self.pool == 1 else _enlarge(y, self.pool))
        return out


class SqueezeModule(nn.Module):
    """Spatial squeeze module: a shuffled grouped 1x1 halves the channels, two branches see all of them.

    Args:
        channels_in, channels_out: a residual is added where they are equal.
        branches: see Branches.
    """

    def __init__(self, channels_in: int, channels_out: int, branches: Branches) -> None:
        super().__init__()
        self.residual = channels_in == channels_out
        half = channels_out // 2
        self.c1 = _named(conv=nn.Conv2d(channels_in, half, 1, groups=2, bias=False))
        self.d1 = SqueezeBranch(half, *branches[0])
        self.d2 = SqueezeBranch(half, *branches[1])
        self.BR = _norm_act(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        shuffled = channel_shuffle(self.c1(x), 2)
        y = torch.cat((self.d1(shuffled), self.d2(shuffled)), 1)
        out: Tensor = self.BR(x + y if self.residual else y)
        return out


class SINetEncoder(nn.Module):
    """Class scores at 1/8 and the map at 1/4 that the decoder looks at; 86,764 parameters."""

    def __init__(self, channels_in: int = 3) -> None:
        super().__init__()
        self.level1 = _named(
            conv=nn.Conv2d(channels_in, 12, 3, stride=2, padding=1, bias=False),
            bn=nn.BatchNorm2d(12, NORM_EPS),
            act=nn.PReLU(12),
        )
        self.level2_0 = SeparableDown(12, 16, divide=1)
        self.level2 = _squeeze_modules(16, 48, LEVEL2)
        self.BR2 = _norm_act(48 + 16)
        self.level3_0 = SeparableDown(48 + 16, 48, divide=2)
        self.level3 = _squeeze_modules(48, 96, LEVEL3)
        self.BR3 = _norm_act(96 + 48)
        self.classifier = _named(conv=nn.Conv2d(96 + 48, CLASSES, 1, bias=False))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, channels_in, H, W) -> scores (B, 2, H/8, W/8) and level 2, (B, 48, H/4, W/4)."""
        entry2 = self.level2_0(self.level1(image))
        level2: Tensor = self.level2(entry2)
        entry3 = self.level3_0(self.BR2(torch.cat((entry2, level2), 1)))
        level3 = self.level3(entry3)
        scores: Tensor = self.classifier(self.BR3(torch.cat((entry3, level3), 1)))
        return scores, level2


class SINet(TwoClassNetwork):
    """SINet with its information blocking decoder; the released code's key names, 86,910 parameters.

    It takes RGB and hands blue, green, red to its first convolution, as the released weights want.

    Args:
        channels_in: 3, or more: channels behind the three colours stay where they are.
    """

    def __init__(self, channels_in: int = 3) -> None:
        super().__init__()
        self.order = [2, 1, 0, *range(3, channels_in)]
        self.encoder = SINetEncoder(channels_in)
        self.bn_3 = nn.BatchNorm2d(CLASSES, NORM_EPS)
        self.level2_C = _named(
            conv=nn.Conv2d(48, CLASSES, 1, bias=False),
            bn=nn.BatchNorm2d(CLASSES, NORM_EPS),
            act=nn.PReLU(CLASSES),
        )
        self.bn_2 = nn.BatchNorm2d(CLASSES, NORM_EPS)
        self.classifier = nn.Sequential(
            nn.UpsamplingBilinear2d(scale_factor=2), nn.Conv2d(CLASSES, CLASSES, 3, padding=1, bias=False)
        )

    def forward_train(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W), sides multiples of 32 -> logits (B, 2, H, W), background first."""
        scores, level2 = self.encoder(image[:, self.order])
        coarse = self.bn_3(_enlarge(scores, 2))
        # the finer map is let in only where the coarse one is unsure
        gate = 1 - coarse.softmax(1).amax(1, keepdim=True)
        finer = self.bn_2(_enlarge(self.level2_C(level2) * gate + coarse, 2))
        logits: Tensor = self.classifier(finer)
        return logits


class SINetSegmenter(TwoClassSegmenter):
    """SINet fed as its authors feed it, trained at once by two cross-entropies.

    The released code trains the encoder alone first.

    Args:
        size: side of the input in pixels, a multiple of 32; 224 in the released code.
        resize_mode: `stretch` (released code) or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown resize mode, or a size that is no multiple of 32.
    """

    def __init__(self, size: int, resize_mode: str = "stretch") -> None:
        super().__init__(size, SINet(), resize_mode, MEAN, STD)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`ce`: cross-entropy on the binary mask; `edge`: half of that in a band of 14 px along its edge."""
        logits, mask = self.logits(batch), batch["mask"]
        return {
            "ce": cross_entropy(logits, mask),
            "edge": EDGE_WEIGHT * band_cross_entropy(logits, mask, BAND_PX),
        }


def _named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _norm_act(channels: int) -> nn.Sequential:
    return _named(bn=nn.BatchNorm2d(channels, NORM_EPS), act=nn.PReLU(channels))


def _squeeze_modules(channels_in: int, channels: int, table: tuple[Branches, ...]) -> nn.Sequential:
    entries = [channels_in, *[channels] * (len(table) - 1)]
    return nn.Sequential(
        *(SqueezeModule(entry, channels, branches) for entry, branches in zip(entries, table, strict=True))
    )


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=True)
