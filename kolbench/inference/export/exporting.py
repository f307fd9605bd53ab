"""From a method with its weights to a file, its sidecar, and the proof that both agree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import kolbench
from kolbench.errors import ConfigError, KolbenchError
from kolbench.inference.export import parity, sidecar, tracing
from kolbench.inference.export.formats import ExportFormat, format_of
from kolbench.inference.export.graph import GraphSegmenter, Network, network_of
from kolbench.inference.export.parity import Parity
from kolbench.inference.export.sidecar import Sidecar
from kolbench.io.files import sha256, write_atomically
from kolbench.segmenter import Segmenter
from kolbench.types import JsonObject

# sides of the picture that a graph of free sizes is traced with, at least: no inner map is a single pixel
TRACED = (256, 320)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Origin:
    """Where a method comes from; see Sidecar."""

    method: str
    settings: Mapping[str, object]
    weights: Mapping[str, str]
    threshold: float | None


def export(segmenter: Segmenter, output: Path, format_name: str, origin: Origin) -> Sidecar:
    """Writes a method's network and its sidecar.

    The file appears only once its alphas agree with the method's within `parity.BOUND`, on several sizes; an
    earlier file stays whole until then.

    Args:
        segmenter: with its weights; it is not changed.
        output: the file, `.onnx` or `.pt`; the sidecar lies beside it.
        format_name: `onnx`, `torchscript`, or the dotted path of a format of one's own.
        origin: what the sidecar says about the weights.

    Raises:
        ConfigError: the method has no network that could be written, the name does not fit the format, or
            another file stands there.
        KolbenchError: the file does not give the same alphas.
    """
    chosen = check_target(output, format_name)
    network = network_of(segmenter)
    found: list[tuple[Parity, bool]] = []
    write_atomically(output, lambda partial: found.append(write_checked(segmenter, network, partial, chosen)))
    agreement, free = found[0]
    written = sidecar_for(output, network, format_name, origin, agreement.as_values(), free)
    sidecar.write(written, output)
    return written


def sidecar_for(
    output: Path,
    network: Network,
    format_name: str,
    origin: Origin,
    agreement: JsonObject,
    free: bool,
    precision: str = sidecar.FLOAT32,
    loss: JsonObject | None = None,
) -> Sidecar:
    """What stands beside a file that was written; arguments as of Sidecar.

    Args:
        agreement: `Parity.as_values`. free: whether the graph takes pictures of any size.
    """
    spec, size = network.spec, network.spec.size
    return Sidecar(
        file=output.name,
        sha256=sha256(output),
        format=format_name,
        method=origin.method,
        settings=dict(origin.settings),
        input={
            "name": tracing.INPUT,
            "layout": "NCHW",
            "channels": "RGB and prior" if network.prior else "RGB",
            "range": [0, 1],
            "size": size,
            "resize_mode": spec.resize_mode,
            "multiple": spec.multiple,
            "resample": spec.resample,
            "sizes": "free" if free else [size, size],
            "batch": "free" if free else 1,
            "normalised_inside": {
                "mean": list(spec.mean),
                "std": list(spec.std),
                "divide_by_max": spec.divide_by_max,
            },
        },
        output={"name": tracing.OUTPUT, "range": [0, 1], "postprocess": network.postprocess},
        threshold=origin.threshold,
        weights=dict(origin.weights),
        opset=format_of(format_name).opset,
        parity=agreement,
        versions={"kolbench": kolbench.__version__, "torch": str(torch.__version__)},
        precision=precision,
        loss=loss or {},
    )


def check_target(output: Path, format_name: str) -> ExportFormat:
    """The format, once it is clear that `output` can be written by it.

    Raises:
        ConfigError: the format is unknown, the name does not fit it, or another file stands there.
    """
    chosen = format_of(format_name)
    if output.suffix != chosen.suffix:
        raise ConfigError(
            f"output={output} does not end in {chosen.suffix}, as files of format={format_name} do."
        )
    if output.is_dir():
        raise ConfigError(f"output={output} is a folder.")
    sidecar.refuse_overwriting(output)
    return chosen


def write_checked(
    segmenter: Segmenter, network: Network, path: Path, chosen: ExportFormat
) -> tuple[Parity, bool]:
    """Fills the file: for pictures of any size where that works, else for the one size that is used.

    Returns:
        How well its alphas agree, and whether it takes any size.

    Raises:
        KolbenchError: it does not give the method's alphas.
    """
    try:
        return _attempt(segmenter, network, path, chosen, free=True), True
    except KolbenchError:
        if network.spec.resize_mode != "stretch":
            raise
        return _attempt(segmenter, network, path, chosen, free=False), False


def _attempt(segmenter: Segmenter, network: Network, path: Path, chosen: ExportFormat, free: bool) -> Parity:
    chosen.write(network.graph, example_of(network, free), path, free)
    pictures = parity.pictures()
    opened = chosen.open(path, network.feeding, CPU)
    differences = parity.compare(segmenter, opened, pictures)
    if free:
        # input sizes that this method may never use, but that the file promises to take
        spec = replace(
            network.spec, resize_mode="shortest_edge", size=network.spec.size + network.spec.multiple
        )
        other = replace(network, spec=spec)
        reference = GraphSegmenter(other.graph, other.spec, other.postprocess, other.prior)
        opened = chosen.open(path, other.feeding, CPU)
        differences += parity.compare(reference, opened, pictures[1:])
    agreement = Parity(differences)
    if not agreement.holds:
        told = parity.in_words(agreement.as_values())
        raise KolbenchError(
            f"The {chosen.name} file does not give the method's alphas: {told}. Nothing was written; please "
            "report the method and its settings."
        )
    return agreement


def example_of(network: Network, free: bool = True) -> torch.Tensor:
    """(1, 3, h, w), with a prior (1, 4, h, w), grey: an input to trace with."""
    spec = network.spec
    sides = TRACED if free else (spec.size, spec.size)
    height, width = (math.ceil(side / spec.multiple) * spec.multiple for side in sides)
    return torch.full((1, 3 + network.prior, height, width), 0.5)
