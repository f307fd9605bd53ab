"""The shards of one run: found, checked against each other, and their files put together."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kolbench.errors import DataError
from kolbench.metrics.counts import ImageCounts
from kolbench.runs import record, run_folder
from kolbench.runs.finished import matches, run_folders_of
from kolbench.runs.record import DataFingerprint, RunRecord, ShardRecord

# groups and keys that decide no number: where things lie and go. The content of files is compared by itself
_PLACES = ("shard", "paths", "device", "logger", "weights")
_PLACE_NAMES = ("root", "images", "masks", "products", "file", "masks_dir", "workers", "cache")
_REFINER_WEIGHTS = "refiner.weights"


@dataclass(frozen=True, eq=False)
class ShardRun:
    """The run folder of a shard. config: the values of its `config.yaml`."""

    folder: Path
    record: RunRecord
    config: Mapping[str, Any]

    @property
    def shard(self) -> ShardRecord:
        """Which part it is."""
        assert self.record.shard is not None  # `find` leaves other runs out
        return self.record.shard

    def __str__(self) -> str:
        return f"{self.folder} ({self.shard})"


def find(where: Sequence[str], tell: Callable[[str], object]) -> list[ShardRun]:
    """All shards of one run, in the order of their numbers.

    Args:
        where: their run folders, folders that hold them, or patterns.
        tell: called with a line for each run that is left out, and why.

    Raises:
        DataError: there are no shards, one is missing, unfinished or there twice, or two are of different
            runs: names them, and what differs.
    """
    finished: list[ShardRun] = []
    others: list[ShardRun] = []
    for folder in _folders(where):
        found = record.read(folder / run_folder.RUN)
        if found.shard is None:
            tell(f"left out: {folder} (no shard)")
        else:
            (finished if found.finished else others).append(ShardRun(folder, found, _config_of(folder)))
    if not finished and not others:
        raise DataError(f"{', '.join(where)} holds no shards; task=test shard=1/N ... shard=N/N leave them.")
    whole = _each_once(finished, others)
    for run in others:
        tell(f"left out: {run.folder} ({run.shard}, {run.record.status}: another run of it is finished)")
    for run in whole[1:]:
        if different := list(_differences(whole[0], run)):
            raise DataError(
                f"{whole[0]} and {run} are not of one run. They differ in {'; '.join(different)}. "
                "Score one of them again as the other was."
            )
    return whole


def _folders(where: Sequence[str]) -> list[Path]:
    for each in where:
        if not matches(each):
            raise DataError(f"runs: {each} matches nothing; give run folders of shards, or a folder of them.")
    folders = [folder for each in where for root in matches(each) for folder in run_folders_of(root)]
    return list(dict.fromkeys(folder.resolve() for folder in folders))


def _config_of(folder: Path) -> Mapping[str, Any]:
    path = folder / run_folder.CONFIG
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read ({' '.join(str(error).split())}).") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} is damaged: it holds no mapping. Score that shard again.")
    return values


def _each_once(finished: Sequence[ShardRun], others: Sequence[ShardRun]) -> list[ShardRun]:
    """The finished shards by number, where none is missing or there twice."""
    first = (*finished, *others)[0]
    for run in finished:
        if run.shard.count != first.shard.count:
            raise DataError(f"{first} and {run} are parts of different divisions; merge those of one.")
    by_number = {run.shard.number: run for run in finished}
    for number, times in Counter(run.shard.number for run in finished).items():
        if times > 1:
            twice = ", ".join(str(run.folder) for run in finished if run.shard.number == number)
            raise DataError(
                f"shard {number} of {first.shard.count} is there {times} times: {twice}. Name one."
            )
    missing = [number for number in range(1, first.shard.count + 1) if number not in by_number]
    for run in others:
        if run.shard.number in missing:
            why = f": {run.record.error}" if run.record.error else ""
            raise DataError(f"{run} is not finished ({run.record.status}{why}). Score it again.")
    if missing:
        listed = ", ".join(f"shard={number}/{first.shard.count}" for number in missing)
        raise DataError(f"{first} and the others are not all: {listed} is missing. Score it with task=test.")
    return [by_number[number] for number in sorted(by_number)]


def _differences(one: ShardRun, other: ShardRun) -> Iterator[str]:
    """What differs between two shards that decides a number, in words."""
    known = one.record.fingerprint or DataFingerprint(), other.record.fingerprint or DataFingerprint()
    if known[0] != known[1]:
        yield "data (images, truths or their split)"
    yield from _changed(one.shard.contents, other.shard.contents, "the content of ")
    if one.shard.code != other.shard.code:
        yield f"code ({one.record.commit} and {other.record.commit})"
    yield from _changed(one.record.versions, other.record.versions, "versions, ")
    kinds = [_kind_of_device(run.record.device) for run in (one, other)]
    if kinds[0] != kinds[1]:
        yield f"device ({kinds[0]} and {kinds[1]})"
    yield from _changed(dict(_settings(one.config)), dict(_settings(other.config)), "configuration, ")


def _changed(one: Mapping[str, Any], other: Mapping[str, Any], what: str) -> Iterator[str]:
    for name in sorted({*one, *other}):
        values = [str(each.get(name, "nothing"))[:40] for each in (one, other)]
        if one.get(name) != other.get(name):
            yield f"{what}{name} ({values[0]} and {values[1]})"


def _kind_of_device(device: str) -> str:
    """`cpu`, or the name of the GPU."""
    place, _, details = device.partition(" (")
    return details.rstrip(")") if place.startswith("cuda") else place


def _settings(values: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, object]]:
    """Every value of a configuration that decides a number, by its dotted key."""
    for key, value in values.items():
        name = f"{where}{key}"
        if name in _PLACES or name == _REFINER_WEIGHTS or (where and key in _PLACE_NAMES):
            continue
        if isinstance(value, dict):
            yield from _settings(value, f"{name}.")
        else:
            yield name, value


def joined(
    parts: Sequence[Mapping[str, ImageCounts]], names: Mapping[str, Sequence[str]]
) -> dict[str, ImageCounts]:
    """The pictures of all parts, as one evaluation gives them.

    Args:
        parts: split -> pictures of each shard.
        names: split -> names of all of its pictures, in order.

    Raises:
        DataError: a picture is in no part, in two, or is none of these.
    """
    return {
        split: _in_order(split, [part[split] for part in parts if split in part], of_split)
        for split, of_split in names.items()
    }


def _in_order(split: str, parts: Sequence[ImageCounts], names: Sequence[str]) -> ImageCounts:
    try:
        return ImageCounts.joined(split, parts, names)
    except ValueError as error:
        raise DataError(f"the shards' files were changed: {error}. Score them again.") from error
