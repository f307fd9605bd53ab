"""`task=test`: score a trained method, or official weights, on any data, without training."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lightning.pytorch import seed_everything

from kolbench.config.compose import build_segmenter, instantiate
from kolbench.config.groups import Paths
from kolbench.config.schema import TaskResult
from kolbench.errors import ConfigError
from kolbench.metrics import scores
from kolbench.models.checkpoints.run import load_into, model_of
from kolbench.segmenter import Segmenter
from kolbench.tasks import evaluation
from kolbench.tasks.recorder import RunRecorder
from kolbench.tasks.scoring import ScoringConfig


@dataclass(frozen=True)
class TestConfig(ScoringConfig):
    """What `task=test` reads. weights: a run folder or a checkpoint; None for methods that need none."""

    weights: Path | None


def run(config: TestConfig) -> TaskResult:
    """Scores `weights` with the `model` group, or with the settings of the run folder that `weights` is.

    Raises:
        KolbenchError: no weights for a method that needs them, or they do not fit.
    """
    scores.load(config.metrics)
    if config.weights is not None:
        config = _with_model_of_weights(config, config.weights)
    segmenter: Segmenter = build_segmenter(config.model.without_backbone())
    if config.weights is None and segmenter.trainable:
        raise ConfigError(f"task=test needs weights=RUN_FOLDER or weights=FILE for {config.model.name}.")
    instantiate(config.refiner)
    with RunRecorder(config) as recorder:
        seed_everything(config.seed, workers=True, verbose=False)
        data = evaluation.open_data(config, recorder.device)
        recorder.say(*data.describe())
        recorder.say(*data.verify())
        if "size" in config.model.options:
            recorder.say(f"network input {config.model.options['size']} px (model.size=)")
        segmenter = build_segmenter(config.model)
        if config.weights is not None:
            for head in load_into(segmenter, config.weights):
                recorder.say(f"{config.weights} lacks the training-only head {head}; it is not needed here")
        evaluation.ready(segmenter, data)
        scored = evaluation.scores_of(segmenter, data, config, recorder.device, None, recorder.folder)
        baselines = evaluation.baselines_of(data, config, recorder.device, None)
        return recorder.finish(segmenter, scored, baselines, data)


def _with_model_of_weights(config: TestConfig, weights: Path) -> TestConfig:
    model = model_of(config.model, weights, config.invocation.typed_keys).without_backbone()
    paths = _below_method(config.paths, config.model.name, model.name)
    invocation = config.invocation.with_values(
        model=model.to_mapping(), paths={"runs": str(paths.runs), "run": str(paths.run)}
    )
    return replace(config, model=model, paths=paths, invocation=invocation)


def _below_method(paths: Paths, chosen: str, method: str) -> Paths:
    """The run folder stands below the name of the method that is scored, unless it was named by hand."""
    if method == chosen or paths.run.parent.absolute() != (paths.runs / chosen).absolute():
        return paths
    with suppress(OSError):  # Hydra has made it already
        paths.run.rmdir()
        paths.run.parent.rmdir()
    return replace(paths, run=paths.runs / method / paths.run.name)
