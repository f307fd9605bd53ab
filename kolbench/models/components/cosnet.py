"""COSNet, which looks at two frames of a clip at once (CVPR 2019; carrierlxk/COSNet)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import ConfigError, require_choice, require_whole
from kolbench.models.components import dilated_backbones
from kolbench.models.components.blocks import resize_to

# names of what only training needs
TRAINING_HEADS = ("conv2", "bn2", "main_classifier2", "encoder.main_classifier")
FUSIONS = ("prediction", "summary", "group")
START_DEVIATION = 0.01


@dataclass(frozen=True)
class COSNetOptions:
    """How the network is built; the defaults are the released code's, with torchvision's stride.

    Attributes:
        backbone: `resnet18`, `resnet50`, `resnet101` or `mobilenet_v2`.
        aspp_depth: channels of each of the five branches.
        width: channels C of a frame's features.
        aspp_rates: dilations of the three 3x3 branches.
        stride_in, freeze_shortcut_norms: see DilatedResNet.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
    """

    backbone: str = "resnet101"
    aspp_depth: int = 512
    width: int = 256
    aspp_rates: tuple[int, ...] = (6, 12, 18)
    stride_in: str = "3x3"
    freeze_shortcut_norms: bool = True

    def __post_init__(self) -> None:
        require_choice("model.backbone", self.backbone, dilated_backbones.BACKBONES)
        require_whole("model.aspp_depth", self.aspp_depth, 1, 8192)
        require_whole("model.width", self.width, 1, 8192)
        if len(self.aspp_rates) != 3:
            raise ConfigError(f"model.aspp_rates={list(self.aspp_rates)} must be three dilations.")
        for rate in self.aspp_rates:
            require_whole("model.aspp_rates", rate, 1, 256)

    def light(self) -> Self:
        """For two processor cores: 128 channels in every branch and of the features, half the dilations."""
        return replace(self, aspp_depth=128, width=128, aspp_rates=(3, 6, 9))


class PairLogits(NamedTuple):
    """Logits (B, 1, H, W) of a training step on two frames."""

    target: Tensor
    reference: Tensor


class ASPP(nn.Module):
    """Five views of a map side by side: its mean, 1x1 and three dilated 3x3, then a 3x3.

    Args:
        channels: of the map. depth: of each branch. width: of the result. rates: three dilations.
    """

    def __init__(self, channels: int, depth: int, width: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.conv, self.bn_x = nn.Conv2d(channels, depth, 1), nn.BatchNorm2d(depth)
        self.conv2d_0, self.bn_0 = nn.Conv2d(channels, depth, 1), nn.BatchNorm2d(depth)
        self.conv2d_1, self.bn_1 = _dilated(channels, depth, rates[0]), nn.BatchNorm2d(depth)
        self.conv2d_2, self.bn_2 = _dilated(channels, depth, rates[1]), nn.BatchNorm2d(depth)
        self.conv2d_3, self.bn_3 = _dilated(channels, depth, rates[2]), nn.BatchNorm2d(depth)
        self.bottleneck, self.bn = nn.Conv2d(5 * depth, width, 3, padding=1), nn.BatchNorm2d(width)
        self.prelu = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> (B, width, h, w). In training the mean's norm needs two pictures."""
        pooled = F.relu(self.bn_x(self.conv(x.mean((2, 3), keepdim=True)))).expand(-1, -1, *x.shape[-2:])
        branches = [
            pooled,
            F.relu(self.bn_0(self.conv2d_0(x))),
            F.relu(self.bn_1(self.conv2d_1(x))),
            F.relu(self.bn_2(self.conv2d_2(x))),
            F.relu(self.bn_3(self.conv2d_3(x))),
        ]
        found: Tensor = self.prelu(self.bn(self.bottleneck(torch.cat(branches, 1))))
        return found


class Encoder(nn.Module):
    """The body, under the released names of a ResNet's parts, the ASPP and a classifier of its own.

    Args:
        options: see COSNetOptions.
    """

    def __init__(self, options: COSNetOptions) -> None:
        super().__init__()
        body = dilated_backbones.build(options.backbone, options.stride_in, options.freeze_shortcut_norms)
        # its parts stand beside the others, as in the released checkpoints
        for name, part in body.named_children():
            self.add_module(name, part)
        self._body = (body,)
        self.layer5 = ASPP(body.channels, options.aspp_depth, options.width, options.aspp_rates)
        self.main_classifier = nn.Conv2d(options.width, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), any size -> features (B, C, h, w) at stride 8."""
        body: nn.Module = self._body[0]
        found: Tensor = self.layer5(body(image))
        return found

    def load_imagenet(self, source: str) -> None:
        """Takes ImageNet tensors into the body; see DilatedMobileNet.load_imagenet."""
        self._body[0].load_imagenet(source)


class COSNet(nn.Module):
    """Segments a frame by what its features find in those of another frame; keys are the released ones.

    With ResNet-101 it has 81,242,436 parameters, 1,180,674 of them in heads that only training needs, and a
    pair of 473 x 473 needs 573 GMACs of convolutions and 10 of matrix products.

    Args:
        options: see COSNetOptions.
    """

    def __init__(self, options: COSNetOptions | None = None) -> None:
        super().__init__()
        options = options or COSNetOptions()
        width = options.width
        self.options = options
        self.encoder = Encoder(options)
        self.linear_e = nn.Linear(width, width, bias=False)
        self.gate = nn.Conv2d(width, 1, 1, bias=False)
        self.conv1, self.bn1 = nn.Conv2d(2 * width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(2 * width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.main_classifier1, self.main_classifier2 = nn.Conv2d(width, 1, 1), nn.Conv2d(width, 1, 1)
        self.apply(_start)

    @property
    def part_names(self) -> dict[str, tuple[str, ...]]:
        """`body` (here with ASPP and its classifier) and `heads`, the two groups of learning rates."""
        heads = tuple(name for name, _ in self.named_children() if name != "encoder")
        return {"body": ("encoder",), "heads": heads}

    def encode(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in the network's colours -> features (B, C, h, w)."""
        found: Tensor = self.encoder(image)
        return found

    def segment(
        self, target: Tensor, references: Sequence[Tensor], size: Sequence[int], fusion: str
    ) -> Tensor:
        """Probability of frames, by what they find in references.

        Args:
            target: features (B, C, h, w). references: of at least one frame of the same clips, each such.
            size: height and width of the result.
            fusion: `prediction`: mean of the probabilities with each reference; `summary`: what is found is
                averaged; `group`: all references are searched at once.

        Returns:
            (B, 1, *size).
        """
        if fusion == "prediction":
            each = [self._head(target, self.found(target, other), size).sigmoid() for other in references]
            return torch.stack(each).mean(0)
        if fusion == "group":
            together = torch.cat([other.flatten(2) for other in references], 2)
            gated = self._gated(self.found(target, together[..., None]))
        else:
            gated = torch.stack([self._gated(self.found(target, other)) for other in references]).mean(0)
        return self._classified(target, gated, size).sigmoid()

    def found(self, target: Tensor, reference: Tensor) -> Tensor:
        """z of the target: for each of its positions the mean of the reference, softmax of (W e) . q.

        Args:
            target: (B, C, h, w). reference: (B, C, h', w').

        Returns:
            (B, C, h, w).
        """
        asked = self.linear_e(target.flatten(2).transpose(1, 2))
        given = reference.flatten(2).transpose(1, 2)
        seen = F.scaled_dot_product_attention(asked[:, None], given[:, None], given[:, None], scale=1.0)
        return torch.unflatten(seen[:, 0].transpose(1, 2), 2, tuple(target.shape[-2:]))

    def co_attention(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """z of both frames, from one affinity: rows of its softmax for the target, columns for the reference.

        Both (B, C, h, w), as the results.
        """
        own, other = target.flatten(2), reference.flatten(2)
        affinity = self.linear_e(own.transpose(1, 2)) @ other
        of_target = other @ affinity.softmax(2).transpose(1, 2)
        of_reference = own @ affinity.softmax(1)
        shape = tuple(target.shape[-2:])
        return torch.unflatten(of_target, 2, shape), torch.unflatten(of_reference, 2, shape)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in the network's colours, each its own reference -> (B, 1, H, W) probability."""
        features = self.encode(image)
        return self.segment(features, [features], image.shape[-2:], "prediction")

    def forward_pair(self, target: Tensor, reference: Tensor) -> PairLogits:
        """Logits of two frames of a clip, each (B, 3, H, W), at their own size."""
        own, other = self.encode(target), self.encode(reference)
        of_target, of_reference = self.co_attention(own, other)
        size = target.shape[-2:]
        return PairLogits(
            self._head(own, of_target, size),
            self._classified(other, self._gated(of_reference), size, second=True),
        )

    def forward_single(self, image: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of the encoder's own classifier."""
        return resize_to(self.encoder.main_classifier(self.encode(image)), image.shape[-2:])

    def load_backbone(self, source: str | None) -> None:
        """Starts the body from ImageNet weights; None leaves it as it is.

        Raises:
            WeightsError: the file cannot be had, read or does not fit.
        """
        if source is not None:
            self.encoder.load_imagenet(source)

    def _head(self, features: Tensor, found: Tensor, size: Sequence[int]) -> Tensor:
        return self._classified(features, self._gated(found), size)

    def _gated(self, found: Tensor) -> Tensor:
        gated: Tensor = found * self.gate(found).sigmoid()
        return gated

    def _classified(
        self, features: Tensor, gated: Tensor, size: Sequence[int], second: bool = False
    ) -> Tensor:
        """Logits (B, 1, *size) of gated z and the frame's own features; second: by the reference's head."""
        conv, norm, classifier = (
            (self.conv2, self.bn2, self.main_classifier2)
            if second
            else (self.conv1, self.bn1, self.main_classifier1)
        )
        return resize_to(classifier(F.relu(norm(conv(torch.cat([gated, features], 1))))), size)


def _dilated(channels_in: int, channels_out: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, START_DEVIATION)
