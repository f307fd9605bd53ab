"""How the learning rate goes: milestones as shares of a training, or any scheduler of torch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from kolbench.errors import ConfigError

WARMUP_START = 1e-3
INTERVALS = ("epoch", "step")


@runtime_checkable
class Schedule(Protocol):
    """What a recipe's `scheduler` becomes."""

    def configured(self, optimizer: Optimizer, epoch_steps: int, epochs: int) -> LRSchedulerConfigType:
        """The scheduler on this optimiser, as Lightning takes it.

        Args:
            optimizer: at its initial rate.
            epoch_steps: optimiser steps of an epoch.
            epochs: of the whole training.
        """


@dataclass(frozen=True)
class Milestones:
    """The rate is multiplied by `gamma` at each milestone, after a linear rise from 1/1000 of it.

    at: shares of all epochs, rounded to whole epochs; none before the end of the first. warmup_steps: length
    of the rise in optimiser steps, shorter than an epoch.
    """

    gamma: float
    at: tuple[float, ...]
    warmup_steps: int = 0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """The recipe's entry `{gamma, at, warmup_steps}`.

        Raises:
            ConfigError: a key is missing, unknown or no number.
        """
        try:
            given = dict(values)
            shares = given.pop("at")
            assert isinstance(shares, list | tuple)
            return cls(at=tuple(float(share) for share in shares), **given)  # type: ignore[arg-type]  # checked by building
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"the scheduler {dict(values)} is not {{gamma: NUMBER, at: [SHARES OF ALL EPOCHS], "
                "warmup_steps: STEPS}} (the last may be left out), and it names no scheduler by _target_."
            ) from error

    def configured(self, optimizer: Optimizer, epoch_steps: int, epochs: int) -> LRSchedulerConfigType:
        """MultiStepLR, with LinearLR before it where there is a rise; both count optimiser steps."""
        rise = min(self.warmup_steps, epoch_steps - 1)
        drops = [step - rise for step in self.drops(epoch_steps, epochs)]
        scheduler: LRScheduler = MultiStepLR(optimizer, drops, self.gamma)
        if rise > 0:
            warmup = LinearLR(optimizer, WARMUP_START, total_iters=rise)
            scheduler = SequentialLR(optimizer, [warmup, scheduler], [rise])
        return {"scheduler": scheduler, "interval": "step"}

    def drops(self, epoch_steps: int, epochs: int) -> list[int]:
        """The optimiser steps, counted from 0, at which the rate is multiplied."""
        return sorted({max(1, round(share * epochs)) * epoch_steps for share in self.at})


class ByStep(ABC):
    """A schedule that is a factor on the rate at every optimiser step."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """What the rate is multiplied by at a step, counted from 0, of so many."""

    def configured(self, optimizer: Optimizer, epoch_steps: int, epochs: int) -> LRSchedulerConfigType:
        """A LambdaLR that counts optimiser steps."""
        steps = epoch_steps * epochs
        return {"scheduler": LambdaLR(optimizer, lambda step: self.factor(step, steps)), "interval": "step"}


@dataclass(frozen=True)
class WarmupCosine(ByStep):
    """The rate rises linearly from 1/1000 of it, then falls along half a cosine, step by step.

    warmup: share of all steps that the rise takes, in [0, 1). floor: where the cosine ends, as a share of the
    rate, in [0, 1].

    Raises:
        ConfigError: a value is out of range.
    """

    warmup: float = 0.05
    floor: float = 0.01

    def __post_init__(self) -> None:
        if not (0 <= self.warmup < 1 and 0 <= self.floor <= 1):
            raise ConfigError(
                f"WarmupCosine: warmup={self.warmup} must lie in [0, 1), and floor={self.floor} in [0, 1]."
            )

    def factor(self, step: int, steps: int) -> float:
        """What the rate is multiplied by at a step, counted from 0, of so many."""
        rise = round(self.warmup * steps)
        if step < rise:
            return WARMUP_START + (1 - WARMUP_START) * step / rise
        done = (step - rise) / max(1, steps - rise)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * min(1, done))) / 2


@dataclass(frozen=True)
class WarmupPoly(ByStep):
    """The rate rises linearly from 1/1000 of it, then falls to 0 as a power of the steps that are left.

    power: 1 is a straight line; 0.9 is usual in segmentation. warmup_steps: length of the rise in optimiser
    steps, at most a tenth of the training.

    Raises:
        ConfigError: a value is out of range.
    """

    power: float = 0.9
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if not (self.power > 0 and self.warmup_steps >= 0):
            raise ConfigError(
                f"WarmupPoly: power={self.power} must be above 0, and warmup_steps={self.warmup_steps} at "
                "least 0."
            )

    def factor(self, step: int, steps: int) -> float:
        """What the rate is multiplied by at a step, counted from 0, of so many."""
        rise = min(self.warmup_steps, steps // 10)
        if step < rise:
            return WARMUP_START + (1 - WARMUP_START) * step / rise
        left: float = (max(0, steps - step) / max(1, steps - rise)) ** self.power
        return left


@dataclass(frozen=True)
class TorchSchedule:
    """Any scheduler that is called with the optimiser alone.

    build: makes it. interval: whether it is stepped after each `epoch` or each optimiser `step`. monitor:
    the score that ReduceLROnPlateau watches.
    """

    build: Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]
    interval: str = "epoch"
    monitor: str = "val/miou"

    def __post_init__(self) -> None:
        if self.interval not in INTERVALS:
            raise ConfigError(f"the scheduler's interval={self.interval} is neither epoch nor step.")

    def configured(self, optimizer: Optimizer, epoch_steps: int, epochs: int) -> LRSchedulerConfigType:
        """The scheduler; how long the training is does not matter to it."""
        return {
            "scheduler": self.build(optimizer),
            "interval": self.interval,
            "monitor": self.monitor,
            "strict": True,
        }
