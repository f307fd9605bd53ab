"""`task=fit`: train or find the finished training, choose the threshold on validation, score the test set.

Methods that are not trained go straight to their scores.
"""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything

from kolbench.config.compose import build_segmenter, instantiate, without_backbone
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.engine import cache
from kolbench.engine.callbacks.checkpoint import BEST
from kolbench.engine.training import Plan, train
from kolbench.errors import ConfigError, WeightsError, require_choice
from kolbench.models.checkpoints.run import load_into
from kolbench.runs import fingerprint
from kolbench.segmenter import Segmenter
from kolbench.tasks import evaluation
from kolbench.tasks.recorder import RunRecorder

ENTRY_MODULES = ("kolbench.engine.training", "kolbench.engine.module", "kolbench.data.datamodule")


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """One run of one method.

    Args:
        settings: the resolved configuration.

    Returns:
        The headline scores on the test pictures.

    Raises:
        KolbenchError: the settings, the pictures or the training make a result impossible.
    """
    _check(settings)
    with RunRecorder(settings) as current:
        seed_everything(settings["seed"], workers=True, verbose=False)
        data = evaluation.open_data(settings, current.device)
        current.say(*data.describe())
        chosen, code = _fingerprint(settings, data, current.device.type)
        name = settings["model"]["name"]
        trained = "training" in settings["model"]
        root = Path(settings["paths"]["runs"]) / ("trainings" if trained else "untrained")
        with cache.training(
            root, name, fingerprint.digest(chosen, code), {"settings": chosen}, settings["resume"]
        ) as found:
            prepare = _trained if trained else _untrained
            segmenter = prepare(found, data, settings, current)
            scored = evaluation.scores_of(
                segmenter, data, settings, current.device, found.folder, current.folder
            )
            baselines = evaluation.baselines_of(data, settings, current.device, found.folder)
        return current.finish(segmenter, scored, baselines, data)


def _check(settings: dict[str, Any]) -> None:
    if settings["weights"] is not None:
        raise ConfigError("weights= is for finished networks: use task=test, or leave it out to train.")
    require_choice("resume", settings["resume"], ("auto", "never"))
    # a wrong option is refused before anything is written
    build_segmenter(without_backbone(settings["model"]))
    if "training" in settings["model"]:
        _check_optimizer(settings["model"])


def _check_optimizer(model: dict[str, Any]) -> None:
    optimizer = model["training"]["recipes"][model["recipe"]]["optimizer"]
    try:
        instantiate(optimizer)([torch.nn.Parameter(torch.zeros(1))])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.training.recipes.{model['recipe']}.optimizer: {error}.") from error


def _fingerprint(settings: dict[str, Any], data: Any, device_type: str) -> tuple[dict[str, Any], str]:
    modules = [*ENTRY_MODULES]
    modules.append(settings["model"]["_target_"].rpartition(".")[0])
    modules.append(settings["data"]["source"]["_target_"].rpartition(".")[0])
    chosen = fingerprint.training_settings(settings, device_type, data.fingerprint())
    return chosen, fingerprint.code_hash(modules)


def _untrained(
    found: cache.Training, data: SegmentationDataModule, settings: dict[str, Any], current: RunRecorder
) -> Segmenter:
    current.say(f"{settings['model']['name']} is not trained: it is only scored")
    if not found.evaluated:
        current.say(*data.verify())
    return evaluation.ready(build_segmenter(settings["model"]), data)


def _trained(
    found: cache.Training, data: SegmentationDataModule, settings: dict[str, Any], current: RunRecorder
) -> Segmenter:
    """The method with the weights of its best epoch; the run folder holds them and the history."""
    summary = _training(found, data, settings, current)
    segmenter: Segmenter = build_segmenter(without_backbone(settings["model"]))
    try:
        load_into(segmenter, found.folder / BEST)
    except WeightsError as error:
        raise WeightsError(f"{error} Or train it anew with resume=never.") from error
    current.keep_training(found.folder, summary)
    return segmenter


def _training(
    found: cache.Training, data: SegmentationDataModule, settings: dict[str, Any], current: RunRecorder
) -> dict[str, Any]:
    current.replay(found.folder)
    if found.finished:
        current.say(
            f"training {found.fingerprint} is finished already: {found.folder} (resume=never trains anew); "
            "only the evaluation runs"
        )
        return {**found.summary(), "reused": True}
    if found.begun:
        current.say(f"training {found.fingerprint} was interrupted: going on in {found.folder}")
    current.say(*data.verify())
    segmenter: Segmenter = build_segmenter(fingerprint.as_trained(settings["model"]))
    plan = _plan(settings, current.device)
    return {**train(segmenter, data, plan, found.folder, current.listen), "reused": False}


def _plan(settings: dict[str, Any], device: Any) -> Plan:
    recipe = settings["model"]["training"]["recipes"][settings["model"]["recipe"]]
    return Plan(
        optimizer=instantiate(recipe["optimizer"]),
        scheduler=recipe["scheduler"],
        lr_factor=float(settings["budget"]["lr_factor"]),
        epochs=int(settings["budget"]["epochs"]),
        seed=int(settings["seed"]),
        knobs=settings["trainer"],
        device=device,
        model=settings["model"],
    )
