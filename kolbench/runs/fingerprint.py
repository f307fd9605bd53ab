"""What identifies a training: its resolved settings, its pictures, and the code that it runs."""

import ast
import glob
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]

# Keys that may change without changing one weight.
_DATA_IRRELEVANT = ("cache", "workers", "allow_duplicates", "source", "root", "protocol")
_TRAINER_IRRELEVANT = ("stop_on_nan",)
# keys of a method that may name a file or a folder, known by its content
_PATHS = ("backbone_weights", "file", "masks_dir")
_BUDGET_RELEVANT = ("size", "epochs", "batch", "lr_factor")


def training_settings(config: Mapping[str, Any], device_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides the weights, as plain values.

    Args:
        config: the resolved configuration.
        device_type: `cpu` or `cuda`; their sums round differently.
        data: the datamodule's fingerprint.
    """
    model = as_trained(config["model"])
    model |= {key: _content(model[key]) for key in _PATHS if key in model}
    training = model.pop("training", {})
    recipe = training.get("recipes", {}).get(model.get("recipe"))
    return {
        "model": model,
        "recipe": recipe,
        "budget": {key: config["budget"][key] for key in _BUDGET_RELEVANT},
        "data": {key: value for key, value in config["data"].items() if key not in _DATA_IRRELEVANT},
        "pictures": dict(data),
        "trainer": {k: v for k, v in config["trainer"].items() if k not in _TRAINER_IRRELEVANT},
        "seed": config["seed"],
        "device": device_type,
    }


def as_trained(model: Mapping[str, Any]) -> dict[str, Any]:
    """The `model` group while training: what changes predictions only stands at its fixed value."""
    return {**model, **(model.get("training") or {}).get("evaluation_only", {})}


def _content(choice: str | None) -> str | None:
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
        hasher.update(f"{place} {_sha256(path)}\n".encode())
    return f"sha256:{hasher.hexdigest()}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(settings: Mapping[str, Any], code: str) -> str:
    """16 hexadecimal digits of the settings and the code's hash."""
    text = json.dumps([settings, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_hash(modules: Iterable[str]) -> str:
    """Hash of the package's sources that the named modules import, themselves included, at any depth.

    Comments and layout do not count, what runs does: the syntax trees are hashed.
    """
    hasher = hashlib.sha256()
    for name in sorted(_closure(modules)):
        tree = ast.parse(_source_of(name).read_text(encoding="utf-8"))
        hasher.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return hasher.hexdigest()


def _closure(modules: Iterable[str]) -> set[str]:
    pending = [name for name in modules if name.startswith("kolbench")]
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += _imports(_source_of(name))
    return seen


def _imports(source: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.startswith("kolbench.") and _exists(name)]


def _exists(name: str) -> bool:
    base = PACKAGE.joinpath(*name.split(".")[1:])
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def _source_of(name: str) -> Path:
    base = PACKAGE.joinpath(*name.split(".")[1:])
    return base / "__init__.py" if (base / "__init__.py").is_file() else base.with_suffix(".py")
