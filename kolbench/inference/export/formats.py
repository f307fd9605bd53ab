"""Graphs as files that run without kolbench: ONNX and TorchScript."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kolbench.errors import ConfigError, WeightsError

SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt"}
INPUT, OUTPUT = "image", "alpha"
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
        ConfigError: the onnx package is not installed, or an operation of the network has no ONNX form.
    """
    _require_onnx()
    free = {INPUT: AXES, OUTPUT: AXES} if dynamic else None
    try:
        with _tracing(), _silent():
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
            f"This network cannot be written as ONNX: {_first_line(error)} format=torchscript may work."
        ) from error


def write_torchscript(graph: nn.Module, example: Tensor, path: Path, dynamic: bool = True) -> None:
    """Writes a graph as frozen TorchScript; arguments as of `write_onnx`, sizes are always free.

    Torch deprecates TorchScript in favour of torch.export; it is written for programs that load it today.

    Raises:
        ConfigError: torch cannot trace the network or write the file.
    """
    try:
        with _tracing():
            traced = torch.jit.trace(graph, (example,), check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(torch.jit.freeze(traced), str(path))
    except RuntimeError as error:
        raise ConfigError(f"This network cannot be written as TorchScript: {_first_line(error)}") from error


def read_torchscript(path: Path, device: torch.device) -> Any:
    """A TorchScript file as a function (B, 3, h, w) -> (B, 1, h, w).

    Raises:
        WeightsError: the file is no TorchScript.
    """
    try:
        with _tracing():
            return torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise WeightsError(f"{path} is damaged or is no TorchScript: {_first_line(error)}") from error


WRITERS: Mapping[str, Callable[[nn.Module, Tensor, Path, bool], None]] = {
    "onnx": write_onnx,
    "torchscript": write_torchscript,
}


@contextmanager
def _tracing() -> Iterator[None]:
    """Hides what torch says about tracing and its age; everything else it says is let through."""
    with warnings.catch_warnings():
        # the format was asked for
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated", category=FutureWarning)
        # see write_onnx
        warnings.filterwarnings("ignore", message="You are using the legacy TorchScript-based ONNX export")
        warnings.filterwarnings("ignore", message="The feature will be removed", category=DeprecationWarning)
        # sizes compared in Python; the parity check at other sizes tells whether a branch was frozen wrongly
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        # an instance norm always normalises by the picture at hand
        warnings.filterwarnings("ignore", message=".*operator 'instance_norm' is set to train=True")
        yield


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps back what C++ prints: an exporter that fails prints the whole network, a megabyte of text."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _require_onnx() -> None:
    try:
        import onnx  # type: ignore[import-untyped,unused-ignore]  # noqa: F401 - the exporter imports it late
    except ImportError as error:
        raise ConfigError(
            'format=onnx needs the onnx package, which is not installed: pip install "kolbench[export]".'
        ) from error


def _first_line(error: Exception) -> str:
    text = (str(error) or type(error).__name__).strip().splitlines()[0].partition("[Caused by")[0].strip()
    return text if text.endswith(".") else f"{text}."
