"""Mask R-CNN: sizes, union and targets by hand, prediction, learning."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from kolbench.config import compose
from kolbench.data import targets
from kolbench.errors import ConfigError
from kolbench.io.arrays import boxes_and_instances
from kolbench.models.maskrcnn import (
    InputTransform,
    MaskRCNNSegmenter,
    UnionRule,
    draw_instances,
    input_size,
    union,
)
from kolbench.types import Batch, Instances
from tests.helpers.detectors import SMALL, losses, scenes, small

FIVE = {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"}


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
    assert sum(p.numel() for p in segmenter.inference_network().parameters()) == 43_975_515


@pytest.mark.parametrize(
    ("picture", "expected"),
    [((1080, 1920), (252, 448)), ((400, 300), (341, 256)), ((33, 47), (256, 364)), ((2048, 4), (448, 1))],
)
def test_the_input_size_keeps_the_aspect_within_both_bounds(
    picture: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert input_size(*picture, 256, 448) == expected


def test_resizing_scales_boxes_and_masks_alike() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:20, 6:36] = 1
    boxes, masks = boxes_and_instances(labels)
    transform = InputTransform(80, 140, 0.0)
    image, target = transform.resize(torch.rand(3, 40, 60), {"boxes": boxes, "masks": masks})
    assert image.shape == (3, 80, 120)
    assert target is not None
    assert target["boxes"].tolist() == [[12, 20, 72, 40]]
    assert target["masks"].dtype == torch.uint8
    assert torch.equal(boxes_and_instances(target["masks"][0].numpy())[0], target["boxes"])


def test_jitter_scales_training_pictures_only() -> None:
    torch.manual_seed(0)
    transform = InputTransform(80, 140, 0.25)
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


def test_persons_are_tinted_the_best_on_top() -> None:
    masks = torch.zeros(2, 2, 2)
    masks[0, 0, :] = 0.9
    masks[1, :, 0] = 0.5
    masks[1, 1, 1] = 0.49
    shown = draw_instances(torch.ones(3, 2, 2), masks)
    assert shown.dtype == np.uint8
    # half of white, half of orange or blue; a quarter of white
    assert shown.tolist() == [[[255, 212, 128], [255, 212, 128]], [[128, 202, 255], [64, 64, 64]]]


@pytest.mark.slow
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
        assert 0 < number <= 5 == finder.network.roi_heads.detections_per_img
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
    segmenter = small(proposals=50)
    segmenter.network.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([50.0, -50.0]))
    prediction = segmenter.eval().predict(torch.rand(1, 3, 40, 50))
    assert not prediction.alpha.any()
    assert prediction.instances is not None
    assert [tuple(part.shape) for part in prediction.instances[0]] == [(0, 4), (0,), (0, 40, 50)]


@torch.no_grad()
def test_of_ninety_one_classes_the_first_is_a_person() -> None:
    segmenter = small(classes=91, score_threshold=0.0, proposals=50)
    segmenter.network.roi_heads.detections_per_img = 5
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


@pytest.mark.slow
def test_learns_one_batch_by_heart() -> None:
    segmenter = small(network="fpn_resnet18", min_size=128, box_samples=24, proposals=50)
    # masks of those who do not enter the alpha would be most of a check
    segmenter.network.roi_heads.score_thresh = segmenter.rule.score_threshold
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.3  # so that the running averages keep up with so few steps
    batch = scenes(128)
    optimizer = torch.optim.Adam(segmenter.parameters(), lr=3e-4, fused=True)
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
