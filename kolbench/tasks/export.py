"""task=export: a trained network as an ONNX or TorchScript file that gives the same alphas elsewhere."""

from dataclasses import dataclass
from pathlib import Path

from kolbench.config.compose import build_segmenter
from kolbench.config.schema import TaskResult
from kolbench.errors import ConfigError
from kolbench.inference.apply.config import MethodConfig
from kolbench.inference.export.exporting import Origin, check_target, export
from kolbench.inference.export.graph import network_of
from kolbench.inference.export.parity import in_words
from kolbench.inference.export.quantising import export_int8, halves
from kolbench.inference.export.sidecar import INT8, Sidecar
from kolbench.io import progress
from kolbench.io.files import sha256
from kolbench.models.checkpoints import named
from kolbench.models.checkpoints.run import BEST_IN_RUN, as_released, model_of, sidecar_of
from kolbench.runs import sweep_outputs
from kolbench.runs.record import threshold_of
from kolbench.segmenter import Segmenter


@dataclass(frozen=True)
class ExportConfig(MethodConfig):
    """What `task=export` reads.

    output: the file. format: onnx or torchscript. precision: float32 or int8. calibrate: pictures that int8
    is calibrated and measured on. dry_run: only say what would be written.
    """

    output: Path | None
    format: str
    precision: str
    calibrate: Path | None
    dry_run: bool


def run(config: ExportConfig) -> TaskResult:
    """Writes the network of `weights` to `output`, with a sidecar, and compares both on pictures.

    Raises:
        ConfigError: a setting is missing or does not fit, or the method has no network to export.
        KolbenchError: the file does not give the same alphas; none is left.
    """
    if config.output is None:
        raise ConfigError("task=export needs output=FILE, such as output=x.onnx.")
    output, format_name = config.output, config.format
    check_target(output, format_name)
    _require_fitting(config)
    weights, typed = config.weights, config.invocation.typed_keys
    model = config.model
    if weights is not None:
        of_weights = as_released(model, typed) if named.is_name(weights) else model_of(model, weights, typed)
        model = of_weights.without_backbone()
    segmenter: Segmenter = build_segmenter(model)
    network_of(segmenter)
    if weights is None:
        raise ConfigError(
            f"task=export needs weights=RUN_FOLDER, or weights=FILE with experiment={model.name}."
        )
    if config.dry_run:
        print(f"{weights} -> {output}, {sidecar_of(output)}")
        return TaskResult()
    if named.is_name(weights):
        weights = named.fetched(weights, model)
    for head in named.load_tensors(segmenter, weights):
        print(f"{weights} lacks the training-only head {head}; it is not needed here")
    sweep_outputs.SWEEP.take([output, sidecar_of(output)])
    output.parent.mkdir(parents=True, exist_ok=True)
    origin = Origin(model.name, model.to_mapping(), _identity(weights), threshold_of(weights))
    written, lost = _written(config, segmenter.eval(), origin)
    for line in [*_described(written, output), *lost]:
        print(line)
    return TaskResult(figures={f"{key}_difference": float(written.parity[key]) for key in ("max", "mean")})


def _written(config: ExportConfig, segmenter: Segmenter, origin: Origin) -> tuple[Sidecar, list[str]]:
    """Writes the file; lines on what its precision costs."""
    assert config.output is not None
    if config.calibrate is None:
        return export(segmenter, config.output, config.format, origin), []
    total = sum(len(half) for half in halves(config.calibrate))
    with progress.bar("calibrating and measuring", total) as advance:
        written, loss = export_int8(segmenter, config.output, config.calibrate, origin, advance)
    return written, [loss.in_words()]


def _require_fitting(config: ExportConfig) -> None:
    """Raises a ConfigError where precision, format and calibrate contradict each other."""
    if config.precision == INT8 and config.calibrate is None:
        raise ConfigError(
            "precision=int8 needs calibrate=DIR, a folder of images of the kind to come: half of them set "
            "the ranges of its maps, the rest tell what is lost."
        )
    if config.precision != INT8 and config.calibrate is not None:
        raise ConfigError("calibrate= is for precision=int8; add it, or leave calibrate= away.")
    if config.precision == INT8 and config.format != "onnx":
        raise ConfigError(f"precision=int8 is written as format=onnx, not {config.format}.")
    if config.calibrate is not None:
        halves(config.calibrate)


def _identity(weights: Path) -> dict[str, str]:
    checkpoint = weights / BEST_IN_RUN if weights.is_dir() else weights
    return {"name": weights.resolve().name, "sha256": sha256(checkpoint)}


def _described(written: Sidecar, output: Path) -> list[str]:
    size, resize_mode, multiple = (written.input[key] for key in ("size", "resize_mode", "multiple"))
    takes = "any size" if not written.fixed else f"{size}x{size} px only"
    # a format of one's own is imported first, for a file never imports anything
    imports = f"import {module}; " if (module := written.format.rpartition(".")[0]) else ""
    threshold = "unknown" if written.threshold is None else f"{written.threshold:.2f} from validation"
    lines = [
        f"{output}: {written.method}, {written.format}, {output.stat().st_size / 1e6:.1f} MB, takes RGB in "
        f"[0, 1] of {takes} (sides multiples of {multiple}); made for {resize_mode} {size}",
        f"{sidecar_of(output)}: how images are given to it, threshold {threshold}",
        f"compared with the method: {in_words(written.parity)}",
        f'use it: {imports}kolbench.load("{output}").segment("photo.jpg")',
    ]
    if written.format == "onnx":
        lines.append(
            f"or score it: python -m kolbench experiment=onnx model.file={output} model.size={size} "
            f"model.resize_mode={resize_mode} model.multiple={multiple}"
        )
    return lines
