"""MATNet, in which what moves attends to what is seen (AAAI and TIP 2020; tfzhou/MATNet)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights

from kolbench.errors import ConfigError, require_choice, require_whole
from kolbench.models.checkpoints.pretrained import BACKBONE_KEY, state_as_chosen
from kolbench.models.checkpoints.read import load_state_strict
from kolbench.models.components import resnet
from kolbench.models.components.blocks import resize_to
from kolbench.models.components.mobilenet import MobileNetV2Features, renamed

MOBILENET = "mobilenet_v2"
BACKBONES = (*resnet.WEIGHTS, MOBILENET)
# names of what only training needs
TRAINING_HEADS = ("decoder.concat",)
# where released checkpoints hold tensors that their code never uses
UNUSED = (
    *(
        f"encoder.coa_res{k}.{part}."
        for k in (3, 4, 5)
        for part in ("bottolneck1", "bottolneck2", "bna", "bnb")
    ),
    *(f"decoder.RF{k}.{part}." for k in (2, 3, 4) for part in ("convFS1", "pdc.block2", "pdc.block3")),
    *(f"decoder.pred{k}." for k in (3, 4, 5)),
)
LEVELS = (2, 3, 4, 5)
DILATIONS = {"tied3": (3,), "3-5-7": (3, 5, 7)}
SPATIAL = ("none", "sigmoid")
# of MobileNetV2: the first and the last feature of each piece, its channels
PIECES = ((0, 4), (4, 7), (7, 14), (14, 18))
MOBILENET_CHANNELS = (24, 32, 96, 320)
BOUNDARY_WIDTH = 64
START_DEVIATION = 0.001
SHORTEST_VECTOR = 1e-12


@dataclass(frozen=True)
class MATNetOptions:
    """How the network is built; the defaults are the released code's.

    Attributes:
        backbone: `resnet18`, `resnet50`, `resnet101` or `mobilenet_v2`, one each for frame and flow.
        width: channels of the decoder, a multiple of 4.
        mat_rounds: of a transition, at least 1.
        pdc: dilations of a refinement's three wide branches: `tied3`, one branch three times, or `3-5-7`.
        ssa_spatial: what follows the norm of the map of places: `none`, or `sigmoid`.
        transition_relu: whether frame and flow features behind a transition are at least 0; None: of ResNets.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
    """

    backbone: str = "resnet101"
    width: int = 256
    mat_rounds: int = 5
    pdc: str = "tied3"
    ssa_spatial: str = "none"
    transition_relu: bool | None = None

    def __post_init__(self) -> None:
        require_choice("model.backbone", self.backbone, BACKBONES)
        require_choice("model.pdc", self.pdc, DILATIONS)
        require_choice("model.ssa_spatial", self.ssa_spatial, SPATIAL)
        require_whole("model.mat_rounds", self.mat_rounds, 1, 100)
        if require_whole("model.width", self.width, 4, 4096) % 4:
            raise ConfigError(f"model.width={self.width} is no multiple of 4.")

    def light(self) -> Self:
        """For two processor cores: 128 channels in the decoder."""
        return replace(self, width=128)

    @property
    def relu_after(self) -> bool:
        """`transition_relu`; MobileNetV2's maps have signs, which it keeps."""
        return self.backbone != MOBILENET if self.transition_relu is None else self.transition_relu


class MATNetLogits(NamedTuple):
    """Logits (B, 1, H, W): mask, fused boundaries, and boundaries of levels 2 to 5."""

    mask: Tensor
    fused: Tensor
    boundaries: tuple[Tensor, ...]


class MotionAttentiveTransition(nn.Module):
    """What moves asks what is seen, several times with the same weights.

    Args:
        channels: of both maps. options: rounds and ReLUs.
    """

    def __init__(self, channels: int, options: MATNetOptions) -> None:
        super().__init__()
        inner = max(8, channels // 16)
        self.rounds, self.relu_after = options.mat_rounds, options.relu_after
        self.proja, self.projb = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.proj1, self.proj2 = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 1, 1)

    def forward(self, appearance: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Both (B, C, h, w) -> the same; what the last round gives is added to the maps themselves."""
        seen, moved = appearance, motion
        for _ in range(self.rounds - 1):
            asked, found = self.transition(seen, moved)
            seen, moved = F.relu(found + seen), F.relu(asked + moved)
        asked, found = self.transition(seen, moved)
        seen, moved = found + appearance, asked + motion
        return (F.relu(seen), F.relu(moved)) if self.relu_after else (seen, moved)

    def transition(self, appearance: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """One round: softly attended motion, and what each of its places finds in the appearance.

        Both (B, C, h, w), as the results; the second has length 1 over the channels of each place.
        """
        attended, asked = _attended(appearance, self.proj1), _attended(motion, self.proj2)
        affinity = self.projb(asked).flatten(2).transpose(1, 2) @ self.proja(attended).flatten(2)
        found = attended.flatten(2) @ affinity.tanh().transpose(1, 2)
        found = F.normalize(found, dim=1, eps=SHORTEST_VECTOR)
        return asked, torch.unflatten(found, 2, tuple(motion.shape[-2:]))


class ScaleSensitiveAttention(nn.Module):
    """Weights channels, then places, then how much of it is added.

    Args:
        channels: of the map. options: what follows the norm of places.
    """

    def __init__(self, channels: int, options: MATNetOptions) -> None:
        super().__init__()
        hidden = max(8, channels // 16)
        self.bounded = options.ssa_spatial == "sigmoid"
        self.excitation_1 = nn.Sequential(nn.Linear(channels, hidden))
        self.excitation_2 = nn.Sequential(nn.Linear(hidden, channels))
        self.global_attention = nn.Sequential(nn.Linear(hidden, 1))
        self.spatial = nn.ModuleDict(
            {"conv": nn.Conv2d(1, 1, 7, padding=3, bias=False), "bn": nn.BatchNorm2d(1, momentum=0.01)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        hidden = F.relu(self.excitation_1(x.mean((2, 3))))
        weighted = x * self.excitation_2(hidden).sigmoid()[..., None, None]
        places = self.spatial["bn"](self.spatial["conv"](weighted.amax(1, keepdim=True)))
        if self.bounded:
            places = places.sigmoid()
        share = self.global_attention(hidden).sigmoid()[..., None, None]
        result: Tensor = x + share * places * weighted
        return result


class BoundaryHead(nn.Module):
    """Logit of the mask's edge at a level's own scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1, self.bn2 = (
            nn.Conv2d(channels, BOUNDARY_WIDTH, 3, padding=1),
            nn.BatchNorm2d(BOUNDARY_WIDTH),
        )
        self.conv2 = nn.Conv2d(BOUNDARY_WIDTH, BOUNDARY_WIDTH, 3, padding=1)
        self.conv3 = nn.Conv2d(BOUNDARY_WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 1, h, w)."""
        x = self.bn2(F.relu(self.conv1(self.bn1(x))))
        logits: Tensor = self.conv3(F.relu(self.conv2(x)))
        return logits


class Encoder(nn.Module):
    """Two bodies side by side, a transition behind each of their last three stages, attention on each level.

    Args:
        options: see MATNetOptions.

    Attributes:
        channels: of frame and flow together at levels 2 to 5.
    """

    def __init__(self, options: MATNetOptions) -> None:
        super().__init__()
        self.backbone = options.backbone
        for stream in (1, 2):
            for name, part in _body(options.backbone, stream):
                self.add_module(name, part)
        single = _channels(options.backbone)
        self.channels = tuple(2 * channels for channels in single)
        for level, channels in zip(LEVELS, single, strict=True):
            self.add_module(f"gated_res{level}", ScaleSensitiveAttention(2 * channels, options))
            if level > LEVELS[0]:
                self.add_module(f"coa_res{level}", MotionAttentiveTransition(channels, options))

    def forward(self, image: Tensor, flow: Tensor) -> list[Tensor]:
        """(B, 3, H, W) each, normalised -> levels 2 to 5, (B, 2 C, h, w) at strides 4 to 32."""
        seen, moved = self._stem(image, 1), self._stem(flow, 2)
        levels = []
        for level in LEVELS:
            seen = self.get_submodule(f"res{level}_1")(seen)
            moved = self.get_submodule(f"res{level}_2")(moved)
            if level > LEVELS[0]:
                seen, moved = self.get_submodule(f"coa_res{level}")(seen, moved)
            levels.append(self.get_submodule(f"gated_res{level}")(torch.cat([seen, moved], 1)))
        return levels

    def load_imagenet(self, source: str, key: str = BACKBONE_KEY) -> None:
        """Takes ImageNet tensors into both bodies.

        Args:
            source: `imagenet`, torchvision's IMAGENET1K_V1, downloaded once; else a file with its tensors.
            key: what said so, for messages.

        Raises:
            WeightsError: the file cannot be had, read or does not fit.
        """
        own = self.state_dict()
        if self.backbone == MOBILENET:
            state = state_as_chosen(MobileNet_V2_Weights.IMAGENET1K_V1, source, key)
            state = renamed(_features(own), state, PIECES[-1][1], source, key)
            names = {name: theirs for stream in (1, 2) for name, theirs in _features_of(own, stream).items()}
        else:
            state = resnet.without_classifier(state_as_chosen(resnet.WEIGHTS[self.backbone], source, key))
            names = {_stage(name, stream): name for stream in (1, 2) for name in state}
        load_state_strict(self, {**own, **{name: state[theirs] for name, theirs in names.items()}})

    def _stem(self, picture: Tensor, stream: int) -> Tensor:
        if self.backbone == MOBILENET:
            return picture
        conv, norm = self.get_submodule(f"conv1_{stream}"), self.get_submodule(f"bn1_{stream}")
        return F.max_pool2d(F.relu(norm(conv(picture))), 3, 2, padding=1)


class GlobalConvolution(nn.Module):
    """Two ways through a large window, along one side and then along the other."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv_l1 = nn.Conv2d(channels, width, (7, 1), padding=(3, 0))
        self.conv_l2 = nn.Conv2d(width, width, (1, 7), padding=(0, 3))
        self.conv_r1 = nn.Conv2d(channels, width, (1, 7), padding=(0, 3))
        self.conv_r2 = nn.Conv2d(width, width, (7, 1), padding=(3, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, width, h, w)."""
        found: Tensor = self.conv_l2(self.conv_l1(x)) + self.conv_r2(self.conv_r1(x))
        return found


class DilatedBranches(nn.Module):
    """A 1x1 and three dilated 3x3 side by side; the released code has one of these three times."""

    def __init__(self, channels: int, width: int, dilations: Sequence[int]) -> None:
        super().__init__()
        each = width // 4
        self.block0 = nn.Conv2d(channels, each, 1)
        for number, dilation in enumerate(dilations, start=1):
            conv = nn.Conv2d(channels, each, 3, padding=dilation, dilation=dilation)
            self.add_module(f"block{number}", nn.ModuleDict({"conv": conv}))
        self.bn = nn.BatchNorm2d(width)
        self.count = len(dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, width, h, w)."""
        wide = [self.get_submodule(f"block{number + 1}.conv")(x) for number in range(self.count)]
        found: Tensor = self.bn(torch.cat([self.block0(x), *(wide * (3 // self.count))], 1))
        return found


class Refine(nn.Module):
    """Joins a level with what comes from the deeper one."""

    def __init__(self, channels: int, options: MATNetOptions) -> None:
        super().__init__()
        width = options.width
        self.pdc = DilatedBranches(channels, width, DILATIONS[options.pdc])
        self.convFS2, self.convFS3 = _same(width), _same(width)
        self.convMM1, self.convMM2 = _same(width), _same(width)

    def forward(self, level: Tensor, deeper: Tensor) -> Tensor:
        """(B, C, h, w) and (B, width, h', w') -> (B, width, h, w)."""
        own = self.pdc(level)
        own = own + self.convFS3(F.relu(self.convFS2(F.relu(own))))
        joined = own + resize_to(deeper, own.shape[-2:])
        found: Tensor = joined + self.convMM2(F.relu(self.convMM1(F.relu(joined))))
        return found


class Decoder(nn.Module):
    """From four levels to the mask, each level with the logit of its boundary.

    Args:
        channels: of levels 2 to 5. options: see MATNetOptions.
    """

    def __init__(self, channels: Sequence[int], options: MATNetOptions) -> None:
        super().__init__()
        width = options.width
        self.GC = GlobalConvolution(channels[-1] + 1, width)
        self.convG1, self.convG2 = _same(width), _same(width)
        for level, count in zip(LEVELS[:-1], channels[:-1], strict=True):
            self.add_module(f"RF{level}", Refine(count + 1, options))
        self.pred2 = nn.Conv2d(width, 1, 3, padding=1)
        self.concat = nn.Conv2d(len(LEVELS), 1, 3, padding=1)
        for level, count in zip(LEVELS, channels, strict=True):
            self.add_module(f"bdry{level}", BoundaryHead(count))
        self.apply(_start)

    def boundaries(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Logits of the mask's edge at each level's own scale."""
        return [self.get_submodule(f"bdry{level}")(x) for level, x in zip(LEVELS, levels, strict=True)]

    def forward(self, levels: Sequence[Tensor], boundaries: Sequence[Tensor]) -> Tensor:
        """Levels 2 to 5 and their boundaries -> logits of the mask (B, 1, h, w) at stride 4."""
        joined = [torch.cat(pair, 1) for pair in zip(levels, boundaries, strict=True)]
        x = self.GC(joined[-1])
        x = x + self.convG2(F.relu(self.convG1(F.relu(x))))
        for level, given in zip(LEVELS[-2::-1], joined[-2::-1], strict=True):
            x = self.get_submodule(f"RF{level}")(given, x)
        logits: Tensor = self.pred2(F.relu(x))
        return logits


class MATNet(nn.Module):
    """Segments a frame by what is seen and by what moves; keys are the released ones.

    With ResNet-101 it has 119,241,216 parameters (released files have 23,450,627 more that are never used),
    and 473 x 473 needs 138 GMACs of convolutions and 40 of matrix products.

    Args:
        options: see MATNetOptions.
    """

    def __init__(self, options: MATNetOptions | None = None) -> None:
        super().__init__()
        options = options or MATNetOptions()
        self.options = options
        self.encoder = Encoder(options)
        self.decoder = Decoder(self.encoder.channels, options)

    @property
    def part_names(self) -> dict[str, tuple[str, ...]]:
        """`encoder` and `decoder`, the two groups of learning rates."""
        return {"encoder": ("encoder",), "decoder": ("decoder",)}

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        """(B, 3, H, W) each, normalised -> (B, 1, H, W) probability."""
        return self.segment(image, flow, image.shape[-2:]).sigmoid()

    def segment(self, image: Tensor, flow: Tensor, size: Sequence[int]) -> Tensor:
        """Logits (B, 1, *size) of the mask, resized in one step."""
        levels = self.encoder(image, flow)
        return resize_to(self.decoder(levels, self.decoder.boundaries(levels)), size)

    def forward_train(self, image: Tensor, flow: Tensor) -> MATNetLogits:
        """All six maps at the pictures' size."""
        size = image.shape[-2:]
        levels = self.encoder(image, flow)
        own = self.decoder.boundaries(levels)
        large = tuple(resize_to(logits, size) for logits in own)
        fused = self.decoder.concat(torch.cat(large, 1))
        return MATNetLogits(resize_to(self.decoder(levels, own), size), fused, large)

    def load_backbone(self, source: str | None) -> None:
        """Starts both bodies from ImageNet weights; None leaves them as they are.

        Raises:
            WeightsError: the file cannot be had, read or does not fit.
        """
        if source is not None:
            self.encoder.load_imagenet(source)


def without_unused(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released checkpoint's tensors, less those that its code never uses."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(UNUSED)}


def _attended(x: Tensor, score: nn.Module) -> Tensor:
    """(B, C, h, w) times weights of its places, which sum to 1."""
    weights = score(x).flatten(2).softmax(2)
    return x * torch.unflatten(weights, 2, tuple(x.shape[-2:]))


def _channels(backbone: str) -> tuple[int, ...]:
    if backbone == MOBILENET:
        return MOBILENET_CHANNELS
    deepest = 512 if backbone == "resnet18" else 2048
    return tuple(deepest // factor for factor in (8, 4, 2, 1))


def _body(backbone: str, stream: int) -> Iterator[tuple[str, nn.Module]]:
    """The parts of a body under the names of stream 1, the frame's, or 2, the flow's."""
    if backbone == MOBILENET:
        features = MobileNetV2Features(tail=MOBILENET_CHANNELS[-1]).features
        for level, (first, last) in zip(LEVELS, PIECES, strict=True):
            yield f"res{level}_{stream}", features[first:last]
        return
    body = resnet.ResNetBody(backbone)
    for name in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"):
        yield _stage(name, stream), body.get_submodule(name)


def _stage(name: str, stream: int) -> str:
    """torchvision's name of a ResNet's tensor as the released code has it: `layer1.0...` as `res2_1.0...`."""
    part, dot, rest = name.partition(".")
    part = f"res{int(part[5:]) + 1}" if part.startswith("layer") else part
    return f"{part}_{stream}{dot}{rest}"


def _features_of(own: Mapping[str, Tensor], stream: int) -> dict[str, str]:
    """Own name -> that of the same tensor of MobileNetV2, whose pieces keep the numbers of its features."""
    prefixes = tuple(f"res{level}_{stream}." for level in LEVELS)
    return {name: f"features.{name.partition('.')[2]}" for name in own if name.startswith(prefixes)}


def _features(own: Mapping[str, Tensor]) -> list[str]:
    return list(_features_of(own, 1).values())


def _same(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, padding=1)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, START_DEVIATION)
        assert module.bias is not None  # all of the decoder have one
        nn.init.zeros_(module.bias)
