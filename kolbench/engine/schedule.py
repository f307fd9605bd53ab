"""How the learning rate goes: milestones as shares of a training, or any scheduler of torch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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

from kolbench.errors import ConfigError, require_choice
from kolbench.types import IMAGE_STEP, VIDEO_STEP

WARMUP_START = 1e-3
ALIGNED, OFFICIAL = "aligned", "official"
# the key under which a group of the optimiser says which part of the network it is of, "" = the rest
PART = "part"
REST = "rest"
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
class PolyByStepKind:
    """A falling power of the steps that are left, times a factor for each part and kind of step.

    As PDNet and COSNet are trained. power: of the share of steps that are left. halve_epoch: from this epoch
    on, counted from 0, the rate is half; None = never. rates: kind of step (`image`, `video`) -> part of the
    network as `lr_factors` names it, or `rest` -> factor on its rate; 0 leaves the part as it is, while its
    momentum goes on, unless `frozen_at_zero`: then it sees no gradient. phases: `aligned`: a step's rates are
    those of its kind; `official`: kinds are counted through all epochs, as COSNet's code does. order: kinds
    of an epoch's steps, see `in_order`; empty where there is one kind of pictures, all of whose parts keep
    their own rate.

    Raises:
        ConfigError: a value is out of range, or a kind or phase is unknown.
    """

    power: float = 0.9
    halve_epoch: int | None = None
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    frozen_at_zero: bool = False
    phases: str = ALIGNED
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.power <= 0 or (self.halve_epoch is not None and self.halve_epoch < 0):
            raise ConfigError(
                f"PolyByStepKind: power={self.power} must be above 0, and halve_epoch={self.halve_epoch} at "
                "least 0, or null."
            )
        require_choice("PolyByStepKind.phases", self.phases, (ALIGNED, OFFICIAL))
        for kind, factors in self.rates.items():
            require_choice("PolyByStepKind.rates", kind, (IMAGE_STEP, VIDEO_STEP))
            for part, factor in factors.items():
                if not 0 <= factor < math.inf:
                    raise ConfigError(f"PolyByStepKind.rates.{kind}.{part}={factor} must be from 0 on.")

    def in_order(self, order: Sequence[str], turn: Sequence[str] = ()) -> Self:
        """The same for a training whose epochs have steps of these kinds, in this order.

        Args:
            turn: what is repeated through all epochs where `phases` is `official`; () = the order.
        """
        through = self.phases == OFFICIAL and len(set(order)) > 1
        return replace(self, order=tuple(turn or order) if through else tuple(order))

    def factor(self, part: str, step: int, epoch_steps: int, epochs: int) -> float:
        """What a part's own rate is multiplied by at a step, counted from 0."""
        left: float = max(0.0, 1 - step / max(1, epoch_steps * epochs)) ** self.power
        halved = self.halve_epoch is not None and step // max(1, epoch_steps) >= self.halve_epoch
        return left * (0.5 if halved else 1.0) * self._of_kind(part, step, epoch_steps)

    def configured(self, optimizer: Optimizer, epoch_steps: int, epochs: int) -> LRSchedulerConfigType:
        """A LambdaLR with a function for each of the optimiser's groups, which are known by their `part`."""
        parts = [str(group.get(PART, "")) for group in optimizer.param_groups]
        factors: list[Callable[[int], float]] = [
            partial(self._at, part, epoch_steps, epochs) for part in parts
        ]
        return {"scheduler": LambdaLR(optimizer, factors), "interval": "step"}

    def _at(self, part: str, epoch_steps: int, epochs: int, step: int) -> float:
        return self.factor(part, step, epoch_steps, epochs)

    def _of_kind(self, part: str, step: int, epoch_steps: int) -> float:
        if not self.order:
            return 1.0
        place = step if self.phases == OFFICIAL else step % max(1, epoch_steps)
        factors = self.rates.get(self.order[place % len(self.order)], {})
        return factors.get(part or REST, 1.0)


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
