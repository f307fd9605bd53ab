"""Exported files as methods: the sidecar says how they are fed."""

from pathlib import Path
from typing import Any

import torch

from kolbench.config.compose import build_segmenter, model_config
from kolbench.config.old_names import current_model
from kolbench.engine.devices import choose_device
from kolbench.errors import ConfigError, WeightsError, require_choice
from kolbench.inference.export import sidecar as sidecars
from kolbench.inference.export.formats import SUFFIXES, read_torchscript
from kolbench.inference.export.graph import GraphSegmenter
from kolbench.models.checkpoints.run import is_torchscript, lone_torchscript, sidecar_of
from kolbench.models.onnx import OnnxSegmenter
from kolbench.preprocessing import InputSpec, current_resize_mode
from kolbench.segmenter import Segmenter

RESIZING = ("size", "resize_mode", "multiple")
CHANGEABLE = (*RESIZING, "resample", "postprocess")


def is_exported(source: str | Path) -> bool:
    """Whether a name is that of a file that can be opened here, there or not."""
    return Path(source).suffix.lower() in SUFFIXES.values()


def open_exported(file: str | Path, device: str = "auto", **options: Any) -> Segmenter:
    """An ONNX or TorchScript file as a method.

    TorchScript is a program: open only files from people you trust.

    Args:
        file: what `task=export` wrote, or anybody's ONNX file together with `options`.
        device: where TorchScript runs, see `choose_device`; ONNX runs on the CPU.
        options: with a sidecar, `size`, `resize_mode`, `resample` or `postprocess` to change; without one,
            the keys of conf/model/onnx.yaml.

    Raises:
        ConfigError: there is no sidecar and no options, no such option, or ONNX is asked to run on a GPU.
        WeightsError: the file is missing, damaged, or not the one that the sidecar describes.
    """
    path = Path(file).expanduser()
    is_onnx = path.suffix.lower() == SUFFIXES["onnx"]
    if is_onnx and device not in ("auto", "cpu"):
        raise ConfigError(f"{path} runs in ONNX Runtime on the CPU: use device=cpu, not {device}.")
    if not path.is_file():
        raise WeightsError(f"There is no file {path}.")
    options = current_model(options)
    if "resize_mode" in options:
        options["resize_mode"] = current_resize_mode(str(options["resize_mode"]))
    sidecar = sidecars.read(path)
    if sidecar is None:
        return _of_others(path, options)
    for key in options:
        require_choice("option", key, CHANGEABLE)
    if sidecar.fixed and any(options.get(key, sidecar.input[key]) != sidecar.input[key] for key in RESIZING):
        raise ConfigError(f"{path} takes pictures of one size only; export it again with model.size=.")
    sidecars.verify(sidecar, path)
    return open_fed(path, sidecar.format, {**sidecar.feeding, **options}, choose_device(device))


def open_fed(path: Path, form: str, feeding: dict[str, Any], device: torch.device) -> Segmenter:
    """A file of ours, fed as `Network.feeding` says."""
    if form == "onnx":
        return OnnxSegmenter(path, **feeding).eval()
    postprocess = require_choice("postprocess", feeding["postprocess"], ("none", "minmax"))
    spec = InputSpec(**{key: value for key, value in feeding.items() if key != "postprocess"})
    return GraphSegmenter(read_torchscript(path, device), spec, postprocess).to(device).eval()


def _of_others(path: Path, options: dict[str, Any]) -> Segmenter:
    beside = sidecar_of(path)
    if path.suffix.lower() != SUFFIXES["onnx"]:
        if is_torchscript(path):
            raise ConfigError(f"{lone_torchscript(path)}.")
        raise ConfigError(
            f"{path} has no sidecar {beside}. A checkpoint is given as weights: "
            f'kolbench.load("modnet", weights="{path}").'
        )
    if not options:
        raise ConfigError(
            f"{path} has no sidecar {beside} that says how pictures are given to it. Copy it too, or say it "
            f'with the options of conf/model/onnx.yaml: kolbench.load("{path}", size=320, mean=[...], '
            'std=[...], activation="sigmoid").'
        )
    segmenter: Segmenter = build_segmenter(model_config("onnx", file=str(path), **options))
    return segmenter.eval()
