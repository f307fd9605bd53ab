"""What a file format of exported networks is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kolbench.config.fields import Values
from kolbench.segmenter import Segmenter


@dataclass(frozen=True)
class ExportFormat:
    """A file format.

    name: as typed, `format=name`. suffix: of its files. write: (graph, example, path, free) fills the file;
    graph maps (B, 3, h, w) in [0, 1] to alpha (B, 1, h, w), example is an input to trace with, free is
    whether batch, height and width may vary. open: (path, feeding, device) -> the file as a method; feeding
    is `Network.feeding`, which `graph.fed` understands. opset: of ONNX, else None. cpu_only: whether its
    files run on the CPU only.
    """

    name: str
    suffix: str
    write: Callable[[nn.Module, Tensor, Path, bool], None]
    open: Callable[[Path, Values, torch.device], Segmenter]
    opset: int | None = None
    cpu_only: bool = False
