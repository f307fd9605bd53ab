"""The contract that every method keeps, classic or deep: predict, and losses where it is trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from kolbench.errors import ConfigError
from kolbench.preprocessing import resize
from kolbench.types import (
    FIRST_REFERENCE,
    FLOW,
    IMAGE_STEP,
    REFERENCE,
    Batch,
    Float32Array,
    PictureResult,
    Prediction,
    State,
    UInt8Array,
)

if TYPE_CHECKING:
    from PIL.Image import Image


SHOWN_ABOVE = 0.5


def cut_out(image: Tensor, foreground: Tensor) -> UInt8Array:
    """(3, H, W) in [0, 1] and (1, H, W) bool -> (H, W, 3) uint8, black outside the foreground."""
    levels = (image * foreground * 255).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(levels.permute(1, 2, 0).cpu().numpy(), np.uint8)


def _lacking(segmenter: "Segmenter", what: str) -> ConfigError:
    place = f"{type(segmenter).__module__}.{type(segmenter).__name__}"
    return ConfigError(f"{place} has no method {what}.")


@dataclass(frozen=True)
class PretrainSpec:
    """Describes the training of a part that a method needs trained and frozen before itself.

    RSUDISNet's ground-truth encoder is one.

    Attributes:
        name: of its folder inside the training's checkpoints.
        segmenter: holds the part and trains it by its own `losses`.
        lr: Adam's learning rate.
        max_steps: upper bound of optimiser steps.
        check_every: steps between checks.
        stop_f: training ends once max-F (beta squared 0.3) on the training masks exceeds it, in [0, 1].
    """

    name: str
    segmenter: "Segmenter"
    lr: float
    max_steps: int
    check_every: int
    stop_f: float


class Segmenter(nn.Module):
    """Base class of all methods: a subclass predicts; one that is trained has losses too.

    Attributes:
        input_keys: the entries of a batch that `predict` is given, in its order, and nothing else: the truth
            cannot leak where it is not passed. Most methods read `image` only. `flow` and `reference` are
            made of a clip's frames; in videos there is no `reference`, so `predict` does without.
        truth_access: what of the truth it is given: `none`; `box`, as if a person had drawn the true bounding
            box; `mask`, the true mask itself. Tables show each kind in a block of its own.
        never_exported: why no file of it can give its alphas, a sentence; "" where one can.
        stateful: whether it remembers something from frame to frame of a clip. Then `predict` takes a keyword
            `state`, None at a clip's beginning, and its prediction holds what it is given back with the next
            frame; see Clip.
        training_steps: the kinds of its training batches, `IMAGE_STEP` or `VIDEO_STEP`, in an order that each
            epoch begins anew and repeats. Video steps are of clips, where the data has any, and hold
            `reference` and `reference_mask`; image steps are of pictures of no clip, and are left out where
            the data has clips alone. Methods without video steps see frames of clips as pictures.
        training_reference: which frame is the `reference` of a frame in video steps: `FIRST_REFERENCE` of its
            clip, under the same changes; or `RANDOM_REFERENCE`, any other one, under changes of its own.
        beginning: lines on where its first weights come from, said before it is trained.
    """

    input_keys: tuple[str, ...] = ("image",)
    truth_access: str = "none"
    never_exported: str = ""
    stateful: bool = False
    training_steps: tuple[str, ...] = (IMAGE_STEP,)
    training_reference: str = FIRST_REFERENCE
    beginning: tuple[str, ...] = ()

    def predict(self, *inputs: Tensor) -> Prediction:
        """Gives alpha for the batch entries that `input_keys` names, at the size of the image given."""
        raise _lacking(self, "predict")

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Gives the weighted scalar terms of a training batch, by name; their sum is minimised."""
        raise _lacking(self, "losses, which training needs")

    def check(self, names: Sequence[str]) -> None:
        """Makes sure, before the first prediction, that all which the named pictures need is there.

        Only methods that read files of their own, such as finished mattes, have something to look for.

        Args:
            names: of the pictures that will be predicted, as in a batch's `name`.

        Raises:
            DataError: something is missing; names all of it.
        """

    def validation_loss(self, prediction: Prediction, batch: Batch) -> Tensor | None:
        """Gives the scalar whose minimum picks the best epoch; None: the highest validation mIoU picks it."""
        return None

    def array_function(self) -> Callable[..., PictureResult] | None:
        """Gives the function that processes run in parallel, for methods that work on arrays.

        Returns:
            A picklable function of one picture's `input_keys` entries as arrays (image (H, W, 3) uint8, mask
            (H, W) uint8 in {0, 1}) that returns alpha (H, W) float32 in [0, 1] and notes; None for networks.
        """
        return None

    @torch.no_grad()
    def visualize(self, *inputs: Tensor) -> UInt8Array:
        """Draws what a person should see of one prediction: by default the foreground at 0.5 on black.

        Methods whose alpha hides how it came about, such as clusters or instances, draw that instead.

        Args:
            inputs: as of `predict`, of one picture: B is 1.

        Returns:
            (H, W, 3) uint8.
        """
        alpha = self.predict(*inputs).alpha[0]
        return cut_out(inputs[0][0], alpha > SHOWN_ABOVE)

    @property
    def works_on_pictures(self) -> bool:
        """Whether a picture is all it needs; what moves, and other frames, are found in videos alone."""
        return set(self.input_keys) <= {"image", FLOW, REFERENCE}

    @property
    def trainable(self) -> bool:
        """Whether some parameter requires a gradient."""
        return any(p.requires_grad for p in self.parameters())

    def pretraining(self) -> Sequence[PretrainSpec]:
        """Lists what is trained and frozen first, in this order; empty for most methods.

        The engine runs each spec before the method's own training and calls nothing else of it.
        """
        return ()

    def training_input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in pixels of training pictures where the typical picture has the given size."""
        raise _lacking(self, "training_input_size, which training needs")

    def inference_network(self) -> nn.Module:
        """Gives the part that is needed at inference: its parameters are counted, its weights saved."""
        return self

    def load_weights(self, state: Mapping[str, Tensor]) -> list[str]:
        """Loads the named tensors of a checkpoint, ours or the official one.

        Returns:
            Names of heads that only training needs and that the checkpoint lacks; they stay as they are.

        Raises:
            WeightsError: a tensor is missing, unknown or of another shape.
        """
        raise _lacking(self, "load_weights, which weights need")

    def start_from(self, state: Mapping[str, Tensor], method: str) -> list[str]:
        """Takes what it can use of another method's tensors, before it is trained.

        Args:
            state: named tensors of the other method's network.
            method: its name.

        Returns:
            Names of the tensors of `inference_network` that were set.

        Raises:
            ConfigError: it can use nothing of that method.
        """
        raise ConfigError(
            f"init= gives weights of {method}, which {type(self).__name__} cannot start from; give weights "
            "of the same method, or leave init= away."
        )

    def segment(self, picture: "str | Path | Image | UInt8Array") -> Float32Array:
        """Predicts the alpha of one picture at its own size.

        Args:
            picture: a file, a PIL image, or an (H, W, 3) uint8 RGB array.

        Returns:
            (H, W) float32 in [0, 1].

        Raises:
            DataError: the file cannot be read, or the array is not (H, W, 3) uint8.
        """
        return Clip(self).segment(picture)

    @property
    def device(self) -> torch.device:
        """The device of the parameters; the CPU for methods without any."""
        first = next(self.parameters(), None)
        return first.device if first is not None else torch.device("cpu")


class _Stateful(Protocol):
    def predict(self, *inputs: Tensor, state: State | None) -> Prediction:
        """See Segmenter.stateful."""


class Clip:
    """A method on the frames of one clip, in their order; for each clip, and behind each cut, a new one.

    It hands the state of a stateful method from frame to frame, and nothing else; other methods see each
    frame by itself.

    Args:
        segmenter: the method; several clips may share it.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._state: State | None = None

    def predict(self, *inputs: Tensor) -> Prediction:
        """Gives alpha for the next frame; see Segmenter.predict."""
        if not self._segmenter.stateful:
            return self._segmenter.predict(*inputs)
        prediction = cast(_Stateful, self._segmenter).predict(*inputs, state=self._state)
        self._state = prediction.state
        return prediction

    @torch.no_grad()
    def segment(
        self, picture: "str | Path | Image | UInt8Array", beside: Sequence[UInt8Array] = ()
    ) -> Float32Array:
        """Predicts the alpha of the next frame at its own size; see Segmenter.segment.

        Args:
            picture: the frame.
            beside: what else the method is given with it, (h, w, 3) uint8 each, in the order of its
                `input_keys`; they are resized to the frame. () = what it takes for single pictures.
        """
        from kolbench.io import images

        segmenter = self._segmenter
        was_training = segmenter.training
        segmenter.eval()
        try:
            image, *others = (_planes(array, segmenter.device) for array in (images.as_rgb(picture), *beside))
            height, width = image.shape[-2:]
            sized = [resize(planes, (height, width)).round().clamp(0, 255) for planes in others]
            given = [planes / 255 for planes in (image, *sized)]
            return self.predict(*given).alpha[0, 0].float().cpu().numpy()
        finally:
            segmenter.train(was_training)


def _planes(image: UInt8Array, device: torch.device) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [0, 255]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0).to(device).float()
