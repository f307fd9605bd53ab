"""Mask R-CNN: builds against the specification's counts, targets and union by hand, learning, AP."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection._utils import overwrite_eps
from torchvision.ops import FrozenBatchNorm2d

from kolbench.config import compose
from kolbench.data import targets
from kolbench.errors import ConfigError, WeightsError
from kolbench.io.arrays import boxes_and_instances
from kolbench.metrics import instance_ap
from kolbench.models.components import maskrcnn_backbones as networks
from kolbench.models.maskrcnn import CanvasTransform, MaskRCNNSegmenter, UnionRule, canvas, told_apart, union
from kolbench.types import Batch, Instances, UInt8Array

SMALL = "fpn_mobilenet_v2"
FIVE = {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"}
COCO_FILE = "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"


def small(seed: int = 0, **options: object) -> MaskRCNNSegmenter:
    torch.manual_seed(seed)
    return MaskRCNNSegmenter(64, **{"network": SMALL, "min_size": 64, "box_samples": 16, **options})


def scenes(size: int = 64) -> Batch:
    """Two pictures with one bright ellipse each."""
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    places = ((0.50, 0.47, 0.44, 0.34), (0.52, 0.52, 0.39, 0.44))
    discs = [((y - cy) / h) ** 2 + ((x - cx) / w) ** 2 <= 1 for cy, cx, h, w in places]
    mask = torch.stack(discs)[:, None].float()
    noise = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    return {"image": 0.3 * noise + 0.6 * mask, "mask": mask}


def losses(segmenter: MaskRCNNSegmenter, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return segmenter.train().losses(batch)


@pytest.fixture(scope="module")
def finder() -> MaskRCNNSegmenter:
    """A network whose norms know their inputs and whose head calls every region a person."""
    segmenter = small()
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        losses(segmenter, scenes())
        segmenter.network.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([-1.0, 1.0]))
    return segmenter.eval()


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


def settings_at(budget: str) -> MaskRCNNSegmenter:
    with torch.device("meta"):
        built = compose.build_segmenter(compose.model_config("maskrcnn", budget, backbone_weights=None))
    assert isinstance(built, MaskRCNNSegmenter)
    return built


@pytest.mark.parametrize(
    ("budget", "size"), [("smoke", 256), ("quick", 256), ("standard", 256), ("paper", 512)]
)
def test_sizes_of_the_budgets(budget: str, size: int) -> None:
    segmenter = settings_at(budget)
    assert segmenter.network.transform.bounds == (size, size * 7 // 4)
    assert segmenter.training_input_size(1080, 1920) == (size, size * 7 // 4)
    assert segmenter.network.roi_heads.detections_per_img == 20
    assert segmenter.network.roi_heads.score_thresh == 0.05
    assert segmenter.network.roi_heads.fg_bg_sampler.batch_size_per_image == (512 if size == 512 else 128)
    assert count(segmenter.inference_network()) == 43_975_515


@pytest.mark.parametrize(
    ("picture", "expected"),
    [((1080, 1920), (252, 448)), ((400, 300), (341, 256)), ((33, 47), (256, 364)), ((2048, 4), (448, 1))],
)
def test_canvas_keeps_the_aspect_within_both_bounds(
    picture: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert canvas(*picture, 256, 448) == expected


def test_resizing_scales_boxes_and_masks_alike() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:20, 6:36] = 1
    boxes, masks = boxes_and_instances(labels)
    transform = CanvasTransform(80, 140, 0.0)
    image, target = transform.resize(torch.rand(3, 40, 60), {"boxes": boxes, "masks": masks})
    assert image.shape == (3, 80, 120)
    assert target is not None
    assert target["boxes"].tolist() == [[12, 20, 72, 40]]
    assert target["masks"].dtype == torch.uint8
    assert torch.equal(boxes_and_instances(target["masks"][0].numpy())[0], target["boxes"])


def test_jitter_scales_training_pictures_only() -> None:
    torch.manual_seed(0)
    transform = CanvasTransform(80, 140, 0.25)
    sizes = [transform.train().resize(torch.rand(3, 80, 100))[0].shape[1] for _ in range(50)]
    assert 60 <= min(sizes) < 65
    assert 95 < max(sizes) <= 100
    assert {transform.eval().resize(torch.rand(3, 80, 100))[0].shape[1] for _ in range(5)} == {80}


def two_persons() -> Instances:
    """Overlapping persons of a 1x4 picture with dyadic values."""
    masks = torch.tensor([[[0.5, 0.75, 0.0, 0.0]], [[0.0, 0.5, 1.0, 1.0]]])
    return Instances(torch.zeros(2, 4), torch.tensor([0.75, 0.5]), masks)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (UnionRule(), [0.5, 0.75, 1, 1]),
        (UnionRule(score_threshold=0.51), [0.5, 0.75, 0, 0]),
        (UnionRule(score_threshold=0.76), [0, 0, 0, 0]),
        (UnionRule(score_weight=1), [0.375, 0.5625, 0.5, 0.5]),
        (UnionRule(noisy_or=True), [0.5, 0.875, 1, 1]),
        (UnionRule(noisy_or=True, score_weight=1), [0.375, 1 - 0.4375 * 0.75, 0.5, 0.5]),
        (UnionRule(noisy_or=True, score_threshold=1), [0, 0, 0, 0]),
        (UnionRule(top_k=1), [0.5, 0.75, 0, 0]),
        # areas 2 and 3: the first person is below, the second exactly at the bound
        (UnionRule(min_area_ratio=0.75), [0, 0.5, 1, 1]),
        (UnionRule(min_area_ratio=0.75, top_k=1), [0, 0.5, 1, 1]),
        # 2 x 0.75 = 3 x 0.5, a draw that the better score wins
        (UnionRule(main_person_only=True), [0.5, 0.75, 0, 0]),
    ],
)
def test_union_of_two_persons_by_hand(rule: UnionRule, expected: list[float]) -> None:
    assert union(two_persons(), rule).tolist() == [expected]


def test_the_main_person_has_the_largest_area_times_score() -> None:
    persons = two_persons()._replace(scores=torch.tensor([0.7, 0.5]))
    assert union(persons, UnionRule(main_person_only=True)).tolist() == [[0, 0.5, 1, 1]]


def labelled(mask: UInt8Array, known: UInt8Array | None = None, components: str = "auto") -> Tensor:
    """The boxes that a picture is trained with."""
    batch: Batch = {
        "image": torch.zeros(1, 3, *mask.shape),
        "mask": torch.from_numpy(mask)[None, None].float(),
    }
    if known is not None:
        batch["instances"] = torch.from_numpy(known)[None, None]
    with torch.device("meta"):
        segmenter = small(components=components)
    target = segmenter.targets(batch)[0]
    assert target["labels"].tolist() == [1] * len(target["boxes"])
    assert target["labels"].dtype == torch.int64
    assert target["masks"].dtype == torch.uint8
    assert target["masks"].shape == (len(target["boxes"]), *mask.shape)
    return target["boxes"]


def parted() -> UInt8Array:
    """A figure of 20x12 px cut by a gap of 2 px, another of 10x10 px, and a speck of 5x5 px."""
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 4:16] = 1
    mask[17:27, 4:16] = 1
    mask[5:15, 40:50] = 1
    mask[30:35, 50:55] = 1
    return mask


def test_persons_are_tinted_the_best_on_top() -> None:
    masks = torch.zeros(2, 2, 2)
    masks[0, 0, :] = 0.9
    masks[1, :, 0] = 0.5
    masks[1, 1, 1] = 0.49
    shown = told_apart(torch.ones(3, 2, 2), masks)
    assert shown.dtype == np.uint8
    # half of white, half of orange or blue; a quarter of white
    assert shown.tolist() == [[[255, 212, 128], [255, 212, 128]], [[128, 202, 255], [64, 64, 64]]]


def test_components_close_thin_gaps_and_drop_specks() -> None:
    assert labelled(parted()).tolist() == [[4, 5, 16, 27], [40, 5, 50, 15]]


def test_merge_makes_one_person_of_everything() -> None:
    assert labelled(parted(), components="merge").tolist() == [[4, 5, 55, 35]]


def test_known_persons_are_taken_unless_told_otherwise() -> None:
    known = np.zeros((40, 60), np.uint8)
    known[5:15, 4:16] = 2
    known[17:27, 4:16] = 7
    assert labelled(parted(), known).tolist() == [[4, 5, 16, 15], [4, 17, 16, 27]]
    assert len(labelled(parted(), known, "components")) == 2
    assert labelled(parted(), known, "components").tolist() == labelled(parted()).tolist()
    assert len(labelled(parted(), known, "merge")) == 1
    assert len(labelled(parted(), np.zeros_like(known))) == 0


def test_a_person_one_pixel_wide_has_a_box_and_trains() -> None:
    known = np.zeros((64, 64), np.uint8)
    known[10:40, 30] = 1
    known[63, 63] = 2
    assert labelled(known, known).tolist() == [[30, 10, 31, 40], [63, 63, 64, 64]]
    instances = torch.from_numpy(known)[None, None]
    batch: Batch = {
        "image": torch.rand(1, 3, 64, 64),
        "mask": (instances > 0).float(),
        "instances": instances,
    }
    assert all(torch.isfinite(term) for term in losses(small(), batch).values())


@pytest.mark.parametrize("network", [SMALL, "resnet18"])
def test_one_step_reaches_every_parameter(network: str) -> None:
    segmenter = small(network=network)
    terms = losses(segmenter, scenes())
    torch.stack(list(terms.values())).sum().backward()
    assert set(terms) == FIVE
    assert all(torch.isfinite(term) and term > 0 for term in terms.values())
    assert [name for name, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_picture_without_anybody_trains() -> None:
    batch = scenes()
    segmenter = small()
    empty: Batch = {"image": batch["image"], "mask": torch.zeros_like(batch["mask"])}
    terms = losses(segmenter, empty)
    assert set(terms) == FIVE
    assert [name for name, term in terms.items() if not term] == [
        "loss_box_reg",
        "loss_mask",
        "loss_rpn_box_reg",
    ]
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in segmenter.parameters())
    mixed: Batch = {
        "image": batch["image"],
        "mask": batch["mask"] * torch.tensor([0.0, 1])[:, None, None, None],
    }
    assert all(torch.isfinite(term) and term > 0 for term in losses(small(), mixed).values())


def test_losses_in_evaluation_mode_are_refused() -> None:
    with pytest.raises(AssertionError, match="training mode"):
        small().eval().losses(scenes())


@pytest.mark.parametrize(("height", "width"), [(33, 47), (64, 64), (150, 90), (20, 300)])
@torch.no_grad()
def test_predicts_at_the_size_given(finder: MaskRCNNSegmenter, height: int, width: int) -> None:
    image = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    prediction = finder.predict(image)
    assert torch.equal(image, before)
    assert prediction.alpha.shape == (2, 1, height, width)
    assert prediction.alpha.dtype == torch.float32
    assert 0 <= prediction.alpha.min() < prediction.alpha.max() <= 1
    assert prediction.instances is not None
    for persons, alpha in zip(prediction.instances, prediction.alpha, strict=True):
        number = len(persons.scores)
        assert 0 < number <= 20
        assert persons.masks.shape == (number, height, width)
        assert persons.boxes.shape == (number, 4)
        assert {part.dtype for part in persons} == {torch.float32}
        assert (persons.scores[:-1] >= persons.scores[1:]).all()
        assert persons.scores.min() >= 0.05
        assert (persons.boxes[:, 2:] > persons.boxes[:, :2]).all()
        assert persons.boxes.min() >= 0
        assert (persons.boxes <= torch.tensor([width, height, width, height])).all()
        assert torch.equal(union(persons, finder.rule), alpha[0])


@torch.no_grad()
def test_a_picture_does_not_depend_on_its_neighbours(finder: MaskRCNNSegmenter) -> None:
    images = torch.rand(3, 3, 70, 90, generator=torch.Generator().manual_seed(0))
    together = finder.predict(images)
    assert together.instances is not None
    for index, persons in enumerate(together.instances):
        alone = finder.predict(images[index : index + 1])
        assert torch.equal(alone.alpha, together.alpha[index : index + 1])
        assert alone.instances is not None
        assert all(torch.equal(a, b) for a, b in zip(alone.instances[0], persons, strict=True))
    assert not torch.equal(together.alpha[0], together.alpha[1])


@torch.no_grad()
def test_predicting_between_steps_changes_nothing(finder: MaskRCNNSegmenter) -> None:
    images = scenes()["image"]
    expected = finder.predict(images).alpha
    before = {name: value.clone() for name, value in finder.state_dict().items()}
    finder.train()
    assert torch.equal(finder.predict(images).alpha, expected)
    assert finder.network.training
    assert all(torch.equal(value, before[name]) for name, value in finder.state_dict().items())
    finder.eval()


@torch.no_grad()
def test_nobody_found_gives_an_empty_alpha() -> None:
    segmenter = small()
    segmenter.network.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([50.0, -50.0]))
    prediction = segmenter.eval().predict(torch.rand(1, 3, 40, 50))
    assert not prediction.alpha.any()
    assert prediction.instances is not None
    assert [tuple(part.shape) for part in prediction.instances[0]] == [(0, 4), (0,), (0, 40, 50)]


@torch.no_grad()
def test_of_ninety_one_classes_the_first_is_a_person() -> None:
    segmenter = small(classes=91, score_threshold=0.0)
    bias = segmenter.network.roi_heads.box_predictor.cls_score.bias
    bias[5] = 50.0
    assert not segmenter.eval().predict(torch.rand(1, 3, 64, 64)).alpha.any()
    bias[1] = 51.0
    assert segmenter.predict(torch.rand(1, 3, 64, 64)).alpha.any()


def overlap(segmenter: MaskRCNNSegmenter, batch: Batch) -> float:
    """The smaller foreground IoU of the two pictures."""
    with torch.no_grad():
        found = segmenter.eval().predict(batch["image"]).alpha > 0.5
    truth = batch["mask"] > 0.5
    return float(((found & truth).sum((1, 2, 3)) / (found | truth).sum((1, 2, 3))).min())


def test_no_more_persons_than_proposals() -> None:
    image = scenes(64)["image"][:1]
    counts = {}
    for proposals in (1, 1000):
        torch.manual_seed(0)
        found = small(proposals=proposals).eval().predict(image).instances
        assert found is not None
        counts[proposals] = len(found[0].scores)
    assert counts[1] == 1 < counts[1000]


def test_learns_one_batch_by_heart() -> None:
    segmenter = small(network="fpn_resnet18", min_size=128, box_samples=24)
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.3  # so that the running averages keep up with so few steps
    batch = scenes(128)
    optimizer = torch.optim.Adam(segmenter.parameters(), lr=3e-4)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min(1, (k + 1) / 5) if k < 20 else 0.3)
    reached = 0.0
    for step in range(1, 61):
        segmenter.train()
        optimizer.zero_grad()
        torch.stack(list(segmenter.losses(batch).values())).sum().backward()
        optimizer.step()
        rate.step()
        if step >= 15 and step % 5 == 0:
            reached = max(reached, overlap(segmenter, batch))
            if reached > 0.95:
                return
    pytest.fail(f"IoU {reached:.3f}")


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


@torch.no_grad()
def test_weights_with_frozen_norms_fit_a_network_without_backbone_file(tmp_path: Path) -> None:
    theirs = torchvision.models.mobilenet_v2(weights=None).state_dict()
    for name, value in theirs.items():
        if name.endswith("running_mean"):
            value.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(0))
    first = small(backbone_weights=saved(theirs, tmp_path / "backbone.pth")).eval()
    second = small(seed=1).eval()
    state = first.inference_network().state_dict()
    assert second.load_weights(state) == []
    assert count(first) == count(second)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(first.predict(image).alpha, second.predict(image).alpha)
    assert all(torch.equal(value, state[name]) for name, value in second.network.state_dict().items())


@torch.no_grad()
def test_trained_weights_make_another_the_same(finder: MaskRCNNSegmenter) -> None:
    other = small(seed=1).eval()
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


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: small(network="fpn_resnet5"),
            r"model\.network=fpn_resnet5 .* mean model\.network=fpn_resnet50",
        ),
        (
            lambda: small(backbone_weights="coco"),
            r"coco exists for model\.network=fpn_resnet50 and fpn_resnet50_v2",
        ),
        (lambda: small(classes=3), r"model\.classes=3 is not a choice; it is one of 2, 91"),
        (lambda: small(components="one"), r"model\.components=one"),
        (lambda: small(min_size=100), r"size=100 .* is not a positive multiple of 32; the nearest is 96"),
        (lambda: small(scale_jitter=1.5), r"model\.scale_jitter=1\.5 lies outside \[0, 0\.9\]"),
        (lambda: small(box_samples=3), r"model\.box_samples=3"),
        (lambda: small(proposals=0), r"model\.proposals=0"),
        (lambda: small(score_threshold=1.1), r"model\.score_threshold=1\.1 lies outside \[0, 1\]"),
        (lambda: small(score_weight=-1), r"model\.score_weight=-1"),
        (lambda: small(min_area_ratio=2), r"model\.min_area_ratio=2"),
        (lambda: small(top_k=0), r"model\.top_k=0: give a number of persons from 1"),
        (lambda: targets.person_labels(np.zeros((2, 2), np.uint8), None, "most"), r"model\.components=most"),
    ],
)
def test_wrong_settings_are_named(build: Callable[[], object], message: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        build()


SHAPE = (40, 60)
Box = tuple[int, int, int, int]
LEFT: Box = (4, 4, 20, 36)
RIGHT: Box = (30, 4, 46, 36)
# 11 of 16 columns: IoU 0.6875, which passes 0.50 to 0.65, four thresholds of ten
NARROW: Box = (4, 4, 15, 36)
EMPTY_PLACE: Box = (50, 4, 58, 36)


def truth(*boxes: Box) -> UInt8Array:
    labels = np.zeros(SHAPE, np.uint8)
    for person, (x1, y1, x2, y2) in enumerate(boxes, start=1):
        labels[y1:y2, x1:x2] = person
    return labels


def found(*persons: tuple[Box, float], masks: tuple[Box, ...] | None = None) -> Instances:
    drawn = [truth(box) for box in (masks or [box for box, _ in persons])]
    return Instances(
        torch.tensor([box for box, _ in persons], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([score for _, score in persons]),
        torch.from_numpy(np.array(drawn, np.float32).reshape(-1, *SHAPE)) * 0.9,
    )


@pytest.mark.parametrize(
    ("pictures", "box", "mask"),
    [
        # (AP, AP50, AP75) of boxes and masks
        ([(found((LEFT, 0.9), (RIGHT, 0.8)), truth(LEFT, RIGHT))], (1, 1, 1), (1, 1, 1)),
        ([(found(), truth(LEFT))], (0, 0, 0), (0, 0, 0)),
        # one of two persons: precision 1 at the 51 of 101 recalls up to 0.5
        ([(found((LEFT, 0.9)), truth(LEFT, RIGHT))], (51 / 101,) * 3, (51 / 101,) * 3),
        # a better score on nobody: precision 1/2 at every recall; a worse one costs nothing
        ([(found((EMPTY_PLACE, 0.9), (LEFT, 0.8)), truth(LEFT))], (0.5,) * 3, (0.5,) * 3),
        ([(found((LEFT, 0.9), (EMPTY_PLACE, 0.8)), truth(LEFT))], (1, 1, 1), (1, 1, 1)),
        ([(found((NARROW, 0.9)), truth(LEFT))], (0.4, 1, 0), (0.4, 1, 0)),
        ([(found((LEFT, 0.9), masks=(NARROW,)), truth(LEFT))], (1, 1, 1), (0.4, 1, 0)),
        # pictures are ranked together: hit 0.9, miss 0.8, hit 0.7 -> precision 1 up to recall 1/2, then 2/3
        (
            [
                (found((LEFT, 0.9)), truth(LEFT)),
                (found((EMPTY_PLACE, 0.8), (LEFT, 0.7)), truth(LEFT)),
            ],
            ((51 + 50 * 2 / 3) / 101,) * 3,
            ((51 + 50 * 2 / 3) / 101,) * 3,
        ),
        ([(found((LEFT, 0.9)), truth()), (found(), truth(LEFT))], (0, 0, 0), (0, 0, 0)),
        ([(found(), truth())], (math.nan,) * 3, (math.nan,) * 3),
    ],
)
def test_average_precision_by_hand(
    pictures: list[tuple[Instances, UInt8Array]], box: tuple[float, ...], mask: tuple[float, ...]
) -> None:
    scores = instance_ap.average_precision(pictures)
    names = [f"{what}_{score}" for what in ("box", "mask") for score in ("ap", "ap50", "ap75")]
    assert list(scores) == names
    assert list(scores.values()) == pytest.approx([*box, *mask], abs=1e-6, nan_ok=True)


def test_average_precision_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_ap, "BACKEND", "no_such_library")
    with pytest.raises(ConfigError, match=r"pip install 'kolbench\[labels\]'"):
        instance_ap.AveragePrecision()
