"""Reading and fitting checkpoints: plain tensors only, and a message for everything that can be wrong."""

import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kolbench.errors import WeightsError
from kolbench.types import JsonObject

COUNTER = "num_batches_tracked"
# where training scripts keep a network's tensors, what is trained before its average
_PLACES = (
    *("state_dict", "model_state_dict", "model", "network", "net", "generator", "params", "weights"),
    *("state_dict_ema", "model_ema", "params_ema", "ema", "ema_model", "ema_state_dict"),
)
# what has tensors of its own in such files, none of them a network's
_NEVER = ("optim", "sched", "scaler")
# what wrappers put before every name: DataParallel, torch.compile, LightningModules and others
_PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.", "generator.", "ema_model.")
# how torch names what it does not load
_OFFENDER = re.compile(r"GLOBAL ([\w.]+)|Unsupported (?:class|type) ([\w.]+)")
# plain numbers of numpy, which scripts keep beside tensors, such as the best score
_PLAIN = [
    np._core.multiarray.scalar,  # type: ignore[attr-defined]  # not public; torch names it as the one to allow
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_)),
]


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, on the CPU; no code in the file is ever executed.

    Reads what `torch.save` wrote (any version) and, with the safetensors package, `.safetensors`. The
    tensors may lie at the top, or one or two levels down as training scripts keep them (`model`,
    `model_state_dict`, `params_ema`, ...), other plain values beside them; what wrappers put before all
    names (`module.`, `_orig_mod.`, `model.`) is taken off.

    Raises:
        WeightsError: the file is missing, empty, damaged, no checkpoint, holds more than plain data, or
            the tensors of several networks.
    """
    path = Path(path)
    _require_content(path)
    loaded = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path} holds no state dict (named tensors) but {_kind(loaded)}.")
    return unwrapped(_network_tensors(loaded, path))


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without what wrappers put before their names, several times where there are several."""
    # DataParallel may have wrapped one part of several
    found = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    while (prefix := _shared_prefix(found)) is not None:
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _shared_prefix(state: Mapping[str, Tensor]) -> str | None:
    return next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in state)), None)


def read_model_settings(path: str | Path) -> JsonObject | None:
    """The `model` group that a checkpoint of ours carries; None for any other checkpoint.

    Raises:
        WeightsError: as in `read_state_dict`.
    """
    path = Path(path)
    _require_content(path)
    loaded = None if _is_safetensors(path) else _read_torch(path)
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


def _network_tensors(loaded: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """A network's tensors by name: at the top, else one level down, else two."""
    level: dict[str, Mapping[Any, Any]] = {"": loaded}
    for _ in range(3):
        found = {place: tensors for place, values in level.items() if (tensors := _named_tensors(values))}
        if found:
            return _chosen(found, path)
        level = {
            f"{place}.{key}".removeprefix("."): value
            for place, values in level.items()
            for key, value in values.items()
            if isinstance(value, Mapping) and not any(word in str(key).lower() for word in _NEVER)
        }
    raise WeightsError(f"{path} holds no state dict (named tensors) but {_kind(loaded)}.")


def _named_tensors(values: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        name: value for name, value in values.items() if isinstance(name, str) and isinstance(value, Tensor)
    }


def _chosen(found: Mapping[str, dict[str, Tensor]], path: Path) -> dict[str, Tensor]:
    """The one of several sets of tensors whose place is the most usual one for a network."""
    known = [place for name in _PLACES for place in found if place.rpartition(".")[2] == name]
    if known or len(found) == 1:
        return found[[*known, *found][0]]
    raise WeightsError(
        f"{path} holds the tensors of several networks ({_some(list(found))}); save those of one alone."
    )


def _is_safetensors(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors"


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
        with torch.serialization.safe_globals(_PLAIN):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = _OFFENDER.search(str(error))
        what = f"Python objects ({named[1]})" if named else "Python objects"
        raise WeightsError(
            f"{path} is damaged or holds {what} besides tensors; such objects could run code and "
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
    if isinstance(loaded, Mapping) and loaded:
        return f"a mapping of {_some([str(key) for key in loaded])}"
    return "nothing" if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"


def _some(names: list[str], count: int = 3) -> str:
    more = f", ... ({len(names) - count} more)" if len(names) > count else ""
    return ", ".join(names[:count]) + more
