"""MATNet as a method: a frame and what moves to the next one."""

from collections.abc import Mapping

import torch
from torch import Tensor

from kolbench.data.flow import FlowOptions
from kolbench.errors import require_choice, require_whole
from kolbench.models.components.matnet import (
    MOBILENET,
    TRAINING_HEADS,
    MATNet,
    MATNetOptions,
    without_unused,
)
from kolbench.models.losses import matnet as losses
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, RESIZE_MODES, InputSpec, current_resize_mode
from kolbench.types import FLOW, Batch, Prediction

# its last stage is a single pixel at 32
SMALLEST = 64
LIGHT = ("resnet18", MOBILENET)
NEGATIVES = ("sobel", "none")


class MATNetSegmenter(NetworkSegmenter[MATNet]):
    """MATNet with its losses on the mask and its boundaries.

    Args:
        size: side of the input in pixels, at least 64; 473 in the released code.
        backbone, mat_rounds, pdc, ssa_spatial, transition_relu: see MATNetOptions.
        backbone_weights: of both bodies: None, `imagenet` or a file.
        width: of the decoder; None: the released code's 256, of `resnet18` and `mobilenet_v2` 128.
        hard_negatives: what of the background counts more in training: `sobel`, its own edges, or `none`.
        flow_size, flow_floor, flow_form: see FlowOptions; the flow is found from each frame to the next.
        resize_mode: `stretch`: size x size, the aspect ignored, or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
        WeightsError: the backbone's weights cannot be had.
    """

    input_keys = ("image", FLOW)
    never_exported = (
        "MATNet reads what moves to the next frame beside each frame; no file with the graph of one image "
        "gives its alphas."
    )

    def __init__(
        self,
        size: int,
        backbone: str = "resnet101",
        backbone_weights: str | None = None,
        width: int | None = None,
        mat_rounds: int = 5,
        pdc: str = "tied3",
        ssa_spatial: str = "none",
        transition_relu: bool | None = None,
        hard_negatives: str = "sobel",
        flow_size: int = 256,
        flow_floor: float = 0.0,
        flow_form: str = "colour",
        resize_mode: str = "stretch",
    ) -> None:
        require_whole("model.size", size, SMALLEST, 16384)
        usual = 128 if backbone in LIGHT else 256
        chosen = usual if width is None else width
        options = MATNetOptions(backbone, chosen, mat_rounds, pdc, ssa_spatial, transition_relu)
        resize_mode = require_choice("model.resize_mode", current_resize_mode(resize_mode), RESIZE_MODES)
        spec = InputSpec(size, resize_mode=resize_mode, multiple=1, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        super().__init__(spec, MATNet(options), TRAINING_HEADS)
        self.hard_negatives = require_choice("model.hard_negatives", hard_negatives, NEGATIVES)
        self.flow_options = FlowOptions(flow_size, flow_floor, flow_form)
        self.network.load_backbone(backbone_weights)

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; aux is empty.

        Args:
            inputs: the frame, and its flow picture of the same shape; without, as of a single picture,
                nothing moves.
        """
        image = inputs[0]
        flow = inputs[1] if len(inputs) > 1 else torch.ones_like(image)
        frame, moving = (self.input_spec.preprocess(each) for each in (image, flow))
        # logits are resized to the frame in one step
        alpha = self.network.segment(frame, moving, image.shape[-2:]).float().sigmoid()
        return Prediction(alpha)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The error of the mask, and a fifth of those of the fused and of each level's boundary.

        Args:
            batch: image, mask, and `flow` where there is one.

        Returns:
            Weighted scalars `mask` and `boundary`.
        """
        image, mask = batch["image"], batch["mask"]
        flow = batch["flow"] if "flow" in batch else torch.ones_like(image)
        frame, moving = (self.input_spec.normalise(each) for each in (image, flow))
        maps = self.network.forward_train(frame, moving)
        boundary = losses.boundary_target(mask, losses.radius_at(mask))
        hardness = (
            losses.hard_background(image, mask, boundary)
            if self.hard_negatives == "sobel"
            else torch.zeros_like(mask)
        )
        errors = [
            losses.weighted_error(logits.float(), boundary, hardness)
            for logits in (maps.fused, *maps.boundaries)
        ]
        return {
            "mask": losses.weighted_error(maps.mask.float(), mask, hardness),
            "boundary": losses.BOUNDARY_WEIGHT * torch.stack(errors).sum(),
        }

    def load_weights(self, state: Mapping[str, Tensor]) -> list[str]:
        """As of every network; what released files hold and never use is left out."""
        return super().load_weights(without_unused(state))
