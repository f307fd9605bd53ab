"""One job from its first line to its last: folder, log lines, trackers, result table, run.json."""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pandas as pd
import torch

from kolbench.config import compose
from kolbench.config.fields import Values
from kolbench.config.schema import UNCORRUPTED, TaskResult
from kolbench.data.config import ALL
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.engine import cost
from kolbench.engine.callbacks.checkpoint import BEST
from kolbench.engine.devices import describe, free_memory
from kolbench.engine.evaluation import TIMING
from kolbench.engine.team import Team, plan_of
from kolbench.io import colour_profiles
from kolbench.io.files import read_json, write_atomically
from kolbench.io.images import write_png
from kolbench.metrics import scores
from kolbench.metrics.counts import ImageCounts
from kolbench.metrics.video.clip_scores import mean_over_clips
from kolbench.runs import clips, run_folder
from kolbench.runs.labels import own_name
from kolbench.runs.method_names import shown_label, shown_name
from kolbench.runs.record import (
    VALIDATED,
    CostRecord,
    DataFingerprint,
    Part,
    RunRecord,
    ShardRecord,
    training_of,
)
from kolbench.segmenter import Segmenter
from kolbench.tasks import surroundings
from kolbench.tasks.next_steps import OVERVIEW, is_job, next_steps, shown_path
from kolbench.tasks.overview import heading_of, overlays
from kolbench.tasks.score_table import Row, Scored, baseline_rows, print_table
from kolbench.tasks.scoring import ScoringConfig
from kolbench.tracking.overlay import sheet
from kolbench.tracking.tracker import RunInfo, Trackers
from kolbench.types import NATIVE, JsonObject, Refiner

SUMMARY = ("method", "truth_access", "refiner", "budget", "data", "threshold", "parameters", "seconds")
# scores of clips that are printed
VIDEO = {"j_and_f": "J&F", "j_mean": "J", "f_mean": "F", "dtssd": "dtSSD", "flicker_mad": "flicker"}


class KnownThreshold(NamedTuple):
    """A threshold of alpha, in [0, 1), and where it comes from, in words."""

    value: float
    origin: str


NO_THRESHOLD = KnownThreshold(0.5, "no validation images")


class RunRecorder:
    """The run folder of one job while it is worked on; leaving it on an error records the failure.

    Args:
        config: of the task; `paths.run` is the folder.
        shard: which part of a run this is; None = all of it.

    Raises:
        ConfigError: the device that was asked for is not there.
        KolbenchError: the folder belongs to another run.
    """

    def __init__(self, config: ScoringConfig, shard: ShardRecord | None = None) -> None:
        self.config = config
        self.shard = shard
        self.started = time.monotonic()
        # of the job before, in a sweep
        free_memory()
        self.device = plan_of(config.trainer, config.device).device
        self.folder = config.paths.run
        self.trackers = Trackers([compose.instantiate(entry) for entry in config.logger.values()])
        self.record = RunRecord()

    def __enter__(self) -> Self:
        run_folder.claim(self.folder)
        invocation = self.config.invocation
        config = invocation.resolved
        write_atomically(self.folder / run_folder.CONFIG, lambda partial: compose.save_yaml(config, partial))
        self.record = RunRecord(
            status="running",
            task=self.config.task,
            method=self.config.model.name,
            budget=self.config.budget.name,
            data=self.config.data.name,
            seed=self.config.seed,
            eval_protocol=self.config.eval_protocol,
            tta=self.config.tta,
            smooth=self.config.smooth.name,
            corrupt=self.config.corrupt,
            severity=None if self.config.corrupt == UNCORRUPTED else self.config.severity,
            sweep=invocation.sweep,
            choices=dict(invocation.choices),
            overrides=tuple(invocation.overrides),
            device=describe(self.device),
            started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            versions=surroundings.versions(),
            commit=surroundings.commit(),
            machine=surroundings.machine(),
            shard=self.shard,
        )
        self.record.write(self.folder / run_folder.RUN)
        self.say(
            f"{shown_name(self.record.method)}, budget {self.record.budget}, data {self.record.data}, "
            f"device {self.record.device}",
            f"run folder {shown_path(self.folder)}",
        )
        self.trackers.start(self._info(config))
        return self

    def _info(self, config: Values) -> RunInfo:
        return RunInfo(
            id=f"{self.folder.parent.name}-{self.folder.name}".replace("/", "-"),
            name=f"{self.record.method}-{self.record.budget}-{self.folder.name}",
            group=self.config.invocation.sweep,
            folder=self.folder,
            config=config,
            tags=(self.record.method, self.record.budget, self.record.data),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            self.fail(str(error), "interrupted" if stopped else "failed")
        self.trackers.finish(error is not None)

    def joined(self, team: Team) -> None:
        """Records the threads that each process of a run has."""
        if team.size > 1 and self.record.machine is not None:
            machine = replace(self.record.machine, threads=torch.get_num_threads())
            self.record = replace(self.record, machine=machine, device=describe(self.device))

    def fail(self, why: str, status: str = "failed") -> None:
        """Writes into `run.json` why the run has ended."""
        self.record = replace(self.record, status=status, error=why)
        with suppress(OSError):  # the first error is the one to tell
            self.record.write(self.folder / run_folder.RUN)

    def say(self, *lines: str) -> None:
        """Prints lines."""
        for line in lines:
            print(line, flush=True)

    def check(self, data: SegmentationDataModule) -> None:
        """Reads all pictures, prints and records what a look for near-duplicates across splits says.

        Raises:
            DataError: pictures are damaged, or stand in two splits.
        """
        lines = data.verify()
        self.say(*lines)
        self.record = replace(self.record, checked=tuple(lines))

    def rest_on(self, parts: Sequence[Part]) -> None:
        """Records what of others the run rests on, with the licences."""
        self.record = replace(self.record, rests_on=tuple(parts))

    def listen(self, epoch: int, row: Mapping[str, float]) -> None:
        """Hands an epoch's row to the trackers and prints its outcome."""
        self._to_trackers(epoch, row)
        if "val/miou" in row:
            self.say(
                f"epoch {epoch + 1}: loss {row['train/loss']:.4f}, validation mIoU {row['val/miou']:.4f}"
            )

    def replay(self, folder: Path) -> None:
        """Hands the trackers the epochs that an earlier run trained, so that every run has its curves."""
        path = folder / run_folder.HISTORY
        if not path.is_file():
            return
        for row in pd.read_csv(path).to_dict("records"):
            self._to_trackers(int(row["epoch"]), {str(key): float(value) for key, value in row.items()})

    def _to_trackers(self, epoch: int, row: Mapping[str, float]) -> None:
        self.trackers.scalars(
            epoch, {key: value for key, value in row.items() if key not in ("epoch", "step")}
        )

    def keep_training(self, folder: Path, summary: Values) -> None:
        """Puts the training's best weights and history into the run folder, so that it stands alone."""
        run_folder.link_file(folder / BEST, self.folder / "checkpoints" / BEST)
        for history in sorted(folder.rglob(run_folder.HISTORY)):
            run_folder.link_file(history, self.folder / history.relative_to(folder))
        run_folder.link_tree(folder / run_folder.PROGRESS, self.folder / run_folder.PROGRESS)
        details = read_json(folder / "training.json")
        training = {
            "folder": os.path.relpath(folder, self.folder),
            "fingerprint": details["fingerprint"],
            "pictures": details["settings"]["pictures"],
            "lr_factor": details["settings"]["budget"]["lr_factor"],
            "backbone_weights": details["settings"]["model"].get("backbone_weights"),
            **summary,
        }
        self.record = replace(self.record, training=training_of(training))

    def describe(
        self, segmenter: Segmenter, data: SegmentationDataModule, refiner: Refiner | None = None
    ) -> None:
        """Records what was scored, on what, and what a prediction costs.

        Args:
            refiner: what followed the method; a network in it is counted with the method's.
        """
        self._describe_inputs(segmenter, data)
        networks = [segmenter.inference_network(), *cost.networks_of(refiner)]
        self.record = replace(
            self.record,
            skipped=tuple(getattr(data.source, "skipped", ())),
            timed_on=str(self._beside(TIMING)["device"]),
            parameters=sum(p.numel() for network in networks for p in network.parameters()),
            cost=CostRecord(
                **cost.of(segmenter.to(self.device).eval(), data.test_batch(0), refiner)._asdict()
            ),
        )

    def _describe_inputs(self, segmenter: Segmenter, data: SegmentationDataModule) -> None:
        """Records what pictures there are, and what the method is given of them."""
        self.record = replace(
            self.record,
            truth_access=segmenter.truth_access,
            input_keys=tuple(segmenter.input_keys),
            refiner=self.config.refiner.name,
            fingerprint=DataFingerprint(**data.fingerprint()),
            truth=data.truth,
        )

    def finish(
        self,
        scored: Mapping[str, ImageCounts],
        baselines: Mapping[str, Mapping[str, ImageCounts]],
        data: SegmentationDataModule,
        known: KnownThreshold = NO_THRESHOLD,
    ) -> TaskResult:
        """Writes all results, prints the table, informs the trackers; `describe` comes before.

        Args:
            known: the threshold where neither the command gives one nor validation pictures choose it.

        Returns:
            The headline scores on the test pictures; mIoU on the validation pictures for sweepers.
        """
        self.say(*colour_profiles.notes())
        threshold, origin = self._threshold(scored, known)
        if not (self.folder / run_folder.HISTOGRAMS).is_file():
            run_folder.write_histograms(self.folder / run_folder.HISTOGRAMS, scored)
        run_folder.write_scores(self.folder, scored, threshold)
        headline = scores.mean_scores(scored["test"].counts, threshold)
        row: Row = {"truth_access": self.record.truth_access, "threshold": threshold, **headline}
        found_clips = clips.read(self.folder, self.config.trim)
        self.record = replace(
            self.record,
            threshold=threshold,
            threshold_from=origin,
            scores=headline,
            baselines={name: _baseline_scores(parts) for name, parts in baselines.items()},
            pictures=self._trained_on(data) | {split: len(part.names) for split, part in scored.items()},
            all=scores.mean_scores(scored[ALL].counts, threshold) if ALL in scored else None,
            instances=self._beside(run_folder.DETECTION) or None,
            clips=found_clips,
            video=mean_over_clips(clip.scores for clip in found_clips.values()),
            trim=self.config.trim,
            notes=dict(Counter(note for note in scored["test"].notes if note)),
            test_seconds_per_picture=float(torch.tensor(scored["test"].seconds).median()),
            seconds=round(time.monotonic() - self.started, 3),
            status="finished",
        )
        self.record.write(self.folder / run_folder.RUN)
        chosen = overlays(data, scored["test"], self.folder / "alphas", threshold)
        beside = f"budget {self.record.budget} · data {self.record.data}"
        heading = heading_of(own_name(self.record), beside, len(chosen), scored["test"], threshold)
        write_png(self.folder / OVERVIEW, sheet(chosen, heading))
        self.trackers.overlays("test", 0, chosen)
        self._track(scored["test"], threshold, headline)
        self.trackers.keep(self.folder, run_folder.report_files(self.folder))
        self._say_scores(row, scored)
        return TaskResult(
            row=row,
            objective=scores.mean_scores(scored["val"].counts, threshold)["miou"]
            if "val" in scored
            else None,
            folder=self.folder,
        )

    def finish_without_test(
        self, segmenter: Segmenter, validation: ImageCounts, data: SegmentationDataModule
    ) -> TaskResult:
        """Writes the scores of the validation pictures; the test pictures are left for `task=test`.

        Returns:
            mIoU of the validation pictures, for sweepers.
        """
        scored = {"val": validation}
        threshold, origin = self._threshold(scored, NO_THRESHOLD)
        run_folder.write_histograms(self.folder / run_folder.HISTOGRAMS, scored)
        run_folder.write_scores(self.folder, scored, threshold)
        found = scores.mean_scores(validation.counts, threshold)
        self._describe_inputs(segmenter, data)
        self.record = replace(
            self.record,
            threshold=threshold,
            threshold_from=origin,
            pictures=self._trained_on(data) | {"val": len(validation.names)},
            seconds=round(time.monotonic() - self.started, 3),
            status=VALIDATED,
        )
        self.record.write(self.folder / run_folder.RUN)
        self.trackers.summary({f"val/{name}": value for name, value in found.items()})
        self.say(
            f"validation mIoU {found['miou']:.4f} at threshold {threshold:.2f}; the test images are not "
            f"scored (test=false): task=test weights={self.folder} does it"
        )
        return TaskResult(objective=found["miou"], folder=self.folder)

    def _threshold(self, scored: Mapping[str, ImageCounts], known: KnownThreshold) -> KnownThreshold:
        if self.config.threshold is not None:
            return KnownThreshold(float(self.config.threshold), "the command")
        if "val" in scored:
            return KnownThreshold(scores.best_threshold(scored["val"].counts), "validation")
        return known

    def _trained_on(self, data: SegmentationDataModule) -> dict[str, int]:
        """`train`: how many pictures the method learned from; empty where it was only scored."""
        return {} if self.record.training is None else {"train": len(data.rows["train"])}

    def _beside(self, name: str) -> JsonObject:
        """What the evaluation left beside its pictures; empty where it left no such file."""
        path = self.folder / name
        return read_json(path) if path.is_file() else {}

    def _say_scores(self, row: Row, scored: Mapping[str, ImageCounts]) -> None:
        """The table and what to do next; of a job, whose table comes later, its headline alone."""
        name, method = own_name(self.record), self.record.method
        job = is_job(self.config.invocation.sweep)
        if not job:
            lines = [Scored(name, method, row), *baseline_rows([(name, self.record.baselines)])]
            print_table(lines, "test images, each row at its own threshold")
        self._say_details(scored)
        headline = f"{shown_label(name, method)}: mIoU {row['miou']:.4f}, " if job else ""
        self.say(
            f"{headline}threshold {row['threshold']:.2f} from {self.record.threshold_from}; "
            f"{self.record.seconds:.0f} s in all"
        )
        if not job:
            self.say(*next_steps(self.folder / OVERVIEW, self.folder, [self.record.budget]))

    def _say_details(self, scored: Mapping[str, ImageCounts]) -> None:
        for key, meaning in (("both_empty", "no foreground"), ("both_full", "no background")):
            if self.record.scores.get(key):
                count = round(self.record.scores[key])
                self.say(
                    f"{count} test images have {meaning} in ground truth and prediction: they count as 1.0"
                )
        for note, count in self.record.notes.items():
            self.say(f"{note} on {count} of {len(scored['test'].names)} test images")
        if self.record.instances:
            boxes, masks = (self.record.instances[key] for key in ("box_ap", "mask_ap"))
            self.say(f"persons one by one: box AP {boxes:.4f}, mask AP {masks:.4f} (COCO's mean over IoU)")
        if self.record.video:
            found, trim = self.record.video, self.record.trim
            shown = ", ".join(f"{title} {found[name]:.4f}" for name, title in VIDEO.items() if name in found)
            self.say(f"mean of {len(self.record.clips)} clips (trim={trim}, alpha cut at 0.5): {shown}")
        if self.record.all is not None:
            means = self.record.all
            self.say(
                f"all {len(scored[ALL].names)} images, training ones included: "
                f"mIoU {means['miou']:.4f}, IoU {means['iou']:.4f}"
            )

    def _track(self, test: ImageCounts, threshold: float, headline: Mapping[str, float]) -> None:
        curve = run_folder.curve_of(test, threshold)
        names = ("miou", "acc", "f0.3_pooled")
        self.trackers.curve("test/threshold", list(curve["threshold"]), {n: list(curve[n]) for n in names})
        rows = scores.image_columns(test, threshold)
        self.trackers.table("test/pictures", {k: list(v) for k, v in rows.items() if "@" not in k})
        self.trackers.summary(
            {f"test/{name}": value for name, value in headline.items()}
            | {f"clips/{name}": value for name, value in self.record.video.items()}
            | {key: getattr(self.record, key) for key in SUMMARY}
            | _cost_figures(self.record)
            | {"pictures": _scored_pictures(self.record)}
        )


def _scored_pictures(record: RunRecord) -> str:
    """The same for runs that may be compared: pictures by their content, and how they were scored."""
    source = str(record.fingerprint and record.fingerprint.source)[:16]
    source += "" if record.eval_protocol == NATIVE else f"-{record.eval_protocol}"
    return source if record.corrupt == UNCORRUPTED else f"{source}-{record.corrupt}-{record.severity}"


def _cost_figures(record: RunRecord) -> dict[str, float]:
    """Of `run.json`, in the units of a dashboard; what was not measured is left out."""
    measured = record.cost or CostRecord()
    figures = {
        "seconds_per_picture": record.test_seconds_per_picture,
        "gmacs": measured.macs and measured.macs / 1e9,
        "memory_mib": measured.memory and measured.memory / 2**20,
        "checkpoint_kkb": None if measured.checkpoint is None else measured.checkpoint / 1024 / 1000,
    }
    return {f"cost/{name}": value for name, value in figures.items() if value is not None}


def _baseline_scores(parts: Mapping[str, ImageCounts]) -> dict[str, float]:
    threshold = scores.best_threshold(parts["val"].counts) if "val" in parts else NO_THRESHOLD.value
    return {"threshold": threshold, **scores.mean_scores(parts["test"].counts, threshold)}
