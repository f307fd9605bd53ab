"""Frozen TorchScript, which programs load that know torch alone."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kolbench.config.fields import Values
from kolbench.errors import ConfigError, WeightsError, first_sentence
from kolbench.inference.export.export_format import ExportFormat
from kolbench.inference.export.graph import fed
from kolbench.inference.export.tracing import tracing
from kolbench.segmenter import Segmenter


def write_torchscript(graph: nn.Module, example: Tensor, path: Path, dynamic: bool = True) -> None:
    """Writes a graph as frozen TorchScript; arguments as of `write_onnx`, sizes are always free.

    Torch deprecates TorchScript in favour of torch.export; it is written for programs that load it today.

    Raises:
        ConfigError: torch cannot trace the network or write the file.
    """
    try:
        with tracing():
            traced = torch.jit.trace(graph, (example,), check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(torch.jit.freeze(traced), str(path))
    except RuntimeError as error:
        raise ConfigError(
            f"This network cannot be written as TorchScript: {first_sentence(error)}"
        ) from error


def read_torchscript(path: Path, device: torch.device) -> Any:
    """A TorchScript file as a function (B, 3, h, w) -> (B, 1, h, w).

    Raises:
        WeightsError: the file is no TorchScript.
    """
    try:
        with tracing():
            return torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise WeightsError(f"{path} is damaged or is no TorchScript: {first_sentence(error)}") from error


def open_torchscript(path: Path, feeding: Values, device: torch.device) -> Segmenter:
    """The file as a method."""
    return fed(read_torchscript(path, device), feeding, device)


FORMAT = ExportFormat("torchscript", ".pt", write_torchscript, open_torchscript)
