"""`weights=` and `model.file=` by name: `official`, or an id of the catalogue, as a method and its file."""

import os
import warnings
from collections.abc import Set
from pathlib import Path

import torch

from kolbench.config.compose import build_segmenter, model_config
from kolbench.config.fields import Values
from kolbench.config.groups import ModelConfig
from kolbench.errors import ConfigError, WeightsError
from kolbench.io.files import HOME, write_atomically
from kolbench.models.checkpoints import download
from kolbench.models.checkpoints.catalogue import OFFICIAL, Entry, catalogue
from kolbench.models.checkpoints.from_onnx import state_from_onnx
from kolbench.models.checkpoints.run import ONNX, load_into
from kolbench.models.components.onnx_graph import OnnxGraph
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.segmenter import Segmenter

GIGABYTE = 1e9


def is_name(weights: str | Path | None) -> bool:
    """Whether a `weights=` is a name; a path that looks like one is written ./official."""
    return weights is not None and catalogue().names(weights)


def entry_of(weights: str | Path, method: str) -> Entry:
    """The entry that a `weights=` names, for a method.

    Raises:
        ConfigError: there is none.
    """
    found = catalogue()
    if str(weights) == OFFICIAL:
        return found.official_of(method.removeprefix("official_"))
    return found.entry(str(weights))


def resolved(
    model: ModelConfig, weights: Path | None, typed_keys: Set[str] = frozenset()
) -> tuple[ModelConfig, Path | None]:
    """The method and the weights that a command means, with names become files; others as they are.

    An ONNX network becomes the method itself. All are fed as their authors feed them, changed by what was
    typed. Where a size is typed that the file does not take, our own network has its tensors.

    Args:
        model: the command's `model` group. weights: its `weights=`. typed_keys: the keys of the command.

    Raises:
        ConfigError: no such name, a method that these weights are not for, or too little memory.
        WeightsError: the file cannot be had.
    """
    if weights is not None and is_name(weights):
        entry = entry_of(weights, model.name)
        if "model.size" in typed_keys and (tensors := own_tensors(entry, model)) is not None:
            return model, tensors
        if entry.kind == "onnx":
            return _network(entry, model, typed_keys), None
        _require_method(entry, model, typed_keys)
        if model.name != entry.method:
            model = model_config(entry.method, size=model.options.get("size"))
        return model.changed(**_untyped(entry.feed, typed_keys)), download.fetch(entry)
    file = model.options.get("file")
    if isinstance(file, str) and file in catalogue().entries:
        entry = catalogue().entry(file)
        require_memory(entry)
        return model.changed(file=str(download.fetch(entry))), weights
    return model, weights


def fetched(weights: str | Path, model: ModelConfig) -> Path:
    """The file of a `weights=` that is a name, for one of our own networks.

    Raises:
        ConfigError: there is no such name, or it belongs to another method.
        WeightsError: the file cannot be had.
    """
    entry = entry_of(weights, model.name)
    _require_method(entry, model, {"model"})
    return download.fetch(entry)


def network_config(entry: Entry, file: Path, **options: object) -> ModelConfig:
    """The `model` group of an ONNX network of the catalogue, fed as its authors feed it.

    Args:
        file: its file. options: keys to change.
    """
    is_official = catalogue().official.get(entry.method) == entry.name
    config = model_config("onnx", file=str(file))
    name = f"official_{entry.method}" if is_official else entry.name
    return config.changed(**{**entry.feed, **options, "name": name})


def load_tensors(segmenter: Segmenter, file: Path) -> list[str]:
    """Loads a file of the catalogue into one of our networks: named tensors, or those of its ONNX export.

    Returns:
        Names of training-only heads that the file does not hold.

    Raises:
        ConfigError: the file is ONNX, and the method is no network.
        WeightsError: the file is damaged or belongs to another network.
    """
    if file.suffix.lower() != ONNX:
        return load_into(segmenter, file)
    if not isinstance(segmenter, NetworkSegmenter):
        raise ConfigError(f"{file} holds a network, and {type(segmenter).__name__} is none.")
    with warnings.catch_warnings():
        # it names the heads that are returned
        warnings.filterwarnings("ignore", message="The checkpoint lacks")
        return segmenter.load_weights(state_from_onnx(file, segmenter.network))


def _network(entry: Entry, model: ModelConfig, typed_keys: Set[str]) -> ModelConfig:
    is_graph = "file" in model.options
    if not is_graph:
        _require_method(entry, model, typed_keys)
    require_memory(entry)
    file = download.fetch(entry)
    typed = {key.partition(".")[2] for key in typed_keys if key.startswith("model.")} - {"file"}
    return network_config(entry, file, **{key: model.values[key] for key in typed})


def own_tensors(entry: Entry, model: ModelConfig) -> Path | None:
    """The tensors of an ONNX file for our own network, where the file does not take the model's size.

    They are made once and kept beside what is downloaded.

    Args:
        entry: of the catalogue. model: the command's `model` group.

    Returns:
        Their file; None where the file takes the size, is no ONNX file, or of no method of ours.

    Raises:
        WeightsError: the file cannot be had, is of another network, or the folder cannot be written.
    """
    is_ours = model.name == entry.method and "file" not in model.options
    if entry.kind != "onnx" or not is_ours:
        return None
    if {None, model.options["size"]}.issuperset(OnnxGraph(download.fetch(entry)).fixed):
        return None
    path = download.weights_folder() / entry.name / f"{entry.sha256[:16]}.pth"
    if path.is_file():
        return path
    network = build_segmenter(model.without_backbone()).inference_network()
    state = state_from_onnx(download.fetch(entry), network)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda partial: torch.save(state, partial))
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be written ({error.strerror}); set {HOME} to a folder that can."
        ) from error
    return path


def _untyped(feed: Values, typed_keys: Set[str]) -> dict[str, object]:
    """How the authors feed a network, less what the command says otherwise."""
    return {key: value for key, value in feed.items() if f"model.{key}" not in typed_keys}


def _require_method(entry: Entry, model: ModelConfig, typed_keys: Set[str]) -> None:
    if typed_keys & {"experiment", "model"} and model.name != entry.method:
        raise ConfigError(
            f"weights={entry.name} belongs to {entry.method}, not to {model.name}; leave experiment= away, "
            "or give experiment=onnx."
        )


def require_memory(entry: Entry) -> None:
    """Refuses a network that this machine has too little memory for, before anything is downloaded.

    Raises:
        ConfigError: says how much it needs and how much there is.
    """
    if entry.gigabytes is None:
        return
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    if there < entry.gigabytes:
        raise ConfigError(
            f"{entry.name} needs about {entry.gigabytes:g} GB of memory, and this machine has {there:.0f} "
            "GB; choose a smaller network (task=weights lists them)."
        )
