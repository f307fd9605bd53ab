"""What `task=test shard=K/N` leaves: counts of its pictures, and what all shards must have in common."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kolbench.config.schema import TaskResult
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.shards import Shard
from kolbench.metrics import scores
from kolbench.metrics.counts import ImageCounts
from kolbench.models.checkpoints.run import BEST_IN_RUN
from kolbench.refiners import weights as refiner_weights
from kolbench.runs import fingerprint, run_folder
from kolbench.runs.record import ShardRecord
from kolbench.tasks.recorder import KnownThreshold, RunRecorder
from kolbench.tasks.scoring import ScoringConfig


def begun(shard: Shard | None) -> ShardRecord | None:
    """What `run.json` says of a shard from the start."""
    return None if shard is None else ShardRecord(shard.number, shard.count)


def leave(
    recorder: RunRecorder,
    data: SegmentationDataModule,
    scored: Mapping[str, ImageCounts],
    baselines: Mapping[str, Mapping[str, ImageCounts]],
    known: KnownThreshold,
    weights: Path | None,
) -> TaskResult:
    """Writes the counts of a shard's pictures, and no score: threshold and scores need all pictures.

    Args:
        recorder: of the shard, after `describe`.
        data: of all pictures.
        scored: split -> this shard's pictures. baselines: of the same pictures.
        known: the threshold where neither the command gives one nor validation pictures choose it.
        weights: the run folder or the file that was scored; None for methods without.
    """
    assert recorder.record.shard is not None
    run_folder.write_histograms(recorder.folder / run_folder.HISTOGRAMS, scored)
    for name, parts in baselines.items():
        path = recorder.folder / run_folder.SHARD_BASELINES / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        run_folder.write_histograms(path, parts)
    shard = replace(
        recorder.record.shard,
        contents=contents_of(recorder.config, weights),
        code=code_of(recorder.config),
        threshold=known.value,
        threshold_from=known.origin,
    )
    recorder.record = replace(
        recorder.record,
        shard=shard,
        pictures={split: len(part.names) for split, part in scored.items()},
        seconds=round(time.monotonic() - recorder.started, 3),
        status="finished",
    )
    recorder.record.write(recorder.folder / run_folder.RUN)
    count = len(data.evaluated_rows()["test"])
    recorder.say(
        f"{shard}: {len(scored['test'].names)} of {count} test images are counted in {recorder.folder}",
        f"scores follow from all {shard.count} shards: python -m kolbench task=merge runs=[...]",
    )
    return TaskResult(folder=recorder.folder)


def contents_of(config: ScoringConfig, weights: Path | None) -> dict[str, str]:
    """Key -> digest of the files that predictions rest on, wherever they lie."""
    file = weights / BEST_IN_RUN if weights is not None and weights.is_dir() else weights
    named: dict[str, object] = {"weights": None if file is None else str(file)}
    named |= {f"model.{key}": config.model.options.get(key) for key in fingerprint.FILES}
    found = {key: str(fingerprint.content(str(path))) for key, path in named.items() if path is not None}
    if (of_refiner := refiner_weights.named_by(config.refiner)) is not None:
        found["refiner.weights"] = refiner_weights.digest_of(of_refiner)
    return found


def code_of(config: ScoringConfig) -> str:
    """Hash of the code that scores: this package's, that of the method and of the pictures, and metrics."""
    groups = (config.model.options, config.refiner.options, config.smooth.options, config.data.source.options)
    modules = ["kolbench.tasks.test", *fingerprint.targets(*groups), *scores.counting_modules()]
    return fingerprint.code_hash(modules)
