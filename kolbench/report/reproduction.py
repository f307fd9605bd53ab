"""How each run of a report is made again: its command, and all that its run folder records about it."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kolbench.report.licences import NOT_RECORDED
from kolbench.report.numbers import numbers_of
from kolbench.runs import configuration, folds
from kolbench.runs.finished import Comparison, FinishedRun
from kolbench.runs.method_names import shown_label
from kolbench.runs.record import Part, RunRecord, TrainingSummary

# roles of parts whose files are weights
_WEIGHTS = ("weights", "initial weights", "backbone", "refiner's weights")
_HOMES = re.compile(r"(?<![\w/.-])/(?:home|Users)/[^/\s'\",:]+(?=[/\s'\",:]|$)")
# a path of letters that Hydra takes as they are, in the quotes that programs put around texts
_QUOTED_PATH = re.compile(r"^([\w.@/+]+)='([\w.-]*/[\w./-]*)'$", re.ASCII)
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True)
class Fact:
    """One line about something: what, its value in words, and the hash that belongs to it ("" = none)."""

    name: str
    value: str
    digest: str = ""


@dataclass(frozen=True)
class Reproduction:
    """How one run folder is made again.

    name: its label with the authors' name of the method. key: the method's key in commands. command: the one
    that made it. again: the one that repeats and compares it. row: value of each of `COLUMNS`. config: its
    `config.yaml`; None where the folder has none. Home folders are `~` in all of them.
    """

    name: str
    key: str
    command: str
    again: str
    row: tuple[str, ...]
    facts: tuple[Fact, ...]
    config: str | None


COLUMNS = ("Threshold", "Seed", "Training", "Scoring", "Device", "Commit")


def reproductions(comparison: Comparison) -> list[Reproduction]:
    """A part for each run folder, those on corrupted images last; folds of a cross-validation one by one.

    Raises:
        DataError: a `config.yaml` cannot be read.
    """
    return [
        _reproduction(shown_label(run.label, run.method) + of_fold, part)
        for run in (*(found.run for found in numbers_of(comparison).runs), *comparison.corrupted)
        for of_fold, part in _folders(run)
    ]


def _folders(run: FinishedRun) -> Iterator[tuple[str, FinishedRun]]:
    parts = folds.parts_of(run)
    if len(parts) == 1:
        yield "", parts[0]
    else:
        yield from ((f", fold {number}", part) for number, part in enumerate(parts))


def _reproduction(name: str, run: FinishedRun) -> Reproduction:
    record = run.record
    text = configuration.text_of(run.folder)
    return Reproduction(
        name=name,
        key=run.method,
        command=without_home(command_of(record.overrides)),
        again=without_home(command_of(["task=rerun", f"from={nearest_path(run.folder)}"])),
        row=_row(record),
        facts=tuple(Fact(fact.name, without_home(fact.value), fact.digest) for fact in _facts(record)),
        config=None if text is None else without_home(text),
    )


def command_of(words: Sequence[str]) -> str:
    """The command with these words, as a shell takes it; paths without the quotes that they do not need."""
    plain = (_QUOTED_PATH.sub(r"\1=\2", word) for word in words)
    return shlex.join(["python", "-m", "kolbench", *plain])


def without_home(text: str) -> str:
    """A text with `~` in the place of home folders: names of users are nobody's business."""
    home = str(Path.home())
    # of root, and where a home lies elsewhere
    if home != os.sep:
        text = re.sub(rf"(?<![\w/.-]){re.escape(home)}(?=[/\s'\",:]|$)", "~", text)
    return _HOMES.sub("~", text)


def nearest_path(folder: Path) -> str:
    """A folder as one types it from here: relative where it lies below."""
    here = Path.cwd().resolve()
    whole = folder.resolve()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)


def _row(record: RunRecord) -> tuple[str, ...]:
    trained, scored = _seconds(record)
    return (
        NOT_RECORDED if record.threshold is None else f"{record.threshold:.3g}",
        NOT_RECORDED if record.seed is None else str(record.seed),
        "none" if record.training is None else duration(trained),
        duration(scored),
        record.device or NOT_RECORDED,
        record.commit or NOT_RECORDED,
    )


def _seconds(record: RunRecord) -> tuple[float | None, float | None]:
    """Of the training, and of all else that the run did."""
    training = record.training or TrainingSummary()
    if record.seconds is None or record.training is None or training.reused:
        return training.seconds, record.seconds
    return training.seconds, max(0.0, record.seconds - (training.seconds or 0.0))


def duration(seconds: float | None) -> str:
    """Seconds in the unit that people would use, such as `31 s`, `12 min` or `3.5 h`."""
    if seconds is None:
        return NOT_RECORDED
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


def _facts(record: RunRecord) -> Iterator[Fact]:
    origin = f", from {record.threshold_from}" if record.threshold_from else ""
    yield Fact("Threshold", NOT_RECORDED if record.threshold is None else f"{record.threshold:g}{origin}")
    yield Fact("Seed", NOT_RECORDED if record.seed is None else str(record.seed))
    yield from _weights(record)
    yield from _training(record.training)
    yield from _data(record)
    trained, scored = _seconds(record)
    made = "" if record.training is None else f"training {duration(trained)}, "
    yield Fact("Time", f"{made}{'scoring' if made else 'Scoring'} {duration(scored)}".capitalize())
    yield Fact("Started", record.started or NOT_RECORDED)
    known = ", ".join(f"{name} {number}" for name, number in sorted(record.versions.items()))
    yield Fact("Versions", known or NOT_RECORDED)
    yield Fact("Commit", _commit(record.commit))
    yield Fact("Device", record.device or NOT_RECORDED)
    if record.machine is not None:
        machine = record.machine
        yield Fact("Machine", f"{machine.platform}, {machine.cores} cores, {machine.threads} threads")


def _commit(commit: str | None) -> str:
    if commit is None:
        return NOT_RECORDED
    clean = commit.removesuffix("-dirty")
    return commit if clean == commit else f"{clean}, with changes that are not committed"


def _weights(record: RunRecord) -> Iterator[Fact]:
    """Weights of others, or from files, with their SHA-256; what began a training counts once."""
    begun = record.training.init if record.training else None
    for part in record.rests_on:
        if part.role in _WEIGHTS:
            digest = part.sha256 or (begun.sha256 if begun and part.role == "initial weights" else None)
            yield Fact(part.role.capitalize(), _licensed(part), digest or "")
    if begun and not any(part.role == "initial weights" for part in record.rests_on):
        yield Fact("Initial weights", begun.name, begun.sha256 or "")


def _licensed(part: Part) -> str:
    return f"{part.name} ({part.licence or 'licence not stated'})"


def _training(training: TrainingSummary | None) -> Iterator[Fact]:
    if training is None:
        yield Fact("Training", "none")
        return
    how = "found again, made by an earlier run" if training.reused else "made by this run"
    epoch = "" if training.best_epoch is None else f", weights of epoch {training.best_epoch}"
    yield Fact(
        "Training",
        f"{how}{epoch}; fingerprint of settings, images, libraries and code:",
        training.fingerprint or NOT_RECORDED,
    )


def _data(record: RunRecord) -> Iterator[Fact]:
    found = record.fingerprint
    if found is None or found.source is None:
        yield Fact("Data", f"{record.data}; fingerprint {NOT_RECORDED}")
        return
    yield Fact("Data", f"{record.data}; fingerprint of images and masks:", found.source)
    if found.splits:
        yield Fact("Split", "fingerprint:", found.splits)
