"""Experiment trackers: they watch a run and never stop it. CSV and parquet are written elsewhere, always."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kolbench.tracking.overlay import Overlay


@dataclass(frozen=True)
class RunInfo:
    """What a tracker is told at the start of a run.

    id: unique. group: the sweep, None for a single run. folder: the run folder; logs go below it.
    config: resolved plain values.
    """

    id: str
    name: str
    group: str | None
    folder: Path
    config: Mapping[str, object]
    tags: tuple[str, ...]


class Tracker(Protocol):
    """What every tracker can do; `step` is the epoch."""

    def start(self, run: RunInfo) -> None:
        """Opens the run."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one epoch, keys such as `train/loss` and `val/miou`."""

    def curve(self, name: str, thresholds: Sequence[float], scores: Mapping[str, Sequence[float]]) -> None:
        """Scores against threshold, as the tracker's own kind of plot."""

    def table(self, name: str, columns: Mapping[str, Sequence[object]]) -> None:
        """A row per picture."""

    def overlays(self, name: str, step: int, overlays: Sequence[Overlay]) -> None:
        """Pictures with truth and prediction."""

    def summary(self, values: Mapping[str, float | int | str]) -> None:
        """What a dashboard sorts by."""

    def keep(self, folder: Path, files: Sequence[Path]) -> None:
        """Takes files of the finished run folder, by their paths in it: all that a report is made of."""

    def finish(self, failed: bool) -> None:
        """Closes the run."""


class Trackers(list[Tracker]):
    """Several trackers as one. One that raises is named once and switched off; the run goes on."""

    def start(self, run: RunInfo) -> None:
        """Opens the run in every tracker."""
        self._each(lambda tracker: tracker.start(run))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one epoch."""
        self._each(lambda tracker: tracker.scalars(step, values))

    def curve(self, name: str, thresholds: Sequence[float], scores: Mapping[str, Sequence[float]]) -> None:
        """Scores against threshold."""
        self._each(lambda tracker: tracker.curve(name, thresholds, scores))

    def table(self, name: str, columns: Mapping[str, Sequence[object]]) -> None:
        """A row per picture."""
        self._each(lambda tracker: tracker.table(name, columns))

    def overlays(self, name: str, step: int, overlays: Sequence[Overlay]) -> None:
        """Pictures with truth and prediction."""
        self._each(lambda tracker: tracker.overlays(name, step, overlays))

    def summary(self, values: Mapping[str, float | int | str]) -> None:
        """What a dashboard sorts by."""
        self._each(lambda tracker: tracker.summary(values))

    def keep(self, folder: Path, files: Sequence[Path]) -> None:
        """Finished files of the run folder."""
        self._each(lambda tracker: tracker.keep(folder, files))

    def finish(self, failed: bool) -> None:
        """Closes the run in every tracker that still works."""
        self._each(lambda tracker: tracker.finish(failed), close=False)

    def _each(self, call: Callable[[Tracker], None], close: bool = True) -> None:
        for tracker in list(self):
            try:
                call(tracker)
            except Exception as error:  # a tracker may fail in any way; the run must not
                self._switch_off(tracker, error, close)

    def _switch_off(self, tracker: Tracker, error: Exception, close: bool) -> None:
        self[:] = [other for other in self if other is not tracker]
        print(
            f"{type(tracker).__name__} failed ({one_line(error)}) and is switched off; "
            "the run goes on, its results are in the run folder.",
            flush=True,
        )
        if close:
            with suppress(Exception):  # its failure is told already; closing it is a courtesy
                tracker.finish(True)


def one_line(error: Exception) -> str:
    """Kind and message of an error on one line of at most 300 characters."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" ...")
