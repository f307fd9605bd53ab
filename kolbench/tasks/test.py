"""`task=test`: score a trained method, or official weights, on any data, without training."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything

from kolbench.configs import build_segmenter, without_backbone
from kolbench.errors import ConfigError
from kolbench.segmenter import Segmenter
from kolbench.tasks import judging
from kolbench.tasks.run import Run
from kolbench.weights import load_into, settings_of


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Scores `weights` with the `model` group, or with the settings of the run folder that `weights` is.

    Raises:
        KolbenchError: no weights for a method that needs them, or they do not fit.
    """
    weights = settings["weights"]
    if weights is not None:
        chosen = settings["model"]["name"]
        settings["model"] = without_backbone(model_of(settings, weights))
        _rename_folder(settings["paths"], chosen, settings["model"]["name"])
    with Run(settings) as current:
        seed_everything(settings["seed"], workers=True, verbose=False)
        data = judging.open_data(settings, current.device)
        current.say(*data.describe())
        current.say(*data.verify())
        if "size" in settings["model"]:
            current.say(f"network input {settings['model']['size']} px (model.size=)")
        segmenter: Segmenter = build_segmenter(settings["model"])
        if weights is not None:
            for head in load_into(segmenter, Path(weights)):
                current.say(f"{weights} lacks the training-only head {head}; it is not needed here")
        elif segmenter.trainable:
            raise ConfigError("task=test needs weights=RUN_FOLDER or weights=FILE for this method.")
        judging.ready(segmenter, data)
        scored = judging.scores_of(segmenter, data, settings, current.device, None, current.folder)
        floors = judging.floors_of(data, settings, current.device, None)
        return current.finish(segmenter, scored, floors, data)


def model_of(settings: dict[str, Any], weights: str) -> dict[str, Any]:
    """The `model` group for these weights: the one they were trained with, changed by what was typed.

    A released checkpoint is taken at its own paper's size, whatever the budget, unless a size was typed.

    Raises:
        ConfigError: another method was typed than the weights belong to.
        WeightsError: the weights cannot be read.
    """
    composed: dict[str, Any] = settings["model"]
    typed = {word.lstrip("+").partition("=")[0] for word in settings["overrides"]}
    trained = settings_of(weights)
    if trained is None:
        if "training" in composed and not typed & {"budget", "budget.size", "model.size"}:
            return {**composed, "size": composed["training"]["paper"]["size"]}
        return composed
    if typed & {"experiment", "model"} and composed["name"] != trained["name"]:
        raise ConfigError(
            f"weights={weights} is a {trained['name']}, not a {composed['name']}: leave experiment= out."
        )
    own = {key.split(".")[1] for key in typed if key.startswith("model.")}
    return {**trained, **{key: composed[key] for key in own}}


def _rename_folder(paths: dict[str, Any], chosen: str, method: str) -> None:
    """The run folder stands below the name of the method that is scored, unless it was named by hand."""
    folder = Path(paths["run"])
    if method != chosen and folder.parent.absolute() == (Path(paths["runs"]) / chosen).absolute():
        paths["run"] = str(Path(paths["runs"]) / method / folder.name)
        with suppress(OSError):  # Hydra has made it already
            folder.rmdir()
            folder.parent.rmdir()
