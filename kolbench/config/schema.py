"""The keys of a command, each declared once: what it may be, and whether it names a file or a folder.

Which task reads a key stands in conf/task: a task's YAML sets the keys that the task reads, and the
dataclass of its `run` gives them their types.
"""

import dataclasses
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, TypeVar

from kolbench.config.fields import (
    POSITIVE,
    SHARE,
    SWITCH,
    TEXT,
    Key,
    Rule,
    Values,
    at_least,
    build,
    one_of,
    require_mapping,
    whole,
)
from kolbench.config.groups import Invocation, Paths, key_of
from kolbench.errors import ConfigError, require_choice
from kolbench.metrics.video.accuracy import TRIMS
from kolbench.types import ALPHA, BINARY, EVAL_PROTOCOLS

PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
LARGEST_SEED = 2**32 - 1
# at how many views of a picture a method looks, see models.mirrored
NO_TTA, FLIP = "none", "flip"
# the choice of smooth= that leaves alphas as they are
UNSMOOTHED = "none"
TTA = (NO_TTA, FLIP)
# where a batch of a training does not fit into memory, see engine.halving
STOP, HALVE = "stop", "halve"
# what happens to the test pictures before they are scored, see data.corruptions, and how badly at most
UNCORRUPTED = "none"
CROP = "crop"
CORRUPTIONS = ("jpeg", "blur", "noise", "dark", CROP, "resize", "social")
SEVERITIES = 5
# of people in images of a report, see report.faces
FACES = ("blur", "hide", "show")


def _growing(value: object) -> bool:
    """Whether a list holds whole numbers of at least 2, each above the one before, or `all` at its end."""
    if not isinstance(value, list) or not value:
        return False
    numbers = value[:-1] if value[-1] == "all" else value
    whole_ones = all(whole(2).fits(number) for number in numbers)
    return whole_ones and all(low < high for low, high in pairwise(numbers))


def _each_once(value: object) -> bool:
    """Whether a list holds at least one seed, and none twice."""
    if not isinstance(value, list) or not value:
        return False
    return all(whole(0, LARGEST_SEED).fits(seed) for seed in value) and len(set(value)) == len(value)


def _thread_counts(value: object) -> bool:
    """Whether it is a number of threads or `all`, or a list of them, none twice."""
    counts = value if isinstance(value, list) else [value]
    known = all(count == "all" or whole(1).fits(count) for count in counts)
    return known and 0 < len(counts) == len(set(counts))


def _part_of_parts(value: object) -> bool:
    """Whether it is K/N with 1 <= K <= N."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value) if isinstance(value, str) else None
    return found is not None and 1 <= int(found[1]) <= int(found[2])


def _two_sides(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(whole(32, 8192).fits(side) for side in value)


_BATCHES = Rule(
    "a list of whole numbers of at least 1, such as [1,8]",
    lambda value: isinstance(value, list) and bool(value) and all(whole(1).fits(size) for size in value),
)
_THREADS = Rule("a list of whole numbers of at least 1 or all, none twice, such as [1,all]", _thread_counts)
_SIDES = Rule("a height and a width in pixels from 32 to 8192, such as [480,640]", _two_sides)
_SIZES = Rule(
    "a list of whole numbers of at least 2, each larger than the one before, such as [20,50,100,all]: all "
    "only at its end",
    _growing,
)
_PICTURES = Rule(
    "a whole number of at least 1 (task=curve), or true or false (task=report)",
    lambda value: value is None or isinstance(value, bool) or whole(1).fits(value),
)
_SHARD = Rule("K/N, the Kth of N parts, such as 3/8", _part_of_parts)
_SEEDS = Rule(f"a list of whole numbers from 0 to {LARGEST_SEED}, none twice, such as [0,1,2]", _each_once)
_PATH = Key(is_path=True)
KEYS: Mapping[str, Key] = {
    **dict.fromkeys(
        ("input", "output", "weights", "init", "ad", "runs", "suite", "a", "b", "calibrate", "from", "root"),
        _PATH,
    ),
    **dict.fromkeys(("data.root", "data.images", "data.masks", "data.products", "data.background"), _PATH),
    # quoted as paths are, since # is no sign of Hydra's grammar
    **dict.fromkeys(("data.person_colour", "data.product_colour"), _PATH),
    **dict.fromkeys(("model.file", "model.masks_dir", "refiner.weights"), _PATH),
    **dict.fromkeys(("filter.image", "filter.colour"), _PATH),
    # a run's name becomes one of its folders
    **dict.fromkeys(("paths.runs", "paths.run", "name"), _PATH),
    "seed": Key(whole(0, LARGEST_SEED)),
    "sizes": Key(_SIZES),
    "seeds": Key(_SEEDS),
    "pictures": Key(_PICTURES),
    "faces": Key(one_of(*FACES)),
    "threads": Key(_THREADS),
    "warm_up": Key(whole(1)),
    "repeats": Key(whole(30)),
    "max_repeats": Key(whole(30)),
    "max_seconds": Key(POSITIVE),
    "within": Key(SHARE),
    "batch": Key(_BATCHES),
    "precision": Key(one_of("float32", "int8")),
    "picture": Key(_SIDES),
    "threshold": Key(SHARE.or_null()),
    "eval_protocol": Key(one_of(*EVAL_PROTOCOLS)),
    "trim": Key(one_of(*TRIMS)),
    "tta": Key(one_of(*TTA)),
    "on_oom": Key(one_of(STOP, HALVE)),
    "corrupt": Key(one_of(UNCORRUPTED, *CORRUPTIONS)),
    "severity": Key(whole(1, SEVERITIES)),
    "shard": Key(_SHARD.or_null()),
    "frames": Key(whole(1)),
    "port": Key(whole(0, 65535)),
    "limit_mb": Key(whole(1, 1000)),
    "gate": Key(at_least(0)),
    "sound": Key(SWITCH),
    "dry_run": Key(SWITCH),
    "test": Key(SWITCH),
    "strict": Key(SWITCH),
    "budget.size": Key(whole(1)),
    "budget.epochs": Key(whole(1)),
    "budget.batch": Key(whole(1)),
    "budget.lr_factor": Key(POSITIVE),
    "budget.pretraining_steps": Key(whole(1)),
    "budget.pretraining_check_every": Key(whole(1)),
    **{f"budget.limit.{split}": Key(whole(1).or_null()) for split in ("train", "val", "test")},
    **{f"budget.scenes.{split}": Key(whole(1)) for split in ("train", "val", "test")},
    "trainer.accumulate_grad_batches": Key(whole(1)),
    "trainer.gradient_clip_val": Key(POSITIVE.or_null()),
    "trainer.deterministic": Key(SWITCH),
    "budget.stop_on_nan": Key(SWITCH),
    "data.split_seed": Key(whole(0, LARGEST_SEED)),
    "data.folds": Key(whole(0)),
    "data.fold": Key(whole(0)),
    "data.train_pictures": Key(whole(1).or_null()),
    "data.train_draw": Key(whole(0, LARGEST_SEED)),
    "data.licence": Key(TEXT.or_null()),
    "budget.epoch_pictures": Key(whole(1).or_null()),
    "data.region_px": Key(whole(1)),
    "data.still": Key(
        Rule("{source: NAME, root: DIR}, or null", lambda value: value is None or isinstance(value, Mapping))
    ),
    "data.truth": Key(one_of("auto", BINARY, ALPHA)),
    "data.allow_duplicates": Key(SWITCH),
    "data.colours": Key(SWITCH),
    "data.picture_size": Key(whole(32, 4096)),
    "data.scene_seed": Key(whole(0, LARGEST_SEED)),
    **{
        f"model.{name}": Key(
            Rule("imagenet, a file, or null", lambda value: value is None or isinstance(value, str)),
            is_path=True,
        )
        for name in ("backbone_weights", "sem_weights")
    },
}
PATHS = frozenset(name for name, key in KEYS.items() if key.is_path)
# groups that every command has: where runs go, and how Hydra works
_OF_ALL_TASKS = frozenset(("task", "paths", "hydra", "sweep"))
# groups whose YAML or constructor refuses what it does not know, so that keys may be added to them
_OPEN_GROUPS = frozenset(
    ("model", "refiner", "trainer", "callbacks", "logger", "smooth", "filter", "placement", "look", "hydra")
)


@dataclass(frozen=True)
class TaskConfig:
    """What every task is given; a task adds a field for each key and group that it reads.

    task: its name. paths: where runs go. invocation: what was typed. hands_on: whether the words go on to
    runs in processes of their own, so that no key is refused.
    """

    hands_on: ClassVar[bool] = False

    task: str
    paths: Paths
    invocation: Invocation


@dataclass(frozen=True)
class TaskResult:
    """What a task tells the command line.

    row: scores of the test pictures for the table of a sweep. objective: what a sweeper makes as high as it
    can; a score of the validation pictures, never of the test pictures. failed: how many inputs or runs
    failed. exit_code: what the task found, where it says so by its exit code. figures: numbers for programs
    that run the task, such as `pictures` and `frames`. folder: of the run, where it has one.
    """

    row: Mapping[str, float | str] | None = None
    objective: float | None = None
    failed: int = 0
    exit_code: int = 0
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    folder: Path | None = None


T = TypeVar("T")


def check(values: Values) -> None:
    """Refuses the first value that is out of range; keys that a task or method lacks are passed over.

    Raises:
        ConfigError: names the key and what it may be.
    """
    for name, declared in KEYS.items():
        found, value = _at(values, name)
        if found and not declared.rule.fits(value):
            raise ConfigError(f"{name}={value} is not {declared.rule.wanted}.")
    found, precision = _at(values, "trainer.precision")
    if found:
        require_choice("trainer.precision", str(precision), PRECISIONS)
    found, recipes = _at(values, "model.training.recipes")
    if found and isinstance(recipes, Mapping):
        named, recipe = _at(values, "model.recipe")
        if not named or recipe is None:
            raise ConfigError(
                "The model's YAML has recipes but names none: add recipe: ${budget.recipe}, "
                "or model.recipe=NAME."
            )
        require_choice("model.recipe", str(recipe), recipes)


def task_config(kind: type[T], values: Values, invocation: Invocation) -> T:
    """The dataclass of a task from the resolved configuration.

    Args:
        kind: a TaskConfig.
        values: the resolved configuration.
        invocation: what was typed.

    Raises:
        ConfigError: a value is out of range or of another type, or the task reads no such key.
    """
    name = str(require_mapping("task", values["task"])["name"])
    refuse_unread(kind, name, invocation)
    check(values)
    named = {field_of(key): value for key, value in values.items()}
    return build(kind, {**named, "task": name, "invocation": invocation})


def field_of(key: str) -> str:
    """The field of a task's dataclass that reads a key: `from_` reads `from`, a word of Python's own."""
    return f"{key}_" if keyword.iskeyword(key) else key


def refuse_unread(kind: type[object], task: str, invocation: Invocation) -> None:
    """Refuses the first typed key that the task does not read.

    Raises:
        ConfigError: names the key and the task.
    """
    if getattr(kind, "hands_on", False):
        return
    fields = {field.name for field in dataclasses.fields(kind)} | _OF_ALL_TASKS  # type: ignore[arg-type]  # a dataclass
    # an experiment chooses the method and what goes with it
    fields |= {"experiment"} if "model" in fields else set()
    for word in invocation.overrides:
        root = key_of(word).partition(".")[0].partition("/")[0]
        if field_of(root) not in fields:
            raise ConfigError(f"task={task} reads no {root}=; leave {key_of(word)}= away.")
        if word.startswith("+") and root not in _OPEN_GROUPS and key_of(word) not in KEYS:
            raise ConfigError(f"there is no key {key_of(word)} that {word} could add.")


def _at(values: Values, name: str) -> tuple[bool, object]:
    node: object = values
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False, None
        node = node[part]
    return True, node
