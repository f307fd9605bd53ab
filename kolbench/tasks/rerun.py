"""`task=rerun`: a finished run once more, by its own configuration, and its scores beside those of before."""

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from kolbench.config import compose
from kolbench.config.fields import Values, require_mapping
from kolbench.config.folder import conf_words
from kolbench.config.groups import Invocation, key_of
from kolbench.config.old_names import current_word
from kolbench.config.schema import PATHS, TaskConfig, TaskResult
from kolbench.config.typed import typed_config
from kolbench.engine.devices import describe
from kolbench.engine.team import plan_of
from kolbench.errors import ConfigError, DataError, require_choice
from kolbench.io.files import write_json
from kolbench.models.checkpoints import named
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.runs import record as records
from kolbench.runs import repetition, run_folder
from kolbench.runs.finished import run_folders_of
from kolbench.runs.method_names import shown_name
from kolbench.runs.record import DataFingerprint, RunRecord
from kolbench.runs.repetition import Change, Surroundings
from kolbench.tasks import evaluation, fit, parts, surroundings
from kolbench.tasks.scoring import ScoringConfig

RERUN = "rerun.json"
# tasks whose runs can be had again, and have scores to be compared
_TASKS = ("fit", "test")
# keys that name where runs go, not what they read
_OUTPUTS = frozenset(("paths.runs", "paths.run", "name", "from", "root", "output"))
_COLOURS = frozenset(("data.person_colour", "data.product_colour", "filter.colour"))
_READ = PATHS - _OUTPUTS - _COLOURS
# folders inside of data.root, unless they are whole paths
_INSIDE = frozenset(("data.images", "data.masks", "data.products"))
_MOST_NAMED = 3


@dataclass(frozen=True)
class RerunConfig(TaskConfig):
    """What `task=rerun` reads.

    from_: the run folder. root: where its images lie now; None = where they lay. device: None = as the run
    asked for. resume: auto takes the training of the run where its fingerprint is still the same, never
    trains anew. strict: whether a score that is not the same to the last digit gives exit code 1.
    """

    from_: Path | None
    root: Path | None
    device: str | None
    resume: str
    strict: bool


@dataclass(frozen=True)
class Repetition:
    """A run that can be had again. words: its command's. values: its configuration, with a new run folder."""

    folder: Path
    record: RunRecord
    words: tuple[str, ...]
    values: Values


def run(config: RerunConfig) -> TaskResult:
    """Says what differs, runs it into a new run folder, prints the scores of both and writes `rerun.json`.

    The images are predicted anew. A training is found again where its fingerprint is the same.

    Returns:
        `exit_code` 1 where `strict` is asked for and a score differs.

    Raises:
        KolbenchError: there is no such run, it is not finished or only a shard, or its files are gone.
    """
    require_choice("resume", config.resume, ("auto", "never"))
    repeated = _repetition(config)
    before = repeated.record
    task, kind = compose.task_of(str(require_mapping("task", repeated.values["task"])["run"]))
    again = _typed(kind, repeated)
    print(
        f"again: {shown_name(before.method)}, task={before.task}, of {before.started[:10] or 'unknown date'}"
    )
    print(f"from {repeated.folder}", flush=True)
    for line in repetition.told(Surroundings.of_run(before), _now(again)):
        print(f"  {line}", flush=True)
    folder = task(again).folder
    assert folder is not None  # of fit and test
    now = records.read(folder / run_folder.RUN)
    for line in _training_told(before, now):
        print(line)
    found = repetition.changes(before, now)
    _print(found, before.method)
    write_json(folder / RERUN, _record(repeated, found))
    different = [change.name for change in found if change.equal is False]
    print(f"new run folder: {folder}", flush=True)
    return TaskResult(folder=folder, exit_code=1 if config.strict and different else 0)


def _repetition(config: RerunConfig) -> Repetition:
    folder = _run_folder(config.from_)
    record = records.read(folder / run_folder.RUN)
    _require_repeatable(folder, record)
    path = folder / run_folder.CONFIG
    if not path.is_file():
        raise DataError(f"{path} is missing, so the configuration is not known. Run its command again.")
    words = tuple(current_word(word) for word in record.overrides)
    values, moved = _found(folder, _by_name(dict(compose.load_yaml(path)), record), config.root)
    own: dict[str, object] = {"resume": _resume(config.resume)} if record.task == "fit" else {}
    own |= {} if config.device is None else {"device": config.device}
    words = _replaced(words, {**moved, **({"device": config.device} if config.device else {})})
    return Repetition(
        folder, record, words, {**values, **own, "paths": _paths(config, folder, values, record)}
    )


def _run_folder(given: Path | None) -> Path:
    """The run folder that is meant: itself, or the only one below.

    Raises:
        KolbenchError: there is none, or there are several.
    """
    if given is None:
        raise ConfigError(
            "task=rerun needs from=RUN, a run folder such as from=runs/modnet/2026-11-21_10-00-00_1."
        )
    if not given.exists():
        raise DataError(f"from={given}: there is no such folder. Give a run folder: it holds a run.json.")
    folders = run_folders_of(given)
    if not folders:
        raise DataError(f"from={given} is no run folder and holds none: there is no run.json.")
    if len(folders) > 1:
        some = ", ".join(str(folder) for folder in folders[:_MOST_NAMED])
        more = ", ..." if len(folders) > _MOST_NAMED else ""
        raise DataError(f"from={given} holds {len(folders)} runs; give one of them: {some}{more}")
    return folders[0]


def _require_repeatable(folder: Path, record: RunRecord) -> None:
    command = shlex.join(["python", "-m", "kolbench", *conf_words(), *record.overrides])
    if record.shard is not None:
        raise DataError(
            f"{folder} is {record.shard} of a run and has no scores of its own. Join the shards with "
            "task=merge runs=[SHARD,SHARD,...] and give that run."
        )
    if record.status == records.VALIDATED:
        raise DataError(
            f"{folder} has no scores of test images (test=false), so there is nothing to compare. Score it "
            f"with task=test weights={folder} and give that run."
        )
    if not record.finished:
        why = f": {record.error}" if record.error else ""
        raise DataError(
            f"{folder} is not finished ({record.status or 'not begun'}{why}), so there are no scores to "
            f"compare. Its command goes on with it: {command}"
        )
    if record.task not in _TASKS:
        raise DataError(
            f"{folder} is a run of task={record.task or 'unknown'}; task=rerun repeats those of "
            f"{' and '.join(_TASKS)}."
        )


def _by_name(values: dict[str, object], record: RunRecord) -> dict[str, object]:
    """The configuration with the catalogue's name of a network in the place of its downloaded file."""
    model = values.get("model")
    names = [part.name for part in record.rests_on if part.role == parts.WEIGHTS]
    if not isinstance(model, Mapping) or not isinstance(model.get("file"), str):
        return values
    known = [name for name in names if name in catalogue().entries]
    return {**values, "model": {**model, "file": known[0]}} if known else values


def _resume(asked: str) -> str:
    return fit.ONLY_TRAINING if asked == "auto" else asked


def _found(folder: Path, values: Values, root: Path | None) -> tuple[dict[str, object], dict[str, object]]:
    """The configuration with paths that lead to files from here, and the keys that were changed for it.

    Relative paths are looked for in the folder that the run was started in, then in the present one.

    Raises:
        DataError: a file or folder is in neither; says what to do.
    """
    begun = repetition.started_in(folder, Path(str(require_mapping("paths", values["paths"])["runs"])))
    moved: dict[str, object] = {}
    found = dict(values)
    old_root = require_mapping("data", values.get("data") or {}).get("root")
    if root is not None:
        if not isinstance(old_root, str):
            raise ConfigError(f"root={root}: the images of {folder} lie in no folder; leave root= away.")
        _require(root.is_dir(), f"root={root}: there is no such folder.")
        found, moved["data.root"] = _with_place(found, old_root, str(root)), str(root)
    for key, text in repetition.relative_paths(found, _READ - _INSIDE):
        if named.is_name(text) or (key.endswith("_weights") and text == "imagenet"):
            continue
        places = [base / text for base in (begun, Path.cwd()) if base is not None]
        there = next((place for place in places if place.exists()), None)
        if there is None:
            looked = " and ".join(dict.fromkeys(str(place) for place in places))
            raise DataError(
                f"{key}={text} of {folder} is relative to the folder that the run was started in, and there "
                f"is no {looked}. {_remedy(key, 'Start task=rerun in that folder')}"
            )
        if there != Path.cwd() / text:
            found, moved[key] = _with_place(found, text, str(there)), str(there)
            print(f"{key}={text} is relative to the folder that the run was started in: {there} is taken")
    for key in sorted(_READ):
        place = _at(found, key)
        if isinstance(place, str) and Path(place).expanduser().is_absolute():
            missing = f"{key}={place} of {folder} is not there any more. {_remedy(key, 'Put it back')}"
            _require(Path(place).expanduser().exists(), missing)
    return found, moved


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DataError(otherwise)


def _remedy(key: str, first: str) -> str:
    if key == "data.root":
        return f"{first}, or say where its images lie now: root=DIR."
    return f"{first}, or run its command anew with {key}= as it is now."


def _at(values: Values, key: str) -> object:
    node: object = values
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _with_place(values: Values, old: str, new: str) -> dict[str, object]:
    """The configuration with another path in the place of one, wherever that stands, also before a `/`."""

    def changed(node: object) -> object:
        if isinstance(node, Mapping):
            return {key: changed(value) for key, value in node.items()}
        if isinstance(node, list):
            return [changed(value) for value in node]
        if isinstance(node, str) and (node == old or node.startswith(f"{old.rstrip('/')}/")):
            return new + node[len(old.rstrip("/")) :] if node != old else new
        return node

    kept = ("paths", "task", "name")
    return {key: value if key in kept else changed(value) for key, value in values.items()}


def _replaced(words: Sequence[str], values: Mapping[str, object]) -> tuple[str, ...]:
    """The words of a command with other values of some keys, which are added where nobody typed them."""
    kept = [word for word in words if key_of(word) not in values]
    return (*kept, *(f"{key}={compose.literal(value)}" for key, value in values.items()))


def _paths(config: RerunConfig, folder: Path, values: Values, record: RunRecord) -> dict[str, object]:
    """Where the new run goes: beside the old one, so that its training is found, unless a place is typed."""
    old = repetition.folder_of_runs(folder, Path(str(require_mapping("paths", values["paths"])["runs"])))
    typed = "paths.runs" in config.invocation.typed_keys
    usable = old is not None and os.access(old, os.W_OK) and not typed
    runs = _from_here(old) if old is not None and usable else config.paths.runs
    stamp = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}"
    chosen = config.paths.run
    # without a word, the command has no run folder of its own
    run = _unused(runs / record.method / stamp) if chosen.resolve() == Path.cwd().resolve() else chosen
    return {"runs": str(runs), "run": str(run)}


def _from_here(folder: Path) -> Path:
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _unused(folder: Path) -> Path:
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def _typed(kind: type[TaskConfig], repeated: Repetition) -> ScoringConfig:
    choices = {group: str(choice) for group, choice in repeated.record.choices.items()}
    invocation = Invocation(repeated.words, choices, None, repeated.values)
    try:
        found = typed_config(kind, repeated.values, invocation)
    except ConfigError as error:
        raise ConfigError(
            f"the configuration of {repeated.folder} is of another version of kolbench ({error}) Its command "
            f"may still run: {shlex.join(['python', '-m', 'kolbench', *repeated.words])}"
        ) from error
    assert isinstance(found, ScoringConfig)  # fit and test
    return found


def _now(config: ScoringConfig) -> Surroundings:
    """What the new run will depend on; the images are read for their fingerprint."""
    device = plan_of(config.trainer, config.device).device
    print("reading the images, to compare them with those of the run", flush=True)
    data = evaluation.open_data(config, torch.device("cpu"))
    return Surroundings(
        surroundings.versions(),
        surroundings.commit(),
        describe(device),
        surroundings.machine(),
        DataFingerprint(**data.fingerprint()),
    )


def _training_told(before: RunRecord, now: RunRecord) -> list[str]:
    """Whether the weights are those of before."""
    if before.training is None or now.training is None:
        return []
    old, new = before.training.fingerprint, now.training.fingerprint
    if old != new:
        return [
            f"trained anew: the fingerprint of settings, images, libraries and code was {old}, and is {new}"
        ]
    return [
        f"the training {new} was found again: its weights are the same, its images were predicted anew"
        if now.training.reused
        else f"the training {new} was made anew, with the same fingerprint"
    ]


def _print(found: Sequence[Change], method: str) -> None:
    compared = [change for change in found if change.equal is not None]
    different = [change for change in compared if not change.equal]
    table = Table(title=f"{shown_name(method)}: scores of the test images, before and now")
    table.add_column("score", overflow="fold")
    for column in ("before", "now", "difference"):
        table.add_column(column, justify="right", no_wrap=True)
    for change in found:
        style = "bold" if change.equal is False else None
        table.add_row(
            change.name, _number(change.before), _number(change.now), _difference(change), style=style
        )
    Console().print(table)
    if not different:
        print(f"All {len(compared)} scores are equal to the last digit.")
        return
    largest = max(different, key=lambda change: abs(change.difference or 0))
    print(
        f"{len(different)} of {len(compared)} scores differ; the largest difference is "
        f"{_difference(largest)} ({largest.name})."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _difference(change: Change) -> str:
    if change.equal:
        return "equal"
    return "-" if change.difference is None else f"{change.difference:+.2g}"


def _record(repeated: Repetition, found: Sequence[Change]) -> dict[str, object]:
    return {
        "from": str(repeated.folder),
        "equal": all(change.equal is not False for change in found),
        "scores": {change.name: {**asdict(change), "difference": change.difference} for change in found},
    }
