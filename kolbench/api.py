"""The Python interface: a method with its weights in one call, a training or a test in another."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolbench.errors import ConfigError, missing_library

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kolbench.results import FinishedRun
    from kolbench.segmenter import Segmenter


def load(
    source: str | Path,
    weights: str | Path | None = None,
    device: str = "auto",
    tta: str = "none",
    **options: Any,
) -> "Segmenter":
    """A method that is ready to segment.

    Args:
        source: the name of a method (`modnet`, `u2net`, `rsudisnet`, ...), an id of the catalogue
            (`modnet-onnx`), one of our run folders, or an exported file, `.onnx` or TorchScript `.pt`, with
            its sidecar. TorchScript is a program: load only what you trust.
        weights: `official`, an id of the catalogue, an official checkpoint, a checkpoint of ours, or a run
            folder; may stay None where `source` is a run folder, must where it is an exported file.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; ONNX files run on the CPU.
        tta: `none`, or `flip`: the mean of the picture's alpha and the mirrored one's, at twice the cost.
        options: keys of the method's YAML to change, such as `size=320` or `context="easpp"`; for an
            exported file `size`, `resize_mode`, `resample` or `postprocess`; for anybody's ONNX file those of
            conf/model/onnx.yaml.

    Returns:
        The method in evaluation mode; `segment(picture)` gives an (H, W) float32 alpha in [0, 1].

    Raises:
        ConfigError: no such method or option, no weights for a method that must be trained, a file without a
            sidecar, or a method that goes by the picture's name, with `tta`.
        WeightsError: the weights cannot be read, are a whole network or do not fit, or a file is not what its
            sidecar says. No code of a checkpoint is executed.
    """
    with _libraries_named():
        from kolbench.models.mirrored import with_tta

        return with_tta(_loaded(source, weights, device, options), tta)


def keep_largest(alpha: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
    """The largest connected part of an alpha with its soft edge: `keep=largest` of an image.

    Args:
        alpha: (H, W) float32 in [0, 1], as `segment` gives it.

    Returns:
        (H, W) float32: `alpha`, and 0 where something else than the largest part was found.
    """
    from kolbench.video.temporal.islands import largest_part

    return largest_part(alpha)


def fit(experiment: str, data: str = "synthetic", **overrides: object) -> "FinishedRun":
    """Trains a method, or finds the finished training, and scores it: `task=fit` from Python.

    Args:
        experiment: a YAML's name in conf/experiment, such as `finetune_modnet`.
        data: one in conf/data, such as `folder`.
        overrides: keys of the command line with Python values; those with dots in a mapping, as in
            `fit("modnet", "folder", **{"data.root": "DIR", "budget.epochs": 2})`.

    Returns:
        The finished run: `run.scores["miou"]`, `run.folder`, `run.load()`.

    Raises:
        KolbenchError: whatever the command line would say.
    """
    with _libraries_named():
        from kolbench.results import of_folder
        from kolbench.tasks.inside import folder_of

        return of_folder(folder_of("fit", {"experiment": experiment, "data": data, **overrides}))


def evaluate(
    weights: str | Path | None = None,
    experiment: str | None = None,
    data: str = "synthetic",
    **overrides: object,
) -> "FinishedRun":
    """Scores weights, or a method that needs none, without training: `task=test` from Python.

    Args:
        weights: `official`, an id of the catalogue, a run folder or a checkpoint.
        experiment: a YAML's name in conf/experiment; needed with `official`, with a released checkpoint, and
            for a method without weights.
        data, overrides: as of `fit`.

    Returns:
        The finished run: `run.scores["miou"]`, `run.folder`, `run.load()`.

    Raises:
        KolbenchError: whatever the command line would say.
    """
    given = {"experiment": experiment, "weights": weights}
    chosen = {key: value for key, value in given.items() if value is not None}
    with _libraries_named():
        from kolbench.results import of_folder
        from kolbench.tasks.inside import folder_of

        folder = folder_of("test", {**chosen, "data": data, **overrides})
        return of_folder(folder, weights, _options(overrides))


def _options(overrides: Mapping[str, object]) -> dict[str, object]:
    """The method's own options, such as `size`, of the keys that a command had."""
    own = {key.removeprefix("model."): overrides[key] for key in overrides if key.startswith("model.")}
    return {key: value for key, value in own.items() if "." not in key and key != "recipe"}


@contextmanager
def _libraries_named() -> Iterator[None]:
    """A missing library of the system is told as the command line tells it."""
    try:
        yield
    except ImportError as error:
        if told := missing_library(error):
            raise ConfigError(told) from error
        raise


def _loaded(
    source: str | Path, weights: str | Path | None, device: str, options: Mapping[str, Any]
) -> "Segmenter":
    from kolbench.config.compose import build_segmenter, conf_dir, model_config
    from kolbench.engine.devices import choose_device
    from kolbench.inference.export.exported import is_exported, open_exported
    from kolbench.models.checkpoints import download, named
    from kolbench.models.checkpoints import run as weight_files

    if not isinstance(source, str | Path):
        raise ConfigError(f"{source!r} is neither the name of a method nor a run folder nor a file.")
    # `modnet` is a method and an id: a source is a method first
    if named.is_name(source) and not (conf_dir() / "model" / f"{source}.yaml").is_file():
        source, weights = named.entry_of(source, "").method, source
    if weights is not None and named.is_name(weights):
        entry = named.entry_of(weights, str(source))
        named.require_memory(entry)
        weights = download.fetch(entry)
        tensors = None
        if source == entry.method and "size" in options:
            tensors = named.own_tensors(entry, model_config(source, size=options["size"]))
        if tensors is None and entry.kind == "onnx":
            network: Segmenter = build_segmenter(named.network_config(entry, weights, **options))
            return network.eval()
        weights, options = (weights, {**entry.feed, **options}) if tensors is None else (tensors, options)
    if is_exported(source):
        if weights is not None:
            raise ConfigError(f"{source} holds its weights; leave weights={weights} out.")
        return open_exported(source, device, **options)
    if weight_files.is_run_folder(source):
        return _loaded(weight_files.method_of(source), weights or source, device, options)
    settings = weight_files.settings_of(weights) if weights is not None else None
    if settings is not None and settings.name == str(source):
        settings = settings.changed(**options)
    else:
        settings, _ = named.resolved(model_config(str(source), **options), None)
    segmenter: Segmenter = build_segmenter(settings.without_backbone())
    untrained_run = weights is not None and weight_files.is_run_folder(weights) and not segmenter.trainable
    if weights is not None and not untrained_run:
        weight_files.load_into(segmenter, Path(weights))
    elif segmenter.trainable:
        raise ConfigError(
            f'{source} must be trained: give weights="FILE" (an official checkpoint) or a run folder.'
        )
    return segmenter.to(choose_device(device)).eval()
