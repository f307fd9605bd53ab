"""task=export: a trained network as an ONNX or TorchScript file that gives the same alphas elsewhere."""

from pathlib import Path
from typing import Any

from kolbench.config.compose import build_segmenter, without_backbone
from kolbench.errors import ConfigError
from kolbench.inference.export.graph import network_of
from kolbench.inference.export.parity import in_words
from kolbench.inference.export.sidecar import Sidecar, sha256
from kolbench.inference.export.writing import Origin, check_target, export
from kolbench.io.files import read_json
from kolbench.models.checkpoints.run import BEST, load_into, model_of, sidecar_of
from kolbench.runs import sweep_outputs
from kolbench.runs.run_folder import RUN
from kolbench.segmenter import Segmenter


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Writes the network of `weights` to `output`, with a sidecar, and compares both on pictures.

    Args:
        settings: the resolved configuration: `weights` (a run folder or a checkpoint), `output` (a file),
            `format` (onnx or torchscript), `model`.

    Returns:
        `output`, `max_difference` and `mean_difference` of alpha.

    Raises:
        ConfigError: a setting is missing or does not fit, or the method has no network to export.
        KolbenchError: the file does not give the same alphas; none is left.
    """
    if not settings["output"]:
        raise ConfigError("task=export needs output=FILE, such as output=x.onnx.")
    output, form = Path(settings["output"]).expanduser(), settings["format"]
    check_target(output, form)
    weights = settings["weights"]
    model = settings["model"] if weights is None else without_backbone(model_of(settings, weights))
    segmenter: Segmenter = build_segmenter(model)
    network_of(segmenter)
    if weights is None:
        raise ConfigError(
            f"task=export needs weights=RUN_FOLDER, or weights=FILE with experiment={model['name']}."
        )
    if settings["dry_run"]:
        print(f"{weights} -> {output}, {sidecar_of(output)}")
        return {}
    for head in load_into(segmenter, Path(weights)):
        print(f"{weights} lacks the training-only head {head}; it is not needed here")
    sweep_outputs.SWEEP.take([output, sidecar_of(output)])
    output.parent.mkdir(parents=True, exist_ok=True)
    origin = Origin(model["name"], model, _identity(Path(weights)), threshold_of(Path(weights)))
    written = export(segmenter.eval(), output, form, origin)
    for line in _described(written, output):
        print(line)
    return {
        "output": str(output),
        "max_difference": written.parity["max"],
        "mean_difference": written.parity["mean"],
    }


def threshold_of(weights: Path) -> float | None:
    """The threshold that a run folder chose on its validation pictures."""
    record = weights / RUN
    if not record.is_file():
        return None
    values = read_json(record)
    return float(values["threshold"]) if values.get("threshold_from") == "validation" else None


def _identity(weights: Path) -> dict[str, str]:
    checkpoint = weights / BEST if weights.is_dir() else weights
    return {"name": weights.resolve().name, "sha256": sha256(checkpoint)}


def _described(written: Sidecar, output: Path) -> list[str]:
    size, rule, multiple = (written.input[key] for key in ("size", "rule", "multiple"))
    takes = "any size" if not written.fixed else f"{size}x{size} px only"
    threshold = "unknown" if written.threshold is None else f"{written.threshold:.2f} from validation"
    lines = [
        f"{output}: {written.method}, {written.format}, {output.stat().st_size / 1e6:.1f} MB, takes RGB in "
        f"[0, 1] of {takes} (sides multiples of {multiple}); made for {rule} {size}",
        f"{sidecar_of(output)}: how pictures are given to it, threshold {threshold}",
        f"compared with the method: {in_words(written.parity)}",
        f'use it: kolbench.load("{output}").segment("photo.jpg")',
    ]
    if written.format == "onnx":
        lines.append(
            f"or score it: python -m kolbench experiment=onnx model.file={output} model.size={size} "
            f"model.rule={rule} model.multiple={multiple}"
        )
    return lines
