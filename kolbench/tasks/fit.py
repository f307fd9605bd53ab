"""`task=fit`: train or find the finished training, choose the threshold on validation, score the test set.

Methods that are not trained go straight to their scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from lightning.pytorch import seed_everything

from kolbench.config.compose import build_segmenter, instantiate
from kolbench.config.groups import ModelConfig
from kolbench.config.schema import TaskResult
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.engine import cache
from kolbench.engine.callbacks.checkpoint import BEST
from kolbench.engine.training import Plan, train
from kolbench.errors import ConfigError, WeightsError, require_choice
from kolbench.metrics import scores
from kolbench.models.checkpoints.run import load_into
from kolbench.runs import fingerprint
from kolbench.segmenter import Segmenter
from kolbench.tasks import evaluation
from kolbench.tasks.recorder import RunRecorder
from kolbench.tasks.scoring import ScoringConfig

ENTRY_MODULES = ("kolbench.engine.training", "kolbench.engine.module", "kolbench.data.datamodule")


@dataclass(frozen=True)
class FitConfig(ScoringConfig):
    """What `task=fit` reads. resume: auto goes on with a killed training, never starts it anew."""

    resume: str


def run(config: FitConfig) -> TaskResult:
    """One run of one method.

    Returns:
        The headline scores on the test pictures, and the validation score for sweepers.

    Raises:
        KolbenchError: the settings, the pictures or the training make a result impossible.
    """
    scores.load(config.metrics)
    _check(config)
    with RunRecorder(config) as recorder:
        seed_everything(config.seed, workers=True, verbose=False)
        data = evaluation.open_data(config, recorder.device)
        recorder.say(*data.describe())
        settings, code = _fingerprint(config, data, recorder.device.type)
        root = config.paths.runs / ("untrained" if config.model.training is None else "trainings")
        with cache.training(
            root, config.model.name, fingerprint.digest(settings, code), {"settings": settings}, config.resume
        ) as found:
            prepare = _untrained if config.model.training is None else _trained
            segmenter = prepare(found, data, config, recorder)
            scored = evaluation.scores_of(
                segmenter, data, config, recorder.device, found.folder, recorder.folder
            )
            baselines = evaluation.baselines_of(data, config, recorder.device, found.folder)
        return recorder.finish(segmenter, scored, baselines, data)


def _check(config: FitConfig) -> None:
    require_choice("resume", config.resume, ("auto", "never"))
    # a wrong option is refused before anything is written
    build_segmenter(config.model.without_backbone())
    if config.model.training is not None:
        _check_optimizer(config.model)


def _check_optimizer(model: ModelConfig) -> None:
    try:
        instantiate(model.chosen_recipe.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.training.recipes.{model.recipe}.optimizer: {error}.") from error


def _fingerprint(
    config: FitConfig, data: SegmentationDataModule, device_type: str
) -> tuple[Mapping[str, object], str]:
    chosen = fingerprint.training_settings(config.invocation.resolved, device_type, data.fingerprint())
    built = fingerprint.targets(chosen, config.data.source.options)
    return chosen, fingerprint.code_hash([*ENTRY_MODULES, *built])


def _untrained(
    found: cache.Training, data: SegmentationDataModule, config: FitConfig, recorder: RunRecorder
) -> Segmenter:
    recorder.say(f"{config.model.name} is not trained: it is only scored")
    if not found.evaluated:
        recorder.say(*data.verify())
    return evaluation.ready(build_segmenter(config.model), data)


def _trained(
    found: cache.Training, data: SegmentationDataModule, config: FitConfig, recorder: RunRecorder
) -> Segmenter:
    """The method with the weights of its best epoch; the run folder holds them and the history."""
    recorder.replay(found.folder)
    if found.finished:
        recorder.say(
            f"training {found.fingerprint} is finished already: {found.folder} (resume=never trains anew); "
            "only the evaluation runs"
        )
        summary = {**found.summary(), "reused": True}
    else:
        if found.begun:
            recorder.say(f"training {found.fingerprint} was interrupted: going on in {found.folder}")
        recorder.say(*data.verify())
        untrained: Segmenter = build_segmenter(config.model.as_trained())
        plan = _plan(config, recorder.device)
        summary = {**train(untrained, data, plan, found.folder, recorder.listen), "reused": False}
    segmenter: Segmenter = build_segmenter(config.model.without_backbone())
    try:
        load_into(segmenter, found.folder / BEST)
    except WeightsError as error:
        raise WeightsError(f"{error} Or train it anew with resume=never.") from error
    recorder.keep_training(found.folder, summary)
    return segmenter


def _plan(config: FitConfig, device: torch.device) -> Plan:
    recipe = config.model.chosen_recipe
    return Plan(
        optimizer=instantiate(recipe.optimizer),
        scheduler=recipe.scheduler,
        lr_factor=config.budget.lr_factor,
        epochs=config.budget.epochs,
        seed=config.seed,
        knobs=config.trainer,
        device=device,
        model=config.model.to_mapping(),
    )
