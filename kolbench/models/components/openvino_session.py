"""An ONNX file opened by OpenVINO on the CPU, with those methods of ONNX Runtime's session that are used."""

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kolbench.errors import ConfigError

# OpenVINO's words for what ONNX Runtime calls the type of an input or output
_TYPES = {
    "f32": "tensor(float)",
    "f16": "tensor(float16)",
    "f64": "tensor(double)",
    "u8": "tensor(uint8)",
    "u16": "tensor(uint16)",
    "i32": "tensor(int32)",
    "i64": "tensor(int64)",
    "boolean": "tensor(bool)",
}


class Node(NamedTuple):
    """An input or output. shape: numbers, None for a side that is free."""

    name: str
    type: str
    shape: list[int | None]


class OpenVinoSession:
    """Runs an ONNX file by OpenVINO, in float32, for the shortest time of one run.

    Processors with bfloat16 would else be used with it, and alphas would differ by more than 1e-3.

    Args:
        file: the ONNX file. threads: at most so many.

    Raises:
        ConfigError: OpenVINO is not installed.
        RuntimeError: it cannot read the file.
    """

    def __init__(self, file: Path, threads: int) -> None:
        core = _core()
        self._compiled = core.compile_model(
            core.read_model(str(file)),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                # other programs may use the cores too
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = self._compiled.create_infer_request()

    def get_inputs(self) -> list[Node]:
        """In the file's order."""
        return [_node(port) for port in self._compiled.inputs]

    def get_outputs(self) -> list[Node]:
        """In the file's order."""
        return [_node(port) for port in self._compiled.outputs]

    def run(self, outputs: Sequence[str], given: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """The named outputs, copied out of OpenVINO's memory, which the next run writes into."""
        self._request.infer(dict(given))
        return [np.array(self._request.get_tensor(name).data) for name in outputs]

    def release(self) -> None:
        """Hands back the memory of what the network computes on its way; the next run takes it anew."""
        self._compiled.release_memory()


@cache
def _core() -> Any:
    """One for the process: its libraries stay loaded, as other code may hold on to them."""
    # else it tells others that it is used, from a fork of this process, which may end it
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # so that it cannot be imported
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            'backend=openvino needs OpenVINO, which is not installed: pip install "kolbench[openvino]".'
        ) from error
    return openvino.Core()


def _node(port: Any) -> Node:
    kind = port.get_element_type().get_type_name()
    sides = [None if side.is_dynamic else side.get_length() for side in port.get_partial_shape()]
    return Node(port.get_any_name(), _TYPES.get(kind, f"tensor({kind})"), sides)
