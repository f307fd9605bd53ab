"""`tta=flip`: the mean of a method's alpha and of the one that it gives for the mirrored picture."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kolbench.config.schema import NO_TTA, TTA
from kolbench.errors import ConfigError, require_choice
from kolbench.segmenter import Segmenter
from kolbench.types import PictureResult, Prediction, State

# entries of a batch that say which picture it is, so that its mirror image would not be seen
_NAMING = ("name", "group", "clip", "tags")


class Mirrored(Segmenter):
    """A method that looks twice: alpha is the mean of both views, the mirrored one mirrored back.

    The views are predicted one behind the other, so that the memory stays that of one; operations and seconds
    are twice the method's, parameters and checkpoint its own. Each view carries a state of its own along a
    clip. Persons one by one are not given, as those of two views are not the same.

    Args:
        segmenter: the method; it keeps its mode, device and weights.

    Raises:
        ConfigError: the method goes by the picture's name, not by what is in it.
    """

    never_exported = (
        "tta=flip is no part of a file: export the method without it, and give tta=flip beside the file."
    )

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        if any(key in _NAMING for key in segmenter.input_keys):
            raise ConfigError(
                f"tta=flip looks at the mirrored image too, but {type(segmenter).__name__} goes by the "
                "image's name; leave tta= away."
            )
        self.segmenter = segmenter
        self.input_keys = segmenter.input_keys
        self.truth_access = segmenter.truth_access
        self.stateful = segmenter.stateful
        self.train(segmenter.training)

    def predict(self, *inputs: Tensor, state: State | None = None) -> Prediction:
        """(B, C, H, W) each -> alpha; aux is empty. state: of the picture, then of the mirrored one."""
        half = len(state or ()) // 2
        plain = self._view(inputs, state and state[:half])
        other = self._view([entry.flip(-1) for entry in inputs], state and state[half:])
        carried = (*(plain.state or ()), *(other.state or ())) if self.stateful else None
        return Prediction((plain.alpha + other.alpha.flip(-1)) / 2, state=carried)

    def _view(self, inputs: Sequence[Tensor], state: State | None) -> Prediction:
        predict: Callable[..., Prediction] = self.segmenter.predict
        return predict(*inputs, state=state) if self.stateful else predict(*inputs)

    def array_function(self) -> Callable[..., PictureResult] | None:
        """Gives a function that calls the method's twice; a note holds where it holds of one view."""
        function = self.segmenter.array_function()
        return None if function is None else partial(_twice, function)

    def check(self, names: Sequence[str]) -> None:
        """As of the method."""
        self.segmenter.check(names)

    def inference_network(self) -> nn.Module:
        """As of the method."""
        return self.segmenter.inference_network()

    @property
    def device(self) -> torch.device:
        """As of the method."""
        return self.segmenter.device


def with_tta(segmenter: Segmenter, tta: str) -> Segmenter:
    """The method as `tta=` has it.

    Args:
        tta: one of `config.schema.TTA`; `none` gives the method itself.

    Raises:
        ConfigError: `tta` is no choice, or the method cannot be mirrored.
    """
    return segmenter if require_choice("tta", tta, TTA) == NO_TTA else Mirrored(segmenter)


def viewed(segmenter: Segmenter) -> tuple[Segmenter, int]:
    """The method itself, and how often it looks at a picture."""
    return (segmenter.segmenter, 2) if isinstance(segmenter, Mirrored) else (segmenter, 1)


def _twice(function: Callable[..., PictureResult], *arrays: np.ndarray[Any, Any]) -> PictureResult:
    """A function of arrays (H, W) or (H, W, C) on both views."""
    plain = function(*arrays)
    other = function(*(np.ascontiguousarray(array[:, ::-1]) for array in arrays))
    notes = {name: max(value, other.notes[name]) for name, value in plain.notes.items()}
    alpha = np.asarray((plain.alpha + other.alpha[:, ::-1]) / 2, np.float32)
    return PictureResult(alpha, notes)
