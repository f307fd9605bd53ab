"""A trained network as one graph, RGB in [0, 1] to alpha at the network's input size, and how it is fed."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kolbench.config.fields import Values
from kolbench.errors import ConfigError, require_choice
from kolbench.models.components.rcr import deployed
from kolbench.models.onnx import OnnxSegmenter
from kolbench.preprocessing import InputSpec, minmax, resize, with_prior
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction, State


class InferenceGraph(nn.Module):
    """The normalisation of an InputSpec and the network behind it.

    Both stand in one graph so that nobody who runs it elsewhere can normalise otherwise: it takes plain RGB.

    Args:
        network: (B, 3, h, w) normalised -> (B, 1, h, w) probability; with a prior (B, 4, h, w).
        spec: how its values are normalised; sizes play no part.
        prior: whether a fourth channel holds the alpha of the frame before, which stays as it is.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, spec: InputSpec, prior: bool = False) -> None:
        super().__init__()
        self.network = network
        self.divide_by_max = spec.divide_by_max
        mean, std = ((*spec.mean, 0.0), (*spec.std, 1.0)) if prior else (spec.mean, spec.std)
        # buffers follow the graph to a device, also once it is frozen
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3 or 4, h, w) RGB and prior in [0, 1] at the input size -> (B, 1, h, w) alpha."""
        if self.divide_by_max:
            colours = image[:, :3]
            peak = colours.amax(dim=(1, 2, 3), keepdim=True)
            image = torch.cat((colours / torch.where(peak > 0, peak, torch.ones_like(peak)), image[:, 3:]), 1)
        alpha: Tensor = self.network((image - self.mean) / self.std)
        return alpha


@dataclass(frozen=True)
class Network:
    """What a method does to a picture, in three parts.

    Attributes:
        graph: see InferenceGraph.
        spec: the input size and the resampling; its normalisation is in the graph.
        postprocess: `none`, or `minmax`: stretch each alpha to [0, 1].
        prior: whether the graph takes the alpha of the frame before as fourth channel.
    """

    graph: InferenceGraph
    spec: InputSpec
    postprocess: str
    prior: bool = False

    @property
    def feeding(self) -> Values:
        """What a program must know that runs the graph: the options of OnnxSegmenter."""
        return {
            "size": self.spec.size,
            "resize_mode": self.spec.resize_mode,
            "multiple": self.spec.multiple,
            "resample": self.spec.resample,
            "postprocess": self.postprocess,
            "prior": self.prior,
        }


def network_of(segmenter: Segmenter) -> Network:
    """A copy of what a method needs at inference, on the CPU, in evaluation mode, branches merged.

    Any method fits whose `inference_network()` maps its preprocessed input to a probability and whose
    `input_spec` says how that is made.

    Raises:
        ConfigError: the method is no such network; says why.
    """
    name = type(segmenter).__name__.removesuffix("Segmenter")
    if isinstance(segmenter, OnnxSegmenter):
        raise ConfigError(f"{segmenter.file} is an ONNX file already.")
    if segmenter.never_exported:
        raise ConfigError(segmenter.never_exported)
    spec = getattr(segmenter, "input_spec", None)
    if not isinstance(spec, InputSpec):
        raise ConfigError(
            f"{name} has no network to export; methods that are made of one network (NetworkSegmenter) have, "
            "such as rsudisnet, modnet, u2net and unet."
        )
    network = deployed(copy.deepcopy(segmenter.inference_network()).cpu().eval()).requires_grad_(False)
    prior = segmenter.stateful
    graph = InferenceGraph(network, spec, prior).eval()
    return Network(graph, spec, str(getattr(segmenter, "postprocess", "none")), prior)


class GraphSegmenter(Segmenter):
    """A graph with its resizing and postprocessing: the same alphas as the method it was taken from.

    Args:
        graph: (B, 3, h, w) RGB in [0, 1] -> (B, 1, h, w) alpha; a module, compiled or not, or TorchScript;
            with a prior (B, 4, h, w).
        spec: the input size and the resampling; its normalisation is not applied.
        postprocess: `none` or `minmax`.
        prior: whether the graph takes the alpha of the frame before as fourth channel.
        channels_last: the graph's weights lie so, and pictures are laid so.
    """

    place: Tensor

    def __init__(
        self,
        graph: Any,
        spec: InputSpec,
        postprocess: str = "none",
        prior: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.stateful = prior
        self.graph = graph
        self.spec = spec
        self.postprocess = postprocess
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        # frozen TorchScript has no parameters that would tell where it is
        self.register_buffer("place", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the graph is."""
        return self.place.device

    def predict(self, *inputs: Tensor, state: State | None = None) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; aux is empty. state: the alpha before, at the input size."""
        image = inputs[0]
        height, width = int(image.shape[-2]), int(image.shape[-1])
        resized = resize(image, self.spec.input_size(height, width), self.spec.resample)
        if self.stateful:
            resized = with_prior(resized, state[0] if state else None)
        alpha = self.graph(resized.contiguous(memory_format=self.layout)).float()
        carried = (alpha,) if self.stateful else None
        if self.postprocess == "minmax":
            alpha = minmax(alpha)
        return Prediction(self.spec.postprocess(alpha, height, width), state=carried)


def fed(graph: Any, feeding: Values, device: torch.device) -> Segmenter:
    """A graph (B, 3 or 4, h, w) -> (B, 1, h, w) as a method, fed as `Network.feeding` says."""
    postprocess = require_choice("postprocess", str(feeding["postprocess"]), ("none", "minmax"))
    options = {key: value for key, value in feeding.items() if key not in ("postprocess", "prior")}
    spec = InputSpec(**options)  # type: ignore[arg-type]  # checked by its constructor
    return GraphSegmenter(graph, spec, postprocess, feeding.get("prior") is True).to(device).eval()
