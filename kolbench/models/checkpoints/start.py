"""`init=`: the weights that a training starts from, by name, or from a file or run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from kolbench.config.compose import build_segmenter, model_config
from kolbench.config.groups import ModelConfig
from kolbench.errors import WeightsError, nearest
from kolbench.io.files import sha256
from kolbench.models.checkpoints import download, named
from kolbench.models.checkpoints.catalogue import OFFICIAL, Entry, catalogue
from kolbench.models.checkpoints.from_onnx import folded_norms
from kolbench.models.checkpoints.run import BEST_IN_RUN, ONNX, settings_of
from kolbench.runs.record import Origin
from kolbench.segmenter import Segmenter


class Loaded(NamedTuple):
    """What came of it.

    taken: tensors that came over. tensors: of the network, in all. parts: the network's parts that came over
    as a whole, from the top. lacking: training-only heads that the file
    does not hold. frozen_norms: batch norms that an exporter folded and that must keep their statistics.
    """

    taken: int
    tensors: int
    parts: tuple[str, ...]
    lacking: tuple[str, ...]
    frozen_norms: tuple[str, ...]


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    words: what `init=` said. file: its tensors. method: whose they are. owner: the `model` group that they
    belong to where that is another method's. sha256: of the file. entry: of the catalogue, where it is one.
    """

    words: str
    file: Path
    method: str
    owner: ModelConfig | None
    sha256: str
    entry: Entry | None

    @property
    def origin(self) -> Origin:
        """As run.json keeps it."""
        entry = self.entry
        return Origin(
            name=self.words,
            method=self.method,
            sha256=self.sha256,
            licence=entry.licence if entry else None,
            commercial=entry.commercial if entry else None,
        )


def start_of(init: str | Path, model: ModelConfig) -> Start:
    """The weights that an `init=` means for a method, downloaded where they have a name.

    Raises:
        ConfigError: there is no such name, or the method has no official weights.
        WeightsError: the file is missing or cannot be had.
    """
    if named.is_name(init):
        entry = entry_of(init, model.name)
        file, method, owner = download.fetch(entry), entry.method, None
        if method != model.name:
            owner = model_config(method, backbone_weights=None)
        return Start(entry.name, file, method, owner, entry.sha256, entry)
    file = file_of(init)
    settings = None if file.suffix.lower() == ONNX else settings_of(Path(init))
    method = model.name if settings is None else settings.name
    owner = settings.without_backbone() if settings is not None and method != model.name else None
    return Start(str(init), file, method, owner, sha256(file), None)


def file_of(init: str | Path) -> Path:
    """The file that an `init=` which is no name means: itself, or the best weights of a run folder.

    Raises:
        WeightsError: there is none.
    """
    file = Path(init)
    if not file.exists():
        hint = nearest(str(init), catalogue().entries)
        meant = f" Did you mean {hint}?" if hint else ""
        raise WeightsError(
            f"init={init}: there is no such file, run folder or id (task=weights lists the ids).{meant}"
        )
    file = file / BEST_IN_RUN if file.is_dir() else file
    if not file.is_file():
        raise WeightsError(
            f"init={init}: there is no file {file}. Give official, an id that task=weights lists, a "
            "checkpoint, or a finished run folder."
        )
    return file


def digest_of(init: str | Path, method: str) -> str:
    """SHA-256 of the weights that an `init=` means for a method; nothing is downloaded.

    Raises:
        ConfigError: there is no such name. WeightsError: there is no such file.
    """
    return entry_of(init, method).sha256 if named.is_name(init) else sha256(file_of(init))


def method_of(init: str | Path, method: str) -> str:
    """Whose weights a name means for a method that starts from it; of files and runs, the method itself."""
    return entry_of(init, method).method if named.is_name(init) else method


def require_usable(segmenter: Segmenter, init: str | Path, method: str) -> None:
    """Refuses weights by name that a method can use nothing of, before they are downloaded.

    Args:
        segmenter: the method, thrown away afterwards. method: its name.

    Raises:
        ConfigError: there is no such name, or the method cannot start from those weights.
    """
    if named.is_name(init) and (owner := entry_of(init, method).method) != method:
        segmenter.start_from({}, owner)


def entry_of(init: str | Path, method: str) -> Entry:
    """The entry that an `init=` names, for a method; nothing is downloaded.

    Raises:
        ConfigError: there is none.
    """
    found = catalogue()
    return found.start_entry(method) if str(init) == OFFICIAL else found.entry(str(init))


def load(segmenter: Segmenter, start: Start) -> Loaded:
    """Puts the weights into a method that will be trained.

    Raises:
        ConfigError: the method cannot start from this one.
        WeightsError: the file is damaged, or belongs to another network.
    """
    network = segmenter.inference_network()
    if start.owner is None:
        lacking = named.load_tensors(segmenter, start.file)
        taken = _without(network.state_dict(), lacking)
    else:
        giver: Segmenter = build_segmenter(start.owner)
        lacking = named.load_tensors(giver, start.file)
        given = _without(giver.inference_network().state_dict(), lacking)
        own = network.state_dict()
        taken = {name: own[name] for name in segmenter.start_from(given, start.method)}
        lacking = []
    parts = _whole_parts(network.state_dict(), taken)
    norms = folded_norms(network, taken)
    return Loaded(len(taken), len(network.state_dict()), parts, tuple(lacking), tuple(norms))


def _whole_parts(own: Mapping[str, Tensor], taken: Mapping[str, Tensor], depth: int = 1) -> tuple[str, ...]:
    """The parts, as near to the top as can be, all of whose tensors were taken."""
    found: list[str] = []
    for part in dict.fromkeys(".".join(name.split(".")[:depth]) for name in own):
        inside = {name: tensor for name, tensor in own.items() if f"{name}.".startswith(f"{part}.")}
        if inside.keys() <= taken.keys():
            found.append(part)
        elif inside.keys() & taken.keys():
            found += _whole_parts(inside, taken, depth + 1)
    return tuple(found)


def _without(state: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]:
    absent = tuple(f"{head}." for head in heads)
    return {name: tensor for name, tensor in state.items() if not name.startswith(absent)}
