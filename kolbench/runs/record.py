"""`run.json`: what a run was, on what, and what came out, read and written as one type."""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TypeVar, Union

from kolbench.config.schema import NO_TTA, UNCORRUPTED, UNSMOOTHED
from kolbench.errors import DataError
from kolbench.io.files import write_json
from kolbench.types import BINARY, NATIVE

RUN = "run.json"
VERSION = 2
# status of a run whose test pictures are not scored
VALIDATED = "validated"
# what of the truth a method is given: nothing, the box around it, or the mask itself
TRUTH_ACCESS = ("none", "box", "mask")

T = TypeVar("T")


@dataclass(frozen=True)
class Machine:
    """Where a run ran. threads: of torch."""

    platform: str = ""
    cores: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class DataFingerprint:
    """source: digest of the images and masks. splits: digest of which of them are in which split.

    still: digest of the pictures beside clips that are trained on too; None = there are none.
    """

    source: str | None = None
    splits: str | None = None
    still: str | None = None


@dataclass(frozen=True)
class CostRecord:
    """One prediction of one picture: see `kolbench.engine.cost.Cost`. picture: height and width."""

    checkpoint: int | None = None
    macs: int | None = None
    memory: int | None = None
    picture: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ClipRecord:
    """A clip of the test pictures: its scores, and what `FlickerMeter` found.

    pictures: names of its frames, in time. flicker: mean change of a pixel from frame to frame, over all
    pixels, border_flicker: near the edge of the foreground; true_flicker, true_border_flicker: the same of
    the truth. None where nothing could change: one frame, or no edge. scores: by the names of
    `kolbench.metrics.video.clip_scores`, without those that do not apply. scored_frames: how many frames J
    and F are of; short: whether too few for a decay, which is 0.
    """

    pictures: tuple[str, ...] = ()
    flicker: float | None = None
    border_flicker: float | None = None
    true_flicker: float | None = None
    true_border_flicker: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    scored_frames: int | None = None
    short: bool = False


@dataclass(frozen=True)
class ShardRecord:
    """Which part of a run this is, and what all its parts must have in common.

    number: from 1 to `count`. contents: what of files predictions rest on, such as `weights` -> SHA-256.
    code: hash of the code that scored. threshold, threshold_from: those of a run that neither the command nor
    validation pictures give one. None and empty while the shard is scored.
    """

    number: int = 1
    count: int = 1
    contents: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    threshold: float | None = None
    threshold_from: str | None = None

    def __str__(self) -> str:
        return f"shard {self.number} of {self.count}"


@dataclass(frozen=True)
class Pretraining:
    """A part that was trained first. max_f: the highest F it reached; halved, batch: see TrainingSummary."""

    seconds: float | None = None
    steps: int | None = None
    max_f: float | None = None
    halved: int | None = None
    batch: int | None = None


@dataclass(frozen=True)
class Origin:
    """Weights that something came from.

    name: an id of the catalogue, or a path. method: whose they are. sha256: of the file. licence, commercial
    (yes, no or unstated): as the catalogue says; None where it does not know the file.
    """

    name: str = ""
    method: str = ""
    sha256: str | None = None
    licence: str | None = None
    commercial: str | None = None


@dataclass(frozen=True)
class Part:
    """Something of others that a run rests on.

    role: pictures, training pictures, weights, initial weights, backbone, or refiner's weights. name: of the
    data set, an id of the catalogue, or a path. licence: in words; None = not stated. commercial: whether it
    allows commercial use: yes, no or unstated. sets: published sets, such as ecssd: of weights, those they
    were trained on, as far as the catalogue says; of pictures, those that the test pictures are. sha256: of
    the file of weights; None for pictures and where nobody knows it.
    """

    role: str = ""
    name: str = ""
    licence: str | None = None
    commercial: str = "unstated"
    sets: tuple[str, ...] = ()
    sha256: str | None = None


@dataclass(frozen=True)
class TrainingSummary:
    """The training that a run made or found again.

    folder: relative to the run folder. input_size: height and width of the training pictures in pixels.
    init: what it started from. seconds: pretraining and validation included; train_seconds: without
    validation. halved: how often the batch was halved as it did not fit into memory, batch: how many pictures
    of it then went through the network at once; None where it fitted.
    """

    folder: str | None = None
    fingerprint: str | None = None
    pictures: DataFingerprint | None = None
    reused: bool | None = None
    lr_factor: float | None = None
    backbone_weights: str | None = None
    init: Origin | None = None
    best_epoch: int | None = None
    best_val_miou: float | None = None
    input_size: tuple[int, ...] | None = None
    pretraining: Mapping[str, Pretraining] = field(default_factory=dict)
    pictures_per_second: float | None = None
    seconds: float | None = None
    train_seconds: float | None = None
    halved: int | None = None
    batch: int | None = None


@dataclass(frozen=True)
class RunRecord:
    """A run. Strings are "" and all else is None or empty where a run did not get so far, or is too old.

    status: running, finished, failed, interrupted, or validated where the test pictures were left unscored
    (`test=false`); error: why it failed. device: where it ran; timed_on:
    where its seconds per picture were measured, perhaps by an earlier run. threshold_from: validation,
    the run, its authors' use, or the command. truth_access: one of `TRUTH_ACCESS`. scores: on the test
    pictures at the threshold, by the names of `kolbench.metrics.scores`; all: the same on the whole data set.
    eval_protocol: how pictures were scored, one of `EVAL_PROTOCOLS`; runs without the key are native.
    truth: `alpha` where they were scored against true alphas too, which `truths/` then holds, else `binary`.
    tta: `flip` where alpha is the mean of two views, else `none`. smooth: how alphas of clips were smoothed
    over time, `none` where they were not. corrupt, severity: what happened to the test pictures before, and
    how badly, 1 to 5; `none` and None where nothing did.
    rests_on: data and weights of others, with their licences. baselines: name -> `threshold` and scores.
    instances: box and mask AP. clips: clip of the test pictures -> its flicker and scores; video: their
    scores averaged over clips, by the names of `kolbench.metrics.video.clip_scores`; trim: which ends of a
    clip their J and F leave out. notes: note of a method -> number of test pictures. pictures: split ->
    number; `train`, those trained on, where the run trained. skipped: pictures that could not be read and
    were left out (`data.on_error=skip`). checked: what a look for near-duplicates across splits said; empty
    where an earlier run has looked. shard: where this is only a part of a run, which one; it has no
    threshold and no scores then.
    """

    status: str = ""
    error: str | None = None
    task: str = ""
    method: str = ""
    budget: str = ""
    data: str = ""
    seed: int | None = None
    sweep: str | None = None
    choices: Mapping[str, object] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    device: str = ""
    started: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    machine: Machine | None = None
    training: TrainingSummary | None = None
    rests_on: tuple[Part, ...] = ()
    eval_protocol: str = NATIVE
    truth: str = BINARY
    tta: str = NO_TTA
    smooth: str = UNSMOOTHED
    corrupt: str = UNCORRUPTED
    severity: int | None = None
    threshold: float | None = None
    threshold_from: str | None = None
    truth_access: str = ""
    input_keys: tuple[str, ...] = ()
    refiner: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pictures: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()
    all: Mapping[str, float] | None = None
    timed_on: str | None = None
    instances: Mapping[str, float] | None = None
    clips: Mapping[str, ClipRecord] = field(default_factory=dict)
    video: Mapping[str, float] = field(default_factory=dict)
    trim: str = ""
    notes: Mapping[str, int] = field(default_factory=dict)
    fingerprint: DataFingerprint | None = None
    parameters: int | None = None
    cost: CostRecord | None = None
    test_seconds_per_picture: float | None = None
    seconds: float | None = None
    shard: ShardRecord | None = None

    @property
    def finished(self) -> bool:
        """Whether it ran to its end."""
        return self.status == "finished"

    def write(self, path: Path) -> None:
        """Writes the file, atomically; what is None is left out."""
        write_json(path, {"version": VERSION, **{k: v for k, v in asdict(self).items() if v is not None}})


# key of today -> its name in files without a version
_OLD_RUN = {
    "truth_access": "aid",
    "input_keys": "reads",
    "baselines": "floors",
    "all": "whole",
    "instances": "detection",
}
_OLD_TRAINING = {"input_size": "canvas", "pretraining": "stages"}


def read(path: Path) -> RunRecord:
    """A `run.json` of this version or of any before it.

    Raises:
        DataError: the file is missing, is no such record, or was written by a newer kolbench.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); remove the folder.") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} is damaged (it holds no mapping); remove the folder.")
    version = values.get("version", 1)
    if not isinstance(version, int) or version > VERSION:
        raise DataError(f"{path} has version {version}; this kolbench knows up to {VERSION}: update it.")
    try:
        return _decoded(RunRecord, values if version > 1 else _of_today(values), "")
    except _MisfitError as error:
        raise DataError(f"{path} is damaged ({error}); remove the folder.") from error


def training_of(values: Mapping[str, object]) -> TrainingSummary:
    """A training's summary as a type; names of earlier versions are understood.

    Raises:
        DataError: a value has another type.
    """
    try:
        return _decoded(TrainingSummary, _renamed(values, _OLD_TRAINING), "training.")
    except _MisfitError as error:
        raise DataError(f"The summary of a training is damaged ({error}); remove its folder.") from error


def of_mapping(kind: type[T], values: Mapping[str, object], place: Path) -> T:
    """A dataclass of the kinds that `run.json` is made of, from the JSON of a file.

    Raises:
        DataError: a value has another type; names `place`, the file.
    """
    try:
        return _decoded(kind, values, "")
    except _MisfitError as error:
        raise DataError(f"{place} is damaged ({error}); remove it.") from error


def _of_today(values: Mapping[str, object]) -> dict[str, object]:
    """A record without a version under the names and with the values of today."""
    record = _renamed(values, _OLD_RUN)
    if record.get("truth_access") == "oracle":
        record["truth_access"] = "mask"
    if isinstance(record.get("training"), dict):
        record["training"] = _renamed(typing.cast(dict[str, object], record["training"]), _OLD_TRAINING)
    baselines = record.get("baselines")
    if isinstance(baselines, dict):
        record["baselines"] = {
            name: {key: value for key, value in row.items() if key != "aid"} if isinstance(row, dict) else row
            for name, row in baselines.items()
        }
    return record


def _renamed(values: Mapping[str, object], old: Mapping[str, str]) -> dict[str, object]:
    today = {before: name for name, before in old.items()}
    return {today.get(key, key): value for key, value in values.items()}


class _MisfitError(Exception):
    """A value has another type than its field."""


def _decoded(kind: type[T], values: Mapping[str, object], where: str) -> T:
    """A dataclass from its keys; unknown keys are passed over, absent ones and null take the default."""
    hints = typing.get_type_hints(kind)
    names = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]  # T is a dataclass
    given = {name: values[name] for name in names if values.get(name) is not None}
    return kind(**{name: _value(hints[name], value, where + name) for name, value in given.items()})


def _value(kind: object, value: object, where: str) -> object:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        (kind,) = (choice for choice in inner if choice is not type(None))
        return None if value is None else _value(kind, value, where)
    if origin is Mapping:
        return {str(key): _value(inner[1], each, f"{where}.{key}") for key, each in _mapping(value, where)}
    if origin is tuple:
        if not isinstance(value, list):
            raise _MisfitError(f"{where} is no list")
        return tuple(_value(inner[0], each, f"{where}[{place}]") for place, each in enumerate(value))
    if isinstance(kind, type) and is_dataclass(kind):
        return _decoded(kind, dict(_mapping(value, where)), f"{where}.")
    return _plain(kind, value, where)


def _mapping(value: object, where: str) -> typing.ItemsView[str, object]:
    if not isinstance(value, dict):
        raise _MisfitError(f"{where} is no mapping")
    return value.items()


def _plain(kind: object, value: object, where: str) -> object:
    if kind is object:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, bool):
        raise _MisfitError(f"{where} is {value}, which is no whole number")
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise _MisfitError(f"{where} is {value!r}, not of the type {getattr(kind, '__name__', kind)}")


def of_weights(weights: Path) -> RunRecord:
    """The record of a run folder that is given as weights; an empty one for any other file."""
    path = weights / RUN
    return read(path) if path.is_file() else RunRecord()


def threshold_of(weights: Path) -> float | None:
    """The threshold that a run folder chose on its validation pictures."""
    run = of_weights(weights)
    return run.threshold if run.threshold_from == "validation" else None
