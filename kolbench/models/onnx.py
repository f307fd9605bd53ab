"""Networks that anybody exported to ONNX, run like a method."""

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kolbench.errors import ConfigError, require_choice
from kolbench.models.components.onnx_feeding import Feed, hint
from kolbench.models.components.onnx_graph import CLASSES, LEVELS, MASK, ONNX_RUNTIME, OnnxGraph
from kolbench.models.components.onnx_inputs import Constant
from kolbench.preprocessing import (
    RESIZE_MODES,
    InputSpec,
    current_resize_mode,
    minmax,
    resize,
    rounded_down,
    with_prior,
)
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction, State

ALL_RESIZE_MODES = (*RESIZE_MODES, "modnet", "native")
RANGES = ((0, 1), (0, 255))
# an interpolation inside a network may overshoot so far
OVERSHOOT = 0.02


class OnnxSegmenter(Segmenter):
    """Runs anybody's network by ONNX Runtime or OpenVINO on the CPU, one picture at a time.

    Args:
        file: the ONNX file; None, where nothing named one, is refused.
        size: side in pixels, see `resize_mode`; None = the file's own where it is fixed.
        resize_mode: `stretch`: size x size, or the file's own; `shortest_edge`: the shorter side becomes
            `size`, the longer one at most 8 `size`; `modnet`: the same, but a picture with one side below and
            one above keeps its size (ZHKKKe/MODNet, onnx/inference_onnx.py); `native`: always its own size.
        multiple: both sides are rounded down to a multiple of it, except with `stretch`.
        mean, std: per channel in the network's own order, on values in `range`: (x - mean) / std.
        divide_by_max: first divide each picture by its own maximum (U2Net).
        range: (0, 1) or (0, 255), the values before `mean` and `std`; None: (0, 255) where the file takes
            whole numbers, which are given as they are, else (0, 1).
        channels: `rgb` or `bgr`.
        layout, input, output: see OnnxGraph.
        activation: of the output, to a probability: `none`, `sigmoid`, or `softmax` over its channels.
        class_index: the channel that is the foreground, None where there is one only; of an output of whole
            numbers, a class for each pixel, the foreground's number.
        output_range: (0, 1) or (0, 255), what the output spans behind `activation`; None: (0, 255) where it
            is of 8-bit numbers, or the first picture's values say so in which anything is found, else (0, 1).
        postprocess: `none`, or `minmax`: stretch each picture's alpha to [0, 1].
        resample: `bilinear` or `area`, both ways.
        prior: whether the file takes a fourth channel, the alpha that it gave for the frame before, or 0.
        threads: of the runtime; None = as many as torch has.
        runtime: `onnx` (ONNX Runtime, also None) or `openvino`: what runs the file.
        constants, states: of further inputs, see `onnx_inputs.told_apart`. What an output gives back to the
            next frame is remembered along a clip.

    Attributes:
        file: as given; its content decides the result. feed: how it is fed, in words and numbers.

    Raises:
        ConfigError: an option is out of range or contradicts the file; the runtime is not installed.
        WeightsError: the file cannot be used.
    """

    def __init__(
        self,
        file: str | Path | None,
        size: int | None = None,
        resize_mode: str = "stretch",
        multiple: int = 1,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        divide_by_max: bool = False,
        range: Sequence[float] | None = None,  # noqa: A002  # the user's key
        channels: str = "rgb",
        layout: str = "auto",
        input: str | None = None,  # noqa: A002  # the user's key
        output: str | int | None = None,
        activation: str = "none",
        class_index: int | None = None,
        output_range: Sequence[float] | None = None,
        postprocess: str = "none",
        resample: str = "bilinear",
        prior: bool = False,
        threads: int | None = None,
        constants: Mapping[str, Constant] | None = None,
        states: Mapping[str, str] | None = None,
        runtime: str | None = None,
    ) -> None:
        super().__init__()
        if file is None:
            raise ConfigError(
                "model.file has no value: add model.file=NETWORK.onnx, or weights=ID where the task takes "
                "weights (task=weights lists the ids)."
            )
        resize_mode = current_resize_mode(resize_mode)
        self.resize_mode = require_choice("model.resize_mode", resize_mode, ALL_RESIZE_MODES)
        self.channels = require_choice("model.channels", channels, ("rgb", "bgr"))
        self.activation = require_choice("model.activation", activation, ("none", "sigmoid", "softmax"))
        self.postprocess = require_choice("model.postprocess", postprocess, ("none", "minmax"))
        require_choice("model.resample", resample, ("bilinear", "area"))
        if activation == "softmax" and class_index is None:
            raise ConfigError(
                "model.activation=softmax needs model.class_index, the channel of the foreground."
            )
        if multiple < 1:
            raise ConfigError(f"model.multiple={multiple} must be at least 1.")
        self.class_index = class_index
        self.multiple = multiple
        self.file = Path(file)
        self._open = partial(
            OnnxGraph, self.file, input, output, layout, 3 + prior, constants=constants, states=states
        )
        self.threads = threads
        self.graph = self._open(threads=threads, runtime=runtime or ONNX_RUNTIME)
        if prior and self.graph.recurrent:
            raise ConfigError(f"{file} remembers frames by itself: leave model.prior away.")
        self.prior = prior
        self.stateful = prior or self.graph.recurrent
        self.size = size
        self._stretched = stretched_size(resize_mode, size, multiple, self.graph.fixed, self.file)
        self._scaled: InputSpec | None = None
        if size is not None and self._stretched is None:
            self._scaled = InputSpec(size, "shortest_edge", multiple)
        span = (0, 255) if range is None and self.graph.whole_numbers else range or (0, 1)
        self._values = value_spec(mean, std, span, divide_by_max, resample)
        self.feed = Feed(
            given=self.graph.input,
            size=self._size_in_words(),
            span=float(span[1]),
            mean=tuple(mean),
            std=tuple(std),
            peak=divide_by_max,
            channels=channels,
            layout=self.graph.layout,
            dtype=np.dtype(self.graph.dtype).name,
            output=self.graph.output,
            outputs=self.graph.outputs,
        )
        if self.graph.whole_numbers:
            _require_levels(self.file, self._values, span)
        self._white = white_of(output_range, self.graph.kind)
        # whether pictures have decided that it spans 0 to 1
        self._guessed = False
        self._warned_range = False

    def _size_in_words(self) -> str:
        if self._stretched is not None:
            height, width = self._stretched
            return f"{width}x{height} px, stretched"
        if self.size is None:
            return "each image's own size" + (f", in multiples of {self.multiple}" * (self.multiple > 1))
        kept = ", unless that lies between the sides" if self.resize_mode == "modnet" else ""
        return f"shorter side {self.size} px{kept}"

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which a picture of the given size goes through the network."""
        if self._stretched is not None:
            return self._stretched
        if self._scaled is None or self._keeps_size(height, width):
            return rounded_down(height, self.multiple), rounded_down(width, self.multiple)
        return self._scaled.input_size(height, width)

    def run_by(self, runtime: str) -> "OnnxSegmenter":
        """The same method, its file opened anew by a runtime, see the class."""
        other = copy.copy(self)
        other.graph = self._open(threads=self.threads, runtime=runtime)
        return other

    def _keeps_size(self, height: int, width: int) -> bool:
        if self.resize_mode == "modnet" and self.size is not None:
            return min(height, width) <= self.size <= max(height, width)
        return self.resize_mode == "native"

    @torch.no_grad()
    def predict(self, *inputs: Tensor, state: State | None = None) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; the graph runs on the CPU wherever the images are.

        State is, with `prior`, the alphas before, (1, 1, h, w) each at the input size; of a recurrent network
        what it gives back, picture after picture.

        Raises:
            ConfigError: the network refuses this size, or `class_index` or `output_range` does not fit.
            WeightsError: the output is no map of the picture, or not finite.
        """
        image = inputs[0]
        kept = _split(state, len(image))
        found = [
            self._foreground_of(picture[None].float().cpu(), before)
            for picture, before in zip(image, kept, strict=True)
        ]
        height, width = int(image.shape[-2]), int(image.shape[-1])
        alphas = [self._values.postprocess(self._spread(alpha), height, width) for alpha, _ in found]
        carried = tuple(chain.from_iterable(following for _, following in found)) if self.stateful else None
        return Prediction(torch.cat(alphas).to(image.device), state=carried)

    def prepared(self, image: Tensor, prior: Tensor | None = None) -> Tensor:
        """(1, 3, H, W) in [0, 1] -> (1, 3, h, w) as the graph takes it; (1, 4, h, w) with a prior, else 0."""
        if self.channels == "bgr":
            image = image.flip(1)
        size = self.input_size(int(image.shape[-2]), int(image.shape[-1]))
        given = self._values.normalise(resize(image, size, self._values.resample))
        return with_prior(given, prior) if self.prior else given

    def _foreground_of(self, image: Tensor, before: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """(1, 1, h, w) alpha of one picture, and what is kept of it."""
        if self.prior:
            maps = self.graph.run(self.prepared(image, before[0] if before else None)[0].numpy()).maps
            alpha = self._foreground(torch.from_numpy(maps)[None])
            return alpha, (alpha,)
        found = self.graph.run(self.prepared(image)[0].numpy(), [kept.numpy() for kept in before])
        alpha = self._foreground(torch.from_numpy(found.maps)[None])
        return alpha, tuple(torch.from_numpy(kept) for kept in found.state)

    def _spread(self, alpha: Tensor) -> Tensor:
        return minmax(alpha) if self.postprocess == "minmax" else alpha

    def _foreground(self, maps: Tensor) -> Tensor:
        """(1, C, h, w) output -> (1, 1, h, w) alpha."""
        count = maps.shape[1]
        numbered = self.graph.kind == CLASSES or (self.graph.kind == LEVELS and self.class_index is not None)
        if numbered and count == 1:
            return self._of_class(maps)
        index = 0 if self.class_index is None and count == 1 else self.class_index
        if index is None or not 0 <= index < count:
            raise ConfigError(
                f"The output of {self.file} has {count} channels, but model.class_index={self.class_index}; "
                f"set it to the foreground's, 0 to {count - 1}."
            )
        if self.activation == "softmax":
            return maps.softmax(dim=1)[:, index : index + 1]
        chosen = maps[:, index : index + 1]
        if self.activation == "sigmoid":
            return chosen.sigmoid()
        return self._to_share(chosen)

    def _of_class(self, maps: Tensor) -> Tensor:
        """(1, 1, h, w) class numbers -> 1 where they are the foreground's."""
        if self.class_index is None:
            seen = ", ".join(f"{number:g}" for number in sorted(set(maps.flatten().tolist()))[:10])
            raise ConfigError(
                f"The output of {self.file} holds whole numbers ({seen} in this image), a class for each "
                "pixel: set model.class_index to the foreground's."
            )
        return (maps == self.class_index).float()

    def _to_share(self, alpha: Tensor) -> Tensor:
        """Values as the file gives them -> [0, 1]; where nothing else does, the first that is not 0 decides.

        Raises:
            ConfigError: what pictures before have decided does not fit this one.
        """
        low, high = float(alpha.min()), float(alpha.max())
        # minmax brings any range to [0, 1]
        if self.postprocess == "minmax":
            return alpha
        levels = low >= -OVERSHOOT and 2 < high <= 255 + OVERSHOOT
        if self._guessed and levels:
            raise ConfigError(
                f"The output of {self.file} reaches {high:.3g}, and for images before it was within "
                "0 to 1: set model.output_range=[0,255] if these are levels, or [0,1]."
            )
        white = self._white
        if white is None:
            white = 255.0 if levels else 1.0
            if levels:
                self._warn(f"reaches {high:.3g} and is taken as levels of 0 to 255 (model.output_range)")
            # where nothing is found both are right
            if high > OVERSHOOT or low < -OVERSHOOT:
                self._white, self._guessed = white, not levels and low >= -OVERSHOOT
        if low < -OVERSHOOT or high > white * (1 + OVERSHOOT):
            self._warn(
                f"reaches from {low:.3g} to {high:.3g}; it is cut off to [0, {white:g}]. If these are "
                "logits, set model.activation=sigmoid or softmax; if these are levels, "
                "model.output_range=[0,255]"
            )
        return alpha / white

    def _warn(self, words: str) -> None:
        if not self._warned_range:
            self._warned_range = True
            warnings.warn(f"The output of {self.file} {words}.", stacklevel=2)


def told_of(segmenter: Segmenter, typed: Iterable[str] = ()) -> list[str]:
    """How a network of others is fed, and a hint where its normalisation seems to be missing; lines to print.

    Args:
        segmenter: any method; of all but `OnnxSegmenter` there is nothing to say. typed: keys of the command.
    """
    if not isinstance(segmenter, OnnxSegmenter):
        return []
    found = hint(segmenter.file, segmenter.feed, typed)
    return [segmenter.feed.described(segmenter.file), *([found] if found else [])]


def white_of(span: Sequence[float] | None, kind: str) -> float | None:
    """The output's value for the foreground, 1 or 255; None where neither the command nor the file says it.

    Raises:
        ConfigError: `span` is neither (0, 1) nor (0, 255).
    """
    if span is not None and tuple(span) not in RANGES:
        raise ConfigError(f"model.output_range={list(span)} is not a choice; it is [0,1] or [0,255].")
    if span is not None:
        return float(span[1])
    return {LEVELS: 255.0, MASK: 1.0}.get(kind)


def _require_levels(file: Path, values: InputSpec, span: Sequence[float]) -> None:
    plain = InputSpec(1, multiple=1, mean=(0.0, 0.0, 0.0), std=(1 / 255,) * 3)
    if (
        tuple(span) != (0, 255)
        or values.divide_by_max
        or (values.mean, values.std) != (plain.mean, plain.std)
    ):
        raise ConfigError(
            f"{file} takes whole numbers, the levels 0 to 255: leave model.range, model.mean, model.std and "
            "model.divide_by_max away, as the network has them inside."
        )


def _split(state: State | None, count: int) -> list[Sequence[Tensor]]:
    """What is kept of each of so many pictures."""
    if not state:
        return [()] * count
    each = len(state) // count
    return [state[number * each : (number + 1) * each] for number in range(count)]


def stretched_size(
    resize_mode: str, size: int | None, multiple: int, fixed: tuple[int | None, int | None], file: Path
) -> tuple[int, int] | None:
    """(height, width) at which every picture goes through the network with `stretch`, else None.

    Raises:
        ConfigError: size, resize mode and the sides that the file fixes contradict each other.
    """
    taken = "x".join("any" if side is None else str(side) for side in fixed[::-1])
    if fixed != (None, None) and resize_mode != "stretch":
        raise ConfigError(f"{file} takes images of {taken} px only: set model.resize_mode=stretch.")
    if size is None and None in fixed and resize_mode != "native":
        sides = "any size" if fixed == (None, None) else f"{taken} px"
        raise ConfigError(f"{file} takes images of {sides}: set model.size to the side it was made for.")
    wanted = {side for side in fixed if side is not None and size is not None and side != size}
    if wanted:
        right = str(fixed[0]) if fixed[0] == fixed[1] else "null" if None not in fixed else str(min(wanted))
        raise ConfigError(
            f"{file} takes images of {taken} px, not model.size={size}: set model.size={right}."
        )
    if size is not None and None in fixed and (size < 1 or size % multiple):
        raise ConfigError(f"model.size={size} must be a positive multiple of model.multiple={multiple}.")
    if resize_mode != "stretch":
        return None
    height, width = (side or size for side in fixed)
    assert height is not None
    assert width is not None
    return height, width


def value_spec(
    mean: Sequence[float], std: Sequence[float], span: Sequence[float], divide_by_max: bool, resample: str
) -> InputSpec:
    """How values in [0, 1] become a network's, as an InputSpec whose size means nothing.

    Raises:
        ConfigError: `span` is neither (0, 1) nor (0, 255), or mean and std are not 3 numbers each.
    """
    if tuple(span) not in RANGES:
        raise ConfigError(f"model.range={list(span)} is not a choice; it is [0,1] or [0,255].")
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ConfigError("model.mean and model.std hold 3 numbers each, those of std above 0.")
    top = float(span[1])
    # (top x - mean) / std = (x - mean / top) / (std / top)
    means, stds = ((values[0] / top, values[1] / top, values[2] / top) for values in (mean, std))
    return InputSpec(1, multiple=1, mean=means, std=stds, divide_by_max=divide_by_max, resample=resample)
