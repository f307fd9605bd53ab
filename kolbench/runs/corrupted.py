"""Runs on corrupted test pictures beside the runs on the same pictures as they are."""

from collections.abc import Hashable, Sequence
from dataclasses import replace

from kolbench.config.schema import CROP, UNCORRUPTED
from kolbench.runs.finished import Comparison, FinishedRun, in_order, labelled_anew, test_sets


def comparisons(runs: Sequence[FinishedRun]) -> list[Comparison]:
    """As `test_sets`, with runs on corrupted pictures apart, in `corrupted`.

    They belong to the runs that were scored on the same pictures as they are, though a crop cuts the truth.
    Where there is no such run they are in `runs` too; cropped ones only where there are no others, and of
    these the least cropped.
    """
    by_pictures: dict[Hashable, list[FinishedRun]] = {}
    for run in runs:
        by_pictures.setdefault(_pictures(run), []).append(run)
    ranked = [run for group in by_pictures.values() for run in _ranked(group)]
    return [_beside(found, by_pictures[_pictures(found.runs[0])]) for found in test_sets(ranked)]


def is_corrupted(run: FinishedRun) -> bool:
    """Whether anything happened to its test pictures."""
    return run.record.corrupt != UNCORRUPTED


def _pictures(run: FinishedRun) -> Hashable:
    """What a crop leaves: the protocol, the pictures by name, and the content of their source."""
    fingerprint = run.record.fingerprint
    return run.record.eval_protocol, tuple(run.test.names), fingerprint and fingerprint.source


def _ranked(group: Sequence[FinishedRun]) -> list[FinishedRun]:
    """The runs of one set of pictures that stand in all tables."""
    clean = [run for run in group if not is_corrupted(run)]
    whole = [run for run in group if run.record.corrupt != CROP]
    least = min(run.record.severity or 0 for run in group)
    return clean or whole or [run for run in group if run.record.severity == least]


def _beside(found: Comparison, group: Sequence[FinishedRun]) -> Comparison:
    corrupted = {run.folder for run in group if is_corrupted(run)}
    if not corrupted:
        return found
    ranked = {run.folder for run in found.runs}
    labelled = labelled_anew([run for run in group if run.folder in ranked | corrupted])
    return replace(
        found,
        runs=in_order(run for run in labelled if run.folder in ranked),
        corrupted=in_order(run for run in labelled if run.folder in corrupted),
    )
