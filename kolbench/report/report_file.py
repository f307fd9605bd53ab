"""`report.json` beside a report's page: what it is of, its headline, and the runs that it was made from."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kolbench.errors import DataError
from kolbench.io.files import sha256, write_json
from kolbench.report.numbers import Numbers, numbers_of
from kolbench.report.ranking import family_interval, family_name, mean_miou, ranked_families
from kolbench.runs import folds
from kolbench.runs.finished import Comparison
from kolbench.runs.record import of_mapping
from kolbench.runs.run_folder import RUN

FILE = "report.json"
GONE = "Out of date: runs that it was made from are gone."
CHANGED = "Out of date: results of its runs have changed since."


@dataclass(frozen=True)
class Source:
    """A run of a report. folder: from that of the report. digest: SHA-256 of its run.json then."""

    folder: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Headline:
    """The highest mean mIoU, in [0, 1], of the automatic methods; low, high: None with too few groups."""

    method: str = ""
    miou: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ReportFile:
    """What a report is.

    name: of its test set. written: date and time. methods: how many are ranked. images: of the test set.
    headline: None where only baselines, or methods that use the ground truth, were run. runs: that it was
    made from. of_several: whether the command wrote reports of other test sets beside it. note: why it is
    not the newest; "" where it is.
    """

    name: str = ""
    written: str = ""
    methods: int = 0
    images: int = 0
    headline: Headline | None = None
    runs: tuple[Source, ...] = ()
    of_several: bool = False
    note: str = ""

    def write(self, folder: Path) -> None:
        """Writes `report.json` into the report's folder, atomically."""
        write_json(folder / FILE, asdict(self))


def of_comparison(comparison: Comparison, folder: Path, written: str, of_several: bool) -> ReportFile:
    """What the report of a test set is that stands in `folder`."""
    numbers = numbers_of(comparison)
    families = ranked_families(numbers)
    return ReportFile(
        name=comparison.name,
        written=written,
        methods=len(families),
        images=len(comparison.pictures),
        headline=_headline(numbers, families),
        runs=tuple(_sources(comparison, folder)),
        of_several=of_several,
    )


def read(folder: Path) -> ReportFile | None:
    """Of the report in `folder`; None where there is none, or it is damaged."""
    path = folder / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return of_mapping(ReportFile, values, path) if isinstance(values, dict) else None
    except (OSError, ValueError, DataError):
        return None


def state(known: ReportFile, folder: Path) -> str:
    """`GONE` or `CHANGED` where the runs of the report in `folder` are not as they were, else ""."""
    # as text, so that a link on the way does not lead elsewhere
    places = [Path(os.path.normpath(folder.absolute() / source.folder)) for source in known.runs]
    files = [(place / RUN, source.digest) for place, source in zip(places, known.runs, strict=True)]
    if any(not path.is_file() for path, _ in files):
        return GONE
    return CHANGED if any(sha256(path) != digest for path, digest in files) else ""


def _headline(numbers: Numbers, families: Sequence[str]) -> Headline | None:
    if not families:
        return None
    runs = numbers.compared_families[families[0]]
    found = family_interval(numbers, runs)
    ends = (float(found.low), float(found.high)) if found.known else (None, None)
    return Headline(family_name(numbers, families[0]), float(mean_miou(runs)), *ends)


def _sources(comparison: Comparison, folder: Path) -> Iterator[Source]:
    for run in (*comparison.runs, *comparison.corrupted):
        for part in folds.parts_of(run):
            place = os.path.relpath(part.folder, folder.absolute())
            yield Source(Path(place).as_posix(), sha256(part.folder / RUN))
