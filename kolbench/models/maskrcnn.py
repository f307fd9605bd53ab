"""Mask R-CNN (He et al., ICCV 2017; torchvision): persons as instances, and their union as alpha."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import clip_boxes_to_image

from kolbench.data import targets
from kolbench.errors import ConfigError, require_choice
from kolbench.io.arrays import boxes_and_instances
from kolbench.models.components import maskrcnn_backbones as networks
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputSpec, resize
from kolbench.types import Batch, Instances, Prediction, UInt8Array

PERSON = 1
SMALLEST_MIN_SIZE = 256
LONGER_SIDE = 1.75
FEWEST_SAMPLES = 4
# regions of a picture that train the heads: the paper's, and fewer where a small picture has few that differ
SAMPLES = 512
SAMPLES_OF_SMALL = 128
SMALL_BELOW = 512
# detections below it are not worth an entry in the precision-recall curve
AP_SCORE = 0.05
MASK_THRESHOLD = 0.5
# RGB of persons, the best first
TINTS = ((255, 170, 0), (0, 150, 255), (60, 220, 60), (230, 60, 200), (240, 240, 60), (120, 90, 255))
# all persons of a picture; of COCO's 91 classes together as many as COCO's protocol counts
DETECTIONS = {2: 20, networks.COCO_CLASSES: 100}


@dataclass(frozen=True)
class UnionRule:
    """How detected persons become one foreground map.

    Attributes:
        score_threshold: persons below it are left out, [0, 1].
        score_weight: w of prob = max_i score_i^w mask_i; 0 = the mask's own probability.
        noisy_or: prob = 1 - prod_i (1 - score_i^w mask_i) instead of the maximum.
        top_k: at most so many persons, the best scores first; None = all.
        min_area_ratio: persons whose mask (>= 0.5) covers a smaller share of the picture are left out.
        main_person_only: only the person with the largest area x score, for portraits.
    """

    score_threshold: float = 0.5
    score_weight: float = 0.0
    noisy_or: bool = False
    top_k: int | None = None
    min_area_ratio: float = 0.001
    main_person_only: bool = False

    def __post_init__(self) -> None:
        _require_range("score_threshold", self.score_threshold, 0, 1)
        _require_range("score_weight", self.score_weight, 0, 1)
        _require_range("min_area_ratio", self.min_area_ratio, 0, 1)
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(
                f"model.top_k={self.top_k}: give a number of persons from 1 on, or null for all."
            )


def union(persons: Instances, rule: UnionRule) -> Tensor:
    """One foreground map of all persons that the rule keeps.

    Args:
        persons: N persons in a picture of H x W, best score first; N may be 0.
        rule: which persons count, and how they are joined.

    Returns:
        (H, W) float32 probability, 0 everywhere where nobody is left.
    """
    kept = _kept(persons, rule)
    scores, masks = persons.scores[kept].float(), persons.masks[kept].float()
    weighted = scores[:, None, None] ** rule.score_weight * masks
    if rule.noisy_or:
        return 1 - (1 - weighted).prod(0)
    return weighted.amax(0) if len(weighted) else masks.new_zeros(masks.shape[1:])


def _kept(persons: Instances, rule: UnionRule) -> Tensor:
    """Indices of the persons that count."""
    areas = (persons.masks >= MASK_THRESHOLD).sum((1, 2))
    pixels = persons.masks.shape[-2] * persons.masks.shape[-1]
    good = (persons.scores >= rule.score_threshold) & (areas >= rule.min_area_ratio * pixels)
    kept = good.nonzero()[:, 0]
    if rule.main_person_only and len(kept):
        kept = kept[(areas[kept] * persons.scores[kept]).argmax()][None]
    return kept[: rule.top_k]


def draw_instances(image: Tensor, masks: Tensor) -> UInt8Array:
    """(3, H, W) in [0, 1] and (N, H, W) -> (H, W, 3) uint8: persons tinted over the darkened picture.

    The best person lies on top.
    """
    levels = (image * 255).cpu().numpy().transpose(1, 2, 0)
    shown = levels / 4
    for number in reversed(range(len(masks))):
        person = masks[number].cpu().numpy() >= MASK_THRESHOLD
        shown[person] = (levels[person] + np.array(TINTS[number % len(TINTS)])) / 2
    return np.asarray(shown.round(), np.uint8)


class InputTransform(GeneralizedRCNNTransform):  # type: ignore[misc]  # torchvision has no types
    """torchvision's resize and normalisation, with antialiasing where a picture shrinks and scale jitter.

    Args:
        min_size: shorter side of a picture inside the network, in pixels.
        max_size: bound of its longer side; wins over `min_size`.
        scale_jitter: in training both sizes are multiplied by a random factor in 1 -+ this.
    """

    def __init__(self, min_size: int, max_size: int, scale_jitter: float) -> None:
        super().__init__(min_size, max_size, IMAGENET_MEAN, IMAGENET_STD)
        self.bounds = (min_size, max_size)
        self.scale_jitter = scale_jitter

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """(3, H, W) and its boxes (N, 4) and masks (N, H, W) -> the same at the network's input size."""
        height, width = image.shape[-2:]
        size = input_size(height, width, *self.bounds, self._factor())
        resized = resize(image[None], size)[0]
        if target is None:
            return resized, None
        scale = image.new_tensor([size[1] / width, size[0] / height]).repeat(2)
        masks = target["masks"].new_zeros(len(target["masks"]), *size)
        if len(masks):
            nearest = F.interpolate(target["masks"][:, None].float(), size, mode="nearest-exact")
            masks = nearest[:, 0].to(masks.dtype)
        return resized, {**target, "boxes": target["boxes"] * scale, "masks": masks}

    def _factor(self) -> float:
        if not (self.training and self.scale_jitter):
            return 1.0
        return 1 + self.scale_jitter * (2 * float(torch.rand(())) - 1)


def input_size(height: int, width: int, min_size: int, max_size: int, factor: float = 1.0) -> tuple[int, int]:
    """(height, width) of a picture inside the network: aspect kept, both bounds times `factor`."""
    scale = factor * min(min_size / min(height, width), max_size / max(height, width))
    return max(1, int(height * scale + 1e-6)), max(1, int(width * scale + 1e-6))


class MaskRCNNSegmenter(NetworkSegmenter[nn.Module]):
    """Mask R-CNN of two classes; its alpha is the union of the persons it finds.

    From scratch every layer is trained, with BatchNorm2d; from pretrained weights everything up to stride 4
    and all norms of the backbone stay frozen, which makes them buffers (maskrcnn_backbones lists both
    counts of parameters).

    Args:
        size: shorter side of training pictures that the budget wants, in pixels.
        network: one of maskrcnn_backbones.BUILDERS.
        backbone_weights: None, `imagenet`, `coco` or a file, see maskrcnn_backbones.load_pretrained.
        classes: 2, background and person; 91 keeps COCO's heads, for its file without training.
        min_size: shorter side inside the network and of training pictures; None = max(256, size). The
            longer side is at most 1.75 times as long.
        components: where the persons come from in training, see targets.person_labels.
        scale_jitter: share by which a training picture is randomly enlarged or shrunk, [0, 0.9].
        box_samples: regions of a picture that train the heads, a quarter of them positive at most; None =
            512 as in the paper, or 128 below a `min_size` of 512.
        proposals: regions of a picture that reach the heads when predicting, torchvision's 1000; few save
            much time where the head is large (no FPN) and pictures hold few persons.
        score_threshold, score_weight, noisy_or, top_k, min_area_ratio, main_person_only: see UnionRule.

    Raises:
        ConfigError: an unknown choice or a value outside its range.
        WeightsError: the first weights cannot be had.
    """

    # with the input size fixed, its detections agree in ONNX Runtime; its alphas cannot
    never_exported = (
        "Mask R-CNN cannot be exported: it resizes images inside the network and draws each person's "
        "mask at the image's own size, and a traced graph keeps the sizes of the one image it was "
        "traced with. Use its run folder."
    )

    def __init__(
        self,
        size: int,
        network: str = "fpn_resnet50",
        backbone_weights: str | None = None,
        classes: int = 2,
        min_size: int | None = None,
        components: str = "auto",
        scale_jitter: float = 0.0,
        box_samples: int | None = None,
        proposals: int = 1000,
        score_threshold: float = 0.5,
        score_weight: float = 0.0,
        noisy_or: bool = False,
        top_k: int | None = None,
        min_area_ratio: float = 0.001,
        main_person_only: bool = False,
    ) -> None:
        require_choice("model.network", network, networks.BUILDERS)
        require_choice("model.classes", str(classes), map(str, DETECTIONS))
        require_choice("model.components", components, targets.COMPONENTS)
        _require_range("scale_jitter", scale_jitter, 0, 0.9)
        rule = UnionRule(score_threshold, score_weight, noisy_or, top_k, min_area_ratio, main_person_only)
        shorter = max(SMALLEST_MIN_SIZE, size) if min_size is None else min_size
        if box_samples is None:
            box_samples = SAMPLES if shorter >= SMALL_BELOW else SAMPLES_OF_SMALL
        if box_samples < FEWEST_SAMPLES:
            raise ConfigError(
                f"model.box_samples={box_samples}: give at least {FEWEST_SAMPLES}, of which a quarter may be "
                "persons; 512 is usual."
            )
        if proposals < 1:
            raise ConfigError(f"model.proposals={proposals}: give a number from 1 on; 1000 is usual.")
        input_spec = InputSpec(shorter, resize_mode="shortest_edge")
        detector = networks.build(
            network,
            classes,
            box_score_thresh=AP_SCORE,
            box_detections_per_img=DETECTIONS[classes],
            box_batch_size_per_image=box_samples,
            rpn_post_nms_top_n_test=proposals,
        )
        super().__init__(input_spec, detector)
        self.name = network
        self.components = components
        self.rule = rule
        self.network.transform = InputTransform(shorter, round(LONGER_SIDE * shorter), scale_jitter)
        if backbone_weights is not None:
            networks.load_pretrained(self.network, network, backbone_weights)
            networks.freeze_norms(self.network)
            networks.freeze_stem(self.network)

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha, and the persons with a score of 0.05 or more.

        Always in evaluation mode: in training mode torchvision's network gives losses only. One by one, as
        it pads the pictures of a batch to one size, which its convolutions see.
        """
        image = inputs[0]
        with _evaluation_mode(self.network):
            found = [_persons(self.network([picture])[0]) for picture in image]
        alpha = torch.stack([union(persons, self.rule) for persons in found]).unsqueeze(1)
        return Prediction(alpha.clamp(0, 1), instances=found)

    @torch.no_grad()
    def visualize(self, *inputs: Tensor) -> UInt8Array:
        """Each person that enters the alpha in a colour of its own, over the darkened picture."""
        image = inputs[0]
        persons = self.predict(image).instances
        assert persons is not None
        return draw_instances(image[0], persons[0].masks[_kept(persons[0], self.rule)])

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """torchvision's five: `loss_classifier`, `loss_box_reg`, `loss_mask`, `loss_objectness`,
        `loss_rpn_box_reg`, weights 1; the network must be in training mode.
        """
        assert self.network.training, "torchvision's Mask R-CNN gives losses in training mode only"
        losses: dict[str, Tensor] = self.network(list(batch["image"]), self.targets(batch))
        return losses

    def targets(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Per picture `boxes` (N, 4) float32, `labels` (N,) int64, `masks` (N, H, W) uint8, as torchvision
        wants them; N is 0 where nobody is.
        """
        device = batch["image"].device
        masks = batch["mask"][:, 0].to(torch.uint8).cpu().numpy()
        known = batch["instances"][:, 0].cpu().numpy() if "instances" in batch else [None] * len(masks)
        wanted = []
        for mask, persons in zip(masks, known, strict=True):
            labels = targets.person_labels(mask, persons, self.components)
            boxes, instances = boxes_and_instances(labels)
            person = torch.full((len(boxes),), PERSON, dtype=torch.int64)
            wanted.append(
                {"boxes": boxes.to(device), "labels": person.to(device), "masks": instances.to(device)}
            )
        return wanted

    def load_weights(self, state: Mapping[str, Tensor]) -> list[str]:
        """Loads weights of ours or torchvision's COCO file (its first classes), strictly."""
        networks.load_detector(self.network, self.name, state)
        return []


def _persons(detections: dict[str, Tensor]) -> Instances:
    persons = detections["labels"] == PERSON
    masks = detections["masks"][persons, 0].float()
    # scaled back to the picture, a box at its edge may lie outside by a rounding error
    boxes = clip_boxes_to_image(detections["boxes"][persons].float(), masks.shape[-2:])
    return Instances(boxes, detections["scores"][persons].float(), masks)


@contextmanager
def _evaluation_mode(network: nn.Module) -> Iterator[None]:
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def _require_range(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"model.{key}={value} lies outside [{low}, {high}].")
