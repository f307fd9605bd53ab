"""Run folders as the report reads them: found by folder or pattern, named apart, grouped by test pictures."""

import glob
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml

from kolbench.config.old_names import current_model
from kolbench.errors import DataError
from kolbench.metrics.counts import ImageCounts
from kolbench.runs import clips, labels, run_folder, traits
from kolbench.runs import record as records
from kolbench.runs.benchmark import Benchmark
from kolbench.runs.record import DataFingerprint, RunRecord
from kolbench.types import NATIVE

BASELINES = ("allfg", "ellipse", "meanmask")
# below a `runs` folder, but shared by runs and no runs themselves
_NO_RUNS = ("trainings", "untrained")
_NEEDED = ("method", "truth_access", "threshold", "seed", "data", "started")


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One finished run folder.

    folder: where it lies. record: its `run.json`. label: unique among its test set, such as
    `rsudisnet seed=1`. family: the label less the seed; runs of one family differ in nothing else.
    clean_label: the label less what happened to the test pictures.
    """

    folder: Path
    record: RunRecord
    label: str
    family: str
    clean_label: str = field(default="", kw_only=True)

    @property
    def method(self) -> str:
        """Its method's name."""
        return self.record.method

    @property
    def scores(self) -> Mapping[str, float]:
        """The headline scores on the test pictures, by the names of `kolbench.metrics.scores`."""
        return self.record.scores

    @property
    def truth_access(self) -> str:
        """`none`, `box` or `mask`: what of the truth it is given."""
        return self.record.truth_access

    @property
    def is_baseline(self) -> bool:
        """Whether its method never looks at the picture."""
        return self.method in BASELINES

    @property
    def threshold(self) -> float:
        """The threshold of its headline scores."""
        assert self.record.threshold is not None  # `find` leaves such runs out
        return self.record.threshold

    @property
    def threshold_from(self) -> str | None:
        """`validation` or `the command`; None where it was not recorded."""
        return self.record.threshold_from

    @property
    def seed(self) -> int:
        """Its seed."""
        assert self.record.seed is not None  # `find` leaves such runs out
        return self.record.seed

    @property
    def timed_on(self) -> str | None:
        """The device of its seconds per picture: of an earlier run where its evaluation was used again."""
        return self.record.timed_on or self.record.device or None

    @cached_property
    def scored(self) -> dict[str, ImageCounts]:
        """Split name -> 256-level counts of its pictures, from `histograms.parquet`.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self.folder / run_folder.HISTOGRAMS
        try:
            found = run_folder.read_histograms(path)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} cannot be read ({error}); remove the folder or run it again.") from error
        if "test" not in found:
            raise DataError(f"{path} has no test images; run it again.")
        return found

    @property
    def test(self) -> ImageCounts:
        """Counts of the test pictures."""
        return self.scored["test"]

    @cached_property
    def history(self) -> pd.DataFrame | None:
        """A row per epoch; None for methods that are not trained.

        Raises:
            DataError: the file is damaged.
        """
        path = self.folder / run_folder.HISTORY
        try:
            return pd.read_csv(path) if path.is_file() else None
        except ValueError as error:
            raise DataError(f"{path} cannot be read ({error}); remove it or run it again.") from error

    @cached_property
    def model(self) -> Mapping[str, object]:
        """The `model` group of its command, from `config.yaml`; empty where the folder has none.

        Raises:
            DataError: the file is damaged.
        """
        path = self.folder / run_folder.CONFIG
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
        except (OSError, ValueError, yaml.YAMLError) as error:
            told = " ".join(str(error).split())
            raise DataError(f"{path} cannot be read ({told}); remove the folder.") from error
        found = values.get("model") if isinstance(values, dict) else None
        return current_model(found) if isinstance(found, dict) else {}

    @cached_property
    def clip_frames(self) -> Mapping[str, pd.DataFrame]:
        """Clip -> the numbers of its frames, in time, from `clips.parquet`; empty where the folder has none.

        Raises:
            DataError: the file is damaged.
        """
        return clips.read_frames(self.folder)

    @cached_property
    def traits(self) -> pd.DataFrame:
        """What each test picture is like, by name, from `traits.parquet`; no rows where there is none.

        Raises:
            DataError: the file is damaged.
        """
        return traits.read(self.folder)

    @property
    def fold_count(self) -> int:
        """Of how many folds of a cross-validation it is joined; 0 = it is a run of its own."""
        return 0

    @property
    def root(self) -> Path:
        """The folder that its files lie in, at any depth."""
        return self.folder

    @property
    def has_pictures(self) -> bool:
        """Whether its test pictures and alphas are still there."""
        return (self.folder / "truths").is_dir()

    def alpha_file(self, name: str) -> Path:
        """8-bit alpha of a test picture, at the size that it is scored at."""
        return self.folder / "alphas" / f"{name}.png"

    def truth_file(self, name: str) -> Path:
        """8-bit truth of a test picture, at the size that it is scored at; 0/255 unless it is an alpha."""
        return self.folder / "truths" / f"{name}.png"

    def thumb_file(self, name: str) -> Path:
        """The test picture itself, at most 768 px on the long side, in runs of before 256 px."""
        return self.folder / "thumbs" / f"{name}.jpg"

    def product_file(self, name: str) -> Path:
        """8-bit mask of the held product of a test picture, 0/255; none where there is no product."""
        return self.folder / "products" / f"{name}.png"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs that were scored on the same test pictures, so that they can be compared picture by picture.

    name: of the data, with the protocol where it is not the pictures' own size, and a digest where several
    sets of one name are reported. runs: methods that read the picture only first, then those that are given
    the true box, then the true mask; each by label. pictures: names of the test pictures, in the order of
    every run's rows. groups: the video of each, or its own name where videos are unknown. benchmarks: of any
    methods, in any order. corrupted: runs on these pictures, corrupted, by label; they are not ranked.
    """

    name: str
    runs: tuple[FinishedRun, ...]
    pictures: tuple[str, ...]
    groups: tuple[str, ...]
    benchmarks: tuple[Benchmark, ...] = ()
    corrupted: tuple[FinishedRun, ...] = ()

    @cached_property
    def compared(self) -> tuple[FinishedRun, ...]:
        """The runs that may be ranked: those that read the picture only, each training once."""
        absent = {label for labels in self.stand_ins.values() for label in labels}
        return tuple(run for run in self.runs if run.truth_access == "none" and run.label not in absent)

    @cached_property
    def stand_ins(self) -> dict[str, tuple[str, ...]]:
        """Label -> labels of the runs for which that run is compared, as they differ in their threshold only.

        Of such runs, the one whose threshold is from validation is compared, else the one nearest to 0.5.
        """
        alike: dict[str, list[FinishedRun]] = {}
        for run in self.runs:
            if run.truth_access == "none":
                alike.setdefault(repr(_same_outputs(run.record)), []).append(run)
        ordered = [sorted(runs, key=_standing) for runs in alike.values() if len(runs) > 1]
        return {first.label: tuple(sorted(run.label for run in rest)) for first, *rest in ordered}


def _standing(run: FinishedRun) -> tuple[bool, float, float, str]:
    return run.threshold_from != "validation", abs(run.threshold - 0.5), run.threshold, run.label


def _same_outputs(record: RunRecord) -> tuple[object, ...]:
    """What decides alphas on given pictures: training, seed, and words that change what a method predicts."""
    words = {word.lstrip("+") for word in record.overrides}
    return (
        record.method,
        record.seed,
        record.training and record.training.fingerprint,
        record.refiner,
        record.tta,
        record.smooth,
        (record.corrupt, record.severity),
        sorted(word for word in words if re.match(r"(refiner|weights|smooth|model\.)", word)),
    )


def find(where: str | Sequence[str], tell: Callable[[str], object] = lambda line: None) -> list[FinishedRun]:
    """The finished runs in a folder (at any depth), or in all folders that a pattern matches.

    Of runs that repeat each other in everything but the time, the newest counts. Labels name what differs.

    Args:
        where: a folder or a pattern such as `runs/sweeps/2026*`, or several.
        tell: called with a line for each run that is left out, and why.

    Raises:
        DataError: nothing matches, no run there is finished, or a file in a run folder is damaged.
    """
    usable = finished_folders(where, tell)
    newest = _newest(usable)
    for folder in usable.keys() - newest.keys():
        tell(f"left out: {folder} (repeated by a newer run)")
    return _labelled(newest)


def finished_folders(
    where: str | Sequence[str], tell: Callable[[str], object] = lambda line: None
) -> dict[Path, RunRecord]:
    """Every finished run folder with its `run.json`, those that newer runs repeat included; as `find`."""
    patterns = [where] if isinstance(where, str) else list(where)
    roots = [root for pattern in patterns for root in matches(pattern)]
    if not roots:
        raise DataError(
            f"{_named(where)} matches nothing; give a run folder, a folder of run folders, or a pattern."
        )
    folders = dict.fromkeys(folder.resolve() for root in roots for folder in run_folders_of(root))
    if not folders:
        raise DataError(f"{_named(where)} holds no run folder: no run.json lies in it or below it.")
    found = {folder: records.read(folder / run_folder.RUN) for folder in folders}
    usable = {}
    for folder, record in found.items():
        reason = _unusable(record)
        if reason:
            tell(f"left out: {folder} ({reason})")
        else:
            usable[folder] = record
    if not usable:
        raise DataError(f"{_named(where)} holds {len(found)} run folders{_nothing_usable(found.values())}")
    return usable


def _nothing_usable(found: Iterable[RunRecord]) -> str:
    shards = [record for record in found if record.finished and record.shard is not None]
    if shards:
        return (
            f", and no whole run: {len(shards)} are shards. Join them first: python -m kolbench task=merge "
            "runs=[SHARD,SHARD,...]"
        )
    return ", and none of them is finished."


def _named(where: str | Sequence[str]) -> str:
    return where if isinstance(where, str) else ", ".join(where)


def matches(pattern: str) -> list[Path]:
    """The folder of that name, or all that a pattern matches."""
    if Path(pattern).exists():
        return [Path(pattern)]
    return [Path(path) for path in sorted(glob.glob(pattern))]  # noqa: PTH207 - patterns may be absolute


def test_sets(runs: Sequence[FinishedRun]) -> list[Comparison]:
    """The runs by what they were scored on, the largest set first; labels name what differs in each set."""
    by_pictures: dict[str, list[FinishedRun]] = {}
    for run in runs:
        by_pictures.setdefault(_pictures_digest(run), []).append(run)
    names = [_data_name(group[0].record) for group in by_pictures.values()]
    sets = [
        _test_set(name if names.count(name) == 1 else f"{name}-{digest[:6]}", labelled_anew(group))
        for name, (digest, group) in zip(names, by_pictures.items(), strict=True)
    ]
    return sorted(sets, key=lambda found: -len(found.runs))


def labelled_anew(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """The same runs, each with a label of its own among them."""
    known = {run.folder: run for run in runs}
    renamed = []
    for made in _labelled({folder: run.record for folder, run in known.items()}):
        folds = known[made.folder].fold_count
        note = f" ({folds} folds joined)" if folds else ""
        run = replace(
            known[made.folder],
            label=made.label + note,
            family=made.family + note,
            clean_label=made.clean_label + note,
        )
        run.__dict__["scored"] = known[made.folder].scored  # read already
        renamed.append(run)
    return renamed


def _test_set(name: str, runs: Sequence[FinishedRun]) -> Comparison:
    test = runs[0].test
    return Comparison(name, in_order(runs), tuple(test.names), groups_of(test))


def in_order(runs: Iterable[FinishedRun]) -> tuple[FinishedRun, ...]:
    """By what of the truth they are given, then by label."""
    return tuple(sorted(runs, key=lambda run: (records.TRUTH_ACCESS.index(run.truth_access), run.label)))


def groups_of(scored: ImageCounts) -> tuple[str, ...]:
    """What is drawn again for an interval: the video of each picture, its own name where that is unknown."""
    return tuple(group or name for group, name in zip(scored.groups, scored.names, strict=True))


def _data_name(record: RunRecord) -> str:
    """The folder's name where the command named one, else the kind of data; fit to name a folder."""
    roots = [
        word.partition("=")[2].strip("'\"") for word in record.overrides if word.startswith("data.root=")
    ]
    named = re.sub(r"[^\w.-]+", "-", Path(roots[-1]).name if roots else "").strip(".-")
    kind = named or re.sub(r"[^\w.-]+", "-", record.data).strip(".-") or "data"
    return kind if record.eval_protocol == NATIVE else f"{kind}-{record.eval_protocol}"


def run_folders_of(root: Path) -> list[Path]:
    """The run folders at a folder or below it, whatever became of them."""
    if (root / run_folder.RUN).is_file():
        return [root]
    found = sorted(path.parent for path in root.rglob(run_folder.RUN))
    runs = [folder for folder in found if not set(_NO_RUNS) & set(folder.relative_to(root).parts)]
    # wandb's copy of a run lies inside the run
    return [folder for folder in runs if not set(folder.parents) & set(runs)]


def _unusable(record: RunRecord) -> str:
    """Why a run cannot be reported, or ""."""
    if record.status == records.VALIDATED:
        return "its test images are not scored; task=test weights= scores them"
    if not record.finished:
        return record.status or "not begun"
    if record.shard is not None:
        return f"{record.shard} of a run: python -m kolbench task=merge runs=... joins them"
    absent = [key for key in _NEEDED if getattr(record, key) in (None, "")]
    if absent:
        return f"of an older kolbench: its run.json has no {', '.join(absent)}; task=test scores it again"
    known = record.truth_access in records.TRUTH_ACCESS
    return "" if known else f"its truth_access is {record.truth_access}, which nobody knows"


def _pictures_digest(run: FinishedRun) -> str:
    """Of protocol, names and true sizes of both classes: the same pictures with the same truth."""
    test = run.test
    hasher = hashlib.sha256(b"" if run.record.eval_protocol == NATIVE else run.record.eval_protocol.encode())
    for name, fg, bg in zip(test.names, test.counts.fg, test.counts.bg, strict=True):
        hasher.update(f"{name} {fg.sum()} {bg.sum()}\n".encode())
    return hasher.hexdigest()


def _newest(finished: Mapping[Path, RunRecord]) -> dict[Path, RunRecord]:
    kept: dict[str, Path] = {}
    for folder, record in sorted(finished.items(), key=lambda entry: _begun(entry[1])):
        kept[repr(sorted(_identity(record).items()))] = folder
    return {folder: finished[folder] for folder in kept.values()}


def _begun(record: RunRecord) -> datetime:
    try:
        return datetime.strptime(record.started, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _identity(record: RunRecord) -> dict[str, object]:
    pictures = record.fingerprint or DataFingerprint()
    words = sorted(word for word in labels.words_of(record) if not word.startswith(("paths.", "logger")))
    return {
        "words": tuple(words),
        "method": record.method,
        "seed": record.seed,
        "eval_protocol": record.eval_protocol,
        "pictures": pictures.source,
        "splits": pictures.splits,
        "training": record.training and record.training.fingerprint,
    }


def _labelled(finished: Mapping[Path, RunRecord]) -> list[FinishedRun]:
    names = labels.labels_of(finished)
    return [
        FinishedRun(
            folder, record, names[folder].label, names[folder].family, clean_label=names[folder].clean
        )
        for folder, record in finished.items()
    ]
