"""What runs are called in a report: their method's name, and what tells them apart."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from kolbench.config.schema import UNCORRUPTED
from kolbench.runs.record import RunRecord

# experiment=onnx, under which any number of networks run
_ANYBODYS = "onnx"
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
# of every run on corrupted pictures, whatever the others are of
_CORRUPTION = ("corrupt", "severity")


class Label(NamedTuple):
    """label: unique among the runs that were named together. family: the same less the seed. clean: the same
    less what happened to the test pictures; one for all runs of a method that differ in nothing else."""

    label: str
    family: str
    clean: str


def labels_of(records: Mapping[Path, RunRecord]) -> dict[Path, Label]:
    """Run folder -> its `own_name` with those of its overrides that another run of that name lacks.

    Labels that are still the same get a number, and such runs are families of their own.
    """
    words = {folder: _telling_words(record) for folder, record in records.items()}
    found = {}
    for folder, record in records.items():
        name = own_name(record)
        others = [words[other] for other, known in records.items() if own_name(known) == name]
        shared = set.intersection(*others)
        # the same words in the same order, whatever the order of a set
        own = sorted(words[folder] - shared, key=lambda word: (_telling_order(word), word))
        seed = f"seed={record.seed}"
        parts = [_shortened(name, _LONGEST_LABEL)]
        parts += [_shortened(word.removeprefix("model.")) for word in own if word != seed]
        family = textwrap.shorten(" ".join(parts), _LONGEST_LABEL, placeholder=" …")
        corrupted = " ".join([family, *corruption_of(record)])
        of_seed = f" {seed}" if seed in own else ""
        found[folder] = Label(corrupted + of_seed, corrupted, family + of_seed)
    return _numbered(_told_apart(found, words))


def own_name(record: RunRecord) -> str:
    """What a run is called before anything tells it apart: its method.

    A network of others is called as `name=` of its command says, else by its file, such as `u2netp.onnx`.
    """
    if record.method != _ANYBODYS:
        return record.method
    said = {word.lstrip("+").partition("=")[0]: word.partition("=")[2] for word in record.overrides}
    name, file = (said.get(key, "").strip("'\"") for key in ("name", "model.file"))
    return name or Path(file).name or record.method


def words_of(record: RunRecord) -> list[str]:
    """The words of its command; those that say how pictures are corrupted as they count, typed or not."""
    words = [word for word in record.overrides if word.lstrip("+").partition("=")[0] not in _CORRUPTION]
    return [*words, *corruption_of(record)]


def corruption_of(record: RunRecord) -> list[str]:
    """The words that corrupt its test pictures; empty where nothing does."""
    if record.corrupt == UNCORRUPTED:
        return []
    return [f"corrupt={record.corrupt}", f"severity={record.severity}"]


def _shortened(word: str, longest: int = _LONGEST_WORD) -> str:
    """A path or the like by its two ends."""
    half = longest // 2
    return word if len(word) <= longest else f"{word[: half - 1]}…{word[-half:]}"


def _telling_words(record: RunRecord) -> set[str]:
    return {word for word in record.overrides if _telling_order(word) < len(_TELLING) and " " not in word} | {
        f"seed={record.seed}"
    }


def _telling_order(word: str) -> int:
    root = word.lstrip("+").partition("=")[0].partition(".")[0]
    return _TELLING.index(root) if root in _TELLING else len(_TELLING)


def _told_apart(found: Mapping[Path, Label], words: Mapping[Path, set[str]]) -> dict[Path, Label]:
    """Methods whose words differ, although shortened they read the same, get a number in `clean`."""
    kinds: dict[str, list[set[str]]] = {}
    for folder, label in found.items():
        known = kinds.setdefault(label.clean, [])
        known += [] if words[folder] in known else [words[folder]]
    numbers = {folder: kinds[label.clean].index(words[folder]) + 1 for folder, label in found.items()}
    return {
        folder: label._replace(clean=f"{label.clean} ({numbers[folder]})")
        if len(kinds[label.clean]) > 1
        else label
        for folder, label in found.items()
    }


def _numbered(found: Mapping[Path, Label]) -> dict[Path, Label]:
    texts = [known.label for known in found.values()]
    seen: dict[str, int] = {}
    numbered = {}
    for folder, (label, family, clean) in found.items():
        seen[label] = seen.get(label, 0) + 1
        number = f" ({seen[label]})" if texts.count(label) > 1 else ""
        numbered[folder] = Label(label + number, family + number, clean)
    return numbered
