"""Anybody's network as an ONNX file: opened with checks, run by ONNX Runtime or OpenVINO on the CPU."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from kolbench.errors import ConfigError, WeightsError, first_sentence, nearest, require_choice
from kolbench.io.stand_ins import PAGE, stand_in
from kolbench.models.components.onnx_inputs import Constant, Values, number_type, told_apart, unknown
from kolbench.models.components.openvino_session import OpenVinoSession
from kolbench.types import Float32Array

ONNX_RUNTIME, OPENVINO = "onnx", "openvino"
RUNTIMES = (ONNX_RUNTIME, OPENVINO)

LAYOUTS = ("auto", "nchw", "nhwc")
# what an output holds: probabilities or logits; levels of 0 to 255; a class for each pixel; a mask
VALUES, LEVELS, CLASSES, MASK = "values", "levels", "classes", "mask"
_KINDS = {
    "tensor(float)": VALUES,
    "tensor(float16)": VALUES,
    "tensor(double)": VALUES,
    "tensor(uint8)": LEVELS,
    "tensor(bool)": MASK,
}


class Found(NamedTuple):
    """What a graph gave: maps (C, h, w) float32, and what it is given back with the next frame."""

    maps: Float32Array
    state: tuple[Values, ...]


class OnnxGraph:
    """A network that takes one RGB picture, perhaps with the alpha of the frame before or what it remembers.

    Nothing but the graph is executed: no libraries of custom operators are loaded.

    Args:
        file: the ONNX file; weights that it keeps in files of their own are found beside it.
        input_name: of the picture; None = the only input, or the first with four axes.
        output: name or position of the output that is used; None = the first.
        layout: `nchw`, `nhwc`, or `auto`: `nhwc` where only the file's last axis has `channels` entries.
        channels: 3, or 4 with the alpha of the frame before.
        threads: None = as many as torch has when it is opened.
        constants, states: of the other inputs, see `onnx_inputs.told_apart`.
        runtime: one of RUNTIMES: what runs it.

    Attributes:
        fixed: (height, width) that the file takes; None for a side that is free.
        dtype, whole_numbers: numpy's type of what it takes, and whether these are whole numbers.
        input, output: names of what takes the picture, and of the output that is used. outputs: names of all.
        kind: what its output holds by its type: `values`, `levels`, `classes` or `mask`.
        recurrent: whether it is given back what it gave for the frame before.

    Raises:
        ConfigError: the runtime is not installed, or no such input, output, layout or runtime.
        WeightsError: the file is missing, is no ONNX file, or its network takes something else.
    """

    def __init__(
        self,
        file: str | Path,
        input_name: str | None = None,
        output: str | int | None = None,
        layout: str = "auto",
        channels: int = 3,
        threads: int | None = None,
        constants: Mapping[str, Constant] | None = None,
        states: Mapping[str, str] | None = None,
        runtime: str = ONNX_RUNTIME,
    ) -> None:
        self.file = Path(file)
        require_choice("model.layout", layout, LAYOUTS)
        require_choice("backend", runtime, RUNTIMES)
        self._session = _open(self.file, threads or torch.get_num_threads(), runtime)
        outputs = self._session.get_outputs()
        self._inputs = told_apart(
            self._session.get_inputs(), outputs, input_name, constants or {}, states or {}, self.file
        )
        node = self._inputs.picture
        self.input = node.name
        self.dtype = number_type(node, self.file)
        self.whole_numbers = issubclass(self.dtype, np.integer)
        self.outputs = tuple(o.name for o in outputs)
        self.output = _chosen_output(list(self.outputs), output, self.file)
        self.kind = next(_KINDS.get(o.type, CLASSES) for o in outputs if o.name == self.output)
        self.recurrent = bool(self._inputs.states)
        sizes = [side if isinstance(side, int) and side > 0 else None for side in node.shape]
        self.layout = _layout(sizes, layout, channels, self.file)
        self.fixed = (sizes[2], sizes[3]) if self.layout == "nchw" else (sizes[1], sizes[2])
        self._releasing = False

    @contextmanager
    def releasing(self) -> Iterator[None]:
        """Within it every run hands back the memory that it took, which runtimes keep for the next run."""
        self._releasing = True
        try:
            yield
        finally:
            self._releasing = False

    def run(self, picture: Float32Array, state: Sequence[Values] = ()) -> Found:
        """Runs the graph on one picture.

        Args:
            picture: (channels, h, w) float32, normalised. state: what it gave for the frame before; () = at a
                clip's beginning zeros, of one entry where a file leaves a side free.

        Returns:
            Maps (C, h', w'), h' : w' as h : w, and the state for the next frame.

        Raises:
            ConfigError: the network refuses this size.
            WeightsError: its output is no map of the picture, or not finite.
        """
        height, width = picture.shape[1:]
        given = {self._inputs.picture.name: self._given(picture), **self._inputs.beside(height, width, state)}
        try:
            values, *carried = self._computed([self.output, *self._inputs.states.values()], given)
        except Exception as error:  # ONNX Runtime's errors have no common class
            raise ConfigError(
                f"{self.file} fails on an image of {width}x{height} px: {first_sentence(error)} "
                "Set model.size, model.multiple (many networks need 32), model.resize_mode or model.layout."
            ) from error
        found = self._as_maps(values, height, width)
        if not np.isfinite(found).all():
            raise WeightsError(
                f"The output {self.output} of {self.file} is not finite; check model.range, model.mean and "
                "model.std, or export the network in float32."
            )
        return Found(found, tuple(carried))

    def run_batch(self, pictures: Float32Array) -> Values:
        """The output as it is for several pictures at once, (B, channels, h, w) float32, normalised.

        For files whose batch is free, that lay pictures so and remember nothing; others raise what the
        runtime does.
        """
        given = {self._inputs.picture.name: np.ascontiguousarray(pictures, self.dtype)}
        (values,) = self._computed([self.output], given)
        return np.asarray(values)

    def _computed(self, outputs: Sequence[str], given: Mapping[str, Any]) -> Sequence[Any]:
        run = _run_and_release if self._releasing else _run
        return run(self._session, outputs, given)

    def _given(self, picture: Float32Array) -> Any:
        values = picture[None] if self.layout == "nchw" else picture.transpose(1, 2, 0)[None]
        if self.whole_numbers:
            values = np.clip(np.rint(values), 0, 255)
        return np.ascontiguousarray(values, self.dtype)

    def _as_maps(self, values: Any, height: int, width: int) -> Float32Array:
        array = np.asarray(values)
        readings: list[Any] = []
        if array.ndim == 4 and len(array) == 1:
            readings = [array[0], array[0].transpose(2, 0, 1)]
            if self.layout == "nhwc":
                readings.reverse()
        elif array.ndim == 2 or (array.ndim == 3 and len(array) == 1):
            readings = [array.reshape(1, *array.shape[-2:])]
        for maps in readings:
            # whole strides round each side by less than a pixel
            differ = abs(maps.shape[1] / height - maps.shape[2] / width)
            is_map = maps.shape[1] * maps.shape[2] > 1 or height * width == 1
            if is_map and differ <= 1 / height + 1 / width:
                return np.ascontiguousarray(maps, np.float32)
        names = ", ".join(self.outputs)
        raise WeightsError(
            f"The output {self.output} of {self.file} is {array.shape}, but a map of the image is "
            f"(1, C, {height}, {width}) or smaller in proportion. Choose model.output among {names}."
        )


def _open(file: Path, threads: int, runtime: str) -> Any:
    """A session on the CPU."""
    if not file.is_file():
        siblings = [p.name for p in file.parent.glob("*.onnx")] if file.parent.is_dir() else []
        hint = nearest(file.name, siblings)
        meant = f" Did you mean {file.parent / hint}?" if hint else ""
        raise WeightsError(f"There is no file model.file={file}.{meant}")
    with file.open("rb") as opened:
        instead = stand_in(opened.read(512))
    if instead:
        page = "it is a web page; download the file itself, not the page that shows it"
        raise WeightsError(f"{file} is no ONNX network: {page if instead == PAGE else instead}.")
    try:
        return OpenVinoSession(file, threads) if runtime == OPENVINO else _onnx_session(file, threads)
    except ConfigError:
        raise
    except Exception as error:  # the runtimes' errors have no common class
        raise WeightsError(
            f"{file} cannot be opened as an ONNX network: {first_sentence(error)} Give a file that "
            "torch.onnx.export or another exporter wrote, with standard operators."
        ) from error


def _onnx_session(file: Path, threads: int) -> Any:
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(
            'model.file needs ONNX Runtime, which is not installed: pip install "kolbench[onnx]".'
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # waiting threads leave the cores to whoever works
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _run(session: Any, outputs: Sequence[str], given: Mapping[str, Any]) -> Sequence[Any]:
    found: Sequence[Any] = session.run(outputs, given)
    return found


def _run_and_release(session: Any, outputs: Sequence[str], given: Mapping[str, Any]) -> Sequence[Any]:
    if isinstance(session, OpenVinoSession):
        found = session.run(outputs, given)
        session.release()
        return found
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    kept: Sequence[Any] = session.run(outputs, given, options)
    return kept


def _chosen_output(names: list[str], output: str | int | None, file: Path) -> str:
    if output is None:
        return names[0]
    # names such as 1959 reach us as numbers
    if str(output) in names:
        return str(output)
    if isinstance(output, int) and 0 <= output < len(names):
        return names[output]
    raise ConfigError(unknown("output", output, names, file))


def _layout(sizes: list[int | None], layout: str, wanted: int, file: Path) -> str:
    shape = "(" + ", ".join("?" if side is None else str(side) for side in sizes) + ")"
    if len(sizes) != 4 or sizes[0] not in (None, 1):
        raise WeightsError(
            f"{file} takes {shape}, but one image is (1, {wanted}, H, W); export it with a batch of 1 or any."
        )
    if layout == "auto":
        layout = "nhwc" if sizes[3] == wanted and sizes[1] != wanted else "nchw"
    channels = sizes[1] if layout == "nchw" else sizes[3]
    if channels not in (None, wanted):
        raise WeightsError(
            f"{file} takes {shape}, read as {layout} with {channels} channels; an image has {wanted}. "
            "If the axes lie otherwise, set model.layout; with the alpha of the frame before as a fourth "
            "channel, model.prior=true."
        )
    return layout
