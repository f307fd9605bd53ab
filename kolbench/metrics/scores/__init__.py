"""Every score of a set of pictures from its `Counts`, in numpy alone: no network, no pictures, no torch.

Each file of this folder registers the scores of one subject and is found by being here; `load` brings those
of users, and chooses families. `DEFINITIONS` says what each score means.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence

from kolbench.errors import ConfigError
from kolbench.metrics.confusion import Confusion, at_thresholds, confusion, cutoff_level
from kolbench.metrics.counts import LEVELS, Counts, ImageCounts
from kolbench.metrics.formulas import mean_over_pictures
from kolbench.metrics.score import ExtraCounts, ExtraValues, Score, register, registered, unregister
from kolbench.metrics.selection import best_threshold, max_f, require_pictures
from kolbench.types import Float64Array

__all__ = [
    "DEFINITIONS",
    "FAMILIES",
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
    "extra_values",
    "family_scores",
    "image_columns",
    "image_scores",
    "load",
    "max_f",
    "mean_scores",
    "needed",
    "needing_alpha",
    "threshold_curve",
]

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

# the columns in which files have always begun; all other scores follow
_FIRST = (
    *("miou", "iou", "acc", "precision", "recall", "mae", "f0.3", "f0.09", "f1"),
    *("product_recall", "product_iou", "miou_pooled", "iou_pooled", "f0.3_pooled", "f0.09_pooled"),
    *("images", "both_empty", "both_full", "product_images"),
)
# scores that cost time or fill tables, and so are asked for by a word of `metrics=[...]`
FAMILIES = ("saliency", "boundary", "matting")
# modules of users -> their scores
_LOADED: dict[str, tuple[Score, ...]] = {}
# what the command asks for: families, and modules of users
_ASKED: set[str] = set()


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


def load(metrics: Sequence[str]) -> None:
    """Asks for families of built-in scores and for the scores of users' modules, and forgets what was before.

    Args:
        metrics: names of `FAMILIES`, and dotted names of modules.

    Raises:
        ConfigError: a module cannot be imported, registers no score, or one whose name is taken.
    """
    modules = [name for name in metrics if name not in FAMILIES]
    for name in modules:
        if name not in _LOADED:
            _LOADED[name] = _scores_of(name)
    _ASKED.clear()
    _ASKED.update(metrics)
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
            f"installed, or its folder be in PYTHONPATH. Families of built-in scores: {', '.join(FAMILIES)}."
        ) from error
    found = tuple(score for name, score in registered().items() if name not in known)
    if not found:
        raise ConfigError(
            f"metrics: the module {module} registers no score; it calls "
            "kolbench.metrics.score.register(Score(...)) once for each."
        )
    return found


def _is_asked(score: Score) -> bool:
    """Whether the command asks for a score, or every command does."""
    return score.by_default or not score.family or any(score in _asked_by(word) for word in _ASKED)


def _asked_by(word: str) -> Sequence[Score]:
    """The scores that a word of `metrics=[...]` stands for."""
    return family_scores(word) if word in FAMILIES else _LOADED[word]


def extra_counts() -> list[ExtraCounts]:
    """What the scores that are asked for need counted beside fg, bg and product, each once."""
    asked = (score.extra for score in all_scores() if _is_asked(score))
    return list(dict.fromkeys(extra for extra in asked if extra is not None))


def extra_values() -> list[ExtraValues]:
    """What the scores that are asked for need computed from the maps themselves, each once."""
    asked = (score.values for score in all_scores() if _is_asked(score))
    return list(dict.fromkeys(values for values in asked if values is not None))


def needed(true_alpha: bool) -> list[ExtraCounts | ExtraValues]:
    """`extra_counts` and `extra_values`, where the truth is binary without those that need a true alpha."""
    values = [each for each in extra_values() if true_alpha or not each.needs_alpha]
    return [*extra_counts(), *values]


def needing_alpha(metrics: Sequence[str]) -> list[str]:
    """Those words of `metrics`, which are loaded, that ask for scores which need a true alpha."""
    return [
        word
        for word in metrics
        if any(score.values and score.values.needs_alpha for score in _asked_by(word))
    ]


def counting_modules() -> list[str]:
    """The modules of `extra_counts` and `extra_values`: their code decides what an evaluation leaves."""
    counting = [extra.count.__module__ for extra in extra_counts()]
    return sorted({*counting, *(values.of.__module__ for values in extra_values())})


def family_scores(family: str) -> list[Score]:
    """The scores of a family, in the order of the columns."""
    return [score for score in all_scores() if score.family == family]


def image_scores(counts: Counts, threshold: float) -> dict[str, Float64Array]:
    """The scores of each picture at a threshold, (N,) float64 each.

    NaN means "not applicable": `product_recall` and `product_iou` of pictures without a product, scores of
    the transition region (`_t`) of pictures without one; no other built-in score is ever NaN. Scores whose
    extra counts or values are not there are left out.

    Raises:
        ConfigError: the threshold is not between 0 and 1.
    """
    at = at_thresholds(counts, [threshold])
    return {
        score.name: score.per_image(at)[0] for score in _applicable(counts) if score.per_image is not None
    }


def mean_scores(counts: Counts, threshold: float) -> dict[str, float]:
    """All scores of a set at a threshold, keys as in `DEFINITIONS`; never NaN.

    Scores that apply to no picture, or whose extra counts or values are not there, are left out.

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
    """The scores that the counts hold all for.

    What needs nothing of its own appears with its family: where that is asked for now, or was when the
    pictures were scored.
    """
    possible = [score for score in all_scores() if _holds(counts, score)]
    chosen = {score.family for score in possible if score.needs and not score.by_default}
    return [score for score in possible if score.needs or score.family in chosen or _is_asked(score)]


def _holds(counts: Counts, score: Score) -> bool:
    return all(counts.holds(name) for need in score.needs for name in need.names)


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
