"""Runs of a cross-validation as one: every picture tested once, by the fold that was not trained on it."""

import hashlib
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from kolbench.metrics import scores
from kolbench.metrics.counts import Counts, ImageCounts
from kolbench.metrics.video.clip_scores import mean_over_clips
from kolbench.runs.finished import FinishedRun
from kolbench.runs.record import DataFingerprint, RunRecord, TrainingSummary

FOLDS, FOLD = "data.folds", "data.fold"
FROM = "the folds (median of their own thresholds)"
# means over pictures can be joined; what was pooled over pixels cannot
_POOLED = "pooled"


@dataclass(frozen=True, eq=False)
class JoinedFolds(FinishedRun):
    """All folds of one cross-validation. folds: in their order. Nothing lies in `folder`: it is a name."""

    folds: tuple[FinishedRun, ...] = ()

    @property
    def fold_count(self) -> int:
        """How many folds are joined."""
        return len(self.folds)

    @property
    def root(self) -> Path:
        """The folder that holds all folds."""
        return Path(os.path.commonpath([fold.folder for fold in self.folds]))

    @cached_property
    def scored(self) -> dict[str, ImageCounts]:
        """Validation and test pictures of all folds, one fold after the other."""
        return {split: _joined([fold.scored[split] for fold in self.folds]) for split in ("val", "test")}

    @cached_property
    def clip_frames(self) -> Mapping[str, pd.DataFrame]:
        """Of the clips of all folds."""
        return {clip: frames for fold in self.folds for clip, frames in fold.clip_frames.items()}

    @cached_property
    def traits(self) -> pd.DataFrame:
        """Of the test pictures of all folds."""
        return pd.concat([fold.traits for fold in self.folds])

    @property
    def model(self) -> Mapping[str, object]:
        """As of every fold."""
        return self.folds[0].model

    @property
    def has_pictures(self) -> bool:
        """Whether every fold still has its test pictures and alphas."""
        return all(fold.has_pictures for fold in self.folds)

    @property
    def history(self) -> None:
        """None: each fold has its own."""
        return

    @cached_property
    def _fold_of(self) -> Mapping[str, FinishedRun]:
        return {name: fold for fold in self.folds for name in fold.test.names}

    def alpha_file(self, name: str) -> Path:
        """As of the fold that tested the picture."""
        return self._fold_of[name].alpha_file(name)

    def truth_file(self, name: str) -> Path:
        """As of the fold that tested the picture."""
        return self._fold_of[name].truth_file(name)

    def thumb_file(self, name: str) -> Path:
        """As of the fold that tested the picture."""
        return self._fold_of[name].thumb_file(name)

    def product_file(self, name: str) -> Path:
        """As of the fold that tested the picture."""
        return self._fold_of[name].product_file(name)


def parts_of(run: FinishedRun) -> tuple[FinishedRun, ...]:
    """The runs that have folders: the folds of a cross-validation, else the run itself."""
    return run.folds if isinstance(run, JoinedFolds) else (run,)


def place_of(record: RunRecord) -> tuple[int, int] | None:
    """(fold, folds) of a run; None where it is no fold."""
    words = dict(word.lstrip("+").partition("=")[::2] for word in record.overrides)
    folds, fold = words.get(FOLDS, "0"), words.get(FOLD, "0")
    if not (folds.isdecimal() and fold.isdecimal()) or int(folds) == 0:
        return None
    return int(fold), int(folds)


def joined(runs: Sequence[FinishedRun]) -> tuple[list[FinishedRun], list[str]]:
    """The runs with all folds of each cross-validation as one, and a line for each that lacks some.

    Folds whose others are missing stay runs of their own.
    """
    families: dict[object, dict[int, FinishedRun]] = {}
    for run in runs:
        place = place_of(run.record)
        if place is not None:
            families.setdefault(_family(run.record), {})[place[0]] = run
    found, said = [run for run in runs if place_of(run.record) is None], []
    for family in families.values():
        first = next(iter(family.values()))
        _, count = place_of(first.record) or (0, 0)
        if sorted(family) == list(range(count)):
            found.append(_as_one([family[fold] for fold in range(count)]))
        else:
            found += family.values()
            said.append(
                f"{first.method}: {len(family)} of {count} folds of one version of the code are finished; "
                "they are not joined yet"
            )
    return found, said


def _family(record: RunRecord) -> object:
    """What all folds of one cross-validation share, versions of the code included."""
    words = (
        word for word in record.overrides if not word.startswith((f"{FOLD}=", "paths.", "logger", "hydra"))
    )
    source = record.fingerprint and record.fingerprint.source
    code = record.commit, tuple(sorted(record.versions.items()))
    return record.method, record.seed, record.eval_protocol, source, tuple(sorted(words)), code


def _as_one(folds: Sequence[FinishedRun]) -> JoinedFolds:
    first = folds[0]
    threshold = float(statistics.median(fold.threshold for fold in folds))
    words = tuple(word for word in first.record.overrides if not word.startswith(f"{FOLD}="))
    test = _joined([fold.test for fold in folds])
    clips = {clip: found for fold in folds for clip, found in fold.record.clips.items()}
    record = replace(
        first.record,
        overrides=words,
        threshold=threshold,
        threshold_from=FROM,
        scores=scores.mean_scores(test.counts, threshold),
        baselines=_baselines(folds),
        pictures={"test": len(test.names)},
        clips=clips,
        video=mean_over_clips(found.scores for found in clips.values()),
        all=None,
        fingerprint=DataFingerprint((first.record.fingerprint or DataFingerprint()).source, "folds"),
        training=first.record.training
        and replace(first.record.training, fingerprint=_digest(folds), folder=None),
        seconds=sum(fold.record.seconds or 0 for fold in folds),
    )
    folder = first.folder.with_name(f"{first.folder.name}-folds")
    return JoinedFolds(folder, record, first.label, first.family, tuple(folds))


def _digest(folds: Sequence[FinishedRun]) -> str:
    """Tells one cross-validation's trainings from another's."""
    prints = [(fold.record.training or TrainingSummary()).fingerprint for fold in folds]
    return hashlib.sha256(repr(prints).encode()).hexdigest()[:16]


def _joined(parts: Sequence[ImageCounts]) -> ImageCounts:
    def all_of(name: str) -> list[object]:
        return [value for part in parts for value in getattr(part, name)]

    made = ImageCounts(parts[0].split)
    for name in ("names", "groups", "tags", "sizes", "seconds", "notes"):
        setattr(made, name, all_of(name))
    made.parts = [Counts.joined([part.counts for part in parts])]
    return made


def _baselines(folds: Sequence[FinishedRun]) -> dict[str, dict[str, float]]:
    """Means over all pictures from those of the folds; each fold's baseline has its own threshold."""
    sizes = [len(fold.test.names) for fold in folds]
    tables = [fold.record.baselines for fold in folds]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    return {name: _weighted([table[name] for table in tables], sizes) for name in shared}


def _weighted(rows: Sequence[Mapping[str, float]], sizes: Sequence[int]) -> dict[str, float]:
    names: Iterable[str] = (n for n in rows[0] if _POOLED not in n and all(n in row for row in rows))
    return {
        name: sum(row[name] * size for row, size in zip(rows, sizes, strict=True)) / sum(sizes)
        for name in names
    }
