"""PortraitNet (Zhang et al., Computers & Graphics 80, 2019): MobileNetV2, a light decoder, an edge head."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.checkpoints.read import load_state_strict
from kolbench.models.components.blocks import require_multiple
from kolbench.models.components.light import conv_bn, inverted_residuals
from kolbench.models.components.mobilenet import features_under
from kolbench.models.components.portrait_decoder import DBlock, doubling
from kolbench.models.losses.portrait import TwoViewWeights, two_view_losses, views_of
from kolbench.models.losses.two_class import foreground_probability
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
# of MobileNetV2 that the encoder has: the stem and each repetition
BLOCKS = 1 + sum(repetitions for _, repetitions, _, _ in STAGES)
# the stages whose maps the decoder adds, at 1/4, 1/8 and 1/16
SKIPS = (2, 3, 5)
DECODER = (96, 32, 24, 16, 8)
MULTIPLE = 32
# layers of `stages` that torchvision's MobileNetV2 lacks: the first 1x1 of stage 1, which widens nothing
NOT_MOBILENETS = "1.0.layers.0."
# the weights that see the picture
FIRST = "0.0.weight"
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
    """PortraitNet with its own normalisation and its losses on mask, edges and the likeness of two views.

    The released code feeds BGR; here it is RGB with the same mean of each colour, which only orders the
    weights of the first convolution otherwise.

    Args:
        size: side of the input in pixels, a multiple of 32; 224 in the paper.
        upsample: `deconv` or `bilinear`, see PortraitNet.
        edge: train the edge head too.
        prior: with the alpha of the frame before as fourth channel, see PriorSegmenter.
        backbone_weights: None, `imagenet` or a file, see `load_encoder`.
        edge_weight, consistency_weight, temperature: see TwoViewWeights; 0.1, 2 and 1 in the released code.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, a number out of range, or a size that is no multiple of 32.
        WeightsError: the backbone's weights cannot be had.
    """

    def __init__(
        self,
        size: int,
        upsample: str = "deconv",
        edge: bool = True,
        prior: bool = False,
        backbone_weights: str | None = None,
        edge_weight: float = 0.1,
        consistency_weight: float = 2.0,
        temperature: float = 1.0,
        resize_mode: str = "stretch",
    ) -> None:
        require_choice("model.upsample", upsample, UPSAMPLES)
        input_spec = InputSpec(size, resize_mode=resize_mode, mean=MEAN, std=STD)
        super().__init__(input_spec, PortraitNet(upsample, edge, 3 + prior), ("edge",), prior)
        self.weights = TwoViewWeights(edge_weight, consistency_weight, temperature)
        if backbone_weights is not None:
            self.beginning = (load_encoder(self.network, backbone_weights),)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`mask`, `edge`, and `consistency` where the batch has a clean view: see `two_view_losses`."""
        maps = self.network.forward_train(self.training_input(batch, views_of(batch)))
        return two_view_losses(maps.logits, maps.edge_logits, batch["mask"], self.weights)


def load_encoder(network: PortraitNet, source: str) -> str:
    """Loads MobileNetV2's ImageNet weights into the encoder, but for the 1x1 that MobileNetV2 does not have.

    Those of a prior, the fourth channel, stay as they are too.

    Args:
        network: changed in place. source: `imagenet` or a file, see `mobilenet.load_backbone`.

    Returns:
        Which tensors come from there, a sentence.

    Raises:
        WeightsError: the file cannot be had, read or does not fit.
    """
    own = network.stages.state_dict()
    shared = [name for name in own if not name.startswith(NOT_MOBILENETS)]
    found = features_under(shared, source, BLOCKS)
    colours, prior = own[FIRST][:, :3], own[FIRST][:, 3:]
    if found[FIRST].shape == colours.shape:
        found[FIRST] = torch.cat((found[FIRST], prior), 1)
    load_state_strict(network.stages, {**own, **found})
    return (
        f"model.backbone_weights={source}: {len(shared)} of the encoder's {len(own)} tensors come from it, "
        f"all but those of stages.{NOT_MOBILENETS[:-1]}, which MobileNetV2 lacks"
    )


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
