"""What formats that trace a graph share: names of its ends, and quiet while torch traces."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

INPUT, OUTPUT = "image", "alpha"


@contextmanager
def tracing() -> Iterator[None]:
    """Hides what torch says about tracing and its age; everything else it says is let through."""
    with warnings.catch_warnings():
        # the format was asked for
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated", category=FutureWarning)
        # see formats.onnx
        warnings.filterwarnings("ignore", message="You are using the legacy TorchScript-based ONNX export")
        warnings.filterwarnings("ignore", message="The feature will be removed", category=DeprecationWarning)
        # sizes compared in Python; the parity check at other sizes tells whether a branch was frozen wrongly
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        # an instance norm always normalises by the picture at hand
        warnings.filterwarnings("ignore", message=".*operator 'instance_norm' is set to train=True")
        yield


@contextmanager
def silent() -> Iterator[None]:
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
