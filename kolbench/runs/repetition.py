"""A run and its repetition: where the first was started, what differs around it, which scores are equal."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kolbench.runs.record import DataFingerprint, Machine, RunRecord

# a hash is known by so many of its digits
_DIGITS = 12
# in front of the others
_FIRST = ("threshold", "miou", "iou", "f0.3_pooled", "mae", "product_recall")


@dataclass(frozen=True)
class Change:
    """A score before and now, at either run's own threshold; None where a run does not have it."""

    name: str
    before: float | None
    now: float | None

    @property
    def difference(self) -> float | None:
        """Now minus before; None where a run does not have the score."""
        return None if self.before is None or self.now is None else self.now - self.before

    @property
    def equal(self) -> bool | None:
        """Whether both are the same to the last digit, NaN included; None where a run does not have it."""
        if self.before is None or self.now is None:
            return None
        return self.before == self.now or (math.isnan(self.before) and math.isnan(self.now))


def changes(before: RunRecord, now: RunRecord) -> list[Change]:
    """The threshold and every score, of persons and of clips too; the usual headlines first."""
    old, new = _numbers(before), _numbers(now)
    known = {**old, **new}
    names = [*(name for name in _FIRST if name in known), *(name for name in known if name not in _FIRST)]
    return [Change(name, old.get(name), new.get(name)) for name in names]


def _numbers(record: RunRecord) -> dict[str, float]:
    found = {} if record.threshold is None else {"threshold": record.threshold}
    return {
        **found,
        **record.scores,
        **(record.instances or {}),
        **{f"clips/{name}": value for name, value in record.video.items()},
    }


@dataclass(frozen=True)
class Surroundings:
    """What a run depends on besides its configuration. data: None = not known."""

    versions: Mapping[str, str]
    commit: str | None
    device: str
    machine: Machine | None
    data: DataFingerprint | None

    @classmethod
    def of_run(cls, record: RunRecord) -> "Surroundings":
        """As its `run.json` says."""
        return cls(record.versions, record.commit, record.device, record.machine, record.fingerprint)


def told(before: Surroundings, now: Surroundings) -> list[str]:
    """A line each on versions, code, data and device: the same, or what differs."""
    return [
        _versions(before.versions, now.versions),
        _code(before, now),
        _data(before, now),
        _device(before, now),
    ]


def _versions(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    if not before:
        return "versions: not recorded by the run"
    changed = [
        f"{name} {before.get(name, 'not recorded')} then, {now.get(name, 'not there')} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    return f"versions: {'; '.join(changed) or 'the same'}"


def _code(before: Surroundings, now: Surroundings) -> str:
    if before.commit is None or now.commit is None:
        known = [side for side, found in (("then", before.commit), ("now", now.commit)) if found]
        return f"code: no commit is known{' of both' if known else ''}; the versions are all there is"
    dirty = "; files differ from the commit (-dirty)" if "-dirty" in before.commit + now.commit else ""
    if before.commit == now.commit:
        return f"code: the same commit, {now.commit}{dirty}"
    return f"code: commit {before.commit} then, {now.commit} now{dirty}"


def _data(before: Surroundings, now: Surroundings) -> str:
    if before.data is None or now.data is None:
        return "data: not recorded by the run"
    parts = {
        "images or masks": (before.data.source, now.data.source),
        "the split": (before.data.splits, now.data.splits),
        "the images of data.still": (before.data.still, now.data.still),
    }
    changed = [
        f"{what} differ{'s' if what == 'the split' else ''} ({_short(old)} then, {_short(new)} now)"
        for what, (old, new) in parts.items()
        if old != new
    ]
    return f"data: {'; '.join(changed) or 'the same images, masks and split'}"


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:_DIGITS]


def _device(before: Surroundings, now: Surroundings) -> str:
    parts = (
        [] if before.device == now.device else [f"{before.device or 'not recorded'} then, {now.device} now"]
    )
    if before.machine and now.machine:
        parts += [
            f"{what} {old} then, {new} now"
            for what, old, new in (
                ("platform", before.machine.platform, now.machine.platform),
                ("cores", before.machine.cores, now.machine.cores),
            )
            if old != new
        ]
    return f"device: {'; '.join(parts) or f'the same, {now.device}'}"


def started_in(folder: Path, runs: Path) -> Path | None:
    """The folder that a run was started in, as far as its run folder tells.

    Args:
        folder: the run folder. runs: the folder of all runs, as its configuration names it.

    Returns:
        The nearest folder above in which the relative path `runs` leads to the run; None where it is
        absolute, or leads elsewhere as the run was moved.
    """
    if runs.is_absolute():
        return None
    above = folder.absolute().parents
    return next((base for base in above if (base / runs) in above), None)


def folder_of_runs(folder: Path, runs: Path) -> Path | None:
    """The folder of all runs that a run lies in; None where it was moved out of it."""
    if runs.is_absolute():
        return runs if runs in folder.absolute().parents else None
    base = started_in(folder, runs)
    return None if base is None else base / runs


def relative_paths(values: Mapping[str, object], keys: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The dotted keys of a configuration, of those that name files, whose value is no absolute path."""
    for key in sorted(keys):
        node: object = values
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if isinstance(node, str) and not Path(node).expanduser().is_absolute():
            yield key, node
