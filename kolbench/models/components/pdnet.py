"""PDNet, the part-decoupling network for portraits in video (papers/pdnet.txt; iCVTEAM/PDNet)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import ConfigError, require_between, require_choice, require_whole
from kolbench.models.components import pyramid_backbones
from kolbench.models.components.blocks import resize_aligned

MERGES = ("product", "sum")
ACTIVATIONS = ("softmax", "sigmoid")
SCALES = ("none", "sqrt")
# names of the heads that only training needs, on x2 to x5
AUXILIARY = ("head_1", "head_2", "head_3", "head_4")
BODY = "bkbone"


@dataclass(frozen=True)
class PDNetOptions:
    """How the network is built; the defaults are the released code's.

    Attributes:
        backbone: `resnet18`, `resnet50`, `resnet101` or `mobilenet_v2`.
        mobilenet_last: channels of MobileNetV2's last map, 320 or 1280.
        merge: of neighbouring levels: `product` (released code) or `sum` (FPN).
        width: channels C of the levels, a multiple of 4; parts have C / 2, attention C / 4. 128.
        ipda: False leaves IPDA and the fusion out: the head reads the map at stride 4 (table 3, base).
        parts: p, 5. One part is all of the salient region.
        ipda_scale: share of the side of the map at stride 4 at which parts are made, in (0, 1]; 0.25.
        part_activation: of the part logits: `softmax` over the parts, or `sigmoid`.
        attention_scale: `none` (released code), or `sqrt`, 1 / sqrt(C / 4), as in Vaswani et al. 2017.
        attention_residual: whether attention is added to the part that asks (released code), or replaces it.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
    """

    backbone: str = "resnet50"
    mobilenet_last: int = pyramid_backbones.SHORT_TAIL
    merge: str = "product"
    width: int = 128
    ipda: bool = True
    parts: int = 5
    ipda_scale: float = 0.25
    part_activation: str = "softmax"
    attention_scale: str = "none"
    attention_residual: bool = True

    def __post_init__(self) -> None:
        require_choice("model.merge", self.merge, MERGES)
        require_choice("model.part_activation", self.part_activation, ACTIVATIONS)
        require_choice("model.attention_scale", self.attention_scale, SCALES)
        require_whole("model.parts", self.parts, 1, 64)
        require_between("model.ipda_scale", self.ipda_scale, 0.01, 1)
        if require_whole("model.width", self.width, 4, 4096) % 4:
            raise ConfigError(f"model.width={self.width} is no multiple of 4.")


class Reference(NamedTuple):
    """What is kept of a reference frame: key and value of each part, (B, p, n, C / 4), n positions."""

    key: Tensor
    value: Tensor


class PartLogits(NamedTuple):
    """Logits of a frame at the size of its parts: saliency (B, 1, h, w) and parts (B, p, h, w)."""

    saliency: Tensor
    parts: Tensor


class Decoupled(NamedTuple):
    """A frame in parts: the compressed map (B, C / 2, h, w), and one such map for each part."""

    compressed: Tensor
    parts: tuple[Tensor, ...]


class Levels(NamedTuple):
    """The top-down maps of a frame (B, C, h, w), as named in the specification: strides 4, 4, 8 and 16."""

    x2: Tensor
    x3: Tensor
    x4: Tensor
    x5: Tensor


class Frame(NamedTuple):
    """What the network sees of one frame by itself; decoupled is None without IPDA."""

    levels: Levels
    decoupled: Decoupled | None


class FrameMaps(NamedTuple):
    """Logits of one frame that only training reads, at their own sizes.

    auxiliary: (B, 1, h, w) on x2, x3, x4 and x5. parts: None without IPDA.
    """

    auxiliary: tuple[Tensor, ...]
    parts: PartLogits | None


class PDNetMaps(NamedTuple):
    """Logits in training: final (B, 1, H, W); those of the frame, and of its reference where it has one."""

    final: Tensor
    target: FrameMaps
    reference: FrameMaps | None


class ConvPair(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU; the merged map is their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1, self.bn_1 = _conv(channels, channels, 3), nn.BatchNorm2d(channels)
        self.conv_2, self.bn_2 = _conv(channels, channels, 3), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape, at least 0."""
        return F.relu(self.bn_2(self.conv_2(F.relu(self.bn_1(self.conv_1(x))))))


class PartGroup(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with batch norm and ReLU, the branch of one part."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1, self.bn_1 = _conv(channels, channels, 1), nn.BatchNorm2d(channels)
        self.conv_2, self.bn_2 = _conv(channels, channels, 3), nn.BatchNorm2d(channels)
        self.conv_3, self.bn_3 = _conv(channels, channels, 1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape, at least 0."""
        x = F.relu(self.bn_1(self.conv_1(x)))
        x = F.relu(self.bn_2(self.conv_2(x)))
        return F.relu(self.bn_3(self.conv_3(x)))


class IPDA(nn.Module):
    """Inter-frame part-discriminated attention: each part of a frame asks the same part of a reference.

    Args:
        options: width, parts, scale, activation and attention, see PDNetOptions.
    """

    def __init__(self, options: PDNetOptions) -> None:
        super().__init__()
        width, inner, attended = options.width, options.width // 2, options.width // 4
        self.options = options
        self.sup_adapt1 = _conv_bn_relu(width, width, 3)
        self.sup_adapt2 = _conv_bn_relu(width, inner, 1)
        self.part_sep_conv = nn.ModuleList(PartGroup(inner) for _ in range(options.parts))
        self.sup_head = _head(inner)
        self.part_q_conv = nn.ModuleList(_conv(inner, attended, 1) for _ in range(options.parts))
        self.part_k_conv = nn.ModuleList(_conv(inner, attended, 1) for _ in range(options.parts))
        self.part_v_conv = nn.ModuleList(_conv(inner, attended, 1) for _ in range(options.parts))
        self.part_att_conv = nn.ModuleList(_conv_bn_relu(attended, inner, 1) for _ in range(options.parts))
        self.part_sep_pred = _head(inner)
        # one part is everywhere, whatever its logit
        self.part_sep_pred.requires_grad_(options.parts > 1)

    def decouple(self, x: Tensor) -> Decoupled:
        """(B, C, h, w) at stride 4 -> its parts at `ipda_scale` of that size, sides rounded down."""
        small = resize_aligned(x, [_scaled(side, self.options.ipda_scale) for side in x.shape[-2:]])
        compressed: Tensor = self.sup_adapt2(self.sup_adapt1(small))
        return Decoupled(compressed, tuple(group(compressed) for group in self.part_sep_conv))

    def logits(self, frame: Decoupled) -> PartLogits:
        """Where something is salient, and which part it is."""
        parts = torch.cat([self.part_sep_pred(part) for part in frame.parts], 1)
        return PartLogits(self.sup_head(frame.compressed), parts)

    def remember(self, frame: Decoupled) -> Reference:
        """Key and value of each part of a frame that others are compared with."""
        return Reference(_by_part(self.part_k_conv, frame.parts), _by_part(self.part_v_conv, frame.parts))

    def assigned(self, logits: Tensor) -> Tensor:
        """(B, p, h, w) part logits -> D, how far each pixel belongs to each part, in [0, 1]."""
        return part_probability(logits, self.options.part_activation)

    def forward(self, frame: Decoupled, logits: PartLogits, references: Sequence[Reference]) -> Tensor:
        """Equation 2: the parts with what they find in the references, put together where they are.

        Args:
            frame, logits: of the target.
            references: at least one; what they give is averaged.

        Returns:
            (B, C / 2, h, w); 0 where nothing is salient.
        """
        query = _by_part(self.part_q_conv, frame.parts)
        place = self.assigned(logits.parts) * logits.saliency.sigmoid()
        assembled = [self._assembled(frame, query, reference, place) for reference in references]
        return torch.stack(assembled).mean(0)

    def _assembled(self, frame: Decoupled, query: Tensor, reference: Reference, place: Tensor) -> Tensor:
        """Q of each part times R-hat, summed over the parts."""
        scale = None if self.options.attention_scale == "sqrt" else 1.0
        found = F.scaled_dot_product_attention(query, reference.key, reference.value, scale=scale)
        sizes = frame.compressed.shape[-2:]
        maps = torch.unflatten(found.transpose(2, 3), 3, tuple(sizes))
        total = torch.zeros_like(frame.compressed)
        for k, (part, back) in enumerate(zip(frame.parts, self.part_att_conv, strict=True)):
            answer = back(maps[:, k])
            seen = part + answer if self.options.attention_residual else answer
            total = total + seen * place[:, k : k + 1]
        return total


class SpatiotemporalFusion(nn.Module):
    """Joins what IPDA found with the frame's own map at stride 4.

    Args:
        width: channels of the map; IPDA gives half as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_t, self.bn_t = _conv(width // 2, width, 1), nn.BatchNorm2d(width)
        self.conv_t1 = _conv(width, width, 1)
        self.conv_1, self.bn_1 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.conv_2, self.bn_2 = _conv(width, width, 3), nn.BatchNorm2d(width)

    def forward(self, x: Tensor, assembled: Tensor) -> Tensor:
        """(B, C, h, w) and (B, C / 2, h', w') -> (B, C, h, w), at least 0."""
        enlarged = resize_aligned(assembled, x.shape[-2:])
        t = F.relu(self.bn_t(self.conv_t(enlarged)))
        joined = x + t + x * self.conv_t1(t)
        return F.relu(self.bn_2(self.conv_2(F.relu(self.bn_1(self.conv_1(joined))))))


class PDNet(nn.Module):
    """Segments a frame with the help of a reference frame of its clip; keys are the released ones.

    With ResNet-50 it has 25,638,855 parameters, 4,612 of them in heads that only training needs, and needs
    55.8 GMACs of convolutions for two frames of 480 x 480. Pictures may have any size from 16 x 16.

    Args:
        options: see PDNetOptions.
    """

    def __init__(self, options: PDNetOptions | None = None) -> None:
        super().__init__()
        options = options or PDNetOptions()
        width = options.width
        self.options = options
        self.bkbone = pyramid_backbones.build(options.backbone, options.mobilenet_last)
        at4, at8, at16, at32 = self.bkbone.channels
        self.l5_adapt = _conv_bn_relu(at32, width, 1)
        self.l4_adapt = _conv_bn_relu(at16, width, 1)
        self.l3_adapt = _conv_bn_relu(at8, width, 1)
        self.l2_adapt = _conv_bn_relu(at4, width, 1)
        self.fuse4, self.fuse3, self.fuse2 = ConvPair(width), ConvPair(width), ConvPair(width)
        self.ipda = IPDA(options) if options.ipda else None
        self.spatiotemporal_fusion = SpatiotemporalFusion(width) if options.ipda else None
        self.head = _head(width)
        self.head_1, self.head_2, self.head_3, self.head_4 = (_head(width) for _ in AUXILIARY)
        for name, part in self.named_children():
            if name != BODY:
                part.apply(_start)

    @property
    def part_names(self) -> dict[str, tuple[str, ...]]:
        """`body` and `heads`, the two groups of learning rates -> names of the network's parts."""
        heads = tuple(name for name, _ in self.named_children() if name != BODY)
        return {"body": (BODY,), "heads": heads}

    def look(self, image: Tensor) -> Frame:
        """What is seen of frames by themselves: (B, 3, H, W), normalised -> Frame."""
        levels = self._levels(image)
        return Frame(levels, None if self.ipda is None else self.ipda.decouple(levels.x2))

    def remember(self, frame: Frame) -> Reference:
        """What other frames need to know of a reference.

        Raises:
            ValueError: the network has no IPDA, which alone reads references.
        """
        if self.ipda is None or frame.decoupled is None:
            raise ValueError("a network without IPDA has no references.")
        return self.ipda.remember(frame.decoupled)

    def part_logits(self, frame: Frame) -> PartLogits | None:
        """Where something is salient in a frame, and which part it is; None without IPDA."""
        if self.ipda is None or frame.decoupled is None:
            return None
        return self.ipda.logits(frame.decoupled)

    def segment(self, frame: Frame, references: Sequence[Reference], size: Sequence[int]) -> Tensor:
        """Logits of a frame.

        Args:
            frame: what `look` gave.
            references: of the same clips; a frame without any is its own. Without IPDA they play no part.
            size: height and width of the result, to which logits are resized in one step.

        Returns:
            (B, 1, *size), before the sigmoid.
        """
        x = frame.levels.x2
        if self.ipda is not None and self.spatiotemporal_fusion is not None and frame.decoupled is not None:
            given = references or [self.ipda.remember(frame.decoupled)]
            logits = self.ipda.logits(frame.decoupled)
            x = self.spatiotemporal_fusion(x, self.ipda(frame.decoupled, logits, given))
        return resize_aligned(self.head(x), size)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), normalised, each its own reference -> (B, 1, H, W) probability."""
        return self.segment(self.look(image), [], image.shape[-2:]).sigmoid()

    def forward_train(self, image: Tensor, reference: Tensor | None = None) -> PDNetMaps:
        """All logits of a frame and of its reference, which is batch-normalised by itself.

        Args:
            image: (B, 3, H, W), normalised.
            reference: the same of the reference frames; None = each frame is its own, seen once.
        """
        frame = self.look(image)
        if reference is None:
            return PDNetMaps(self.segment(frame, [], image.shape[-2:]), self._training_maps(frame), None)
        other = self.look(reference)
        references = [] if self.ipda is None else [self.remember(other)]
        final = self.segment(frame, references, image.shape[-2:])
        return PDNetMaps(final, self._training_maps(frame), self._training_maps(other))

    def load_backbone(self, source: str | None) -> None:
        """Starts the body from ImageNet weights.

        Args:
            source: None leaves it as it is; `imagenet` is torchvision's IMAGENET1K_V1, downloaded once;
                anything else is a file with its tensors.

        Raises:
            WeightsError: the file cannot be had, read or does not fit.
        """
        if source is not None:
            self.bkbone.load_imagenet(source)

    def _levels(self, image: Tensor) -> Levels:
        l2, l3, l4, l5 = self.bkbone(image)
        x5 = resize_aligned(self.l5_adapt(l5), l4.shape[-2:])
        x4 = resize_aligned(self.fuse4(self._merged(x5, self.l4_adapt(l4))), l3.shape[-2:])
        x3 = resize_aligned(self.fuse3(self._merged(x4, self.l3_adapt(l3))), l2.shape[-2:])
        return Levels(self.fuse2(self._merged(x3, self.l2_adapt(l2))), x3, x4, x5)

    def _merged(self, upper: Tensor, lateral: Tensor) -> Tensor:
        return upper * lateral if self.options.merge == "product" else upper + lateral

    def _training_maps(self, frame: Frame) -> FrameMaps:
        heads = (self.head_1, self.head_2, self.head_3, self.head_4)
        auxiliary = tuple(head(level) for head, level in zip(heads, frame.levels, strict=True))
        return FrameMaps(auxiliary, self.part_logits(frame))


def part_probability(logits: Tensor, activation: str = "softmax") -> Tensor:
    """D of equation 1: how far each pixel belongs to each part.

    Args:
        logits: (B, p, H, W) float.
        activation: one of ACTIVATIONS; a single part is everywhere under both.

    Returns:
        (B, p, H, W) in [0, 1]; under `softmax` they sum to 1 over the parts.
    """
    if logits.shape[1] == 1:
        return torch.ones_like(logits)
    return logits.softmax(1) if activation == "softmax" else logits.sigmoid()


def _by_part(convolutions: nn.ModuleList, parts: Sequence[Tensor]) -> Tensor:
    """Each part through its own 1x1: (B, p, n, channels), n = h w positions."""
    maps = [conv(part) for conv, part in zip(convolutions, parts, strict=True)]
    return torch.stack(maps, 1).flatten(3).transpose(2, 3)


def _scaled(side: int, scale: float) -> int:
    # the small sum keeps products such as 0.29 * 100 from falling below a whole number
    return max(1, int(side * scale + 1e-6))


def _conv(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)


def _conv_bn_relu(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    conv = _conv(channels_in, channels_out, kernel)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


def _head(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, 1, 3, padding=1)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
