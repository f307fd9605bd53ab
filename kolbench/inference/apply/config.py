"""The keys that tasks share which run a method over pictures and videos."""

from dataclasses import dataclass
from pathlib import Path

from kolbench.config.groups import Budget, Component, ModelConfig
from kolbench.config.schema import TaskConfig


@dataclass(frozen=True)
class MethodConfig(TaskConfig):
    """Which method, with which weights.

    weights: `official`, an id of the catalogue, a run folder, a checkpoint or an exported file; None for
    methods that need none.
    """

    model: ModelConfig
    budget: Budget
    weights: Path | None


@dataclass(frozen=True)
class ApplyConfig(MethodConfig):
    """What predict, place and filter read.

    input: a file, a folder, a pattern, or `-` for stdin. output: a file, a folder, or `-` for stdout.
    threshold: None = soft alphas. device: auto, cpu, cuda, cuda:N or mps. keep: of each
    alpha, one of islands.KEEP. smooth: of alphas over time. format: of all outputs. foreground: how colours
    at soft edges are found. sound: whether videos keep theirs. backend: see inference.backends. tta: one of
    schema.TTA. dry_run: only say what would be written.
    """

    refiner: Component
    input: str | None
    output: str | None
    threshold: float | None
    device: str
    keep: str
    smooth: Component
    format: str
    foreground: str
    sound: bool
    backend: str
    tta: str
    dry_run: bool
