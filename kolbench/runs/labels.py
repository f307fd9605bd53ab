"""What runs are called in a report: by their method, and by what their commands differ in."""

import textwrap
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

from kolbench.config.schema import UNCORRUPTED
from kolbench.runs.record import RunRecord

_LONGEST_WORD, _LONGEST_LABEL = 32, 64
# what tells runs of one method apart, in the order in which a label names it
_TELLING = (
    "experiment",
    "init",
    "callbacks",
    "model",
    "refiner",
    "tta",
    "smooth",
    "budget",
    "data",
    "trainer",
    "threshold",
    "weights",
    "seed",
)
# said of every run on corrupted pictures, whatever the others are of
_CORRUPTION = ("corrupt", "severity")


class Name(NamedTuple):
    """label: of one run alone. family: less the seed. clean: less what happened to its test pictures."""

    label: str
    family: str
    clean: str


Place = TypeVar("Place", bound=Hashable)


def names_of(records: Mapping[Place, RunRecord]) -> dict[Place, Name]:
    """Each with its method's name and those of its overrides that another run of that method lacks.

    Args:
        records: of runs, by anything that tells them apart.
    """
    words = {place: _telling_words(record) for place, record in records.items()}
    found = {}
    for place, record in records.items():
        others = [words[p] for p, other in records.items() if other.method == record.method]
        own = words[place] - set[str].intersection(*others)
        found[place] = _name(record, sorted(own, key=_telling_order))
    return _numbered(found)


def words_of(record: RunRecord) -> list[str]:
    """The words of its command; those that say how pictures are corrupted as they count, typed or not."""
    words = [word for word in record.overrides if word.lstrip("+").partition("=")[0] not in _CORRUPTION]
    return [*words, *_corruption(record)]


def _corruption(record: RunRecord) -> list[str]:
    if record.corrupt == UNCORRUPTED:
        return []
    return [f"corrupt={record.corrupt}", f"severity={record.severity}"]


def _name(record: RunRecord, own: list[str]) -> Name:
    seed = f"seed={record.seed}"
    parts = [record.method, *(_shortened(word.removeprefix("model.")) for word in own if word != seed)]
    family = textwrap.shorten(" ".join(parts), _LONGEST_LABEL, placeholder=" …")
    corrupted = " ".join([family, *_corruption(record)])
    of_seed = f" {seed}" if seed in own else ""
    return Name(corrupted + of_seed, corrupted, family + of_seed)


def _shortened(word: str) -> str:
    """A path or the like by its two ends."""
    half = _LONGEST_WORD // 2
    return word if len(word) <= _LONGEST_WORD else f"{word[: half - 1]}…{word[-half:]}"


def _telling_words(record: RunRecord) -> set[str]:
    """Without those of a corruption, which stand in every label."""
    words = set(record.overrides)
    return {word for word in words if _telling_order(word) < len(_TELLING) and " " not in word} | {
        f"seed={record.seed}"
    }


def _telling_order(word: str) -> int:
    root = word.lstrip("+").partition("=")[0].partition(".")[0]
    return _TELLING.index(root) if root in _TELLING else len(_TELLING)


def _numbered(names: Mapping[Place, Name]) -> dict[Place, Name]:
    """Labels that are still the same get a number, and such runs are families of their own."""
    counts = Counter(name.label for name in names.values())
    seen: Counter[str] = Counter()
    numbered = {}
    for place, name in names.items():
        seen[name.label] += 1
        number = f" ({seen[name.label]})" if counts[name.label] > 1 else ""
        numbered[place] = name._replace(label=name.label + number, family=name.family + number)
    return numbered
