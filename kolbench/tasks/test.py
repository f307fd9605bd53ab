"""`task=test`: score a trained method, or official weights, on any data, without training."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything

from kolbench.config.compose import build_segmenter, without_backbone
from kolbench.errors import ConfigError
from kolbench.models.checkpoints.run import load_into, model_of
from kolbench.segmenter import Segmenter
from kolbench.tasks import evaluation
from kolbench.tasks.recorder import RunRecorder


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
    with RunRecorder(settings) as current:
        seed_everything(settings["seed"], workers=True, verbose=False)
        data = evaluation.open_data(settings, current.device)
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
        evaluation.ready(segmenter, data)
        scored = evaluation.scores_of(segmenter, data, settings, current.device, None, current.folder)
        baselines = evaluation.baselines_of(data, settings, current.device, None)
        return current.finish(segmenter, scored, baselines, data)


def _rename_folder(paths: dict[str, Any], chosen: str, method: str) -> None:
    """The run folder stands below the name of the method that is scored, unless it was named by hand."""
    folder = Path(paths["run"])
    if method != chosen and folder.parent.absolute() == (Path(paths["runs"]) / chosen).absolute():
        paths["run"] = str(Path(paths["runs"]) / method / folder.name)
        with suppress(OSError):  # Hydra has made it already
            folder.rmdir()
            folder.parent.rmdir()
