"""`refiner.weights=`: which file a name, a file or a run folder means, and for which network it is."""

from pathlib import Path
from typing import NamedTuple

from kolbench.config.fields import Values
from kolbench.config.groups import Component, ModelConfig
from kolbench.errors import ConfigError, WeightsError, nearest
from kolbench.io.files import sha256
from kolbench.models.checkpoints import download, named
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.models.checkpoints.run import BEST_IN_RUN, refuse_network, settings_of

METHOD = "cascadepsp"


class RefinerWeights(NamedTuple):
    """A file of tensors, and the `backbone` and `width` of the network that they are for."""

    file: Path
    backbone: str
    width: float


def named_by(refiner: Component) -> str | None:
    """The `refiner.weights=` of CascadePSP; None of other refiners, whose options are their own."""
    weights = refiner.options.get("weights")
    return str(weights) if refiner.name == METHOD and weights is not None else None


def resolved(weights: str, backbone: str | None, width: float | None) -> RefinerWeights:
    """The file that a `refiner.weights=` means, downloaded where it has a name.

    Args:
        weights: `official`, an id of the catalogue, a run folder, a checkpoint of ours, or a bare file.
        backbone, width: of the network; None, unless the file is bare.

    Raises:
        ConfigError: they belong to another method, or a bare file comes without `backbone` and `width`.
        WeightsError: the file is missing or cannot be had.
    """
    given = {"backbone": backbone, "width": width}
    typed = [f"refiner.{key}=" for key, value in given.items() if value is not None]
    if named.is_name(weights):
        entry = named.entry_of(weights, METHOD)
        _require_refiner(weights, entry.method)
        _require_untyped(weights, typed)
        return RefinerWeights(download.fetch(entry), *_settings(entry.feed))
    file = file_of(weights)
    settings = _own_settings(weights)
    if settings is not None:
        _require_refiner(weights, settings.name)
        _require_untyped(weights, typed)
        return RefinerWeights(file, *_settings(settings.options))
    if backbone is None or width is None:
        raise ConfigError(
            f"refiner.weights={weights} does not say which network it is for: add refiner.backbone= and "
            "refiner.width= (the authors' file: resnet50 and 1.0)."
        )
    return RefinerWeights(file, backbone, width)


def digest_of(weights: str) -> str:
    """SHA-256 of the tensors that a `refiner.weights=` means, wherever they lie; nothing is downloaded.

    Raises:
        ConfigError: there is no such name. WeightsError: there is no such file.
    """
    return named.entry_of(weights, METHOD).sha256 if named.is_name(weights) else sha256(file_of(weights))


def file_of(weights: str) -> Path:
    """The file of a `refiner.weights=` that is no name: itself, or the best weights of a run folder.

    Raises:
        WeightsError: there is none.
    """
    path = Path(weights).expanduser()
    if not path.exists():
        hint = nearest(weights, catalogue().entries)
        meant = f" Did you mean {hint}?" if hint else ""
        raise WeightsError(
            f"refiner.weights={weights}: there is no such file, run folder or id (task=weights lists the "
            f"ids).{meant}"
        )
    file = path / BEST_IN_RUN if path.is_dir() else path
    if not file.is_file():
        raise WeightsError(
            f"refiner.weights={weights} holds no {BEST_IN_RUN}; give a finished run folder or a checkpoint."
        )
    refuse_network(file)
    return file


def _own_settings(weights: str) -> ModelConfig | None:
    """The `model` group that a run folder or a checkpoint of ours carries."""
    return settings_of(Path(weights).expanduser())


def _settings(options: Values) -> tuple[str, float]:
    return str(options["backbone"]), float(str(options["width"]))


def _require_refiner(weights: str, method: str) -> None:
    if method != METHOD:
        raise ConfigError(
            f"refiner.weights={weights} is a {method}, not a {METHOD}; give official, or a run folder of "
            f"experiment={METHOD}."
        )


def _require_untyped(weights: str, typed: list[str]) -> None:
    if typed:
        raise ConfigError(
            f"refiner.weights={weights} says itself which network it is for; leave {' and '.join(typed)} "
            "away."
        )
