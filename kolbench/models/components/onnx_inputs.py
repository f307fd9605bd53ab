"""What an ONNX graph is given beside the picture: what it remembers from frame to frame, and constants."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kolbench.errors import ConfigError, WeightsError, nearest

NUMBER_TYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
# how the name of what goes in becomes that of what comes out, by which exporters pair them
_PAIRED_NAMES = (
    ("i", "o"),
    ("_in", "_out"),
    ("in", "out"),
    ("input", "output"),
    ("prev", "next"),
    ("past", "present"),
    ("0", "n"),
    ("", "_out"),
    ("", "n"),
)
# of a constant that depends on the picture: at most 1, and so many pixels for its longer side
LONGEST = "longest"

Constant = float | Mapping[str, float]
Values = npt.NDArray[Any]


@dataclass(frozen=True)
class OnnxInputs:
    """The inputs of a graph that takes one picture.

    picture: the node of the picture. states: name of what is given -> name of the output that is given back
    for the next frame. shapes, types: of these and of the constants. constants: name -> value, or
    `{longest: N}` for min(1, N / longer side).
    """

    picture: Any
    states: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, type[np.generic]]
    constants: Mapping[str, Constant]

    def beside(self, height: int, width: int, state: Sequence[Values]) -> dict[str, Values]:
        """What is given beside a picture of that size.

        Args:
            height, width: of the picture as it is given. state: in the order of `states`; () = zeros.
        """
        given: dict[str, Values] = dict(zip(self.states, state, strict=True)) if state else {}
        for name in self.states:
            if name not in given:
                given[name] = np.zeros(self.shapes[name], self.types[name])
        for name, constant in self.constants.items():
            value = _value_of(constant, height, width)
            given[name] = np.full(self.shapes[name], value, self.types[name])
        return given


def told_apart(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    picture: str | None,
    constants: Mapping[str, Constant],
    states: Mapping[str, str],
    file: object,
) -> OnnxInputs:
    """Says which input is the picture, which ones come back, and which ones are constants.

    Args:
        inputs, outputs: ONNX Runtime's nodes.
        picture: name of the input that is the picture; None = the only one, or the first with four axes, one
            that no output is called after where there is one.
        constants: name of an input -> its value.
        states: name of an input -> name of the output that it becomes; others are paired by their names, such
            as r1i and r1o.
        file: named in errors.

    Raises:
        ConfigError: a name is unknown, or a constant is no number that the input holds.
        WeightsError: an input is neither, or holds no numbers.
    """
    names, taken = [node.name for node in inputs], [node.name for node in outputs]
    if not isinstance(constants, Mapping) or not isinstance(states, Mapping):
        raise ConfigError("model.constants and model.states are mappings, such as {downsample_ratio: 0.25}.")
    for key, given in (("constants", constants), ("states", states)):
        for name in given:
            if name not in names:
                raise ConfigError(unknown(key, name, names, file))
    for name in states.values():
        if name not in taken:
            raise ConfigError(unknown("states", name, taken, file))
    chosen = _picture(inputs, picture, {*constants, *states}, taken, file)
    others = [node for node in inputs if node is not chosen and node.name not in constants]
    paired = {node.name: states.get(node.name) or _paired(node.name, taken) for node in others}
    lost = [name for name, output in paired.items() if output is None]
    if lost:
        raise WeightsError(
            f"{file} needs {', '.join(lost)} beside the image {chosen.name}. Say what they are: "
            f"model.constants={{{lost[0]}: 1.0}} for a number that stays the same, or "
            f"model.states={{{lost[0]}: OUTPUT}} for what an output of one frame gives to the next; its "
            f"outputs are {', '.join(taken)}."
        )
    beside = [node for node in inputs if node is not chosen]
    types = {node.name: number_type(node, file) for node in beside}
    for name, constant in constants.items():
        _require_constant(name, constant, types.get(name, np.float32))
    shapes = {node.name: [side if isinstance(side, int) else 0 for side in node.shape] for node in beside}
    return OnnxInputs(
        chosen,
        {name: output for name, output in paired.items() if output is not None},
        {name: tuple(max(side, 1) for side in shape) for name, shape in shapes.items()},
        types,
        dict(constants),
    )


def number_type(node: Any, file: object) -> type[np.generic]:
    """The numpy type of an input.

    Raises:
        WeightsError: it holds no numbers that can be given.
    """
    if node.type not in NUMBER_TYPES:
        raise WeightsError(
            f"{file} takes {node.type} as {node.name}, but it is given as numbers in a tensor, of type "
            f"{', '.join(name[7:-1] for name in NUMBER_TYPES)}."
        )
    return NUMBER_TYPES[node.type]


def unknown(key: str, name: object, names: Sequence[str], file: object) -> str:
    """What is said of a name that a file does not have."""
    hint = nearest(str(name), names)
    given = f"{{{hint}: ...}}" if key in ("constants", "states") else hint
    meant = f" Did you mean model.{key}={given}?" if hint else ""
    return f"{file} has no {key} model.{key}={name}; it has {', '.join(names)}.{meant}"


def _require_constant(name: str, constant: object, kind: type[np.generic]) -> None:
    """Refuses what is no number, or no whole number where the input holds whole ones."""
    varies = isinstance(constant, Mapping) and set(constant) == {LONGEST}
    value = constant[LONGEST] if isinstance(constant, Mapping) and varies else constant
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(
            f"model.constants={{{name}: {constant}}} is not a choice: give a number, or {{{LONGEST}: N}} for "
            "N / longer side, at most 1."
        )
    if varies and value <= 0:
        raise ConfigError(f"model.constants={{{name}: {constant}}}: {LONGEST} is in pixels, 1 at least.")
    if issubclass(kind, np.integer) and (varies or value != int(value)):
        raise ConfigError(f"model.constants={{{name}: {constant}}}: the file takes whole numbers as {name}.")


def _picture(
    inputs: Sequence[Any], name: str | None, others: set[str], outputs: Sequence[str], file: object
) -> Any:
    names = [node.name for node in inputs]
    if name is not None:
        if name not in names:
            raise ConfigError(unknown("input", name, names, file))
        return inputs[names.index(name)]
    left = [node for node in inputs if node.name not in others]
    if not left:
        raise WeightsError(f"{file} has no input for the image.")
    # states of recurrent networks have four axes too, but outputs of their name, or stand behind the picture
    maps = [node for node in left if len(node.shape) == 4] or left[:1]
    return next((node for node in maps if _paired(node.name, outputs) is None), maps[0])


def _paired(name: str, outputs: Sequence[str]) -> str | None:
    for before, after in _PAIRED_NAMES:
        if name.endswith(before):
            candidate = name.removesuffix(before) + after
            if candidate in outputs and candidate != name:
                return candidate
    return None


def _value_of(constant: Constant, height: int, width: int) -> float:
    if isinstance(constant, Mapping):
        return min(1.0, float(constant[LONGEST]) / max(height, width))
    return float(constant)
