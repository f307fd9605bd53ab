"""ONNX, by the TorchScript-based exporter of torch; opened by ONNX Runtime on the CPU."""

from pathlib import Path

import torch
from torch import Tensor, nn

from kolbench.config.fields import Values
from kolbench.errors import ConfigError, first_sentence
from kolbench.inference.export.export_format import ExportFormat
from kolbench.inference.export.tracing import INPUT, OUTPUT, silent, tracing
from kolbench.models.onnx import OnnxSegmenter
from kolbench.segmenter import Segmenter

# the first with LayerNormalization, which smp's transformer encoders need
OPSET = 17
AXES = {0: "batch", 2: "height", 3: "width"}


def write_onnx(graph: nn.Module, example: Tensor, path: Path, dynamic: bool = True) -> None:
    """Writes a graph as ONNX, by the TorchScript-based exporter of torch.

    The newer one (`dynamo=True`) gives files of the same speed, but takes 10 to 60 s for these networks
    instead of 1 to 3, fixes the batch to 1 where there is an instance norm, and needs one more package.

    Args:
        graph: in evaluation mode, on the CPU.
        example: (1, 3, h, w); where h and w are free, large enough that no inner map is one pixel small.
        path: the file.
        dynamic: whether batch, height and width are free.

    Raises:
        ConfigError: an operation of the network has no ONNX form.
    """
    free = {INPUT: AXES, OUTPUT: AXES} if dynamic else None
    try:
        with tracing(), silent():
            torch.onnx.export(
                graph,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes=free,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ConfigError(
            f"This network cannot be written as ONNX: {first_sentence(error)} format=torchscript may work."
        ) from error


def open_onnx(path: Path, feeding: Values, device: torch.device) -> Segmenter:
    """The file as a method; `device` is the CPU, whatever it says."""
    del device
    segmenter: Segmenter = OnnxSegmenter(path, **feeding)  # type: ignore[arg-type]  # checked by its constructor
    return segmenter.eval()


FORMAT = ExportFormat("onnx", ".onnx", write_onnx, open_onnx, opset=OPSET, cpu_only=True)
