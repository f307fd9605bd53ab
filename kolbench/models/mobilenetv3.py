"""MobileNetV3-Small with the Lite R-ASPP head (Howard et al., ICCV 2019), of torchvision's parts."""

from torch import Tensor, nn
from torchvision.models.mobilenetv3 import mobilenet_v3_small
from torchvision.models.segmentation.lraspp import LRASPPHead

from kolbench.models.components.blocks import resize_to
from kolbench.models.two_class import TwoClassNetwork, TwoClassSegmenter

# the block whose map of 1/8 the head reads beside the last one of 1/16, and the channels of both
LOW = 2
LOW_CHANNELS = 24
HIGH_CHANNELS = 288
HEAD_CHANNELS = 128


class MobileNetV3(TwoClassNetwork):
    """MobileNetV3-Small, its tail halved and dilated so that it ends at 1/16, and Lite R-ASPP.

    It has 512,996 parameters.

    Args:
        channels_in: 3 for RGB.
    """

    def __init__(self, channels_in: int = 3) -> None:
        super().__init__()
        self.features: nn.Sequential = mobilenet_v3_small(
            weights=None, dilated=True, reduced_tail=True
        ).features
        if channels_in != 3:
            self.features[0][0] = _entry(self.features[0][0], channels_in)
        self.head: nn.Module = LRASPPHead(LOW_CHANNELS, HIGH_CHANNELS, 2, HEAD_CHANNELS)

    def forward_train(self, image: Tensor) -> Tensor:
        """As `forward`, but logits (B, 2, H, W), channel 1 the foreground."""
        low = high = image
        for index, block in enumerate(self.features):
            high = block(high)
            if index == LOW:
                low = high
        return resize_to(self.head({"low": low, "high": high}), image.shape[-2:])


class MobileNetV3Segmenter(TwoClassSegmenter):
    """MobileNetV3 on pictures normalised as ImageNet's, trained by cross-entropy of the two classes.

    Args:
        size: side of the input in pixels, a multiple of 32; 224 in the RCRNet paper.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a size that is no multiple of 32.
    """

    def __init__(self, size: int, resize_mode: str = "stretch") -> None:
        super().__init__(size, MobileNetV3(), resize_mode)


def _entry(conv: nn.Conv2d, channels_in: int) -> nn.Conv2d:
    """torchvision's first convolution, for another number of channels, with its initialisation."""
    made = nn.Conv2d(channels_in, conv.out_channels, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(made.weight, mode="fan_out")
    return made
