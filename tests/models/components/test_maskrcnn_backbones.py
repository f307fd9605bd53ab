"""Mask R-CNN's networks against the specification's counts, and their weights."""

import math
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection._utils import overwrite_eps
from torchvision.ops import FrozenBatchNorm2d

from kolbench.errors import WeightsError
from kolbench.models.components import maskrcnn_backbones as networks
from kolbench.models.maskrcnn import (
    MaskRCNNSegmenter,
)
from tests.helpers.detectors import SMALL, scenes, small

COCO_FILE = "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("network", "classes", "with_batch_norm", "with_frozen_norm"),
    [
        ("fpn_resnet50", 2, 43_975_515, 43_922_395),
        ("fpn_resnet50", 91, 44_454_513, 44_401_393),
        ("fpn_resnet50_v2", 2, 45_880_411, 45_827_291),
        ("fpn_resnet50_v2", 91, 46_359_409, 46_306_289),
        ("fpn_resnet18", 2, 30_906_715, 30_897_115),
        ("fpn_resnet101", 2, 62_967_643, 62_862_299),
        ("resnet18", 2, 14_414_231, 14_404_631),
        ("resnet50", 2, 37_436_311, 37_383_191),
        ("resnet101", 2, 56_428_439, 56_323_095),
        (SMALL, 2, 21_416_987, 21_385_435),
    ],
)
def test_parameters_are_those_of_the_specification(
    network: str, classes: int, with_batch_norm: int, with_frozen_norm: int
) -> None:
    with torch.device("meta"):
        built = networks.build(network, classes)
    assert count(built) == with_batch_norm
    assert all(parameter.requires_grad for parameter in built.parameters())
    networks.freeze_norms(built)
    assert count(built) == with_frozen_norm
    for part in networks.pretrained_parts(built):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in part.modules())


def test_networks_without_fpn_work_at_stride_16_with_the_fourth_stage_as_head() -> None:
    with torch.device("meta"):
        built = networks.build("resnet50").eval()
        features = built.backbone(torch.empty(1, 3, 64, 96))
        regions = built.roi_heads.box_head(torch.empty(7, 1024, 14, 14))
        masks = built.roi_heads.mask_predictor(built.roi_heads.mask_head(torch.empty(7, 1024, 14, 14)))
        objectness, _ = built.rpn.head([features])
    assert features.shape == (1, 1024, 4, 6)
    assert regions.shape == (7, 2048)
    assert masks.shape == (7, 2, 28, 28)
    assert objectness[0].shape == (1, 15, 4, 6)
    assert built.rpn.anchor_generator.sizes == ((32, 64, 128, 256, 512),)
    assert built.roi_heads.box_roi_pool.output_size == built.roi_heads.mask_roi_pool.output_size == (14, 14)
    assert built.roi_heads.box_roi_pool.sampling_ratio == 2


@pytest.mark.parametrize("network", ["fpn_resnet18", SMALL])
def test_pyramids_have_five_levels(network: str) -> None:
    with torch.device("meta"):
        maps = networks.build(network).eval().backbone(torch.empty(1, 3, 64, 96))
    shapes = [tuple(level.shape) for level in maps.values()]
    assert shapes == [(1, 256, 64 // k, math.ceil(96 / k)) for k in (4, 8, 16, 32, 64)]


def saved(state: dict[str, Tensor], path: Path) -> str:
    torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("network", ["fpn_resnet18", "resnet18", SMALL])
def test_a_file_gives_the_backbone_and_freezes_its_stem_and_norms(network: str, tmp_path: Path) -> None:
    theirs = torchvision.models.get_model("mobilenet_v2" if network == SMALL else "resnet18", weights=None)
    segmenter = small(network=network, backbone_weights=saved(theirs.state_dict(), tmp_path / "backbone.pth"))
    parts = networks.pretrained_parts(segmenter.network)
    ours = [parameter for part in parts for name, parameter in part.named_parameters() if parameter.ndim > 1]
    weights = [value for value in theirs.parameters() if value.ndim > 1]
    assert len(ours) >= 20
    # in the same order, less the classifier and MobileNetV2's last layer
    assert all(torch.equal(a, b) for a, b in zip(ours, weights[: len(ours)], strict=True))
    assert {type(m) for part in parts for m in part.modules()} & {nn.BatchNorm2d, FrozenBatchNorm2d} == {
        FrozenBatchNorm2d
    }
    frozen = [parameter for parameter in ours if not parameter.requires_grad]
    # ResNet: stem and two blocks of two; MobileNetV2: stem, then 2, 3 and 3 convolutions up to stride 4
    assert len(frozen) == (1 + 2 + 3 + 3 if network == SMALL else 1 + 4)
    assert all(frozen[i] is ours[i] for i in range(len(frozen)))
    assert all(parameter.requires_grad for parameter in ours[len(frozen) :])


@pytest.mark.slow
@torch.no_grad()
def test_weights_with_frozen_norms_fit_a_network_without_backbone_file(tmp_path: Path) -> None:
    theirs = torchvision.models.mobilenet_v2(weights=None).state_dict()
    for name, value in theirs.items():
        if name.endswith("running_mean"):
            value.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(0))
    first = small(backbone_weights=saved(theirs, tmp_path / "backbone.pth"), proposals=50).eval()
    second = small(seed=1, proposals=50).eval()
    state = first.inference_network().state_dict()
    assert second.load_weights(state) == []
    assert count(first) == count(second)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(first.predict(image).alpha, second.predict(image).alpha)
    assert all(torch.equal(value, state[name]) for name, value in second.network.state_dict().items())


@torch.no_grad()
def test_trained_weights_make_another_the_same(finder: MaskRCNNSegmenter) -> None:
    other = small(seed=1, proposals=50).eval()
    other.network.roi_heads.detections_per_img = finder.network.roi_heads.detections_per_img
    image = scenes()["image"]
    assert other.load_weights(finder.inference_network().state_dict()) == []
    assert any(isinstance(module, nn.BatchNorm2d) for module in other.modules())
    assert torch.equal(finder.predict(image).alpha, other.predict(image).alpha)


def old_name(name: str) -> str:
    """The names that torchvision's COCO file of 2019 has."""
    if ".fpn." in name:
        return name.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
    if "rpn.head.conv." in name:
        return name.replace("conv.0.0", "conv")
    for index in range(4):
        name = name.replace(f"mask_head.{index}.0", f"mask_head.mask_fcn{index + 1}")
    return name


@pytest.mark.slow
@torch.no_grad()
def test_the_coco_file_of_fpn_50_loads_as_torchvision_runs_it() -> None:
    torch.manual_seed(0)
    theirs = networks.build("fpn_resnet50", 91, min_size=64, max_size=96).eval()
    networks.freeze_norms(theirs)
    overwrite_eps(theirs, 0.0)
    for name, value in theirs.named_buffers():
        if name.endswith("running_var"):
            value.uniform_(1e-5, 1e-3).add_(torch.rand_like(value))
    state = {old_name(name): value for name, value in theirs.state_dict().items()}
    assert sum(name not in theirs.state_dict() for name in state) == 16 + 2 + 8
    theirs.load_state_dict(state)  # torchvision itself knows these names
    ours = MaskRCNNSegmenter(64, "fpn_resnet50", min_size=64).eval()
    assert ours.load_weights(state) == []
    image = torch.rand(1, 3, 64, 64)
    expected, found = theirs.backbone(image), ours.network.backbone(image)
    for level, values in expected.items():
        torch.testing.assert_close(found[level], values, rtol=1e-4, atol=1e-4 * float(values.abs().max()))
    heads, kept = theirs.roi_heads, ours.network.roi_heads
    assert torch.equal(kept.box_predictor.cls_score.weight, heads.box_predictor.cls_score.weight[:2])
    assert torch.equal(kept.box_predictor.bbox_pred.bias, heads.box_predictor.bbox_pred.bias[:8])
    assert torch.equal(
        kept.mask_predictor.mask_fcn_logits.weight, heads.mask_predictor.mask_fcn_logits.weight[:2]
    )
    assert torch.equal(kept.mask_head[3][0].weight, heads.mask_head[3][0].weight)
    assert count(ours) == 43_922_395


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty hub folder and no way to the network; returns the folder of the files."""
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("network", "source", "file"),
    [
        ("fpn_resnet50", "coco", COCO_FILE),
        ("fpn_resnet50_v2", "coco", "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth"),
        ("fpn_resnet50", "imagenet", "resnet50-0676ba61.pth"),
        ("resnet18", "imagenet", "resnet18-f37072fd.pth"),
        ("fpn_resnet101", "imagenet", "resnet101-63fe2227.pth"),
        (SMALL, "imagenet", "mobilenet_v2-b0353104.pth"),
    ],
)
def test_weights_that_cannot_be_had_say_what_to_do(
    network: str, source: str, file: str, no_download: Path
) -> None:
    with pytest.raises(WeightsError) as caught, torch.device("meta"):
        small(network=network, backbone_weights=source)
    message = str(caught.value)
    assert f"model.backbone_weights={source} needs https://" in message
    assert f"Put {file} into {no_download}" in message
    assert "model.backbone_weights=null" in message


def test_a_damaged_file_in_the_cache_is_not_used(no_download: Path) -> None:
    no_download.mkdir(parents=True)
    torch.save({"x": torch.zeros(1)}, no_download / COCO_FILE)
    with pytest.raises(WeightsError, match="is not what its name says"), torch.device("meta"):
        small(network="fpn_resnet50", backbone_weights="coco")


@pytest.mark.parametrize("network", ["fpn_resnet18", "resnet18"])
def test_a_file_of_another_backbone_is_refused(network: str, tmp_path: Path) -> None:
    file = saved(torchvision.models.resnet50(weights=None).state_dict(), tmp_path / "resnet50.pth")
    with pytest.raises(
        WeightsError, match=rf"does not fit the backbone of model\.network={network}: .*unknown"
    ):
        small(network=network, backbone_weights=file)


def test_a_checkpoint_of_another_network_is_refused(finder: MaskRCNNSegmenter) -> None:
    with torch.device("meta"):
        other = small(network="resnet18")
    with pytest.raises(WeightsError, match="does not fit MaskRCNN"):
        other.load_weights(finder.network.state_dict())
