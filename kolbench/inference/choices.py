"""Which form was fastest, kept below KOLBENCH_HOME: once per network, input size and machine."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

import kolbench
from kolbench.errors import DataError
from kolbench.inference import machine
from kolbench.inference.export.graph import Network
from kolbench.inference.forms import glimpse
from kolbench.io.files import home, write_json
from kolbench.runs.record import of_mapping

FOLDER = "backends"
VERSION = 1


@dataclass(frozen=True)
class Choice:
    """What a race found. form: the fastest. seconds: of one picture, by form. load: of the machine then."""

    form: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    measured: str = ""
    load: float | None = None


class _Read(TorchFunctionMode):
    """Remembers the identity of every tensor that an operation reads."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: set[int] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.tensors |= {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def digest_of(network: Network) -> str:
    """SHA-256 of a network: its layers, how it is fed, and every weight that a prediction reads.

    Others, as of heads that only training needs, may be in no file, and are then drawn anew each time.
    """
    read = _Read()
    with read:
        network.graph(glimpse(network))
    found = hashlib.sha256(repr((str(network.graph), sorted(network.feeding.items()))).encode())
    for name, tensor in [*network.graph.named_parameters(), *network.graph.named_buffers()]:
        if id(tensor) in read.tensors:
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def place_of(network: str, size: tuple[int, int], device: str, beside_others: bool) -> Path:
    """The file of a choice; it has another name as soon as anything differs that may change what is fastest.

    Args:
        network: its digest. size: height and width at which pictures go through it. device: where.
        beside_others: whether pictures are read and written at the same time.
    """
    key = {
        "network": network,
        "size": list(size),
        "device": device,
        "beside_others": beside_others,
        "cpu": machine.cpu_model(),
        "cores": machine.cores(),
        "threads": torch.get_num_threads(),
        "versions": {"kolbench": kolbench.__version__, **machine.versions()},
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return home() / FOLDER / f"{name}.json"


def read(place: Path) -> Choice | None:
    """A choice; None where there is none that can be read, so that it is found anew."""
    try:
        values = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("version") != VERSION:
            return None
        return of_mapping(Choice, values, place)
    except (OSError, ValueError, TypeError, DataError):
        return None


def keep(place: Path, form: str, seconds: Mapping[str, float]) -> Choice:
    """Writes a choice, atomically; a folder that cannot be written is passed over."""
    choice = Choice(form, dict(seconds), time.strftime("%Y-%m-%d %H:%M"), machine.load())
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, {"version": VERSION, **vars(choice)})
    return choice


def in_words(choice: Choice, place: Path, before: bool) -> str:
    """One line: what was chosen and why."""
    others = sorted((seconds, form) for form, seconds in choice.seconds.items() if form != choice.form)
    beside = ", ".join(f"{form} {1000 * seconds:.0f}" for seconds, form in others)
    own = choice.seconds.get(choice.form)
    why = "" if own is None else f": {1000 * own:.0f} ms an image" + (f" ({beside})" if beside else "")
    when = f"as measured on {choice.measured}" if before else "measured now"
    kept = f"; kept in {place}" if place.is_file() else ""
    return f"backend={choice.form}{why}, {when}{kept}"
