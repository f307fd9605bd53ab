"""The Mask R-CNNs that are compared, built with torchvision, and where their first weights come from.

Parameters with two classes, with BatchNorm2d and with FrozenBatchNorm2d in the ResNet or MobileNetV2: the
frozen norm keeps scale and shift as buffers. maskrcnn.md section 1 states the first figure for the two
FPN-50 builds and the second for all others.

    network             BatchNorm2d  FrozenBatchNorm2d
    fpn_resnet18         30,906,715         30,897,115
    fpn_resnet50         43,975,515         43,922,395
    fpn_resnet101        62,967,643         62,862,299
    fpn_resnet50_v2      45,880,411         45,827,291
    resnet18             14,414,231         14,404,631
    resnet50             37,436,311         37,383,191
    resnet101            56,428,439         56,323,095
    fpn_mobilenet_v2     21,416,987         21,385,435
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from kolbench.errors import ConfigError, WeightsError
from kolbench.models.checkpoints.pretrained import state_of_file, state_of_torchvision
from kolbench.models.checkpoints.read import COUNTER, load_state_strict
from kolbench.models.components.mobilenet import MobileNetV2Backbone, load_backbone

COCO_CLASSES = 91
COCO_WEIGHTS = {
    "fpn_resnet50": "MaskRCNN_ResNet50_FPN_Weights",
    "fpn_resnet50_v2": "MaskRCNN_ResNet50_FPN_V2_Weights",
}
FPN_CHANNELS = 256
MASK_CHANNELS = 256
C4_ANCHORS_PX = (32, 64, 128, 256, 512)
MOBILENET_TAIL = 320
MOBILENET_MAPS = (24, 32, 96, MOBILENET_TAIL)
# the parts that stay as they were pretrained: everything up to stride 4, as torchvision's trainable_layers=3
STEMS = ("conv1", "bn1", "layer1", *(f"model.features.{index}" for index in range(4)))
# how torchvision named its layers before 0.13, as its COCO file of FPN-50 still does
OLD_NAMES = (
    (re.compile(r"(fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$"), r"\1.0.\2"),
    (re.compile(r"(rpn\.head\.conv)\.(weight|bias)$"), r"\1.0.0.\2"),
)
OLD_MASK_NAME = re.compile(r"(roi_heads\.mask_head)\.mask_fcn(\d+)\.(weight|bias)$")
# outputs for each class in the last layers of the heads
ROWS_PER_CLASS = {"cls_score": 1, "bbox_pred": 4, "mask_fcn_logits": 1}
# of every norm here; torchvision runs its COCO file of FPN-50 with 0
USUAL_EPS = 1e-5


class C4Head(nn.Module):
    """The box head of the networks without FPN: the ResNet's fourth stage on each region, then its mean."""

    def __init__(self, layer4: nn.Module) -> None:
        super().__init__()
        self.layer4 = layer4

    def forward(self, regions: Tensor) -> Tensor:
        """(N, C, 14, 14) -> (N, 2 C), 512 or 2048 features."""
        features: Tensor = self.layer4(regions)
        return features.mean((2, 3))


class MobileNetFPN(nn.Module):
    """MobileNetV2 under a feature pyramid: 256 channels at strides 4, 8, 16, 32 and 64."""

    def __init__(self) -> None:
        super().__init__()
        self.body = MobileNetV2Backbone(MOBILENET_TAIL)
        self.fpn = FeaturePyramidNetwork(list(MOBILENET_MAPS), FPN_CHANNELS, extra_blocks=LastLevelMaxPool())
        self.out_channels = FPN_CHANNELS

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W), normalised, sides multiples of 32 -> maps `0` to `3` and `pool`."""
        taps = self.body(image)
        maps = OrderedDict(zip("0123", taps[1:], strict=True))
        pyramid: dict[str, Tensor] = self.fpn(maps)
        return pyramid


def _fpn_resnet(name: str, classes: int, **options: Any) -> Any:
    backbone = resnet_fpn_backbone(
        backbone_name=name, weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
    )
    return MaskRCNN(backbone, classes, **options)


def _fpn_mobilenet(classes: int, **options: Any) -> Any:
    return MaskRCNN(MobileNetFPN(), classes, **options)


def _c4_resnet(name: str, classes: int, **options: Any) -> Any:
    resnet = torchvision.models.get_model(name, weights=None)
    parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
    body: Any = nn.Sequential(OrderedDict((part, getattr(resnet, part)) for part in parts))
    body.out_channels = resnet.fc.in_features // 2
    return MaskRCNN(
        body,
        rpn_anchor_generator=AnchorGenerator((C4_ANCHORS_PX,), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=14, sampling_ratio=2),
        box_head=C4Head(resnet.layer4),
        box_predictor=FastRCNNPredictor(resnet.fc.in_features, classes),
        mask_roi_pool=MultiScaleRoIAlign(["0"], output_size=14, sampling_ratio=2),
        mask_predictor=MaskRCNNPredictor(MASK_CHANNELS, MASK_CHANNELS, classes),
        **options,
    )


def _released(build: Any, classes: int, **options: Any) -> Any:
    return build(weights=None, weights_backbone=None, num_classes=classes, **options)


BUILDERS: dict[str, Any] = {
    "fpn_resnet18": partial(_fpn_resnet, "resnet18"),
    "fpn_resnet50": partial(_released, detection.maskrcnn_resnet50_fpn),
    "fpn_resnet101": partial(_fpn_resnet, "resnet101"),
    "fpn_resnet50_v2": partial(_released, detection.maskrcnn_resnet50_fpn_v2),
    "resnet18": partial(_c4_resnet, "resnet18"),
    "resnet50": partial(_c4_resnet, "resnet50"),
    "resnet101": partial(_c4_resnet, "resnet101"),
    "fpn_mobilenet_v2": _fpn_mobilenet,
}


def build(network: str, classes: int = 2, **options: Any) -> nn.Module:
    """A torchvision Mask R-CNN with random weights and BatchNorm2d, everything trainable.

    The ResNets are torchvision's v1.5 (stride on the 3x3 convolution), GluonCV's v1b; its v1d stem of
    fpn_resnet101 is not rebuilt. Without FPN: the body up to stride 16 with 15 anchors a cell, and the
    ResNet's fourth stage as box head.

    Args:
        network: a key of BUILDERS.
        classes: outputs of the heads, the background included.
        options: of torchvision's MaskRCNN.
    """
    built: nn.Module = BUILDERS[network](classes, **options)
    return built


def pretrained_parts(network: nn.Module) -> list[nn.Module]:
    """The modules that come from an ImageNet network: the body, and the fourth stage without FPN."""
    parts: Any = network
    if isinstance(parts.roi_heads.box_head, C4Head):
        return [parts.backbone, parts.roi_heads.box_head]
    return [parts.backbone.body]


def freeze_norms(network: nn.Module) -> None:
    """Replaces every BatchNorm2d of the pretrained parts by a FrozenBatchNorm2d with the same values.

    Batches of a few pictures give poor statistics, and with random weights a frozen norm diverges: so for
    pretrained weights only.
    """
    for part in pretrained_parts(network):
        for parent in list(part.modules()):
            for name, norm in list(parent.named_children()):
                if isinstance(norm, nn.BatchNorm2d):
                    setattr(parent, name, _frozen(norm))


def _frozen(norm: nn.BatchNorm2d) -> nn.Module:
    frozen = FrozenBatchNorm2d(norm.num_features, eps=norm.eps).to(norm.weight.device)
    frozen.load_state_dict(norm.state_dict())
    out: nn.Module = frozen
    return out


def freeze_stem(network: nn.Module) -> None:
    """Makes the pretrained parts up to stride 4 untrainable."""
    for part in pretrained_parts(network):
        for name, parameter in part.named_parameters():
            if name.startswith(tuple(f"{stem}." for stem in STEMS)):
                parameter.requires_grad_(False)


def load_pretrained(network: nn.Module, name: str, source: str) -> None:
    """Loads the first weights of a training.

    Args:
        network: `build(name)`, changed in place.
        name: a key of BUILDERS.
        source: `imagenet`: torchvision's ImageNet file of the backbone, downloaded once into torch's hub
            folder; `coco`: torchvision's COCO file of the whole network, which exists for the two FPN-50;
            else a file with the backbone's tensors under torchvision's names, its classifier ignored.

    Raises:
        ConfigError: `coco` for another network.
        WeightsError: the file cannot be had, read or does not fit.
    """
    if source == "coco":
        load_detector(network, name, _coco_state(name))
    elif name == "fpn_mobilenet_v2":
        load_backbone(pretrained_parts(network)[0], source)  # type: ignore[arg-type]  # as built above
    else:
        state = _imagenet_state(name) if source == "imagenet" else state_of_file(Path(source))
        _load_resnet(network, name, state, source)


def _load_resnet(network: nn.Module, name: str, state: Mapping[str, Tensor], source: str) -> None:
    resnet = nn.Module()
    for part in pretrained_parts(network):
        for child_name, child in part.named_children():
            resnet.add_module(child_name, child)
    given = {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}
    try:
        load_state_strict(resnet, given)
    except WeightsError as error:
        raise WeightsError(
            f"model.backbone_weights={source} does not fit the backbone of model.network={name}: {error}"
        ) from error


def load_detector(network: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Loads a whole Mask R-CNN, strictly: torchvision's COCO file or weights of ours.

    Of heads with COCO's 91 classes the rows of the first ones are kept where the network has fewer:
    background and person. Where the file's backbone has frozen norms (without counters), so has the
    network afterwards.

    Args:
        network: `build(name)`, changed in place only if everything fits.
        name: a key of BUILDERS.
        state: named tensors.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape.
    """
    own = network.state_dict()
    given = {_present_name(key): tensor for key, tensor in state.items()}
    frozen = not any(key.endswith(COUNTER) for key in given if _in_pretrained_part(key))
    if name == "fpn_resnet50" and frozen and _classes(given) == COCO_CLASSES:
        given |= _scales_for_usual_eps(given)
    given = {key: _first_rows(key, tensor, own) for key, tensor in given.items()}
    load_state_strict(
        network, {key: t for key, t in given.items() if key in own or not key.endswith(COUNTER)}
    )
    if frozen:
        freeze_norms(network)


def _in_pretrained_part(key: str) -> bool:
    return key.startswith("backbone.") and not key.startswith("backbone.fpn.")


def _classes(state: Mapping[str, Tensor]) -> int:
    last = state.get("roi_heads.box_predictor.cls_score.bias")
    return 0 if last is None else len(last)


def _present_name(key: str) -> str:
    for pattern, replacement in OLD_NAMES:
        key = pattern.sub(replacement, key)
    return OLD_MASK_NAME.sub(lambda found: f"{found[1]}.{int(found[2]) - 1}.0.{found[3]}", key)


def _first_rows(key: str, tensor: Tensor, own: Mapping[str, Tensor]) -> Tensor:
    """The rows of the network's classes where COCO's file has more in a last layer; else the tensor."""
    per_class = ROWS_PER_CLASS.get(key.split(".")[-2])
    if per_class is None or key not in own or len(tensor) != COCO_CLASSES * per_class:
        return tensor
    return tensor[: len(own[key])]


def _scales_for_usual_eps(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scales with which norms of eps 1e-5 do what torchvision's COCO file does with its eps of 0."""
    scales = {}
    for key, variance in state.items():
        if key.endswith(".running_var"):
            scale = key.removesuffix("running_var") + "weight"
            scales[scale] = state[scale] * ((variance + USUAL_EPS) / variance).sqrt()
    return scales


def _coco_state(name: str) -> dict[str, Tensor]:
    if name not in COCO_WEIGHTS:
        raise ConfigError(
            f"model.backbone_weights=coco exists for model.network={' and '.join(COCO_WEIGHTS)} only, not "
            f"for {name}: use imagenet, a file or null."
        )
    return state_of_torchvision(getattr(detection, COCO_WEIGHTS[name]).COCO_V1, "coco")


def _imagenet_state(name: str) -> dict[str, Tensor]:
    resnet = name.removeprefix("fpn_").removesuffix("_v2")
    return state_of_torchvision(torchvision.models.get_model_weights(resnet).IMAGENET1K_V1, "imagenet")
