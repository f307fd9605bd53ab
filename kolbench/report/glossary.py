"""The one glossary of the report: what each number and each word means, once."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kolbench.metrics import scores
from kolbench.report.intervals import fewest_groups
from kolbench.report.layout import Table, definitions
from kolbench.report.words import score_name

WORDS = {
    "95 % CI": (
        "95 % confidence interval of a mean over groups, inside the score's range: Student's t on the log "
        "odds, its error by a jackknife over groups. Of differences: Student's t with Hall's correction "
        f"for skewness. With fewer than {fewest_groups()} groups there is none. It covers the choice of "
        "test images, not the seed of a training."
    ),
    "Group": (
        "All frames of one video; an image without a video is a group of its own (images treated as "
        "independent). Groups, never single frames, are what intervals and tests count."
    ),
    "Significant": (
        "The paired permutation test, which flips the sign of a whole group's differences, gives p below "
        "0.05 after Holm's correction over all pairs, and the 95 % CI of the difference excludes 0."
    ),
    "Baseline": (
        "A guess that ignores the image: all foreground, a centred ellipse, or the mean mask of the "
        "training images. A method that is not better has learned nothing of use."
    ),
    "Oracle, uses ground-truth box": (
        "A method that is given the ground-truth mask, or the box around it. It is not ranked against "
        "fully automatic methods."
    ),
    "Own threshold": (
        "Each method's alpha matte is cut at the threshold that gives the highest mIoU on the validation "
        "images (tuned per method), unless the command fixed one. Foreground is 8-bit alpha > 255 t."
    ),
    "Oracle threshold": (
        "The threshold with the highest mIoU on the test images themselves, as some papers choose it. It "
        "has seen the ground truth of the test images and is no headline."
    ),
    "Pooled": ("Pixels of all images counted together, instead of a mean over images."),
    "False positive, false negative": ("A background pixel taken for foreground; a foreground pixel missed."),
    "GMACs": (
        "Multiplications with addition of one prediction in billions, counted by PyTorch on one image."
    ),
}


class Entry(NamedTuple):
    """A term with its meaning; anchor: of its place on the page, unique."""

    anchor: str
    term: str
    meaning: str


def entries_of(columns: Iterable[str]) -> list[Entry]:
    """The words of every report, then the scores among these columns, in the order of the files."""
    shown = set(columns)
    words = [Entry(anchor_of(term), term, meaning) for term, meaning in WORDS.items()]
    found = [score.name for score in scores.all_scores() if score.name in shown]
    return words + [Entry(anchor_of(name), _term(name), f"{scores.DEFINITIONS[name]}.") for name in found]


def _term(score: str) -> str:
    name = score_name(score)
    return name if name == score else f"{name} ({score})"


def anchor_of(term: str) -> str:
    """A fragment of the page's address."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


def own_notes(table: Table) -> Sequence[str]:
    """The notes of a table that the glossary does not have: all but the definitions of scores."""
    defined = set(definitions(scores.DEFINITIONS))
    return [note for note in table.notes if note not in defined]
