"""The forms in which a network predicts: the same alphas, other seconds."""

import copy
import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import torch
from torch import nn

from kolbench.errors import ConfigError, require_choice
from kolbench.inference.export.exporting import example_of
from kolbench.inference.export.formats import format_of
from kolbench.inference.export.graph import GraphSegmenter, Network, network_of
from kolbench.inference.folding import folded
from kolbench.models.components.onnx_graph import RUNTIMES
from kolbench.models.onnx import OnnxSegmenter
from kolbench.segmenter import Segmenter

EAGER, FOLDED, CHANNELS_LAST, COMPILED = "eager", "folded", "channels_last", "compiled"
# run from an ONNX file, on the CPU
ONNX, OPENVINO = FILE_FORMS = RUNTIMES
# run by torch without anything else: on any device, and for methods without a network just as they are
TORCH_FORMS = (EAGER, FOLDED, CHANNELS_LAST)
FORMS = (*TORCH_FORMS, *FILE_FORMS, COMPILED)
_RUNTIMES = {ONNX: "onnxruntime", OPENVINO: "openvino"}
# torch writes ONNX files by it; running them does not need it
_EXPORTER = "onnx"


def runs_files(form: str) -> bool:
    """Whether the library is there by which one of FILE_FORMS runs an ONNX file."""
    return importlib.util.find_spec(_RUNTIMES[form]) is not None


def is_installed(form: str) -> bool:
    """Whether the libraries are there by which a form of one of our own networks is made and run."""
    if form not in FILE_FORMS:
        return True
    return runs_files(form) and importlib.util.find_spec(_EXPORTER) is not None


class Forms:
    """Builds the forms of one network; while it is open it keeps the ONNX file that some are made of.

    Args:
        segmenter: with its weights; it is not changed.
        device: where to predict.

    Raises:
        ConfigError: the method has no network of this kind: classic ones, ONNX files, Mask R-CNN.
    """

    def __init__(self, segmenter: Segmenter, device: torch.device) -> None:
        self.network = network_of(segmenter)
        self._segmenter, self._device = segmenter, device

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory()
        self._file = Path(self._folder.name) / "network.onnx"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def build(self, form: str, threads: int | None = None) -> Segmenter:
        """The method in one of FORMS, in evaluation mode.

        `eager`: the network as it stands. `folded`: branches merged, batch norms folded. `channels_last`: so,
        and maps laid with their channels last. `compiled`: folded, by torch.compile. `onnx`, `openvino`: by
        ONNX Runtime or OpenVINO from a file as task=export writes it.

        Args:
            threads: of `onnx` and `openvino`, fixed from then on; None = as many as torch has.

        Raises:
            ConfigError: the form is none of FORMS, runs on another device, or its library is not installed.
            Exception: whatever compilers and runtimes fail with.
        """
        require_choice("backend", form, FORMS)
        if form == EAGER:
            return copy.deepcopy(self._segmenter).to(self._device).eval()
        if form in FILE_FORMS:
            return self._from_file(form, threads)
        graph = deployed_graph(self.network).to(self._device)
        last = form == CHANNELS_LAST
        if last:
            graph = graph.to(memory_format=torch.channels_last)
        network = self.network
        run = torch.compile(graph) if form == COMPILED else graph
        found = GraphSegmenter(run, network.spec, network.postprocess, network.prior, last)
        return found.to(self._device).eval()

    def _from_file(self, form: str, threads: int | None) -> OnnxSegmenter:
        if self._device.type != "cpu":
            raise ConfigError(f"it runs on the CPU only, not on {self._device}.")
        if not self._file.exists():
            format_of("onnx").write(self.network.graph, example_of(self.network), self._file, True)
        feeding = {**self.network.feeding, "threads": threads, "runtime": form}
        # the runtimes read all of the file at once
        return OnnxSegmenter(self._file, **feeding).eval()  # type: ignore[arg-type]  # checked by its constructor


def deployed_graph(network: Network) -> nn.Module:
    """The graph that `folded` runs: branches merged and batch norms folded, on the CPU."""
    return folded(network.graph, glimpse(network))


def glimpse(network: Network) -> torch.Tensor:
    """(1, 3 or 4, h, w), grey: enough to see who follows whom, a fraction of the input size's cost."""
    multiple = network.spec.multiple
    return torch.full((1, 3 + network.prior, 4 * multiple, 5 * multiple), 0.5)
