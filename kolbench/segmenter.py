"""The contract that every method keeps, classic or deep: predict, and where it can be trained, losses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from kolbench.types import Batch, Float32Array, PictureResult, Prediction, UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image


SHOWN_ABOVE = 0.5


def cut_out(image: Tensor, foreground: Tensor) -> UInt8Array:
    """(3, H, W) in [0, 1] and (1, H, W) bool -> (H, W, 3) uint8, black outside the foreground."""
    levels = (image * foreground * 255).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(levels.permute(1, 2, 0).cpu().numpy(), np.uint8)


@dataclass(frozen=True)
class PretrainSpec:
    """A network that must be trained, then frozen, before the method itself (the ground-truth encoder).

    name: its folder inside the training's checkpoints. segmenter: trained by its own `losses`.
    lr: Adam's learning rate. max_steps: upper bound of optimiser steps. check_every: steps between
    checks. stop_f: training ends once max-F (beta squared 0.3) on the training masks exceeds it.
    """

    name: str
    segmenter: "Segmenter"
    lr: float
    max_steps: int
    check_every: int
    stop_f: float


class Segmenter(nn.Module):
    """A method. `input_keys` names all that `predict` is given: ground truth is simply not passed.

    A method that is compared with others reads the image only; one that is helped by the truth says so
    in `input_keys` and in `truth_access`, and stands in a block of its own in every table. truth_access:
    `none`; `box`, as if a person had drawn the true bounding box; `mask`, which uses the true mask itself.
    """

    input_keys: tuple[str, ...] = ("image",)
    truth_access: str = "none"

    def predict(self, *inputs: Tensor) -> Prediction:
        """The batch entries named in `input_keys`, in that order -> alpha at the size of the image given."""
        raise NotImplementedError(f"{type(self).__name__} does not predict")

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted scalar terms of a training batch; their sum is minimised."""
        raise NotImplementedError(f"{type(self).__name__} is not trained by gradients")

    def check(self, names: Sequence[str]) -> None:
        """Looks for all that predicting the named pictures needs, before the first is predicted.

        Raises:
            DataError: something is missing; names all of it.
        """

    def validation_loss(self, prediction: Prediction, batch: Batch) -> Tensor | None:
        """A scalar whose minimum over epochs picks the best one; None = the highest validation mIoU does."""
        return None

    def array_function(self) -> Callable[..., PictureResult] | None:
        """What processes can run in parallel where a method works on the CPU, picture by picture.

        Returns:
            A picklable function of one picture's `input_keys` entries as arrays (image (H, W, 3) uint8, mask
            (H, W) uint8 in {0, 1}) that returns alpha (H, W) float32 in [0, 1] and notes; None for networks.
        """
        return None

    @torch.no_grad()
    def visualize(self, *inputs: Tensor) -> UInt8Array:
        """What a person looks at in place of scores: by default the foreground at 0.5 on black.

        Args:
            inputs: as of `predict`, of one picture.

        Returns:
            (H, W, 3) uint8.
        """
        alpha = self.predict(*inputs).alpha[0]
        return cut_out(inputs[0][0], alpha > SHOWN_ABOVE)

    @property
    def trainable(self) -> bool:
        """Whether some parameter requires a gradient."""
        return any(p.requires_grad for p in self.parameters())

    def pretraining(self) -> Sequence[PretrainSpec]:
        """What must be trained and frozen first; empty for most methods."""
        return ()

    def training_input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the training canvas for a data set whose typical picture has the given size."""
        raise NotImplementedError(f"{type(self).__name__} is not trained by gradients")

    def inference_network(self) -> nn.Module:
        """The part that is needed at inference: what Table 1 counts and weighs."""
        return self

    def load_weights(self, state: dict[str, Tensor]) -> list[str]:
        """Loads an official checkpoint's tensors; returns the names of training-only heads it lacks.

        Raises:
            WeightsError: a tensor is missing, unknown or of another shape.
        """
        raise NotImplementedError(f"{type(self).__name__} has no official checkpoints")

    @torch.no_grad()
    def segment(self, picture: "str | Path | Image | UInt8Array") -> Float32Array:
        """Alpha of one picture at its own size.

        Args:
            picture: a file, a PIL image, or an (H, W, 3) uint8 RGB array.

        Returns:
            (H, W) float32 in [0, 1].

        Raises:
            DataError: the file cannot be read, or the array is not (H, W, 3) uint8.
        """
        from kolbench.io import images

        was_training = self.training
        self.eval()
        try:
            image = torch.from_numpy(np.array(images.as_rgb(picture)))
            batch = image.permute(2, 0, 1).unsqueeze(0).to(self.device).float() / 255
            return self.predict(batch).alpha[0, 0].float().cpu().numpy()
        finally:
            self.train(was_training)

    @property
    def device(self) -> torch.device:
        """Where the parameters live; the CPU for methods without any."""
        first: Any = next(self.parameters(), None)
        return first.device if first is not None else torch.device("cpu")
