"""`task=fit`: train or find the finished training, choose the threshold on validation, score the test set."""

from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything

from kolbench import fingerprint, store
from kolbench.callbacks.checkpoint import BEST
from kolbench.configs import build_segmenter, instantiate, without_backbone
from kolbench.errors import ConfigError, require_choice
from kolbench.segmenter import Segmenter
from kolbench.tasks import judging
from kolbench.tasks.run import Run
from kolbench.training import Plan, train
from kolbench.weights import load_into

ENTRY_MODULES = ("kolbench.training", "kolbench.module", "kolbench.data.datamodule")


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
    with Run(settings) as current:
        seed_everything(settings["seed"], workers=True, verbose=False)
        data = judging.open_data(settings, current.device)
        current.say(*data.describe())
        chosen, code = _fingerprint(settings, data, current.device.type)
        name = settings["model"]["name"]
        root = Path(settings["paths"]["runs"]) / "trainings"
        with store.training(
            root, name, fingerprint.digest(chosen, code), {"settings": chosen}, settings["resume"]
        ) as found:
            model = without_backbone(settings["model"]) if found.finished else settings["model"]
            segmenter: Segmenter = build_segmenter(model)
            summary = _trained(found, segmenter, data, settings, current)
            load_into(segmenter, found.folder / BEST)
            current.keep_training(found.folder, summary)
            scored = judging.scores_of(
                segmenter, data, settings, current.device, found.folder, current.folder
            )
            floors = judging.floors_of(data, settings, current.device, found.folder)
        return current.finish(segmenter, scored, floors, data)


def _check(settings: dict[str, Any]) -> None:
    threshold = settings["threshold"]
    if threshold is not None and not 0 <= threshold < 1:
        raise ConfigError(
            f"threshold={threshold} lies outside [0, 1); leave it out to choose it on validation."
        )
    if settings["weights"] is not None:
        raise ConfigError("weights= is for finished networks: use task=test, or leave it out to train.")
    if "training" not in settings["model"]:
        raise ConfigError(f"{settings['model']['name']} is not trained; use task=test.")
    require_choice("resume", settings["resume"], ("auto", "never"))
    # a wrong option is refused before anything is written
    build_segmenter(without_backbone(settings["model"]))


def _fingerprint(settings: dict[str, Any], data: Any, device_type: str) -> tuple[dict[str, Any], str]:
    modules = [*ENTRY_MODULES]
    modules.append(settings["model"]["_target_"].rpartition(".")[0])
    modules.append(settings["data"]["source"]["_target_"].rpartition(".")[0])
    chosen = fingerprint.training_settings(settings, device_type, data.fingerprint())
    return chosen, fingerprint.code_hash(modules)


def _trained(
    found: store.Training, segmenter: Segmenter, data: Any, settings: dict[str, Any], current: Run
) -> dict[str, Any]:
    if found.finished:
        current.say(
            f"training {found.fingerprint} is finished already: {found.folder} (resume=never trains anew); "
            "only the evaluation runs"
        )
        return {**found.summary(), "reused": True}
    if found.begun:
        current.say(f"training {found.fingerprint} was interrupted: going on in {found.folder}")
    current.say(*data.verify())
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
    )
