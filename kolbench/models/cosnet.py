"""COSNet as a method: a frame is segmented by what it shares with other frames of its clip."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kolbench.data.clip_references import EVEN, PAST, SAMPLINGS
from kolbench.errors import TrainingError, require_choice, require_whole
from kolbench.models.components.cosnet import FUSIONS, TRAINING_HEADS, COSNet, COSNetOptions
from kolbench.models.losses.cosnet import COSNetLossOptions, map_error
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RESIZE_MODES,
    InputSpec,
    current_resize_mode,
)
from kolbench.types import IMAGE_STEP, RANDOM_REFERENCE, REFERENCE, VIDEO_STEP, Batch, Prediction, State

SMALLEST = 16
LIGHT = ("resnet18", "mobilenet_v2")
COLOURS = ("imagenet", "bgr255")
# means of blue, green and red in the released code, here by red, green and blue
_BGR_MEAN = (122.67892 / 255, 116.66877 / 255, 104.00699 / 255)


class _Kept(NamedTuple):
    """What is remembered of a clip: features of its frames 0, step, 2 step, ..., each (B, C, h, w)."""

    frames: int
    step: int
    features: tuple[Tensor, ...]


class COSNetSegmenter(NetworkSegmenter[COSNet]):
    """COSNet with its losses; it compares a frame with other frames of its clip.

    Which ones in scoring, `reference_sampling` says. Videos, and single pictures, always take `past`, as what
    comes later is not known there. Training takes one random frame of the clip.

    Args:
        size: side of the input in pixels, at least 16; 473 in the released code.
        backbone, stride_in, freeze_shortcut_bn: see COSNetOptions.
        backbone_weights: of the body: None, `imagenet` or a file.
        aspp_depth, width, aspp_rates: see COSNetOptions; None: the released code's 512, 256 and (6, 12, 18),
            of `resnet18` and `mobilenet_v2` those of `COSNetOptions.light`.
        colours: how pictures are normalised: `imagenet`, as torchvision's bodies were trained; or `bgr255`,
            blue first, 0 to 255, less a mean, as the released checkpoints want them.
        references: N, frames that each is compared with, at least 1; 5 in the released code.
        reference_sampling: `past`: the clip's first frame, and others evenly spaced before the frame; kept
            features are at most 2 N, however long a clip is. `even`: N frames evenly spaced over the whole
            clip, the same for all its frames, so that each is encoded once; `random`, the released code's: N
            frames drawn for each, see ClipReferences. Both look ahead, and need the clip as data.
        reference_fusion: see COSNet.segment.
        wbce, wbce_cap, l1_weight, encoder_weight: see COSNetLossOptions.
        resize_mode: `stretch`: size x size, the aspect ignored, or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
        WeightsError: the backbone's weights cannot be had.
    """

    stateful = True
    # the released code's order
    training_steps = (IMAGE_STEP, VIDEO_STEP, VIDEO_STEP)
    training_reference = RANDOM_REFERENCE
    never_exported = (
        "COSNet sees other frames of a clip beside each frame; no file with the graph of one image gives "
        "its alphas."
    )

    def __init__(
        self,
        size: int,
        backbone: str = "resnet101",
        backbone_weights: str | None = None,
        aspp_depth: int | None = None,
        width: int | None = None,
        aspp_rates: Sequence[int] | None = None,
        stride_in: str = "3x3",
        freeze_shortcut_bn: bool = True,
        colours: str = "imagenet",
        references: int = 5,
        reference_sampling: str = PAST,
        reference_fusion: str = "prediction",
        wbce: str = "cosnet",
        wbce_cap: float | None = 1000.0,
        l1_weight: float = 0.8,
        encoder_weight: float = 0.1,
        resize_mode: str = "stretch",
    ) -> None:
        require_whole("model.size", size, SMALLEST, 16384)
        plain = COSNetOptions(backbone, stride_in=stride_in, freeze_shortcut_norms=freeze_shortcut_bn)
        usual = plain.light() if backbone in LIGHT else plain
        options = COSNetOptions(
            backbone,
            usual.aspp_depth if aspp_depth is None else aspp_depth,
            usual.width if width is None else width,
            usual.aspp_rates if aspp_rates is None else tuple(aspp_rates),
            stride_in,
            freeze_shortcut_bn,
        )
        resize_mode = require_choice("model.resize_mode", current_resize_mode(resize_mode), RESIZE_MODES)
        self._blue_first = require_choice("model.colours", colours, COLOURS) == "bgr255"
        mean, std = (_BGR_MEAN, (1 / 255,) * 3) if self._blue_first else (IMAGENET_MEAN, IMAGENET_STD)
        spec = InputSpec(size, resize_mode=resize_mode, multiple=1, mean=mean, std=std)
        super().__init__(spec, COSNet(options), TRAINING_HEADS)
        self.references = require_whole("model.references", references, 1, 100)
        sampling = require_choice("model.reference_sampling", reference_sampling, SAMPLINGS)
        if sampling != PAST:
            self.input_keys = ("image", REFERENCE)
        # features of references are those of the whole clip
        self._once_a_clip = sampling == EVEN
        self.reference_fusion = require_choice("model.reference_fusion", reference_fusion, FUSIONS)
        self.loss_options = COSNetLossOptions(wbce, wbce_cap, l1_weight, encoder_weight)
        self.network.load_backbone(backbone_weights)

    def predict(self, *inputs: Tensor, state: State | None = None) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; aux is empty.

        Args:
            inputs: the frame, and with `even` and `random` its references (B, N, 3, H, W); without them it
                goes on as with `past`. state: with references the features of `even`, none of `random`;
                otherwise what is kept of the clip, see `_Kept`, and a clip's first frame, as a single
                picture, is compared with itself.
        """
        image, *others = inputs
        given = self._colours(self.input_spec.preprocess(image))
        own = self.network.encode(given)
        chosen, following = self._beside(others[0], state) if others else self._past(own, state)
        alpha = self.network.segment(own, chosen, given.shape[-2:], self.reference_fusion)
        return Prediction(self.input_spec.postprocess(alpha, *image.shape[-2:]), state=following)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of a video step, of an image step beside clips, or of pictures where there are no clips.

        Args:
            batch: image and mask; in a video step `reference` (B, 3, H, W) and `reference_mask` too; in an
                image step beside clips `beside_clips`. Without either each picture is its own reference.

        Returns:
            Weighted scalars: `target` and `reference` of both frames, not in an image step beside clips;
            `encoder` of the encoder's own classifier, not in a video step.

        Raises:
            TrainingError: a training batch of a single picture.
        """
        self._require_two(len(batch["image"]))
        image = self._colours(self.input_spec.normalise(batch["image"]))
        mask, options = batch["mask"], self.loss_options
        terms = {}
        if "reference" in batch:
            reference = self._colours(self.input_spec.normalise(batch["reference"]))
            return self._pair_terms(image, mask, reference, batch["reference_mask"])
        if "beside_clips" not in batch:
            terms = self._pair_terms(image, mask, image, mask)
        alone = self.network.forward_single(image).float()
        return {**terms, "encoder": options.encoder_weight * map_error(alone, mask, options)}

    def _past(self, own: Tensor, state: State | None) -> tuple[Sequence[Tensor], State]:
        """Features of the references among the frames before, and what is kept for the next frame."""
        kept = _read(state)
        chosen = _evenly(kept.features, self.references) or (own,)
        return chosen, _written(_followed(kept, own, 2 * self.references))

    def _beside(self, references: Tensor, state: State | None) -> tuple[Sequence[Tensor], State]:
        """Features of the references given, (B, N, 3, H, W), and what is kept for the next frame."""
        if self._once_a_clip and state:
            return state, state
        pictures = (self.input_spec.preprocess(picture) for picture in references.unbind(1))
        found = tuple(self.network.encode(self._colours(picture)) for picture in pictures)
        return found, found if self._once_a_clip else ()

    def _require_two(self, pictures: int) -> None:
        if pictures < 2 and self.network.encoder.layer5.bn_x.training:
            raise TrainingError(
                "COSNet cannot learn from batches of one image: the mean over an image's whole map leaves "
                "batch norm a single value. Give budget.batch=2 or more, and two training images or more."
            )

    def _pair_terms(
        self, image: Tensor, mask: Tensor, reference: Tensor, reference_mask: Tensor
    ) -> dict[str, Tensor]:
        maps = self.network.forward_pair(image, reference)
        return {
            "target": map_error(maps.target.float(), mask, self.loss_options),
            "reference": map_error(maps.reference.float(), reference_mask, self.loss_options),
        }

    def _colours(self, normalised: Tensor) -> Tensor:
        return normalised.flip(1) if self._blue_first else normalised


def _read(state: State | None) -> _Kept:
    if not state:
        return _Kept(0, 1, ())
    frames, step = (int(value) for value in state[0].tolist())
    return _Kept(frames, step, tuple(state[1:]))


def _written(kept: _Kept) -> State:
    return (torch.tensor([kept.frames, kept.step]), *kept.features)


def _followed(kept: _Kept, own: Tensor, most: int) -> _Kept:
    """What is kept once a frame has passed: with more than `most` every second one goes, and stays gone."""
    frames, step, features = kept
    if frames % step == 0:
        features = (*features, own)
    if len(features) > most:
        features, step = features[::2], 2 * step
    return _Kept(frames + 1, step, features)


def _evenly(features: Sequence[Tensor], count: int) -> tuple[Tensor, ...]:
    """At most `count` of them, the first always, evenly spaced."""
    if len(features) <= count:
        return tuple(features)
    places = torch.linspace(0, len(features) - 1, count).round().int().tolist()
    return tuple(features[place] for place in places)
