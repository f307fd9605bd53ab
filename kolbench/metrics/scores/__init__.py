"""Every score of a set of pictures from its `Counts`, in numpy alone: no network, no pictures, no torch.

Each file of this folder registers the scores of one subject and is found by being here; `load` brings those
of users. `DEFINITIONS` says what each score means.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence

from kolbench.errors import ConfigError
from kolbench.metrics.confusion import Confusion, at_thresholds, confusion, cutoff_level
from kolbench.metrics.counts import LEVELS, Counts, ImageCounts
from kolbench.metrics.formulas import mean_over_pictures
from kolbench.metrics.score import ExtraCounts, Score, register, registered, unregister
from kolbench.metrics.selection import best_threshold, max_f, require_pictures
from kolbench.types import Float64Array

__all__ = [
    "DEFINITIONS",
    "LEVELS",
    "THRESHOLDS",
    "Confusion",
    "Counts",
    "all_scores",
    "best_threshold",
    "confusion",
    "counting_modules",
    "cutoff_level",
    "extra_counts",
    "image_columns",
    "image_scores",
    "load",
    "max_f",
    "mean_scores",
    "threshold_curve",
]

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

# the columns in which files have always begun; all other scores follow
_FIRST = (
    *("miou", "iou", "acc", "precision", "recall", "mae", "f0.3", "f0.09", "f1"),
    *("product_recall", "product_iou", "miou_pooled", "iou_pooled", "f0.3_pooled", "f0.09_pooled"),
    *("images", "both_empty", "both_full", "product_images"),
)
# modules of users -> their scores
_LOADED: dict[str, tuple[Score, ...]] = {}


class _Definitions(Mapping[str, str]):
    """Name -> definition of every score that is registered at the moment."""

    def __getitem__(self, name: str) -> str:
        return registered()[name].definition

    def __iter__(self) -> Iterator[str]:
        return (score.name for score in all_scores())

    def __len__(self) -> int:
        return len(registered())


DEFINITIONS: Mapping[str, str] = _Definitions()


def all_scores() -> list[Score]:
    """Every score, in the order of the columns."""
    place = {name: index for index, name in enumerate(_FIRST)}
    return sorted(registered().values(), key=lambda score: place.get(score.name, len(place)))


def load(modules: Sequence[str]) -> None:
    """Makes the scores of these modules known beside the built-in ones, and forgets those loaded before.

    Raises:
        ConfigError: a module cannot be imported, registers no score, or one whose name is taken.
    """
    for name in modules:
        if name not in _LOADED:
            _LOADED[name] = _scores_of(name)
    for name, found in _LOADED.items():
        for score in found:
            unregister(score.name)
            if name in modules:
                register(score)


def _scores_of(module: str) -> tuple[Score, ...]:
    known = set(registered())
    try:
        importlib.import_module(module)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"metrics: the module {module} cannot be imported ({type(error).__name__}: {error}). It must be "
            "installed, or its folder be in PYTHONPATH."
        ) from error
    found = tuple(score for name, score in registered().items() if name not in known)
    if not found:
        raise ConfigError(
            f"metrics: the module {module} registers no score; it calls "
            "kolbench.metrics.score.register(Score(...)) once for each."
        )
    return found


def extra_counts() -> list[ExtraCounts]:
    """What the scores need counted beside fg, bg and product, each once."""
    return list(dict.fromkeys(score.extra for score in all_scores() if score.extra is not None))


def counting_modules() -> list[str]:
    """The modules of `extra_counts`: their code decides what an evaluation leaves."""
    return sorted({extra.count.__module__ for extra in extra_counts()})


def image_scores(counts: Counts, threshold: float) -> dict[str, Float64Array]:
    """The scores of each picture at a threshold, (N,) float64 each.

    `product_recall` and `product_iou` are NaN, "not applicable", for pictures without a product; no other
    built-in score is ever NaN. Scores whose extra counts are not there are left out.

    Raises:
        ConfigError: the threshold is not between 0 and 1.
    """
    at = at_thresholds(counts, [threshold])
    return {
        score.name: score.per_image(at)[0] for score in _applicable(counts) if score.per_image is not None
    }


def mean_scores(counts: Counts, threshold: float) -> dict[str, float]:
    """All scores of a set at a threshold, keys as in `DEFINITIONS`; never NaN.

    Scores that apply to no picture, or whose extra counts are not there, are left out.

    Raises:
        DataError: there is no picture.
        ConfigError: the threshold is not between 0 and 1.
    """
    return {name: float(values[0]) for name, values in threshold_curve(counts, [threshold]).items()}


def threshold_curve(counts: Counts, thresholds: Sequence[float]) -> dict[str, Float64Array]:
    """`mean_scores` at T thresholds, (T,) float64 each.

    Raises:
        DataError: there is no picture.
        ConfigError: a threshold is not between 0 and 1.
    """
    require_pictures(counts)
    at = at_thresholds(counts, thresholds)
    curve: dict[str, Float64Array] = {}
    for score in _applicable(counts):
        if score.pooled is not None:
            curve[score.name] = score.pooled(at)
        elif score.per_image is not None:
            means = mean_over_pictures(score.per_image(at))
            curve |= {} if means is None else {score.name: means}
    return curve


def _applicable(counts: Counts) -> list[Score]:
    return [
        score
        for score in all_scores()
        if score.extra is None or all(name in counts for name in score.extra.names)
    ]


def image_columns(part: ImageCounts, threshold: float) -> dict[str, Sequence[object]]:
    """Columns of the per-picture table: identity, size, seconds, scores at `threshold` and 0.1 to 0.9."""
    columns: dict[str, Sequence[object]] = {
        "split": [part.split] * len(part.names),
        "name": part.names,
        "group": part.groups,
        "tags": part.tags,
        "height": [height for height, _ in part.sizes],
        "width": [width for _, width in part.sizes],
        "seconds": part.seconds,
        "notes": part.notes,
        "threshold": [threshold] * len(part.names),
    }
    columns |= {name: values.tolist() for name, values in image_scores(part.counts, threshold).items()}
    at = at_thresholds(part.counts, THRESHOLDS)
    at_each = {
        score.name: score.per_image(at)
        for score in _applicable(part.counts)
        if score.per_image is not None and score.depends_on_threshold
    }
    for row, fixed in enumerate(THRESHOLDS):
        columns |= {f"{name}@{fixed}": values[row].tolist() for name, values in at_each.items()}
    return columns


for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
