"""STDC-Seg (Fan et al., "Rethinking BiSeNet", CVPR 2021), called BiSeNetV3 in the RCRNet paper."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.components.light import FeatureFusion, conv_bn, depthwise
from kolbench.models.losses.stdc import detail_losses, detail_target, ohem_cross_entropy
from kolbench.models.losses.two_class import foreground_probability
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from kolbench.types import Batch

# modules of the stages at 1/8, 1/16 and 1/32
REPETITIONS = {"1": (2, 2, 2), "2": (4, 5, 3)}
STEM = (32, 64)
WIDTHS = (256, 512, 1024)
CONTEXT = 128
FUSED = 256
HEAD_CHANNELS = 64
TRAINING_HEADS = ("aux8", "aux16", "detail")


class STDCMaps(NamedTuple):
    """Logits at the size of the input: (B, 2, H, W), but (B, 1, H, W) of `detail`."""

    logits: Tensor
    aux8: Tensor
    aux16: Tensor
    detail: Tensor


class STDCModule(nn.Module):
    """Short-term dense concatenation: four convolutions one after the other, all their maps side by side.

    Args:
        channels_in, channels_out: of the module; the four maps have 1/2, 1/4, 1/8 and 1/8 of `channels_out`.
        stride: 1 or 2; with 2 the first map is pooled, and halved by a depthwise convolution for the second.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = channels_out // 2, channels_out // 4, channels_out // 8
        self.block1 = conv_bn(channels_in, half)
        self.block2 = conv_bn(half, quarter, 3)
        self.block3 = conv_bn(quarter, eighth, 3)
        self.block4 = conv_bn(eighth, eighth, 3)
        self.down = depthwise(half, 2, relu=False) if stride == 2 else nn.Identity()
        self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride), odd sides rounded up."""
        first = self.block1(x)
        second = self.block2(self.down(first))
        third = self.block3(second)
        return torch.cat((self.pool(first), second, third, self.block4(third)), 1)


class AttentionRefinement(nn.Module):
    """A 3x3 convolution whose channels are scaled by a gate in [0, 1] made from their means."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.conv = conv_bn(channels_in, CONTEXT, 3)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), conv_bn(CONTEXT, CONTEXT, relu=False), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, 128, H, W), at least 0."""
        y = self.conv(x)
        out: Tensor = y * self.gate(y)
        return out


class ContextPath(nn.Module):
    """Brings the mean of the whole picture and the maps at 1/32 and 1/16 up to 1/8."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn(WIDTHS[2], CONTEXT))
        self.refine32 = AttentionRefinement(WIDTHS[2])
        self.refine16 = AttentionRefinement(WIDTHS[1])
        self.head32 = conv_bn(CONTEXT, CONTEXT, 3)
        self.head16 = conv_bn(CONTEXT, CONTEXT, 3)

    def forward(self, at8: Tensor, at16: Tensor, at32: Tensor) -> tuple[Tensor, Tensor]:
        """The stages' maps, (B, 256 | 512 | 1024, h, w) -> (B, 128, h, w) at 1/8 and at 1/16."""
        y = self.refine32(at32) + _nearest(self.mean(at32), at32)
        up16 = self.head32(_nearest(y, at16))
        up8 = self.head16(_nearest(self.refine16(at16) + up16, at8))
        return up8, up16


class STDC(nn.Module):
    """STDC backbone, context path, fusion at 1/8, and heads; `forward` runs none that only training needs.

    Args:
        variant: `1` (8,270,752 parameters at inference) or `2` (12,301,216); the heads of training have
            295,616 more.
        channels_in: 3 for RGB.
    """

    def __init__(self, variant: str = "1", channels_in: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(channels_in, STEM[0], 3, 2), conv_bn(STEM[0], STEM[1], 3, 2))
        self.stage8, self.stage16, self.stage32 = (
            _stage(before, after, repetitions)
            for before, after, repetitions in zip(
                (STEM[1], *WIDTHS), WIDTHS, REPETITIONS[variant], strict=False
            )
        )
        self.context = ContextPath()
        self.fusion = FeatureFusion(WIDTHS[0] + CONTEXT, FUSED)
        self.head = _head(FUSED, FUSED, 2)
        self.aux8 = _head(CONTEXT, HEAD_CHANNELS, 2)
        self.aux16 = _head(CONTEXT, HEAD_CHANNELS, 2)
        self.detail = _head(WIDTHS[0], HEAD_CHANNELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W), normalised -> (B, 1, H, W) foreground probability."""
        at8, up8, _ = self._features(image)
        return foreground_probability(_enlarged(self.head(self.fusion(at8, up8)), image))

    def forward_train(self, image: Tensor) -> STDCMaps:
        """(B, channels_in, H, W), normalised -> the logits of all heads."""
        at8, up8, up16 = self._features(image)
        fused = self.fusion(at8, up8)
        maps = (self.head(fused), self.aux8(up8), self.aux16(up16), self.detail(at8))
        return STDCMaps(*(_enlarged(logits, image) for logits in maps))

    def _features(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The stage at 1/8, and the context at 1/8 and 1/16."""
        at8 = self.stage8(self.stem(image))
        at16 = self.stage16(at8)
        up8, up16 = self.context(at8, at16, self.stage32(at16))
        return at8, up8, up16


class STDCSegmenter(NetworkSegmenter[STDC]):
    """STDC-Seg on pictures normalised as ImageNet's, with hard-pixel and detail losses.

    Args:
        size: side of the input in pixels, a multiple of 32; 224 in the RCRNet paper.
        variant: `1` or `2`, see STDC.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a size that is no multiple of 32.
    """

    def __init__(self, size: int, variant: str | int = "1", resize_mode: str = "stretch") -> None:
        # 1 on a command line is a number
        chosen = require_choice("model.variant", str(variant), REPETITIONS)
        input_spec = InputSpec(size, resize_mode=resize_mode, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        super().__init__(input_spec, STDC(chosen), TRAINING_HEADS)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`ce`, `aux8`, `aux16`: cross-entropy of the hard pixels; `detail_bce`, `detail_dice`; weights 1."""
        maps = self.network.forward_train(self.input_spec.normalise(batch["image"]))
        mask = batch["mask"]
        detail_bce, detail_dice = detail_losses(maps.detail, detail_target(mask))
        return {
            "ce": ohem_cross_entropy(maps.logits, mask),
            "aux8": ohem_cross_entropy(maps.aux8, mask),
            "aux16": ohem_cross_entropy(maps.aux16, mask),
            "detail_bce": detail_bce,
            "detail_dice": detail_dice,
        }


def _stage(channels_in: int, channels_out: int, repetitions: int) -> nn.Sequential:
    first = STDCModule(channels_in, channels_out, 2)
    return nn.Sequential(first, *(STDCModule(channels_out, channels_out, 1) for _ in range(repetitions - 1)))


def _head(channels_in: int, inner: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(channels_in, inner, 3), nn.Conv2d(inner, channels_out, 1, bias=False))


def _nearest(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="nearest")


def _enlarged(logits: Tensor, image: Tensor) -> Tensor:
    return F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=True)
