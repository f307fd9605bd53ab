"""RCRNet: portraits in real time by re-parameterised convolution residual modules; four variants."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.errors import ConfigError, require_choice
from kolbench.models.components.blocks import require_multiple
from kolbench.models.components.light import FeatureFusion, conv_bn
from kolbench.models.components.portrait_decoder import DBlock, doubling
from kolbench.models.components.rcr import RCR, Double, Halve, Keep
from kolbench.models.losses import portrait, two_class
from kolbench.models.losses.portrait import TwoViewWeights
from kolbench.models.prior_segmenter import PriorSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, RESIZE_MODES, InputSpec, current_resize_mode
from kolbench.types import Batch

# channels of the decoder's levels; the encoder's maps have those of PortraitNet's, so that both decoders fit
LEVELS = ((320, 96), (96, 32), (32, 24), (24, 16), (16, 8))
STEM = 16
CLASSES = 2
DECODERS = ("portraitnet", "rcr", "rcr_b")


class Variant(NamedTuple):
    """What a variant has: its decoder, the bypass at stride 2, and hidden channels of the last stage E6."""

    decoder: str
    bypass: bool
    extra_hidden: int


VARIANTS = {
    "dagger": Variant("portraitnet", False, 0),
    "double_dagger": Variant("rcr", False, 0),
    "diamond": Variant("portraitnet", True, 0),
    "star": Variant("rcr", True, 240),
}


class RCRNetMaps(NamedTuple):
    """Logits of the two classes (B, 2, H, W), foreground second, and of edges; H and W of the input."""

    logits: Tensor
    edge: Tensor


class Encoder(nn.Module):
    """Six or seven stages: maps of 16, 24, 32, 96 and 320 channels at strides 2 to 32."""

    def __init__(self, channels_in: int, extra_hidden: int, kernel: int) -> None:
        super().__init__()
        self.stem = conv_bn(channels_in, STEM, 3, 2)
        self.e1 = Keep(STEM, 36, STEM, kernel)
        self.e2 = Halve(STEM, 96, 24, kernel)
        self.e3 = Halve(24, 144, 32, kernel)
        self.e4 = Halve(32, 192, 96, kernel)
        self.e5 = Halve(96, 568, 320, kernel)
        self.e6 = Keep(320, extra_hidden, 320, kernel) if extra_hidden else nn.Identity()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, channels_in, H, W) -> the maps of E1 to E4, and the last."""
        at2 = self.e1(self.stem(image))
        at4 = self.e2(at2)
        at8 = self.e3(at4)
        at16 = self.e4(at8)
        return at2, at4, at8, at16, self.e6(self.e5(at16))


class Decoder(nn.Module):
    """Five levels that double the size; the encoder's maps at strides 16, 8 and 4 are added on the way.

    Args:
        kind: `portraitnet`, `rcr` (structure A, then a transposed convolution) or `rcr_b` (structure B).
        kernel: see RCR.
        upsample: `deconv`, or `bilinear` without weights (not for `rcr_b`).
    """

    def __init__(self, kind: str, kernel: int, upsample: str) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_level(kind, *channels, kernel, upsample) for channels in LEVELS)

    def forward(self, maps: tuple[Tensor, ...], join: nn.Module | None, bypass: Tensor | None) -> Tensor:
        """The encoder's maps -> (B, 8, H, W); `join` takes the bypass into the map at stride 2."""
        _, at4, at8, at16, y = maps
        for level, skip in zip(self.levels, (at16, at8, at4, None, None), strict=True):
            if y.shape[1] == STEM and join is not None:
                y = join(bypass, y)
            y = level(y)
            if skip is not None:
                y = y + skip
        return y


def _level(kind: str, channels_in: int, channels_out: int, kernel: int, upsample: str) -> nn.Module:
    if kind == "rcr_b":
        return Double(channels_in, channels_in, channels_out, kernel)
    if kind == "portraitnet":
        return nn.Sequential(DBlock(channels_in, channels_out), doubling(channels_out, upsample))
    block = Keep(channels_in, 3 * channels_in // 2, channels_out, kernel)
    return nn.Sequential(block, doubling(channels_out, upsample, groups=channels_out))


class RCRNet(nn.Module):
    """Encoder, decoder, and in two variants a bypass at half size, whose detail is supervised by edges.

    Spec of the paper, sections 2 to 5; widths are ours, chosen to meet the published budgets.

    Args:
        variant: one of `VARIANTS`.
        channels_in: 3, or 4 with a prior mask.
        branch2_kernel: of RCR's second depthwise branch, 1 or 3; at inference both are the same.
        extra_hidden: hidden channels of the stage E6; None = the variant's, 0 = none.
        decoder: one of `DECODERS`; None = the variant's.
        upsample: `deconv` or `bilinear`, see Decoder.
    """

    def __init__(
        self,
        variant: str = "star",
        channels_in: int = 3,
        branch2_kernel: int = 1,
        extra_hidden: int | None = None,
        decoder: str | None = None,
        upsample: str = "deconv",
    ) -> None:
        super().__init__()
        chosen = VARIANTS[variant]
        hidden = chosen.extra_hidden if extra_hidden is None else extra_hidden
        self.channels_in = channels_in
        self.encoder = Encoder(channels_in, hidden, branch2_kernel)
        self.decoder = Decoder(decoder or chosen.decoder, branch2_kernel, upsample)
        last = LEVELS[-1][1]
        self.bypass: nn.Module | None = None
        self.fusion: nn.Module | None = None
        self.pred = nn.Conv2d(last, CLASSES, 3, padding=1, bias=False)
        if chosen.bypass:
            self.bypass = nn.Sequential(
                RCR(STEM, STEM, kernel=branch2_kernel), RCR(STEM, STEM, kernel=branch2_kernel)
            )
            self.fusion = FeatureFusion(2 * STEM, STEM)
            self.edge = nn.Sequential(conv_bn(STEM, 12, 3), nn.Conv2d(12, CLASSES, 1))
        else:
            self.edge = nn.Sequential(nn.Conv2d(last, CLASSES, 3, padding=1, bias=False))

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W), H and W multiples of 32 -> (B, 1, H, W) probability of the foreground."""
        features, _ = self._features(image)
        return two_class.foreground_probability(self.pred(features))

    def forward_train(self, image: Tensor) -> RCRNetMaps:
        """As `forward`, but logits, with those of the edges."""
        features, bypass = self._features(image)
        edge = self.edge(features if bypass is None else bypass)
        if bypass is not None:
            edge = F.interpolate(edge, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return RCRNetMaps(self.pred(features), edge)

    def _features(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        maps = self.encoder(image)
        bypass = None if self.bypass is None else self.bypass(maps[0])
        features: Tensor = self.decoder(maps, self.fusion, bypass)
        return features, bypass


class RCRNetSegmenter(PriorSegmenter[RCRNet]):
    """RCRNet with its losses on the mask and on its edges.

    Args:
        size: side of the input in pixels, a multiple of 32; 224 in the paper.
        variant, branch2_kernel, extra_hidden, decoder, upsample: see RCRNet.
        prior: with the alpha of the frame before as fourth channel, see PriorSegmenter.
        edge_weight, consistency_weight: beta and alpha of equation 5. temperature: of the consistency loss.
        resize_mode: `stretch`: size x size, the aspect ignored, or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
    """

    def __init__(
        self,
        size: int,
        variant: str = "star",
        branch2_kernel: int = 1,
        extra_hidden: int | None = None,
        decoder: str | None = None,
        upsample: str = "deconv",
        prior: bool = False,
        edge_weight: float = 0.3,
        consistency_weight: float = 1.0,
        temperature: float = 1.0,
        resize_mode: str = "stretch",
    ) -> None:
        require_choice("model.variant", variant, VARIANTS)
        require_choice("model.upsample", upsample, ("deconv", "bilinear"))
        if decoder is not None:
            require_choice("model.decoder", decoder, DECODERS)
        if branch2_kernel not in (1, 3):
            raise ConfigError(f"model.branch2_kernel={branch2_kernel} is neither 1 nor 3.")
        if (extra_hidden or 0) < 0:
            raise ConfigError(f"model.extra_hidden={extra_hidden} must be at least 0.")
        resize_mode = require_choice("model.resize_mode", current_resize_mode(resize_mode), RESIZE_MODES)
        spec = InputSpec(size, resize_mode=resize_mode, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        network = RCRNet(variant, 3 + prior, branch2_kernel, extra_hidden, decoder, upsample)
        super().__init__(spec, network, ("edge",), prior)
        self.weights = TwoViewWeights(edge_weight, consistency_weight, temperature)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`mask` and `edge`, and `consistency` where the batch has a clean view: see `two_view_losses`."""
        image = self.training_input(batch, portrait.views_of(batch))
        require_multiple(image, 32)
        # CPUs train its depthwise convolutions faster so, by about a quarter
        image = image.contiguous(memory_format=torch.channels_last)
        maps = self.network.forward_train(image)
        return portrait.two_view_losses(maps.logits, maps.edge, batch["mask"], self.weights)
