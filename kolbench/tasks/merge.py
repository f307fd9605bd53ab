"""`task=merge`: the shards of `task=test` become the run folder that one machine would have left."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import cast

import torch

from kolbench.config.groups import Invocation, key_of
from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.config.typed import typed_config
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.engine.joining import join_files
from kolbench.engine.team import PLACING, SYNC
from kolbench.errors import ConfigError, DataError
from kolbench.metrics import scores
from kolbench.metrics.counts import ImageCounts
from kolbench.runs import run_folder, shards
from kolbench.runs.record import DataFingerprint
from kolbench.runs.shards import ShardRun
from kolbench.tasks import evaluation, shard
from kolbench.tasks.recorder import KnownThreshold, RunRecorder
from kolbench.tasks.scoring import below_method
from kolbench.tasks.test import TestConfig
from kolbench.tasks.together import names_of

_NAME = "name"


@dataclass(frozen=True)
class MergeConfig(TaskConfig):
    """What `task=merge` reads.

    runs: the run folders of all shards, a folder that holds them, or patterns. name: of the new run's folder.
    """

    runs: tuple[str, ...]
    name: str


def run(config: MergeConfig) -> TaskResult:
    """Joins the counts of all shards, chooses the threshold, and writes all that `task=test` writes.

    The pictures are opened again, by the configuration of the shards; nothing is predicted.

    Raises:
        KolbenchError: the shards are not all shards of one run, each once and finished, or the pictures or
            this code are not those that were scored.
    """
    if not config.runs:
        raise ConfigError("task=merge needs runs=[SHARD,SHARD,...], or a folder that holds the shards.")
    parts = shards.find(config.runs, print)
    test = _as_one(parts[0], config)
    scores.load(test.metrics)
    if shard.code_of(test) != parts[0].shard.code:
        raise DataError(
            f"{parts[0]} was scored by other code ({parts[0].record.commit}) than this one. Merge with the "
            "kolbench, and from the folder, that scored it."
        )
    data = _opened(test, parts[0])
    names = names_of(data)
    scored = shards.joined(
        [run_folder.read_histograms(p.folder / run_folder.HISTOGRAMS) for p in parts], names
    )
    baselines = _baselines(parts, names)
    with RunRecorder(test) as recorder:
        _take_over(recorder, parts)
        recorder.say(*(f"{part.shard}: {part.folder}" for part in parts))
        join_files([part.folder for part in parts], recorder.folder, names["test"])
        of_all = parts[0].shard
        assert of_all.threshold is not None
        known = KnownThreshold(of_all.threshold, str(of_all.threshold_from))
        return recorder.finish(scored, baselines, data, known)


def _as_one(part: ShardRun, config: MergeConfig) -> TestConfig:
    """The command of a shard, less the word that made it one, with a run folder of its own."""
    method = part.record.method
    named = _NAME in config.invocation.typed_keys
    paths = config.paths if named else below_method(config.paths, config.name, method)
    where = {"runs": str(paths.runs), "run": str(paths.run)}
    values = {**part.config, "shard": None, "paths": {**part.config.get("paths", {}), **where}}
    words = tuple(word for word in part.record.overrides if key_of(word) != "shard")
    choices = {group: str(choice) for group, choice in part.record.choices.items()}
    made = typed_config(TestConfig, values, Invocation(words, choices, None, values))
    found = cast(TestConfig, made)
    # what is left to do needs no accelerator
    trainer = {key: found.trainer[key] for key in found.trainer if key not in (*PLACING, SYNC)}
    return replace(found, paths=paths, device="cpu", trainer=trainer)


def _opened(test: TestConfig, part: ShardRun) -> SegmentationDataModule:
    """The pictures of all shards.

    Raises:
        DataError: they are not those that were scored.
    """
    data = evaluation.open_data(test, torch.device("cpu"))
    if DataFingerprint(**data.fingerprint()) != part.record.fingerprint:
        raise DataError(
            f"{part} was scored on other data than data={test.data.name} gives now: images, truths or "
            "their split have changed since. Score the shards again."
        )
    return data


def _baselines(
    parts: Sequence[ShardRun], names: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, ImageCounts]]:
    folders = [part.folder / run_folder.SHARD_BASELINES for part in parts]
    # in the order of a run, in which the ellipse comes first
    files = sorted(path.name for path in folders[0].glob("*.parquet"))
    return {
        Path(file).stem: shards.joined(
            [run_folder.read_histograms(folder / file) for folder in folders], names
        )
        for file in files
    }


def _take_over(recorder: RunRecorder, parts: Sequence[ShardRun]) -> None:
    """What the shards say of themselves holds for the whole: method, cost, licences, where it was scored."""
    first = parts[0].record
    begun = min((part.record.started for part in parts), key=datetime.fromisoformat)
    # the seconds of a run are those of all its shards
    recorder.started = time.monotonic() - sum(part.record.seconds or 0 for part in parts)
    threads = sorted({part.record.device for part in parts})
    if len(threads) > 1:
        recorder.say(
            f"the shards ran on {' and '.join(threads)}: a network may round sums otherwise on each, so one "
            "machine's run may differ in the last digits"
        )
    recorder.record = replace(
        recorder.record,
        started=begun,
        device=first.device,
        machine=first.machine,
        versions=first.versions,
        commit=first.commit,
        rests_on=first.rests_on,
        truth_access=first.truth_access,
        input_keys=first.input_keys,
        refiner=first.refiner,
        skipped=first.skipped,
        checked=first.checked,
        timed_on=first.timed_on,
        fingerprint=first.fingerprint,
        truth=first.truth,
        parameters=first.parameters,
        cost=first.cost,
    )
