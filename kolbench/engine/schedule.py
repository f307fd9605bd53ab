"""How the learning rate goes: milestones as shares of a training, or any scheduler of torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, MultiStepLR, ReduceLROnPlateau, SequentialLR

from kolbench.errors import ConfigError

WARMUP_START = 1e-3
INTERVALS = ("epoch", "step")


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
