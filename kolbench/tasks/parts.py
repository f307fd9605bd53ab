"""What of others a run rests on: pictures and weights, each with its licence."""

from dataclasses import replace
from pathlib import Path

from kolbench.config.groups import Component, DataGroup, ModelConfig
from kolbench.data import licence
from kolbench.data.sources.base import Source
from kolbench.io.files import sha256
from kolbench.models.checkpoints import named
from kolbench.models.checkpoints.catalogue import Entry, catalogue
from kolbench.models.checkpoints.run import BEST_IN_RUN, is_run_folder
from kolbench.refiners import weights as refiner_weights
from kolbench.runs import record
from kolbench.runs.record import Part

PICTURES, TRAINING_PICTURES = "pictures", "training pictures"
WEIGHTS, INITIAL, BACKBONE = "weights", "initial weights", "backbone"
REFINER = "refiner's weights"


def of_pictures(data: DataGroup, source: Source) -> Part:
    """The data set: `data.licence`, else what a LICENSE or README beside it says."""
    root = data.values.get("root")
    words = data.values.get("licence") or source.licence
    if words is None and isinstance(root, str):
        words = licence.beside(Path(root))
    name = Path(str(root)).absolute().name if isinstance(root, str) else data.name
    text = None if words is None else str(words)
    return Part(PICTURES, name, text, licence.commercial(text), tuple(source.test_sets))


def of_weights(weights: str | Path, method: str, role: str = WEIGHTS) -> list[Part]:
    """Weights by name, a run folder with all that it rests on, or a file of which nothing is known."""
    if named.is_name(weights):
        return [_of_entry(named.entry_of(weights, method), role)]
    if is_run_folder(weights):
        parts = record.of_weights(Path(weights)).rests_on
        # what that run was tested on is not what it was trained on
        trained = (replace(p, role=TRAINING_PICTURES, sets=()) if p.role == PICTURES else p for p in parts)
        commercial = licence.YES if parts else licence.UNSTATED
        best = _digest(Path(weights) / BEST_IN_RUN)
        return [Part(role, str(weights), "your own run", commercial, sha256=best), *trained]
    return [_of_file(str(weights), role)]


def of_method(model: ModelConfig) -> list[Part]:
    """The network in a file, and the backbone, that the `model` group of a command names."""
    file, backbone = model.options.get("file"), model.options.get("backbone_weights")
    parts = []
    if isinstance(file, str):
        entry = catalogue().entries.get(file)
        parts.append(_of_file(file, WEIGHTS) if entry is None else _of_entry(entry, WEIGHTS))
    if isinstance(backbone, str):
        known = [entry for entry in catalogue().entries.values() if entry.method == BACKBONE]
        parts.append(
            replace(_of_entry(known[0], BACKBONE), name=backbone)
            if backbone == "imagenet" and known
            else _of_file(backbone, BACKBONE)
        )
    return parts


def of_refiner(refiner: Component) -> list[Part]:
    """The weights of a refiner that has some."""
    weights = refiner_weights.named_by(refiner)
    return [] if weights is None else of_weights(weights, refiner.name, REFINER)


def _of_entry(entry: Entry, role: str) -> Part:
    return Part(role, entry.name, entry.licence, entry.commercial, entry.trained_on, entry.sha256)


def _of_file(file: str, role: str) -> Part:
    return Part(role, file, sha256=_digest(Path(file).expanduser()))


def _digest(file: Path) -> str | None:
    return sha256(file) if file.is_file() else None
