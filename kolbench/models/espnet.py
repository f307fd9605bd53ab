"""ESPNet (Mehta et al., ECCV 2018; released code sacmehta/ESPNet): pyramids of dilated convolutions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.models.components.light import conv_norm_prelu, norm_prelu
from kolbench.models.two_class import TwoClassNetwork, TwoClassSegmenter

CLASSES = 2
NORM_EPS = 1e-3
DILATIONS = (1, 2, 4, 8, 16)
# ESP blocks at 1/4 and 1/8
REPEATS = (2, 8)
# the decoder's ESP block shares its channels among five branches, so two classes are too few for it
DECODER = max(CLASSES, len(DILATIONS))


class Pyramid(nn.Module):
    """Reduces, convolves with five dilations, adds up and concatenates: 1, 2, 2+4, 2+4+8, 2+4+8+16.

    Args:
        reduce: to a fifth of `channels_out`.
        channels_out: the undilated branch takes what five equal shares leave over.
    """

    def __init__(self, reduce: nn.Module, channels_out: int) -> None:
        super().__init__()
        share = channels_out // len(DILATIONS)
        self.reduce = reduce
        widths = (channels_out - share * (len(DILATIONS) - 1), *[share] * (len(DILATIONS) - 1))
        self.branches = nn.ModuleList(
            nn.Conv2d(share, width, 3, padding=dilation, dilation=dilation, bias=False)
            for width, dilation in zip(widths, DILATIONS, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, h, w), at the size of the reduced map."""
        reduced = self.reduce(x)
        first, second, *others = (branch(reduced) for branch in self.branches)
        sums = [second]
        for other in others:
            sums.append(sums[-1] + other)
        return torch.cat((first, *sums), 1)


class ESP(nn.Module):
    """Pyramid behind a 1x1, norm, PReLU; adds its input where that has the same channels.

    Args:
        channels_in, channels_out: of the block, the latter at least 5.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        reduce = nn.Conv2d(channels_in, channels_out // len(DILATIONS), 1, bias=False)
        self.pyramid = Pyramid(reduce, channels_out)
        self.norm_act = norm_prelu(channels_out, NORM_EPS)
        self.residual = channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        y = self.pyramid(x)
        out: Tensor = self.norm_act(x + y if self.residual else y)
        return out


class Encoder(nn.Module):
    """Maps at 1/2, 1/4 and 1/8, each with the picture or the level's entry beside it, normed and activated.

    Args:
        channels_in: of the picture.
    """

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.widths = (16 + channels_in, 2 * 64 + channels_in, 2 * 128)
        self.level1 = conv_norm_prelu(channels_in, 16, 3, stride=2, eps=NORM_EPS)
        self.down2 = _down(self.widths[0], 64)
        self.level2 = nn.Sequential(*(ESP(64, 64) for _ in range(REPEATS[0])))
        self.down3 = _down(self.widths[1], 128)
        self.level3 = nn.Sequential(*(ESP(128, 128) for _ in range(REPEATS[1])))
        self.norms = nn.ModuleList(norm_prelu(width, NORM_EPS) for width in self.widths)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, channels_in, H, W) -> maps of `widths` channels, finest first."""
        half = _averaged(image)
        half_map = self.norms[0](torch.cat((self.level1(image), half), 1))
        entry2 = self.down2(half_map)
        quarter_map = self.norms[1](torch.cat((self.level2(entry2), entry2, _averaged(half)), 1))
        entry3 = self.down3(quarter_map)
        return half_map, quarter_map, self.norms[2](torch.cat((entry3, self.level3(entry3)), 1))


class ESPNet(TwoClassNetwork):
    """ESPNet with its decoder, 347,794 parameters.

    The decoder has five channels and a 1x1 to two classes behind it; the released one, with a channel per
    class, needs five classes or more.

    Args:
        channels_in: 3, or more.
    """

    def __init__(self, channels_in: int = 3) -> None:
        super().__init__()
        self.encoder = Encoder(channels_in)
        half, quarter, eighth = self.encoder.widths
        self.scores = nn.Conv2d(eighth, DECODER, 1, bias=False)
        self.scores_norm = nn.BatchNorm2d(DECODER, NORM_EPS)
        self.up3 = _double()
        self.skip2 = nn.Conv2d(quarter, DECODER, 1, bias=False)
        self.join2 = nn.Sequential(norm_prelu(2 * DECODER, NORM_EPS), ESP(2 * DECODER, DECODER))
        self.up2 = nn.Sequential(_double(), norm_prelu(DECODER, NORM_EPS))
        self.join1 = conv_norm_prelu(half + DECODER, DECODER, 3, eps=NORM_EPS)
        self.up1 = _double()
        self.head = nn.Conv2d(DECODER, CLASSES, 1, bias=False)

    def forward_train(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W), sides multiples of 8 -> logits (B, 2, H, W), background first."""
        half_map, quarter_map, eighth_map = self.encoder(image)
        y = self.up3(self.scores_norm(self.scores(eighth_map)))
        y = self.up2(self.join2(torch.cat((self.skip2(quarter_map), y), 1)))
        y = self.up1(self.join1(torch.cat((y, half_map), 1)))
        logits: Tensor = self.head(y)
        return logits


class ESPNetSegmenter(TwoClassSegmenter):
    """ESPNet on pictures of `size` x `size`, trained by cross-entropy.

    Args:
        size: side of the input in pixels, a multiple of 32.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown resize mode, or a size that is no multiple of 32.
    """

    def __init__(self, size: int, resize_mode: str = "stretch") -> None:
        super().__init__(size, ESPNet(), resize_mode)


def _averaged(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def _down(channels_in: int, channels_out: int) -> nn.Sequential:
    share = channels_out // len(DILATIONS)
    reduce = nn.Conv2d(channels_in, share, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(Pyramid(reduce, channels_out), *norm_prelu(channels_out, NORM_EPS))


def _double() -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(DECODER, DECODER, 2, stride=2, bias=False)
