"""`task=test`: score a trained method, or official weights, on any data, without training."""

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
        settings["model"] = without_backbone(settings_of(weights) or settings["model"])
    with Run(settings) as current:
        seed_everything(settings["seed"], workers=True, verbose=False)
        data = judging.open_data(settings, current.device)
        current.say(*data.describe())
        segmenter: Segmenter = build_segmenter(settings["model"])
        if weights is not None:
            for head in load_into(segmenter, Path(weights)):
                current.say(f"{weights} lacks the training-only head {head}; it is not needed here")
        elif segmenter.trainable:
            raise ConfigError("task=test needs weights=RUN_FOLDER or weights=FILE for this method.")
        scored = judging.scores_of(segmenter, data, settings, current.device, None, current.folder)
        floors = judging.floors_of(data, settings, current.device, None)
        return current.finish(segmenter, scored, floors, data)
