"""The keys that tasks share which score a method."""

from collections.abc import Mapping
from dataclasses import dataclass

from kolbench.config.fields import Values
from kolbench.config.groups import Budget, Component, DataGroup, ModelConfig
from kolbench.config.schema import TaskConfig


@dataclass(frozen=True)
class PicturesConfig:
    """What decides the pictures of a run, their split and their augmentation."""

    data: DataGroup
    model: ModelConfig
    budget: Budget
    seed: int


@dataclass(frozen=True)
class ScoringConfig(PicturesConfig, TaskConfig):
    """What fit and test read.

    name: of the run. threshold: of alpha, in [0, 1); None = the best one on the validation pictures. device:
    auto, cpu, cuda or cuda:N. metrics: modules of scores outside this package.
    """

    name: str
    refiner: Component
    trainer: Values
    logger: Mapping[str, Component]
    threshold: float | None
    device: str
    metrics: tuple[str, ...]

    @property
    def precision(self) -> str:
        """As Lightning's."""
        return str(self.trainer["precision"])
