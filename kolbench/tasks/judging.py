"""What fit and test share: the datamodule of a configuration, and scores that are computed once."""

from pathlib import Path
from typing import Any

import torch

from kolbench import fingerprint, runfolder
from kolbench.configs import instantiate
from kolbench.data.datamodule import KolDataModule
from kolbench.evaluation import evaluate
from kolbench.models.trivial import Ellipse, MeanMask
from kolbench.scored import Scored
from kolbench.segmenter import Segmenter

_EVALUATION_MODULES = ("kolbench.evaluation", "kolbench.callbacks.scores")


def open_data(settings: dict[str, Any], device: torch.device) -> KolDataModule:
    """The datamodule that the resolved configuration describes."""
    training = settings["model"].get("training")
    recipe = training["recipes"][settings["model"]["recipe"]] if training else {}
    return KolDataModule(
        instantiate(settings["data"]["source"]),
        seed=int(settings["seed"]),
        batch=int(settings["budget"]["batch"]),
        augment=recipe.get("augment", {}),
        settings=settings["data"],
        limit=settings["budget"]["limit"],
        accelerated=device.type == "cuda",
    )


def scores_of(
    segmenter: Segmenter,
    data: KolDataModule,
    settings: dict[str, Any],
    device: torch.device,
    training: Path | None,
    pictures: Path | None = None,
) -> dict[str, Scored]:
    """Histograms of validation and test pictures; found again where this training was evaluated before.

    Args:
        training: the training's folder, below which finished evaluations are kept; None = do not keep.
        pictures: where alphas and thumbnails go when nothing is kept.
    """
    loaders = {"val": data.val_dataloader(), "test": data.test_dataloader()}
    precision = settings["trainer"]["precision"]
    if training is None:
        return evaluate(segmenter, loaders, device, pictures, precision)
    folder = evaluation_folder(training, data, settings)
    if not (folder / runfolder.HISTOGRAMS).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        scored = evaluate(segmenter, loaders, device, folder, precision)
        runfolder.write_histograms(folder / runfolder.HISTOGRAMS, scored)
    else:
        print(
            "every threshold follows from the histograms of an earlier evaluation; no forward pass is needed"
        )
    if pictures is not None:
        runfolder.link_tree(folder, pictures)
    return runfolder.read_histograms(folder / runfolder.HISTOGRAMS)


def evaluation_folder(training: Path, data: KolDataModule, settings: dict[str, Any]) -> Path:
    """Where this training's evaluation on these pictures, by this code, is kept."""
    chosen = {
        "pictures": data.fingerprint(),
        "model": settings["model"],
        "precision": settings["trainer"]["precision"],
    }
    digest = fingerprint.digest(chosen, fingerprint.code_hash(_EVALUATION_MODULES))
    return training / "evaluations" / digest


def floors_of(
    data: KolDataModule, settings: dict[str, Any], device: torch.device, training: Path | None
) -> dict[str, dict[str, Scored]]:
    """The mean training mask and the ellipse, judged like any method."""
    kept = None if training is None else evaluation_folder(training, data, settings) / "floors"
    if kept is not None and kept.is_dir():
        return {path.stem: runfolder.read_histograms(path) for path in sorted(kept.glob("*.parquet"))}
    floors: dict[str, Segmenter] = {"ellipse": Ellipse(), "meanmask": MeanMask(data.mean_mask())}
    found = {}
    for name, floor in floors.items():
        loaders = {"val": data.val_dataloader(), "test": data.test_dataloader()}
        found[name] = evaluate(floor.to(device), loaders, device)
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            runfolder.write_histograms(kept / f"{name}.parquet", found[name])
    return found
