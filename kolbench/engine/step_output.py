"""What the steps of the LightningModule hand to callbacks."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from torch import Tensor

from kolbench.types import Instances


def is_scored(batch: Mapping[str, object]) -> bool:
    """Whether a batch has a truth; a frame without one is only predicted, for a method that remembers it."""
    return "unscored" not in batch


class StepOutput(TypedDict, total=False):
    """Of one batch of B pictures; a dict, as Lightning wants it.

    loss: scalar; what a training step minimises, or the validation loss of a method that has one. terms:
    the weighted terms that a training loss is the sum of. alpha: (B, 1, H, W) float32 in [0, 1], of
    validation and test steps. instances: of test steps, one entry a picture where the method finds single
    persons, else None.
    """

    loss: Tensor | None
    terms: Mapping[str, Tensor]
    alpha: Tensor
    instances: Sequence[Instances] | None
