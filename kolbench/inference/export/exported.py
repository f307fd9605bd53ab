"""Exported files as methods: the sidecar says how they are fed."""

from pathlib import Path

from kolbench.config.compose import build_segmenter, model_config
from kolbench.config.fields import Values
from kolbench.config.old_names import current_model
from kolbench.engine.devices import choose_device
from kolbench.errors import ConfigError, WeightsError, require_choice
from kolbench.inference.export import sidecar as sidecars
from kolbench.inference.export.formats import built_in, format_that_wrote
from kolbench.models.checkpoints.run import is_torchscript, lone_torchscript, sidecar_of
from kolbench.preprocessing import current_resize_mode
from kolbench.segmenter import Segmenter

RESIZING = ("size", "resize_mode", "multiple")
CHANGEABLE = (*RESIZING, "resample", "postprocess")


def is_exported(source: str | Path) -> bool:
    """Whether a name is that of a file that can be opened here, there or not; others have a sidecar."""
    known = {known_format.suffix for known_format in built_in().values()}
    return Path(source).suffix.lower() in known or sidecars.read(Path(source)) is not None


def open_exported(file: str | Path, device: str = "auto", **options: object) -> Segmenter:
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
    is_onnx = path.suffix.lower() == built_in()["onnx"].suffix
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
        raise ConfigError(f"{path} takes images of one size only; export it again with model.size=.")
    sidecars.verify(sidecar, path)
    return format_that_wrote(sidecar.format).open(path, {**sidecar.feeding, **options}, choose_device(device))


def _of_others(path: Path, options: Values) -> Segmenter:
    beside = sidecar_of(path)
    if path.suffix.lower() != built_in()["onnx"].suffix:
        if is_torchscript(path):
            raise ConfigError(f"{lone_torchscript(path)}.")
        raise ConfigError(
            f"{path} has no sidecar {beside}. A checkpoint is given as weights: "
            f'kolbench.load("modnet", weights="{path}").'
        )
    if not options:
        raise ConfigError(
            f"{path} has no sidecar {beside} that says how images are given to it. Copy it too, or say it "
            f'with the options of conf/model/onnx.yaml: kolbench.load("{path}", size=320, mean=[...], '
            'std=[...], activation="sigmoid").'
        )
    segmenter: Segmenter = build_segmenter(model_config("onnx", "paper", file=str(path), **options))
    return segmenter.eval()
