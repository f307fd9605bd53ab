"""torchvision's MobileNetV2 as a backbone under the released MODNet's key names, and its ImageNet weights."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops import Conv2dNormActivation

from kolbench.errors import WeightsError
from kolbench.models.checkpoints.pretrained import BACKBONE_KEY, state_as_chosen
from kolbench.models.checkpoints.read import load_state_strict

# expansion, output channels, repetitions, stride of the first (Sandler et al. 2018, table 2)
GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FULL_TAIL = 1280
TAPS = (1, 3, 6, 13)


class Taps(NamedTuple):
    """Feature maps of the backbone: (B, C, H/k, W/k) with C = 16, 24, 32, 96 and the tail's channels."""

    enc2x: Tensor
    enc4x: Tensor
    enc8x: Tensor
    enc16x: Tensor
    enc32x: Tensor


def flat(block: InvertedResidual) -> InvertedResidual:
    """Puts the layers of torchvision's block side by side, as the released MODNet's keys want them."""
    layers: list[nn.Module] = []
    for part in block.conv:
        layers += part if isinstance(part, nn.Sequential) else [part]
    block.conv = nn.Sequential(*layers)
    return block


class MobileNetV2Features(nn.Module):
    """MobileNetV2 1.0 without its classifier; `features` is indexed as in the released code.

    Args:
        tail: 1280 with the last 1x1 convolution, 320 without it.
    """

    def __init__(self, tail: int = FULL_TAIL) -> None:
        super().__init__()
        blocks: list[nn.Module] = [_conv_bn_relu6(3, 32, stride=2)]
        channels = 32
        for expansion, channels_out, repetitions, stride in GROUPS:
            for index in range(repetitions):
                first_stride = stride if index == 0 else 1
                blocks.append(flat(InvertedResidual(channels, channels_out, first_stride, expansion)))
                channels = channels_out
        if tail == FULL_TAIL:
            blocks.append(_conv_bn_relu6(channels, FULL_TAIL, kernel_size=1))
        self.features = nn.Sequential(*blocks)


class MobileNetV2Backbone(nn.Module):
    """MobileNetV2 that gives a map of each resolution.

    Args:
        tail: channels of the deepest map, 1280 (2,223,872 parameters) or 320.
    """

    def __init__(self, tail: int = FULL_TAIL) -> None:
        super().__init__()
        self.model = MobileNetV2Features(tail)

    def forward(self, image: Tensor) -> Taps:
        """(B, 3, H, W), normalised -> the five maps; H and W multiples of 32."""
        maps: list[Tensor] = []
        x = image
        for index, block in enumerate(self.model.features):
            x = block(x)
            if index in TAPS:
                maps.append(x)
        enc2x, enc4x, enc8x, enc16x = maps
        return Taps(enc2x, enc4x, enc8x, enc16x, x)


def load_backbone(backbone: MobileNetV2Backbone, source: str | None) -> None:
    """Loads ImageNet weights into a backbone.

    Args:
        backbone: changed in place.
        source: None leaves it as it is; `imagenet` is torchvision's IMAGENET1K_V1, downloaded once into
            torch's hub folder; anything else is a file with the `features` of a MobileNetV2, torchvision's
            or MODNet's names. A hash in the file's name (mobilenet_v2-b0353104.pth) is checked.

    Raises:
        WeightsError: the file cannot be had, read or does not fit.
    """
    if source is None:
        return
    own = backbone.model.state_dict()
    load_state_strict(backbone.model, features_under(own, source, len(backbone.model.features)))


def features_under(own: Iterable[str], source: str, blocks: int) -> dict[str, Tensor]:
    """The tensors of a MobileNetV2 under other names, layer by layer from the first on.

    Args:
        own: a name for each tensor; numbers in it say where its layer stands, as in torch's state dicts.
        source: `imagenet` or a file, see `load_backbone`.
        blocks: how many blocks are wanted, the stem included: 19 with the last 1x1 convolution.

    Raises:
        WeightsError: the file cannot be had or read, or holds another number of tensors.
    """
    return renamed(own, imagenet_state(source), blocks, source)


def renamed(
    own: Iterable[str], state: Mapping[str, Tensor], blocks: int, source: str, key: str = BACKBONE_KEY
) -> dict[str, Tensor]:
    """As `features_under`, of tensors that are there already.

    Args:
        state: with torchvision's or MODNet's names. source: where they come from, and key: what said so, for
            the message.
    """
    names = sorted(own, key=_position)
    wanted = tuple(f"features.{index}." for index in range(blocks))
    given = {name: tensor for name, tensor in state.items() if name.startswith(wanted)}
    if len(given) != len(names):
        raise WeightsError(
            f"{key}={source} holds {len(given)} tensors named features.*, a MobileNetV2 has {len(names)}; "
            "give torchvision's mobilenet_v2 file."
        )
    return {ours: given[theirs] for ours, theirs in zip(names, sorted(given, key=_position), strict=True)}


def imagenet_state(source: str) -> dict[str, Tensor]:
    """The tensors of a MobileNetV2: `imagenet` or a file, see `load_backbone`."""
    return state_as_chosen(MobileNet_V2_Weights.IMAGENET1K_V1, source)


def _position(name: str) -> tuple[tuple[int, ...], str]:
    """Where a tensor stands in the network: both naming schemes number the layers in the same order."""
    return tuple(int(part) for part in name.split(".") if part.isdigit()), name.rpartition(".")[2]


def _conv_bn_relu6(
    channels_in: int, channels_out: int, kernel_size: int = 3, stride: int = 1
) -> Conv2dNormActivation:
    return Conv2dNormActivation(channels_in, channels_out, kernel_size, stride, activation_layer=nn.ReLU6)
