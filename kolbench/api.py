"""The Python interface: a method with its weights in one call."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolbench.errors import ConfigError, missing_library

if TYPE_CHECKING:
    from kolbench.segmenter import Segmenter


def load(
    source: str | Path, weights: str | Path | None = None, device: str = "auto", **options: Any
) -> "Segmenter":
    """A method that is ready to segment.

    Args:
        source: the name of a method (`modnet`, `u2net`, `rsudisnet`, ...), one of our run folders, or an
            exported file, `.onnx` or TorchScript `.pt`, with its sidecar. TorchScript is a program: load
            only what you trust.
        weights: an official checkpoint, a checkpoint of ours, or a run folder; may stay None where
            `source` is a run folder, must where it is an exported file.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; ONNX files run on the CPU.
        options: keys of the method's YAML to change, such as `size=320` or `context="easpp"`; for an
            exported file `size`, `resize_mode`, `resample` or `postprocess`; for anybody's ONNX file those of
            conf/model/onnx.yaml.

    Returns:
        The method in evaluation mode; `segment(picture)` gives an (H, W) float32 alpha in [0, 1].

    Raises:
        ConfigError: no such method or option, no weights for a method that must be trained, or a file
            without a sidecar.
        WeightsError: the weights cannot be read, are a whole network or do not fit, or a file is not what its
            sidecar says. No code of a checkpoint is executed.
    """
    try:
        return _loaded(source, weights, device, options)
    except ImportError as error:
        if told := missing_library(error):
            raise ConfigError(told) from error
        raise


def _loaded(
    source: str | Path, weights: str | Path | None, device: str, options: Mapping[str, Any]
) -> "Segmenter":
    from kolbench.config.compose import build_segmenter, model_config
    from kolbench.engine.devices import choose_device
    from kolbench.inference.export.exported import is_exported, open_exported
    from kolbench.models.checkpoints import run as weight_files

    if not isinstance(source, str | Path):
        raise ConfigError(f"{source!r} is neither the name of a method nor a run folder nor a file.")
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
        settings = model_config(str(source), **options)
    segmenter: Segmenter = build_segmenter(settings.without_backbone())
    if weights is not None:
        weight_files.load_into(segmenter, Path(weights))
    elif segmenter.trainable:
        raise ConfigError(
            f'{source} must be trained: give weights="FILE" (an official checkpoint) or a run folder.'
        )
    return segmenter.to(choose_device(device)).eval()
