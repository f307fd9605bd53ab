"""The methods that the page offers: loaded once, tried once, then asked one picture at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import kolbench
from kolbench.config.compose import conf_dir, load_yaml
from kolbench.config.schema import NO_TTA
from kolbench.engine.devices import choose_device
from kolbench.errors import ConfigError, WeightsError, require_choice
from kolbench.inference.backends import BACKENDS, UNCHANGED, prepare
from kolbench.inference.export.parity import picture_of
from kolbench.inference.forms import CHANNELS_LAST
from kolbench.inference.highres import segment_in_bounded_memory
from kolbench.inference.predictor import refined
from kolbench.models.checkpoints import download, named
from kolbench.models.checkpoints import run as weight_files
from kolbench.models.checkpoints.catalogue import OFFICIAL, Entry
from kolbench.runs.method_names import shown_label, shown_name
from kolbench.segmenter import Segmenter
from kolbench.types import Float32Array, Refiner, UInt8Array

# height and width of the picture on which a method is tried before the page opens
_TRIAL = (64, 48)
# what the page offers where nothing is named
NETWORK, CLASSIC = "modnet", "grabcut"
_TERMS = {
    "yes": "commercial use allowed",
    "no": "not for commercial use",
    "unstated": "commercial use unstated",
}


@dataclass(frozen=True)
class Method:
    """A method as the page shows it.

    name: its key, unique on the page. source: the file, the run folder or the name in the catalogue that its
    weights come from, without the folders around it; "" where there are none. segmenter: in evaluation mode,
    networks in the form that was asked for; it reads the image only. refiner: what follows it; None =
    nothing. licence: of its weights, in words; "" where nothing is known or it has none.
    """

    name: str
    source: str
    segmenter: Segmenter
    refiner: Refiner | None = None
    licence: str = ""

    @property
    def shown(self) -> str:
        """What people call it, such as `MODNet (2)` of `modnet (2)`."""
        return shown_label(self.name, self.name.partition(" (")[0])

    @property
    def key(self) -> str:
        """Its key in small, with its source: `modnet:official`."""
        return f"{self.name}:{self.source}" if self.source else self.name

    def alpha(self, image: UInt8Array) -> Float32Array:
        """(H, W, 3) uint8 RGB -> (H, W) float32 in [0, 1]; large pictures are predicted smaller."""
        alpha = segment_in_bounded_memory(self.segmenter.segment, image)
        return alpha if self.refiner is None else refined(self.refiner, image, alpha, self.segmenter.device)


def listed(methods: Any) -> list[str]:
    """`methods=` as a list of texts: one text, a list, or nothing.

    Raises:
        ConfigError: it is something else.
    """
    found = [] if methods is None else [methods] if isinstance(methods, str) else methods
    if not isinstance(found, Sequence) or not all(isinstance(m, str) and m.strip() for m in found):
        raise ConfigError(
            f"methods={methods} must be a list of names, run folders or files, such as "
            "'methods=[grabcut,modnet:modnet.pth,runs/modnet/RUN]'."
        )
    return [method.strip() for method in found]


def default_sources() -> list[str]:
    """Official MODNet, if its weights are here or can be downloaded, and GrabCut, which needs none."""
    entry = named.entry_of(OFFICIAL, NETWORK)
    try:
        download.fetch(entry)
    except WeightsError:
        print(
            f"{shown_name(NETWORK)} is left out: its weights cannot be had.\n"
            f"python -m kolbench task=weights 'get=[{entry.name}]' says why, and what to do",
            flush=True,
        )
        return [CLASSIC]
    return [f"{NETWORK}:{OFFICIAL}", CLASSIC]


def load_methods(
    sources: Iterable[str],
    device: str,
    refiner: Refiner | None = None,
    tta: str = NO_TTA,
    backend: str = CHANNELS_LAST,
) -> list[Method]:
    """Loads every method, saying which, and tries it on a small picture: what is missing is said now.

    Args:
        sources: each the name of a method, a run folder, a file, or `method:file` with the file's weights.
        device: auto, cpu, cuda, cuda:N or mps.
        refiner: what follows every method; None = nothing.
        tta: of all of them, one of schema.TTA. backend: of all networks, see inference.backends; what cannot
            be had is said, and the plain network taken.

    Raises:
        ConfigError: there is no such backend.
        KolbenchError: one cannot be loaded, needs more than a picture, or fails on the small picture.
    """
    require_choice("backend", backend, BACKENDS)
    methods: list[Method] = []
    for source in sources:
        method = _loaded(source, device, refiner, tta, backend)
        taken = {other.name for other in methods}
        numbered = (f"{method.name} ({number})" for number in range(2, len(taken) + 3))
        name = method.name if method.name not in taken else next(n for n in numbered if n not in taken)
        methods.append(replace(method, name=name))
    return methods


def _loaded(source: str, device: str, refiner: Refiner | None, tta: str, backend: str) -> Method:
    name, origin = _called(source)
    print(f"loading {shown_name(name)} for the page", flush=True)
    method, _, file = source.partition(":")
    if Path(source).expanduser().exists():
        segmenter = kolbench.load(Path(source).expanduser(), device=device, tta=tta)
    elif file and _is_graph(method):
        segmenter = kolbench.load(method, device=device, tta=tta, file=str(Path(file).expanduser()))
    elif file:
        segmenter = kolbench.load(method, Path(file).expanduser(), device, tta)
    else:
        segmenter = kolbench.load(source, device=device, tta=tta)
    if not segmenter.works_on_pictures:
        raise ConfigError(f"methods: {source} needs more than the image, which is all that the page has.")
    trial = picture_of(0, *_TRIAL)
    # but for `auto` nothing is timed: the page opens at once
    quick = prepare(segmenter, choose_device(device), trial, backend)
    # a classic method has but one form
    for note in quick.notes if quick.backend != UNCHANGED else ():
        print(f"{name}: {note}")
    found = Method(name, origin, quick.segmenter, refiner, _licence(source))
    found.alpha(trial)
    return found


def _called(source: str) -> tuple[str, str]:
    """The method's key, and where its weights come from, without the folders around it."""
    path = Path(source).expanduser()
    if path.exists():
        return weight_files.method_of(path) if weight_files.is_run_folder(
            path
        ) else path.stem, path.resolve().name
    name, _, file = source.partition(":")
    if not file and named.is_name(name) and not _config_of(name).is_file():
        return named.entry_of(name, "").method, name
    return name, Path(file).name


def _licence(source: str) -> str:
    """Of the catalogue's weights that a source names, in words; "" of all others."""
    method, _, weights = source.partition(":")
    name = weights or method
    return _in_words(named.entry_of(name, method)) if named.is_name(name) else ""


def _in_words(entry: Entry) -> str:
    return f"weights {entry.name}, {entry.licence}, {_TERMS[entry.commercial]}"


def _is_graph(name: str) -> bool:
    """Whether a method's weights are its `file`, a network by itself, as of conf/model/onnx.yaml."""
    config = _config_of(name)
    return config.is_file() and "file" in load_yaml(config)


def _config_of(name: str) -> Path:
    return conf_dir() / "model" / f"{name}.yaml"
