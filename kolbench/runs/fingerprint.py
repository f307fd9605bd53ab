"""What identifies a training: its resolved settings, its pictures, and the code that decides its weights."""

import glob
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from kolbench.io.files import sha256
from kolbench.runs import code
from kolbench.types import JsonObject

# their versions decide weights; other packages may be newer without training anew
LIBRARIES = ("torch", "torchvision", "lightning")
# what says, draws, names files or keeps records, with all below: no weight and no alpha follows from it
NEVER_DECIDES = (
    "kolbench.config.schema",
    "kolbench.errors",
    "kolbench.io.files",
    "kolbench.io.heap",
    "kolbench.io.progress",
    "kolbench.engine.callbacks.history",
    "kolbench.engine.callbacks.logger",
    "kolbench.engine.callbacks.progress_bar",
    "kolbench.engine.callbacks.shortage",
    "kolbench.engine.callbacks.snapshots",
    # starts processes
    "kolbench.engine.launch",
    # the kind of device is a setting
    "kolbench.engine.devices",
    # where a file comes from; its sha256 is checked
    "kolbench.models.checkpoints.catalogue",
    "kolbench.models.checkpoints.download",
    "kolbench.runs",
    "kolbench.tracking",
    "kolbench.report",
)
# how pictures are scored: trainings import it and are validated without it
ONLY_SCORES = (
    "kolbench.data.protocols",
    "kolbench.data.corrupted",
    "kolbench.data.corruptions",
    "kolbench.data.shards",
)

# Keys that may change without changing one weight.
_DATA_IRRELEVANT = (
    *("cache", "workers", "allow_duplicates", "source", "protocol", "licence"),
    # which pictures are left counts
    "on_error",
    # what the truth is found to be counts
    "truth",
    # its content counts, and the code that reads it
    "still",
    # where pictures lie; their content counts
    *("root", "images", "masks", "products"),
)
# keys of a method that may name a file or a folder, known by its content
FILES = ("backbone_weights", "sem_weights", "file", "masks_dir")
_BUDGET_RELEVANT = ("size", "epochs", "batch", "lr_factor", "epoch_pictures")


def training_settings(config: Mapping[str, Any], device_type: str, data: Mapping[str, Any]) -> JsonObject:
    """All that decides the weights, as plain values.

    Args:
        config: the resolved configuration.
        device_type: `cpu` or `cuda`; their sums round differently.
        data: the datamodule's fingerprint.
    """
    model = as_trained(config["model"])
    model |= {key: content(model[key]) for key in FILES if key in model}
    training = model.pop("training", {})
    recipe = training.get("recipes", {}).get(model.get("recipe"))
    return {
        "model": model,
        "recipe": recipe,
        "channels_last": training.get("channels_last", "never"),
        "budget": {key: config["budget"].get(key) for key in _BUDGET_RELEVANT},
        "data": {key: value for key, value in config["data"].items() if key not in _DATA_IRRELEVANT},
        "pictures": dict(data),
        "trainer": dict(config["trainer"]),
        "callbacks": config.get("callbacks") or {},
        "seed": config["seed"],
        "device": device_type,
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }


def as_trained(model: Mapping[str, Any]) -> JsonObject:
    """The `model` group while training: what changes predictions only stands at its fixed value."""
    return {**model, **(model.get("training") or {}).get("evaluation_only", {})}


def content(choice: str | None) -> str | None:
    """A file or folder by its content, whatever its path; other choices as they are."""
    if choice is None or not Path(choice).exists():
        return choice
    root = Path(choice)
    # an ONNX file may keep its tensors in x.onnx.data beside it
    files = (
        root.rglob("*") if root.is_dir() else [root, *root.parent.glob(f"{glob.escape(root.name)}[._]data")]
    )
    hasher = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file()):
        place = path.relative_to(root).as_posix() if root.is_dir() else path.name.removeprefix(root.name)
        hasher.update(f"{place} {sha256(path)}\n".encode())
    return f"sha256:{hasher.hexdigest()}"


def digest(settings: Mapping[str, Any], code_digest: str) -> str:
    """16 hexadecimal digits of the settings and the code's hash."""
    text = json.dumps([settings, code_digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_hash(modules: Iterable[str], left_out: Iterable[str] = ()) -> str:
    """Hash of what the named modules do, and of all that they import.

    The modules of kolbench and of users count, less those of `NEVER_DECIDES`; `kolbench.runs.code` says what
    of their sources does.

    Args:
        modules: dotted names of modules or of what stands in them.
        left_out: further modules that do not count.

    Returns:
        64 hexadecimal digits.
    """
    hasher = hashlib.sha256()
    for name, path in sorted(code.closure(modules, (*NEVER_DECIDES, *left_out)).items()):
        hasher.update(f"{name} {code.content(path)}\n".encode())
    return hasher.hexdigest()


def targets(*settings: object) -> set[str]:
    """What every `_target_` of a configuration names, at any depth: what is built decides, too."""
    found: set[str] = set()
    for node in settings:
        if isinstance(node, Mapping):
            found |= {str(node["_target_"])} if "_target_" in node else set()
            found |= targets(*node.values())
        elif isinstance(node, list | tuple):
            found |= targets(*node)
    return found
