"""`task=curve`: one method trained on more and more images, and what still more would bring."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from kolbench.config.compose import load_yaml
from kolbench.config.fields import require_mapping
from kolbench.config.groups import key_of
from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.errors import ConfigError
from kolbench.io.files import write_atomically, write_json
from kolbench.metrics import scores
from kolbench.models.checkpoints import named, start
from kolbench.models.checkpoints.run import ONNX
from kolbench.report import drawing, learning_curve
from kolbench.report.intervals import difference_intervals, mean_interval
from kolbench.report.learning_curve import SizeResult, StartResult
from kolbench.report.words import counted
from kolbench.runs import run_folder
from kolbench.runs.finished import FinishedRun, groups_of
from kolbench.runs.record import DataFingerprint, TrainingSummary
from kolbench.tasks import evaluation
from kolbench.tasks.score_table import print_table
from kolbench.tasks.scoring import PicturesConfig
from kolbench.tasks.suite import Job, execute_all, job_of, own_words, rows_of, shown
from kolbench.types import Float64Array

SCORE = "miou"
ALL = "all"
# of the curve itself, not of its runs
_OWN = ("sizes", "seeds", "pictures")
# what the curve sets in each run -> what decides it
_SET = {
    "data.train_pictures": "sizes=",
    "data.train_draw": "seeds=",
    "seed": "seeds=",
    "budget.epoch_pictures": "pictures=",
}
# groups and keys of a training that task=test does not read
_ONLY_TRAINING = ("init", "resume", "callbacks")


@dataclass(frozen=True)
class Training:
    """One run of the curve. size: of `sizes`, a number or `all`."""

    job: Job
    size: str
    seed: int


@dataclass(frozen=True)
class CurveConfig(PicturesConfig, TaskConfig):
    """What `task=curve` reads itself; all other words go on to its runs.

    sizes: numbers of training pictures, growing; `all` may be the last. seeds: each trains at every size.
    pictures: drawn in each training, with repetition. output: where results go. dry_run: only say what would
    be run. init: what every training starts from, which is scored too. seed: must not be typed.
    """

    hands_on: ClassVar[bool] = True

    name: str
    sizes: tuple[str, ...]
    seeds: tuple[int, ...]
    pictures: int
    output: Path | None
    dry_run: bool
    init: Path | None
    threshold: float | None
    device: str
    resume: str
    on_oom: str
    metrics: tuple[str, ...]
    trim: str
    tta: str

    @property
    def epoch_pictures(self) -> int:
        """How many pictures an epoch draws, at every size."""
        return math.ceil(self.pictures / self.budget.epochs)


def run(config: CurveConfig) -> TaskResult:
    """Runs what is not finished, writes `output` (else RUNS/curve/NAME), prints what more pictures would buy.

    A run that was finished on other pictures than there are now, or from other weights, is run again.

    Returns:
        `failed`: how many runs failed.

    Raises:
        KolbenchError: the sizes do not fit the pictures, or the method is not trained.
    """
    _check(config)
    data = evaluation.open_data(config, torch.device("cpu"))
    print(*data.describe(), sep="\n", flush=True)
    check_sizes(config.sizes, len(data.rows["train"]), config.budget.batch)
    folder = config.paths.runs / "curve" / config.name
    trainings, begin = trainings_of(config, folder), start_job(config, folder)
    jobs = [*([begin] if begin else []), *(training.job for training in trainings)]
    changed = config.init is not None and _began_otherwise(trainings, config.init, config.model.name)
    done, failed = _executed(jobs, data, config.dry_run, changed)
    if config.dry_run:
        return TaskResult()
    finished = [training for training in trainings if training.job.name in done]
    if finished:
        output = config.output or folder
        told = write_results(output, config, finished, begin, done)
        print_table(rows_of([(one.job.name, one.job.record) for one in finished]), "test images")
        print(f"{told}\nwritten to {output / learning_curve.NAME}.csv, .json, .png and .svg", flush=True)
    for name in failed:
        print(f"failed: {name}")
    return TaskResult(failed=len(failed))


def _check(config: CurveConfig) -> None:
    for key, instead in _SET.items():
        if key in config.invocation.typed_keys:
            raise ConfigError(f"task=curve sets {key} in each run itself, by {instead}: leave {key}= away.")
    if config.model.training is None:
        raise ConfigError(
            f"task=curve needs a method that is trained, such as experiment=finetune_modnet; "
            f"{config.model.name} is not trained."
        )


def check_sizes(sizes: Sequence[str], available: int, batch: int) -> None:
    """Refuses sizes that the training pictures cannot give.

    Args:
        sizes: growing numbers; `all` may be the last.
        available: training pictures. batch: pictures in a batch.

    Raises:
        ConfigError: names the size, and how many pictures there are.
    """
    numbers = [int(size) for size in sizes if size != ALL]
    for number in numbers:
        if number > available:
            raise ConfigError(
                f"sizes: {number} is too many: there are {counted(available, 'training image')}."
            )
        if number == available and ALL in sizes:
            raise ConfigError(
                f"sizes: {number} and all are the same training images; leave out one of the two."
            )
    smallest = min([*numbers, available])
    if smallest < batch:
        raise ConfigError(
            f"sizes: {counted(smallest, 'image')} cannot fill a batch of {batch}: that training would take "
            f"more steps than the others. Give larger sizes, or budget.batch={smallest}."
        )


def run_words(overrides: Sequence[str]) -> list[str]:
    """The overrides that go to every run."""
    return [word for word in own_words(overrides) if key_of(word) not in _OWN]


def trainings_of(config: CurveConfig, folder: Path) -> list[Training]:
    """A run for each size and seed, below a folder, all with the same number of steps."""
    shared = run_words(config.invocation.overrides)
    found = []
    for size in config.sizes:
        fewer = [] if size == ALL else [f"data.train_pictures={size}"]
        for seed in config.seeds:
            own = [*fewer, f"data.train_draw={seed}", f"seed={seed}"]
            words = [*shared, *own, f"budget.epoch_pictures={config.epoch_pictures}"]
            job = job_of(f"{size}-seed{seed}", words, folder)
            found.append(Training(job, size, seed))
    return found


def start_job(config: CurveConfig, folder: Path) -> Job | None:
    """The run that scores `init` as it is; None where there is none, or where it makes no alpha by itself.

    Raises:
        KolbenchError: there are no such weights.
    """
    if config.init is None:
        return None
    if named.is_name(config.init):
        entry = start.entry_of(config.init, config.model.name)
        owner, is_graph = entry.method, entry.kind == "onnx"
    else:
        begun = start.start_of(config.init, config.model)
        owner, is_graph = begun.method, False
    if owner != config.model.name or config.init.suffix.lower() == ONNX:
        print(f"init={config.init} is not scored by itself: it is no complete {config.model.name}")
        return None
    split = str(config.data.values["split"])
    words = start_words(run_words(config.invocation.overrides), config.init, split, is_graph)
    return job_of("start", words, folder)


def start_words(words: Sequence[str], init: Path, split: str, is_graph: bool) -> list[str]:
    """The words of the run that scores `init`, of those of the trainings.

    Args:
        split: of the data, typed, as task=test would else score all pictures.
        is_graph: whether the weights are a whole network, which is fed as its authors feed it.
    """
    kept = [word for word in words if key_of(word).partition(".")[0] not in _ONLY_TRAINING]
    if is_graph:
        kept = [word for word in kept if not key_of(word).startswith("model.")]
    typed = any(key_of(word) == "data.split" for word in kept)
    return ["task=test", *kept, *([] if typed else [f"data.split={split}"]), f"weights={init}"]


def _began_otherwise(trainings: Sequence[Training], init: Path, method: str) -> bool:
    """Whether a finished training began with other weights than `init` means now."""
    wanted = start.digest_of(init, method)
    begun = ((training.job.record.training or TrainingSummary()).init for training in trainings)
    return any(origin is not None and origin.sha256 != wanted for origin in begun)


def _executed(
    jobs: Sequence[Job], data: SegmentationDataModule, dry: bool, again: bool = False
) -> tuple[dict[str, FinishedRun], list[str]]:
    """Name -> finished run, and the names of those that failed; runs what is not finished, unless `dry`.

    Args:
        again: whether finished runs count for nothing; trainings that fit are found again all the same.
    """
    source = data.fingerprint()["source"]
    names = {split: [data.source.names[row] for row in data.rows[split]] for split in ("val", "test")}
    before = {job.name: None if again else _finished(job, source, names) for job in jobs}
    for number, job in enumerate(jobs, start=1):
        state = "to run" if before[job.name] is None else "finished already"
        print(f"== {number} of {len(jobs)}, {job.name}: {state}\n   {shown(job)}", flush=True)
    to_run = [job for job in jobs if before[job.name] is None]
    failed = set() if dry else set(execute_all(to_run))
    done = dict(before)
    if not dry:
        done |= {job.name: _finished(job, source, names) for job in to_run if job.name not in failed}
    absent = [job.name for job in jobs if done[job.name] is None]
    return {name: run for name, run in done.items() if run is not None}, absent


def _finished(job: Job, source: str, names: Mapping[str, list[str]]) -> FinishedRun | None:
    """The job's run, if it was finished on these very pictures."""
    record = job.record
    if not record.finished or (record.fingerprint or DataFingerprint()).source != source:
        return None
    found = FinishedRun(job.folder, record, job.name, job.name)
    alike = all(split in found.scored and found.scored[split].names == names[split] for split in names)
    return found if alike else None


def write_results(
    output: Path,
    config: CurveConfig,
    trainings: Sequence[Training],
    begin: Job | None,
    done: Mapping[str, FinishedRun],
) -> str:
    """`curve.csv`, a row per training; `curve.json`, commands and settings; `curve.png` and `curve.svg`.

    Args:
        trainings: the finished ones, at least one. begin: scores `init`. done: their runs by name.

    Returns:
        What more pictures would buy, and what may mislead there.
    """
    output.mkdir(parents=True, exist_ok=True)
    results = results_of(trainings, done)
    begun = done.get(begin.name) if begin else None
    beginning = _start_result(config, begun, trainings, done)
    sizes_note = [] if begun is None else input_sizes_note(begun.folder, trainings[-1].job.folder)
    told = learning_curve.advice(results, beginning)
    rows = pd.DataFrame([row(training, done[training.job.name]) for training in trainings])
    write_atomically(output / f"{learning_curve.NAME}.csv", partial(rows.to_csv, index=False))
    figure = learning_curve.draw(
        results,
        beginning,
        f"{config.name}: test mIoU over training images",
        [*sizes_note, *_notes(config, done)],
    )
    drawing.write(figure, output)
    jobs = [*([begin] if begin else []), *(training.job for training in trainings)]
    settings = {
        "sentence": told,
        "settings": {
            "sizes": list(config.sizes),
            "seeds": list(config.seeds),
            "pictures": config.pictures,
            "epochs": config.budget.epochs,
            "epoch_pictures": config.epoch_pictures,
        },
        "sizes": [{**size._asdict(), "mean": size.mean.as_json()} for size in results],
        "start": beginning and {**beginning._asdict(), "gain": beginning.gain.as_json()},
        "commands": {job.name: shown(job) for job in jobs if job.name in done},
    }
    write_json(output / f"{learning_curve.NAME}.json", settings)
    return " ".join([told, *sizes_note])


def results_of(trainings: Sequence[Training], done: Mapping[str, FinishedRun]) -> list[SizeResult]:
    """The finished trainings by size, in the order of their numbers of pictures."""
    by_size: dict[str, list[FinishedRun]] = {}
    for training in trainings:
        by_size.setdefault(training.size, []).append(done[training.job.name])
    found = []
    for runs in by_size.values():
        means = tuple(float(run.record.scores[SCORE]) for run in runs)
        interval = mean_interval(mean_of_seeds(runs), groups_of(runs[0].test))
        found.append(SizeResult(runs[0].record.pictures["train"], means, interval))
    return sorted(found, key=lambda size: size.pictures)


def mean_of_seeds(runs: Sequence[FinishedRun]) -> Float64Array:
    """(N,) mIoU of each test picture, each run at its own threshold, averaged over the runs."""
    images = [scores.image_scores(run.test.counts, run.threshold)[SCORE] for run in runs]
    mean: Float64Array = np.mean(images, axis=0)
    return mean


def _start_result(
    config: CurveConfig,
    begun: FinishedRun | None,
    trainings: Sequence[Training],
    done: Mapping[str, FinishedRun],
) -> StartResult | None:
    if begun is None:
        return None
    last = [done[training.job.name] for training in trainings if training.size == trainings[-1].size]
    before = mean_of_seeds([begun])
    gains = difference_intervals({"": mean_of_seeds(last) - before}, groups_of(begun.test))
    name = str(config.init) if named.is_name(config.init) else Path(str(config.init)).name
    return StartResult(name, float(before.mean()), gains[""])


def row(training: Training, done: FinishedRun) -> dict[str, object]:
    """A row of `curve.csv`; what a run does not have is None. seconds: of the training, with validation."""
    record = done.record
    summary = record.training or TrainingSummary()
    return {
        "size": training.size,
        "pictures": record.pictures["train"],
        "seed": training.seed,
        "threshold": record.threshold,
        **{name: record.scores.get(name) for name in (SCORE, "iou", "product_recall")},
        "val_miou": summary.best_val_miou,
        "best_epoch": summary.best_epoch,
        "seconds": summary.seconds,
    }


def input_sizes_note(begun: Path, trained: Path) -> list[str]:
    """A sentence where the run of the start and that of a training feed pictures at different sizes."""
    start_px, px = (
        require_mapping("model", load_yaml(folder / run_folder.CONFIG)["model"]).get("size")
        for folder in (begun, trained)
    )
    if start_px == px:
        return []
    return [f"The start sees {start_px} px, the trainings {px} px: that may be part of the difference."]


def _notes(config: CurveConfig, done: Mapping[str, FinishedRun]) -> list[str]:
    """Sentences of the caption: what is drawn, on how many images, by how much training."""
    test = next(iter(done.values())).test
    groups = len(set(groups_of(test)))
    return [
        f"Scored on {counted(len(test.names), 'test image')} in {counted(groups, 'group')} (videos, or "
        "single images); the interval is over groups.",
        f"Each training draws {counted(config.epoch_pictures * config.budget.epochs, 'image')}, with "
        f"repetition, in {counted(config.budget.epochs, 'epoch')}; the best one by validation counts.",
    ]
