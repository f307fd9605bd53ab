"""ESPNetV2 (Mehta et al., CVPR 2019) with the segmentation decoder of the authors' later code, EdgeNets."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.components.blocks import channel_shuffle
from kolbench.models.components.light import conv_norm_prelu, norm_prelu
from kolbench.models.two_class import TwoClassNetwork, TwoClassSegmenter

CLASSES = 2
BRANCHES = 4
# channels of levels 1 to 4
WIDTHS = {1.0: (32, 64, 128, 256), 1.5: (32, 96, 192, 384), 2.0: (32, 128, 256, 512)}
# of the decoder before its last map, which has one channel per class
DECODER = (64, 48, 32)
PYRAMID = (2.0, 1.5, 1.0, 0.5, 0.1)
# channels of a pyramid's branches are half the classes, at most
WIDEST_BRANCH = 16
SMALLEST = 5


class EESP(nn.Module):
    """Extremely efficient spatial pyramid: four depthwise dilated 3x3 on a quarter of the channels.

    Each branch adds the sum of those before it, so that the dilations leave no grid.

    Args:
        channels_in, channels_out: multiples of 4 and of 16; a residual is added where they are equal.
        reach: the widest branch sees 3, 5, 7 or 9 pixels; branches that would see more than `reach` see 3.
        stride: 1, or 2 for use in a Down, without the last activation.
    """

    def __init__(self, channels_in: int, channels_out: int, reach: int, stride: int = 1) -> None:
        super().__init__()
        inner = channels_out // BRANCHES
        self.residual = stride == 1 and channels_in == channels_out
        self.project = conv_norm_prelu(channels_in, inner, 1, groups=BRANCHES)
        self.branches = nn.ModuleList(
            nn.Conv2d(inner, inner, 3, stride, padding=dilation, dilation=dilation, groups=inner, bias=False)
            for dilation in dilations(reach)
        )
        self.norm_act = norm_prelu(channels_out)
        self.expand = nn.Sequential(
            nn.Conv2d(channels_out, channels_out, 1, groups=BRANCHES, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.active = stride == 1
        # at stride 2 the released code holds these slopes, counts them, and never uses them
        self.act = nn.PReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        reduced = self.project(x)
        sums = [self.branches[0](reduced)]
        for branch in self.branches[1:]:
            sums.append(branch(reduced) + sums[-1])
        y = self.expand(self.norm_act(torch.cat(sums, 1)))
        if self.residual:
            y = x + y
        out: Tensor = self.act(y) if self.active else y
        return out


class Down(nn.Module):
    """Halves the sides: the averaged input beside an EESP, reinforced by the picture itself.

    Args:
        channels_in, channels_out: the EESP makes their difference.
        reach: of the EESP.
        image_channels: of the picture.
    """

    def __init__(self, channels_in: int, channels_out: int, reach: int, image_channels: int) -> None:
        super().__init__()
        self.eesp = EESP(channels_in, channels_out - channels_in, reach, stride=2)
        self.reinforce = nn.Sequential(
            conv_norm_prelu(image_channels, image_channels, 3),
            nn.Conv2d(image_channels, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.act = nn.PReLU(channels_out)

    def forward(self, x: Tensor, small: Tensor) -> Tensor:
        """(B, channels_in, H, W), the picture (B, ., H/2, W/2) -> (B, channels_out, H/2, W/2)."""
        y = torch.cat((_averaged(x), self.eesp(x)), 1)
        out: Tensor = self.act(y + self.reinforce(small))
        return out


class Encoder(nn.Module):
    """Four levels, 1/2 to 1/16; level 5 of the classification network is left out.

    Args:
        scale: 1.0, 1.5 or 2.0.
        channels_in: of the picture.
    """

    def __init__(self, scale: float, channels_in: int) -> None:
        super().__init__()
        w1, w2, w3, w4 = WIDTHS[scale]
        self.level1 = conv_norm_prelu(channels_in, w1, 3, stride=2)
        self.down2 = Down(w1, w2, 13, channels_in)
        self.down3 = Down(w2, w3, 11, channels_in)
        self.level3 = nn.Sequential(*(EESP(w3, w3, 9) for _ in range(3)))
        self.down4 = Down(w3, w4, 9, channels_in)
        self.level4 = nn.Sequential(*(EESP(w4, w4, 7) for _ in range(7)))

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, channels_in, H, W), sides multiples of 16 -> the four levels, finest first."""
        quarter = _averaged(_averaged(image))
        eighth = _averaged(quarter)
        level1 = self.level1(image)
        level2 = self.down2(level1, quarter)
        level3 = self.level3(self.down3(level2, eighth))
        level4 = self.level4(self.down4(level3, _averaged(eighth)))
        return [level1, level2, level3, level4]


class Pyramid(nn.Module):
    """Efficient pyramid pooling: one depthwise 3x3 at each of five sizes of the projected map.

    Args:
        channels_in, width, channels_out: of the input, of each branch, of the output.
        last: the network's end: a bias instead of a norm and an activation.
    """

    def __init__(self, channels_in: int, width: int, channels_out: int, last: bool = False) -> None:
        super().__init__()
        joined = width * len(PYRAMID)
        self.project = conv_norm_prelu(channels_in, width, 1)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False) for _ in PYRAMID
        )
        self.norm_act = norm_prelu(joined)
        self.merge = conv_norm_prelu(joined, width, 3, groups=width)
        self.expand = nn.Conv2d(width, channels_out, 1, bias=last)
        self.end = nn.Identity() if last else norm_prelu(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        projected = self.project(x)
        maps = [
            _at_scale(branch, projected, scale) for branch, scale in zip(self.branches, PYRAMID, strict=True)
        ]
        shuffled = channel_shuffle(self.norm_act(torch.cat(maps, 1)), len(PYRAMID))
        out: Tensor = self.end(self.expand(self.merge(shuffled)))
        return out


class Skip(nn.Module):
    """Brings an encoder level to the decoder: a grouped 3x3, gated per channel by the level's means."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        groups = math.gcd(channels_in, channels_out)
        self.convolve = conv_norm_prelu(channels_in, channels_out, 3, groups=groups)
        self.gate = nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        out: Tensor = self.convolve(x) * self.gate(x.mean(dim=(2, 3), keepdim=True)).sigmoid()
        return out


class ESPNetV2(TwoClassNetwork):
    """ESPNetV2 with the decoder of EdgeNets.

    Args:
        scale: 2.0 (777,830 parameters, 480 of them unused slopes, see EESP), 1.5 (458,102) or 1.0 (224,902).
        channels_in: 3, or more.
        classes: 2; the logits have as many channels.
    """

    def __init__(self, scale: float = 2.0, channels_in: int = 3, classes: int = CLASSES) -> None:
        super().__init__()
        levels, inner = WIDTHS[scale], max(1, min(classes // 2, WIDEST_BRANCH))
        self.encoder = Encoder(scale, channels_in)
        widths = (levels[-1], *DECODER)
        self.pyramids = nn.ModuleList(
            Pyramid(before, inner, after) for before, after in zip(widths[:-1], DECODER, strict=True)
        )
        self.skips = nn.ModuleList(
            Skip(level, width) for level, width in zip(levels[-2::-1], DECODER, strict=True)
        )
        self.norms = nn.ModuleList(norm_prelu(width) for width in DECODER)
        self.last = Pyramid(DECODER[-1], inner, classes, last=True)

    def forward_train(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W), sides multiples of 16 -> logits (B, 2, H, W), background first."""
        *levels, y = self.encoder(image)
        for pyramid, skip, norm, level in zip(
            self.pyramids, self.skips, self.norms, reversed(levels), strict=True
        ):
            y = norm(_resized(pyramid(y), level.shape[-2:]) + skip(level))
        return _resized(self.last(y), image.shape[-2:])


class ESPNetV2Segmenter(TwoClassSegmenter):
    """ESPNetV2 on pictures of `size` x `size`, trained by cross-entropy.

    Args:
        size: side of the input in pixels, a multiple of 32.
        scale: 1.0, 1.5 or 2.0, see ESPNetV2.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown scale or resize mode, or a size that is no multiple of 32.
    """

    def __init__(self, size: int, scale: float = 2.0, resize_mode: str = "stretch") -> None:
        require_choice("model.scale", str(float(scale)), [str(known) for known in WIDTHS])
        super().__init__(size, ESPNetV2(float(scale)), resize_mode)


def dilations(reach: int) -> list[int]:
    """Of an EESP's four branches: those of kernels 3, 5, 7, 9, but 1 where that is above `reach`; sorted."""
    return sorted(k + 1 if 3 + 2 * k <= reach else 1 for k in range(BRANCHES))


def _at_scale(branch: nn.Module, x: Tensor, scale: float) -> Tensor:
    """The branch on a map enlarged or averaged by `scale`, and back."""
    height, width = x.shape[-2:]
    size = _scaled(height, scale), _scaled(width, scale)
    if scale > 1:
        return F.adaptive_avg_pool2d(branch(_resized(x, size)), (height, width))
    y: Tensor = branch(x if scale == 1 else F.adaptive_avg_pool2d(x, size))
    return _resized(y, (height, width))


def _scaled(side: int, scale: float) -> int:
    return max(SMALLEST, math.ceil(scale * side))


def _averaged(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=True)
