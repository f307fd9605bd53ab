"""The keys that tasks share which score a method."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from kolbench.config.fields import Values
from kolbench.config.groups import Budget, Component, DataGroup, ModelConfig, Paths
from kolbench.config.schema import NO_TTA, UNCORRUPTED, UNSMOOTHED, TaskConfig
from kolbench.metrics.video.accuracy import UNTRIMMED
from kolbench.types import NATIVE


@dataclass(frozen=True)
class PicturesConfig:
    """What decides the pictures of a run, their split, their augmentation and how they are scored.

    eval_protocol: one of `EVAL_PROTOCOLS`; runs of before have none and are native. corrupt, severity: what
    happens to the test pictures, one of schema.CORRUPTIONS or `none`, and how badly, 1 to 5.
    """

    data: DataGroup
    model: ModelConfig
    budget: Budget
    seed: int
    eval_protocol: str = field(default=NATIVE, kw_only=True)
    corrupt: str = field(default=UNCORRUPTED, kw_only=True)
    severity: int = field(default=3, kw_only=True)


@dataclass(frozen=True)
class ScoringConfig(PicturesConfig, TaskConfig):
    """What fit and test read.

    name: of the run. threshold: of alpha, in [0, 1); None = the best one on the validation pictures. device:
    auto, cpu, cuda, cuda:N or mps. metrics: modules of scores outside this package. trim: which ends of clips
    J and F leave out, one of `TRIMS`. tta: one of schema.TTA. smooth: of the alphas of clips over time.
    """

    name: str
    refiner: Component
    trainer: Values
    logger: Mapping[str, Component]
    threshold: float | None
    device: str
    metrics: tuple[str, ...]
    trim: str = field(default=UNTRIMMED, kw_only=True)
    tta: str = field(default=NO_TTA, kw_only=True)
    smooth: Component = field(default=Component(UNSMOOTHED, {}), kw_only=True)

    @property
    def precision(self) -> str:
        """As Lightning's."""
        return str(self.trainer["precision"])


Config = TypeVar("Config", bound=ScoringConfig)


def with_model(config: Config, model: ModelConfig) -> Config:
    """The same command with another `model` group, which the run folder and its config.yaml then name."""
    paths = below_method(config.paths, config.model.name, model.name)
    invocation = config.invocation.with_values(
        model=model.to_mapping(), paths={"runs": str(paths.runs), "run": str(paths.run)}
    )
    return replace(config, model=model, paths=paths, invocation=invocation)


def below_method(paths: Paths, chosen: str, method: str) -> Paths:
    """The run folder stands below the name of the method that is scored, unless it was named by hand."""
    if method == chosen or paths.run.parent.absolute() != (paths.runs / chosen).absolute():
        return paths
    with suppress(OSError):  # Hydra has made it already
        paths.run.rmdir()
        paths.run.parent.rmdir()
    return replace(paths, run=paths.runs / method / paths.run.name)
