"""PDNet as a method: the first frame of a clip is the reference of all others."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from kolbench.errors import require_choice, require_whole
from kolbench.models.components.blocks import resize_aligned
from kolbench.models.components.frozen_features import CHANNELS, FrozenFeatures
from kolbench.models.components.part_colours import painted_parts
from kolbench.models.components.pdnet import (
    AUXILIARY,
    Frame,
    FrameMaps,
    PDNet,
    PDNetOptions,
    Reference,
    part_probability,
)
from kolbench.models.losses.pdnet import SEM, LossOptions, Semantics, mask_error, part_terms
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, RESIZE_MODES, InputSpec, current_resize_mode
from kolbench.segmenter import SHOWN_ABOVE
from kolbench.types import IMAGE_STEP, VIDEO_STEP, Batch, Prediction, State, UInt8Array

SMALLEST = 16
Value = TypeVar("Value")


class Preset(NamedTuple):
    """Values of the knobs in which the paper's text and the released code differ, see their options."""

    attention_scale: str
    attention_residual: bool
    part_halving: str
    lambda_orth: float
    wbce: str
    l1_weight: float
    target_weight: float
    reference_weight: float


PRESETS = {
    "official": Preset("none", True, "official", 1.0, "cosnet", 0.8, 0.8, 0.64),
    "paper": Preset("sqrt", False, "eq6", 0.0, "balanced", 1.0, 1.0, 1.0),
}


class PDNetSegmenter(NetworkSegmenter[PDNet]):
    """PDNet with its losses on masks and parts; it remembers the first frame of a clip.

    Args:
        size: side of the input in pixels, at least 16; 480 in the paper.
        preset: `official` or `paper`: the values of those knobs below that are None.
        backbone, mobilenet_last, merge, width, ipda, parts, ipda_scale, part_activation, attention_scale,
            attention_residual: see PDNetOptions.
        backbone_weights: of the body: None, `imagenet` or a file.
        references: 1, the first frame; or 2, it and the frame `reference_gap` before (table 5), what both
            give averaged. Training knows one.
        reference_gap: frames between a frame and its second reference; until there is one, the first frame
            stands for it.
        cache_reference: keep key and value of a reference, or, as the released code does, look at its picture
            again for every frame; alphas are the same.
        losses, wbce, wbce_cap, l1_weight, target_weight, reference_weight, part_halving, lambda_orth,
            area_variance, sem_form: see LossOptions.
        sem_extractor: what `sem` compares with: `resnet18` or `mobilenet_v2`, see FrozenFeatures.
        sem_weights: its weights, `imagenet` or a file; None = without `sem`.
        resize_mode: `stretch`: size x size, the aspect ignored, or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
        WeightsError: the backbone's weights cannot be had.
    """

    # the released code's order (T6)
    training_steps = (IMAGE_STEP, VIDEO_STEP, VIDEO_STEP)
    never_exported = (
        "PDNet sees the first frame of a clip beside each frame, and enlarges its logits to the frame's own "
        "size; no file with the graph of one image gives its alphas."
    )

    def __init__(
        self,
        size: int,
        preset: str = "official",
        backbone: str = "resnet50",
        backbone_weights: str | None = None,
        mobilenet_last: int = 320,
        merge: str = "product",
        width: int = 128,
        ipda: bool = True,
        parts: int = 5,
        ipda_scale: float = 0.25,
        part_activation: str = "softmax",
        attention_scale: str | None = None,
        attention_residual: bool | None = None,
        references: int = 1,
        reference_gap: int = 5,
        cache_reference: bool = True,
        losses: Sequence[str] = ("geo", "area", "sem"),
        wbce: str | None = None,
        wbce_cap: float | None = 1000.0,
        l1_weight: float | None = None,
        target_weight: float | None = None,
        reference_weight: float | None = None,
        part_halving: str | None = None,
        lambda_orth: float | None = None,
        area_variance: str = "unbiased",
        sem_form: str = "factored",
        sem_extractor: str = "resnet18",
        sem_weights: str | None = None,
        resize_mode: str = "stretch",
    ) -> None:
        require_whole("model.size", size, SMALLEST, 16384)
        chosen = PRESETS[require_choice("model.preset", preset, PRESETS)]
        options = PDNetOptions(
            backbone,
            mobilenet_last,
            merge,
            width,
            ipda,
            parts,
            ipda_scale,
            part_activation,
            _given(attention_scale, chosen.attention_scale),
            _given(attention_residual, chosen.attention_residual),
        )
        resize_mode = require_choice("model.resize_mode", current_resize_mode(resize_mode), RESIZE_MODES)
        spec = InputSpec(size, resize_mode=resize_mode, multiple=1, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        super().__init__(spec, PDNet(options), AUXILIARY)
        self.stateful = ipda
        require_whole("model.references", references, 1, 2)
        # how many frames before are kept beside the first
        self.recent = require_whole("model.reference_gap", reference_gap, 1, 1000) * (references - 1)
        self.cache_reference = cache_reference
        self.loss_options = LossOptions(
            losses,
            _given(wbce, chosen.wbce),
            wbce_cap,
            _given(l1_weight, chosen.l1_weight),
            _given(target_weight, chosen.target_weight),
            _given(reference_weight, chosen.reference_weight),
            _given(part_halving, chosen.part_halving),
            _given(lambda_orth, chosen.lambda_orth),
            area_variance,
            sem_form,
        )
        require_choice("model.sem_extractor", sem_extractor, CHANNELS)
        self.features: FrozenFeatures | None = None
        self.part_basis: nn.Parameter | None = None
        if SEM in losses and ipda and parts > 1:
            self._begin_semantics(sem_extractor, sem_weights)
        self.network.load_backbone(backbone_weights)

    def predict(self, *inputs: Tensor, state: State | None = None) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; aux is empty.

        Args:
            inputs: the frame. state: what is kept of frames before: of the first, then, with two references,
                of the last `reference_gap`, oldest first; two tensors each, or one, see `cache_reference`.
        """
        image = inputs[0]
        given = self.input_spec.preprocess(image)
        frame = self.network.look(given)
        if not self.stateful:
            return Prediction(self._alpha(frame, [], image))
        kept = _split(state or (), 2 if self.cache_reference else 1)
        own = self._to_keep(frame, given) if self.recent or not kept else ()
        references = [self._reference(item) for item in _chosen(kept or [own], self.recent)]
        following = _followed(kept or [own], own, self.recent)
        return Prediction(self._alpha(frame, references, image), state=tuple(chain(*following)))

    @torch.no_grad()
    def visualize(self, *inputs: Tensor) -> UInt8Array:
        """The parts in colours, over the darkened picture; with one part, or without IPDA, the cut-out."""
        image = inputs[0]
        frame = self.network.look(self.input_spec.preprocess(image))
        maps = self.network.part_logits(frame)
        if maps is None or maps.parts.shape[1] == 1:
            return super().visualize(image)
        shares = part_probability(maps.parts, self.network.options.part_activation)
        shown = resize_aligned(shares.float(), image.shape[-2:])[0]
        return painted_parts(image[0], shown, self._alpha(frame, [], image)[0] > SHOWN_ABOVE)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of a video step, or without `reference` in the batch that of an image step.

        Args:
            batch: image and mask, and in a video step `reference` (B, 3, H, W) and `reference_mask`
                (B, 1, H, W). In an image step each picture is its own reference, and parts are left alone.

        Returns:
            Weighted scalars: `final`; `auxiliary` and `saliency` of both frames; in a video step `geo`,
            `area`, `sem` and `orth` of both.
        """
        image = self.input_spec.normalise(batch["image"])
        reference = self.input_spec.normalise(batch["reference"]) if "reference" in batch else None
        maps = self.network.forward_train(image, reference)
        # areas and spreads of half precision are none
        with torch.autocast(image.device.type, enabled=False):
            mask, options = batch["mask"], self.loss_options
            terms = {"final": mask_error(maps.final.float(), mask, options)}
            video = reference is not None
            _add(terms, options.target_weight, self._frame_terms(maps.target, mask, image, video))
            if reference is not None and maps.reference is not None:
                others = self._frame_terms(maps.reference, batch["reference_mask"], reference, video)
                _add(terms, options.reference_weight, others)
        return terms

    def _begin_semantics(self, extractor: str, weights: str | None) -> None:
        """The frozen network and the basis of `sem`; without weights a line says that there is none."""
        if weights is None:
            self.beginning = (
                "model.sem_weights=null: L_sem has no features to compare with, so sem and orth are left out",
            )
            return
        self.features = FrozenFeatures(extractor, weights)
        start = torch.randn(self.network.options.parts, self.features.channels).abs()
        self.part_basis = nn.Parameter(start)

    def _alpha(self, frame: Frame, references: Sequence[Reference], image: Tensor) -> Tensor:
        """(B, 1, H, W) float32 at the picture's own size, to which logits are resized in one step."""
        return self.network.segment(frame, references, image.shape[-2:]).float().sigmoid()

    def _to_keep(self, frame: Frame, picture: Tensor) -> State:
        """What later frames need of this one."""
        return tuple(self.network.remember(frame)) if self.cache_reference else (picture,)

    def _reference(self, item: State) -> Reference:
        if self.cache_reference:
            return Reference(*item)
        return self.network.remember(self.network.look(item[0]))

    def _frame_terms(self, maps: FrameMaps, mask: Tensor, image: Tensor, video: bool) -> dict[str, Tensor]:
        """The losses of one frame beside the final map."""
        options = self.loss_options
        errors = [mask_error(logits.float(), mask, options) for logits in maps.auxiliary]
        terms = {"auxiliary": torch.stack(errors).sum()}
        if maps.parts is None:
            return terms
        terms["saliency"] = mask_error(maps.parts.saliency.float(), mask, options)
        if not video or self.network.options.parts == 1:
            return terms
        saliency, parts = (resize_aligned(logits.float(), mask.shape[-2:]) for logits in maps.parts)
        shares = part_probability(parts, self.network.options.part_activation)
        return {**terms, **part_terms(mask, saliency.sigmoid(), shares, self._semantics(image), options)}

    def _semantics(self, image: Tensor) -> Semantics | None:
        if self.features is None or self.part_basis is None:
            return None
        return Semantics(self.features(image), self.part_basis.relu())


def _given(value: Value | None, otherwise: Value) -> Value:
    return otherwise if value is None else value


def _add(terms: dict[str, Tensor], weight: float, more: Mapping[str, Tensor]) -> None:
    """Adds weighted terms to those of the same names."""
    for name, term in more.items():
        terms[name] = terms.get(name, 0) + weight * term


def _split(state: State, width: int) -> list[State]:
    """The tensors of a state, so many for each frame."""
    return [state[start : start + width] for start in range(0, len(state), width)]


def _chosen(kept: Sequence[State], recent: int) -> Sequence[State]:
    """The references among what is kept: the first frame, and once there is one that `recent` before."""
    first, *later = kept
    return [first, later[0]] if recent and len(later) == recent else [first]


def _followed(kept: Sequence[State], own: State, recent: int) -> Sequence[State]:
    """What is kept for the next frame: the first frame, then the last `recent`, this one among them."""
    first, *later = kept
    return [first, *[*later, own][-recent:]] if recent else [first]
