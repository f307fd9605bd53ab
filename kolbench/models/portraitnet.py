"""PortraitNet (Zhang et al., Computers & Graphics 80, 2019): MobileNetV2, a light decoder, an edge head."""

from typing import NamedTuple

from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.components.blocks import require_multiple
from kolbench.models.components.light import conv_bn, inverted_residuals
from kolbench.models.components.portrait_decoder import DBlock, doubling
from kolbench.models.losses.portrait import edge_band, focal_loss
from kolbench.models.losses.two_class import cross_entropy, foreground_probability
from kolbench.models.prior_segmenter import PriorSegmenter
from kolbench.preprocessing import InputSpec
from kolbench.types import Batch

UPSAMPLES = ("deconv", "bilinear")
ENTRY = 32
# channels, repetitions, stride of the first and expansion of stages 1 to 7
STAGES = (
    (16, 1, 1, 1),
    (24, 2, 2, 6),
    (32, 3, 2, 6),
    (64, 4, 2, 6),
    (96, 3, 1, 6),
    (160, 3, 2, 6),
    (320, 1, 1, 6),
)
# the stages whose maps the decoder adds, at 1/4, 1/8 and 1/16
SKIPS = (2, 3, 5)
DECODER = (96, 32, 24, 16, 8)
MULTIPLE = 32
EDGE_WEIGHT = 0.1
# what the released code takes off 8-bit red, green and blue, and what it multiplies by
MEAN = (123.68 / 255, 116.78 / 255, 103.94 / 255)
STD = (1 / (0.017 * 255),) * 3


class PortraitMaps(NamedTuple):
    """Logits (B, 2, H, W) of the mask and of its edge; None where the network has no edge head."""

    logits: Tensor
    edge_logits: Tensor | None


class PortraitNet(nn.Module):
    """MobileNetV2 with ReLU, five D-blocks each doubled in size, and 3x3 heads at full size.

    Args:
        upsample: `deconv`, transposed convolutions that start as bilinear interpolation, each channel by
            itself (2,080,904 parameters with the edge head); or `bilinear` (1,902,728).
        edge: with the head that only training needs (144 parameters).
        channels_in: 3 for RGB, 4 with a prior mask.
    """

    def __init__(self, upsample: str = "deconv", edge: bool = True, channels_in: int = 3) -> None:
        super().__init__()
        self.stages = nn.ModuleList([conv_bn(channels_in, ENTRY, 3, 2)])
        width = ENTRY
        for channels, repetitions, stride, expansion in STAGES:
            self.stages.append(inverted_residuals(width, channels, repetitions, stride, expansion))
            width = channels
        self.blocks, self.ups = nn.ModuleList(), nn.ModuleList()
        for channels in DECODER:
            self.blocks.append(DBlock(width, channels))
            self.ups.append(doubling(channels, upsample))
            width = channels
        self.pred = nn.Conv2d(width, 2, 3, padding=1, bias=False)
        self.edge = nn.Conv2d(width, 2, 3, padding=1, bias=False) if edge else None
        self.apply(_init)

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W), normalised, sides multiples of 32 -> (B, 1, H, W) probability."""
        return foreground_probability(self.pred(self._decoded(image)))

    def forward_train(self, image: Tensor) -> PortraitMaps:
        """As `forward`, but the logits of both heads."""
        features = self._decoded(image)
        return PortraitMaps(self.pred(features), None if self.edge is None else self.edge(features))

    def _decoded(self, image: Tensor) -> Tensor:
        """(B, 8, H, W), what the heads read."""
        require_multiple(image, MULTIPLE)
        skips = []
        y = image
        for index, stage in enumerate(self.stages):
            y = stage(y)
            if index in SKIPS:
                skips.append(y)
        for block, up in zip(self.blocks, self.ups, strict=True):
            y = up(block(y))
            # none is left at 1/2 and at full size
            if skips:
                y = y + skips.pop()
        return y


class PortraitNetSegmenter(PriorSegmenter[PortraitNet]):
    """PortraitNet with its own normalisation, its mask loss and its edge loss.

    The released code feeds BGR; here it is RGB with the same mean of each colour, which only orders the
    weights of the first convolution otherwise. The consistency of two views is left out.

    Args:
        size: side of the input in pixels, a multiple of 32; 224 in the paper.
        upsample: `deconv` or `bilinear`, see PortraitNet.
        edge: train the edge head too.
        prior: with the alpha of the frame before as fourth channel, see PriorSegmenter.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a size that is no multiple of 32.
    """

    def __init__(
        self,
        size: int,
        upsample: str = "deconv",
        edge: bool = True,
        prior: bool = False,
        resize_mode: str = "stretch",
    ) -> None:
        require_choice("model.upsample", upsample, UPSAMPLES)
        input_spec = InputSpec(size, resize_mode=resize_mode, mean=MEAN, std=STD)
        super().__init__(input_spec, PortraitNet(upsample, edge, 3 + prior), ("edge",), prior)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`ce`: cross-entropy on the binary mask; `edge`: 0.1 times the focal loss on its band of 4 px."""
        maps = self.network.forward_train(self.training_input(batch, batch["image"]))
        terms = {"ce": cross_entropy(maps.logits, batch["mask"])}
        if maps.edge_logits is not None:
            terms["edge"] = EDGE_WEIGHT * focal_loss(maps.edge_logits, edge_band(batch["mask"]))
        return terms


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
