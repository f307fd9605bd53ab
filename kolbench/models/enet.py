"""ENet (Paszke et al., arXiv 1606.02147): bottlenecks, poolings that are undone where their maxima lay."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolbench.models.two_class import TwoClassNetwork, TwoClassSegmenter

CLASSES = 2
WIDTH = 16
REDUCTION = 4
DROPOUT_FIRST = 0.01
DROPOUT = 0.1
# the eight bottlenecks of stages 2 and 3: a dilation, or 0 for 5x1 then 1x5
STAGE = (1, 2, 0, 4, 1, 8, 0, 16)


def halve_with_places(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max-pool with stride 2, and where in its square each maximum lay.

    Written with operations that have an ONNX form and a deterministic gradient, as torch's unpooling has not.

    Args:
        x: (B, C, H, W), H and W even.

    Returns:
        Maxima and places, (B, C, H/2, W/2); places are 0 to 3, row by row, the first of equal values.
    """
    maxima, places = torch.unflatten(F.pixel_unshuffle(x, 2), 1, (-1, 4)).max(2)
    return maxima, places


def unpool(x: Tensor, places: Tensor) -> Tensor:
    """Puts each value of (B, C, H, W) at its place in a square of zeros -> (B, C, 2H, 2W)."""
    corners = torch.arange(4, device=x.device).view(1, 1, 4, 1, 1)
    squares = x.unsqueeze(2) * (places.unsqueeze(2) == corners).to(x.dtype)
    return F.pixel_shuffle(squares.flatten(1, 2), 2)


class Bottleneck(nn.Module):
    """Reduces, convolves, expands; its activation has one slope, if any, shared by all its places.

    Args:
        channels_out: of the block.
        reduce: the first convolution, to `inner` channels.
        middle: one or two convolutions of `inner` channels.
        dropout: share of the channels that are dropped.
        act: the block's activation.
    """

    def __init__(
        self,
        channels_out: int,
        reduce: nn.Module,
        middle: list[nn.Module],
        inner: int,
        dropout: float,
        act: nn.Module,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList([reduce, *middle, nn.Conv2d(inner, channels_out, 1, bias=False)])
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width) for width in (*[inner] * (1 + len(middle)), channels_out)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.act = act

    def joined(self, main: Tensor, x: Tensor) -> Tensor:
        """The activated sum of the main branch and the side branch of x."""
        for conv, norm in zip(self.convs[:-1], self.norms[:-1], strict=True):
            x = self.act(norm(conv(x)))
        out: Tensor = self.act(main + self.dropout(self.norms[-1](self.convs[-1](x))))
        return out


class Regular(Bottleneck):
    """Bottleneck with an identity; keeps size and channels.

    Args:
        channels: of input and output.
        dilation: of the 3x3 in the middle; 0 for 5x1 then 1x5.
        dropout: share of the channels that are dropped.
        act: the block's activation.
    """

    def __init__(self, channels: int, dilation: int, dropout: float, act: nn.Module) -> None:
        inner = channels // REDUCTION
        reduce = nn.Conv2d(channels, inner, 1, bias=False)
        super().__init__(channels, reduce, _middle(inner, dilation), inner, dropout, act)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return self.joined(x, x)


class Down(Bottleneck):
    """Bottleneck that halves the sides; its main branch is a max-pool, widened by zeros."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        inner = channels_in // REDUCTION
        reduce = nn.Conv2d(channels_in, inner, 2, stride=2, bias=False)
        super().__init__(channels_out, reduce, _middle(inner, 1), inner, dropout, nn.PReLU())
        self.more = channels_out - channels_in

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, channels_in, H, W) -> (B, channels_out, H/2, W/2), and the pool's places for `Up`."""
        maxima, places = halve_with_places(x)
        pictures, _, height, width = maxima.shape
        zeros = maxima.new_zeros(pictures, self.more, height, width)
        return self.joined(torch.cat((maxima, zeros), 1), x), places


class Up(Bottleneck):
    """Bottleneck that doubles the sides; its main branch undoes the pool of a Down."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        inner = channels_in // REDUCTION
        reduce = nn.Conv2d(channels_in, inner, 1, bias=False)
        super().__init__(channels_out, reduce, [_double(inner, inner)], inner, dropout, nn.ReLU())
        self.main = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)
        )

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """(B, channels_in, H, W), places (B, channels_out, H, W) -> (B, channels_out, 2H, 2W), at least 0."""
        return self.joined(unpool(self.main(x), places), x)


class ENet(TwoClassNetwork):
    """ENet with two classes, 355,542 parameters: PReLU down, ReLU up, no biases.

    Args:
        channels_in: 3, or more.
    """

    def __init__(self, channels_in: int = 3) -> None:
        super().__init__()
        self.initial = nn.Conv2d(channels_in, WIDTH - channels_in, 3, stride=2, padding=1, bias=False)
        self.initial_act = nn.Sequential(nn.BatchNorm2d(WIDTH), nn.PReLU())
        self.down1 = Down(WIDTH, 64, DROPOUT_FIRST)
        self.stage1 = nn.Sequential(*(Regular(64, 1, DROPOUT_FIRST, nn.PReLU()) for _ in range(4)))
        self.down2 = Down(64, 128, DROPOUT)
        self.stage2 = nn.Sequential(*(Regular(128, dilation, DROPOUT, nn.PReLU()) for dilation in STAGE))
        self.stage3 = nn.Sequential(*(Regular(128, dilation, DROPOUT, nn.PReLU()) for dilation in STAGE))
        self.up4 = Up(128, 64, DROPOUT)
        self.stage4 = nn.Sequential(*(Regular(64, 1, DROPOUT, nn.ReLU()) for _ in range(2)))
        self.up5 = Up(64, WIDTH, DROPOUT)
        self.stage5 = Regular(WIDTH, 1, DROPOUT, nn.ReLU())
        self.head = _double(WIDTH, CLASSES)

    def forward_train(self, image: Tensor) -> Tensor:
        """(B, channels_in, H, W), sides multiples of 8 -> logits (B, 2, H, W), background first."""
        pooled = F.max_pool2d(image, 3, stride=2, padding=1)
        x = self.initial_act(torch.cat((self.initial(image), pooled), 1))
        x, places1 = self.down1(x)
        x, places2 = self.down2(self.stage1(x))
        x = self.stage3(self.stage2(x))
        x = self.stage4(self.up4(x, places2))
        logits: Tensor = self.head(self.stage5(self.up5(x, places1)))
        return logits


class ENetSegmenter(TwoClassSegmenter):
    """ENet on pictures of `size` x `size`, trained by cross-entropy.

    Args:
        size: side of the input in pixels, a multiple of 32.
        resize_mode: `stretch` or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown resize mode, or a size that is no multiple of 32.
    """

    def __init__(self, size: int, resize_mode: str = "stretch") -> None:
        super().__init__(size, ENet(), resize_mode)


def _middle(channels: int, dilation: int) -> list[nn.Module]:
    if dilation:
        return [nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)]
    return [
        nn.Conv2d(channels, channels, (5, 1), padding=(2, 0), bias=False),
        nn.Conv2d(channels, channels, (1, 5), padding=(0, 2), bias=False),
    ]


def _double(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1, bias=False)
