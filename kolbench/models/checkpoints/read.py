"""Reading and fitting checkpoints: plain tensors only, and a message for everything that can be wrong."""

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kolbench.errors import WeightsError
from kolbench.types import JsonObject

COUNTER = "num_batches_tracked"
PARALLEL_PREFIX = "module."


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, on the CPU; no code in the file is ever executed.

    Reads what `torch.save` wrote (any version) and, with the safetensors package, `.safetensors`. The
    tensors may lie at the top, under `state_dict` or under `model`; the `module.` of nn.DataParallel is taken
    off.

    Raises:
        WeightsError: the file is missing, empty, damaged, no checkpoint, or holds more than plain data.
    """
    path = Path(path)
    _require_content(path)
    loaded = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if isinstance(loaded, Mapping):
        loaded = _inner(loaded)
    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError(f"{path} holds no state dict (named tensors) but {_kind(loaded)}.")
    strange = [str(name) for name, value in loaded.items() if not isinstance(value, Tensor)]
    if strange:
        raise WeightsError(
            f"{path} holds more than named tensors ({_some(strange)}); save network.state_dict() instead."
        )
    return {str(name).removeprefix(PARALLEL_PREFIX): tensor for name, tensor in loaded.items()}


def read_model_settings(path: str | Path) -> JsonObject | None:
    """The `model` group that a checkpoint of ours carries; None for any other checkpoint.

    Raises:
        WeightsError: as in `read_state_dict`.
    """
    path = Path(path)
    _require_content(path)
    loaded = None if path.suffix == ".safetensors" else _read_torch(path)
    model = loaded.get("model") if isinstance(loaded, Mapping) else None
    return dict(model) if isinstance(model, Mapping) and "name" in model else None


def load_state_strict(
    network: nn.Module, state: Mapping[str, Tensor], heads: Iterable[str] = ()
) -> list[str]:
    """Loads tensors into a network, strictly except for training-only heads that are missing altogether.

    A warning names those heads.
    Batch norm counters that old files lack start at 0; they play no part in the network's output.

    Args:
        network: changed only if everything fits.
        state: named tensors, as `read_state_dict` gives them.
        heads: names of sub-modules that are needed in training only.

    Returns:
        The heads that `state` does not hold; they keep their present values.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape; names the first few.
    """
    own = network.state_dict()
    lacking = [head for head in heads if _holds(own, head) and not _holds(state, head)]
    optional = tuple(f"{head}." for head in lacking)
    absent = [name for name in own if name not in state and not name.startswith(optional)]
    problems = {
        "missing": [name for name in absent if not name.endswith(COUNTER)],
        "unknown": [name for name in state if name not in own],
        "of another shape": [
            f"{name} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
            for name, tensor in state.items()
            if name in own and tensor.shape != own[name].shape
        ],
    }
    found = [f"{len(names)} {what}: {_some(names)}" for what, names in problems.items() if names]
    if found:
        raise WeightsError(
            f"The checkpoint does not fit {type(network).__name__} ({'; '.join(found)}). Give the file of "
            "this method, with the model settings it was trained with."
        )
    counters = {name: torch.zeros_like(own[name]) for name in absent}
    network.load_state_dict({**own, **counters, **state})
    if lacking:
        warnings.warn(
            f"The checkpoint lacks {', '.join(lacking)}, which only training needs: prediction is complete, "
            "further training starts these heads from their present weights.",
            stacklevel=2,
        )
    return lacking


def _inner(loaded: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the tensors lie; our own checkpoints have settings, no tensors, under `model`."""
    state, model = loaded.get("state_dict"), loaded.get("model")
    if isinstance(state, Mapping):
        return state
    if isinstance(model, Mapping) and any(isinstance(value, Tensor) for value in model.values()):
        return model
    return loaded


def _holds(state: Mapping[str, Tensor], head: str) -> bool:
    return any(name.startswith(f"{head}.") for name in state)


def _require_content(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"There is no checkpoint file {path}; check the path.")
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if not head:
        raise WeightsError(f"{path} is empty; download or copy it again.")
    if head.startswith(b"<"):
        raise WeightsError(
            f"{path} is a web page, not a checkpoint: the download was answered by an error or consent "
            "page. Download the file itself."
        )


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is damaged or holds Python objects besides tensors; such objects could run code and "
            "are never loaded. Get it again, or save network.state_dict() alone from a program you trust."
        ) from error
    except Exception as error:  # torch names damage in many ways: EOFError, RuntimeError, KeyError, ...
        raise WeightsError(
            f"{path} is damaged or is no PyTorch checkpoint ({type(error).__name__}); get it again."
        ) from error


def _read_safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise WeightsError(f"{path} needs the safetensors package: pip install safetensors.") from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged or is no safetensors file; get it again.") from error


def _kind(loaded: Any) -> str:
    return "nothing" if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"


def _some(names: list[str], count: int = 3) -> str:
    more = f", ... ({len(names) - count} more)" if len(names) > count else ""
    return ", ".join(names[:count]) + more
