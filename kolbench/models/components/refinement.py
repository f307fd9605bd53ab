"""CascadePSP's refinement network (Cheng, Chung, Tai, Tang, CVPR 2020; hkchengrex/CascadePSP)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import ConfigError
from kolbench.models.components import refinement_backbones
from kolbench.models.components.blocks import resize_by, resize_to

# output channels of the pyramid pooling and of the upsampling stages at width 1
PYRAMID, STAGES, LAST = 1024, (512, 256), 32
POOLED_SIDES = (1, 2, 3, 6)
MULTIPLE = 8
BACKGROUND = -1.0


class RefinementMaps(NamedTuple):
    """Logits (B, 1, H, W), named as in the released code; None what a pass gives that was not run.

    out_224 is the result; out_28, out_28_2 and out_28_3 come from stride 8 in passes 1 to 3, out_56 and
    out_56_2 from stride 4 in passes 2 and 3.
    """

    out_224: Tensor
    out_28: Tensor | None
    out_56: Tensor | None
    out_28_2: Tensor | None
    out_28_3: Tensor
    out_56_2: Tensor


class PyramidPooling(nn.Module):
    """Means over grids of 1, 2, 3 and 6 cells a side beside the map itself, and a 1x1 over all.

    Args:
        channels_in, channels_out: of the maps.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Conv2d(channels_in, channels_in, 1, bias=False))
            for side in POOLED_SIDES
        )
        self.bottleneck = nn.Conv2d(channels_in * (len(POOLED_SIDES) + 1), channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) -> (B, channels_out, h, w)."""
        pooled = [resize_to(stage(x), x.shape[-2:]) for stage in self.stages]
        out: Tensor = self.bottleneck(torch.cat((*pooled, x), 1)).relu_()
        return out


class UpBlock(nn.Module):
    """Doubles a map and joins it with a skip: two residual pairs of 3x3 with norm and ReLU before each.

    Args:
        channels, skip, channels_out: of the map, of the skip and of the result.
    """

    def __init__(self, channels: int, skip: int, channels_out: int) -> None:
        super().__init__()
        self.joined = channels + skip
        self.conv = _preactivated(self.joined, channels_out)
        self.conv2 = _preactivated(channels_out, channels_out)
        self.shortcut = nn.Conv2d(channels, channels_out, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, channels, h, w), (B, skip, 2h, 2w) -> (B, channels_out, 2h, 2w)."""
        x = resize_by(x, 2)
        shortcut = self.shortcut(x)
        joined = torch.cat((x, skip), 1)
        # the largest map of all; without gradients it is gone before the next one is made
        del x
        out: Tensor = self.conv(joined) + shortcut
        refined: Tensor = out + self.conv2(out)
        return refined


class RefinementNetwork(nn.Module):
    """Refines a mask in three passes of one network, from stride 8 over stride 4 to the picture's pixels.

    With `resnet50` at width 1 keys and results are the released ones: 67,683,433 parameters, 213.8 GMACs of
    convolutions for a picture of 224 x 224. `mobilenet_v2` at width 0.25 has 3,706,745 and needs 15.6.

    Args:
        backbone: `resnet50`, `resnet18` or `mobilenet_v2`.
        width: factor on the channels of pyramid pooling (1024) and of the first two upsampling stages (512,
            256), in (0, 1]; the last stage keeps its 32.

    Raises:
        ConfigError: another backbone, or a width out of range.
    """

    def __init__(self, backbone: str = "resnet50", width: float = 1.0) -> None:
        super().__init__()
        if not isinstance(width, int | float) or not 0 < width <= 1:
            raise ConfigError(f"width={width} must lie in (0, 1].")
        self.feats = refinement_backbones.build(backbone)
        deep, half, quarter = self.feats.channels
        pyramid, first, second = (max(1, round(width * channels)) for channels in (PYRAMID, *STAGES))
        self.psp = PyramidPooling(deep, pyramid)
        self.up_1 = UpBlock(pyramid, quarter, first)
        self.up_2 = UpBlock(first, half, second)
        self.up_3 = UpBlock(second, 3, LAST)
        self.final_28 = _head(pyramid)
        self.final_56 = _head(first)
        self.final_11 = nn.Conv2d(LAST + 3, LAST, 1)
        self.final_21 = nn.Conv2d(LAST, 1, 1)

    def forward(
        self, image: Tensor, mask: Tensor, inter_s8: Tensor | None = None, inter_s4: Tensor | None = None
    ) -> RefinementMaps:
        """Runs the passes whose result is not given.

        Args:
            image: (B, 3, H, W), ImageNet's mean taken off and divided by its deviation; any size.
            mask: (B, 1, H, W) in [-1, 1].
            inter_s8: (B, 1, H, W) in [-1, 1], taken instead of pass 1.
            inter_s4: (B, 1, H, W) in [-1, 1], taken with `inter_s8` instead of pass 2.

        Raises:
            ValueError: `inter_s4` is given without `inter_s8`.
        """
        if inter_s4 is not None and inter_s8 is None:
            raise ValueError("inter_s4 needs inter_s8: pass 3 sees the maps of both strides.")
        height, width = mask.shape[-2:]
        maps = self._passes(
            padded(image, 0.0),
            padded(mask, BACKGROUND),
            None if inter_s8 is None else padded(inter_s8, BACKGROUND),
            None if inter_s4 is None else padded(inter_s4, BACKGROUND),
        )
        return RefinementMaps(
            _cropped(maps.out_224, height, width),
            None if maps.out_28 is None else _cropped(maps.out_28, height, width),
            None if maps.out_56 is None else _cropped(maps.out_56, height, width),
            None if maps.out_28_2 is None else _cropped(maps.out_28_2, height, width),
            _cropped(maps.out_28_3, height, width),
            _cropped(maps.out_56_2, height, width),
        )

    def start_from_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Starts the backbone from torchvision's ImageNet tensors; input channels of masks start at zero.

        Raises:
            WeightsError: the tensors are another network's.
        """
        self.feats.start_from_imagenet(state)

    def load_backbone(self, source: str | None) -> None:
        """Starts the backbone from ImageNet weights.

        Args:
            source: None leaves it as it is; `imagenet` is torchvision's IMAGENET1K_V1, downloaded once;
                anything else is a file with its tensors.

        Raises:
            WeightsError: the file cannot be had, read or does not fit.
        """
        if source is not None:
            self.start_from_imagenet(self.feats.imagenet_state(source))

    def _passes(self, image: Tensor, mask: Tensor, s8: Tensor | None, s4: Tensor | None) -> RefinementMaps:
        """As `forward`, for sides that are multiples of 8."""
        out_28 = out_56 = out_28_2 = None
        if s8 is None:
            out_28 = resize_by(self.final_28(self._deep(image, mask, mask, mask)[0]), 8)
            s8 = out_28.tanh()
        if s4 is None:
            deep, features = self._deep(image, mask, s8, s8)
            out_28_2 = resize_by(self.final_28(deep), 8)
            out_56 = resize_by(self.final_56(self.up_1(deep, features.quarter)), 4)
            s8, s4 = out_28_2.tanh(), out_56.tanh()
        deep, features = self._deep(image, mask, s8, s4)
        out_28_3 = resize_by(self.final_28(deep), 8)
        x = self.up_1(deep, features.quarter)
        out_56_2 = resize_by(self.final_56(x), 4)
        x = self.up_3(self.up_2(x, features.half), image)
        out_224 = self.final_21(F.relu(self.final_11(torch.cat((x, image), 1)), inplace=True))
        return RefinementMaps(out_224, out_28, out_56, out_28_2, out_28_3, out_56_2)

    def _deep(
        self, image: Tensor, mask: Tensor, s8: Tensor, s4: Tensor
    ) -> tuple[Tensor, refinement_backbones.Features]:
        """The map behind pyramid pooling, at stride 8, and the backbone's own."""
        features = self.feats(torch.cat((image, mask, s8, s4), 1))
        return self.psp(features.deep), features


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The size at which the network works: where either side is no multiple of 8, both grow to the next one.

    A side that was a multiple gains 8 then (eval_helper.py, safe_forward).
    """
    if height % MULTIPLE == 0 and width % MULTIPLE == 0:
        return height, width
    return (height // MULTIPLE + 1) * MULTIPLE, (width // MULTIPLE + 1) * MULTIPLE


def padded(x: Tensor, value: float) -> Tensor:
    """(B, C, H, W) -> (B, C, *padded_size(H, W)), filled below and to the right."""
    height, width = x.shape[-2:]
    tall, wide = padded_size(height, width)
    return F.pad(x, (0, wide - width, 0, tall - height), value=value)


def _cropped(x: Tensor, height: int, width: int) -> Tensor:
    return x[..., :height, :width]


def _preactivated(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(channels_in),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1),
    )


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 32, 1), nn.ReLU(inplace=True), nn.Conv2d(32, 1, 1))
