"""`task=compare`: is one run better than another on the same pictures, worse, or inconclusive?"""

from dataclasses import dataclass
from pathlib import Path

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError, DataError
from kolbench.metrics import scores
from kolbench.report import statistics
from kolbench.report.intervals import SIGNIFICANCE, TOO_FEW, fewest_groups, group_means
from kolbench.report.layout import listed
from kolbench.report.statistics import Difference
from kolbench.runs import labels
from kolbench.runs.finished import FinishedRun, find, test_sets
from kolbench.types import NATIVE, Float64Array

SCORE = "miou"
EXIT_CODES = {"better": 0, "same": 0, "worse": 1, "inconclusive": 3}


@dataclass(frozen=True)
class CompareConfig(TaskConfig):
    """What `task=compare` reads. a, b: run folders. gate: how large a difference counts."""

    a: Path | None
    b: Path | None
    gate: float


def run(config: CompareConfig) -> TaskResult:
    """Prints the difference b - a with its interval, and the verdict.

    Returns:
        `exit_code`: 0 where b is better or the same within the gate, 1 where it is worse, 3 where these
        pictures are inconclusive.

    Raises:
        ConfigError: a run is missing or unfinished, or the two cannot be compared. Its exit code is 2, as 1
            is a verdict.
    """
    a, b = _only("a", config.a), _only("b", config.b)
    if a.truth_access != b.truth_access:
        raise ConfigError(
            f"a={a.folder} and b={b.folder} cannot be compared: one is given more of the truth than the "
            f"other (truth_access {a.truth_access} and {b.truth_access})."
        )
    found = test_sets([a, b])
    if len(found) > 1:
        raise ConfigError(
            f"a={a.folder} and b={b.folder} were not scored on the same test pictures, so they cannot be "
            f"compared: {_what(a)} against {_what(b)}."
        )
    print(f"a: {a.label}, mIoU {_headline(a):.4f} at threshold {a.threshold:.2f}   {a.folder}")
    print(f"b: {b.label}, mIoU {_headline(b):.4f} at threshold {b.threshold:.2f}   {b.folder}", flush=True)
    groups = found[0].groups
    values = {"b": _images(b), "a": _images(a)}
    (difference,) = statistics.differences(values, groups)
    equal = bool((values["a"] == values["b"]).all())
    said = "same" if equal else verdict(difference, config.gate)
    value, low, high = difference.interval
    span = f"95 % interval [{low:+.4f}, {high:+.4f}]" if difference.interval.known else TOO_FEW
    number = len(set(groups))
    print(
        f"b - a: {value:+.4f} mIoU, {span}, p = {difference.p:.2g}, "
        f"paired over {len(groups)} pictures of {number} groups"
    )
    if not difference.interval.known:
        each = group_means({"b - a": values["b"] - values["a"]}, groups)["b - a"]
        print(f"b - a of each group: {listed(each, sign='+')}")
    print(f"gate {config.gate:g}: {EQUAL if equal else SENTENCES[said]}", flush=True)
    if number < fewest_groups():
        print(f"{number} groups can make no difference certain: at least {fewest_groups()} videos are needed")
    return TaskResult(exit_code=EXIT_CODES[said])


EQUAL = "same: both have the same score on every picture"
SENTENCES = {
    "better": "better: b is above a beyond chance and beyond the gate",
    "same": "same: the whole interval lies within the gate",
    "worse": "worse: b is below a beyond chance and beyond the gate",
    "inconclusive": "inconclusive: these pictures allow no verdict",
}


def verdict(difference: Difference, gate: float) -> str:
    """`better`, `worse`, `same` or `inconclusive`.

    Better (worse) needs p below 5 %, an interval above (below) zero and a difference of at least the gate;
    the same, an interval within the gate on both sides.
    """
    value, low, high = difference.interval
    if -gate <= low and high <= gate:
        return "same"
    sure = difference.p < SIGNIFICANCE and abs(value) >= gate
    if sure and low > 0:
        return "better"
    if sure and high < 0:
        return "worse"
    return "inconclusive"


def _only(key: str, folder: Path | None) -> FinishedRun:
    if folder is None:
        raise ConfigError(f"task=compare needs {key}=RUN_FOLDER.")
    try:
        runs = find(str(folder))
    except DataError as error:
        raise ConfigError(f"{key}: {error}") from error
    if len(runs) > 1:
        raise ConfigError(f"{key}={folder} holds {len(runs)} finished runs; name one of them.")
    return runs[0]


def _what(run: FinishedRun) -> str:
    record = run.record
    of_it = "" if record.eval_protocol == NATIVE else f" under eval_protocol={record.eval_protocol}"
    words = labels.corruption_of(record)
    after = f" after {' '.join(words)}" if words else ""
    return f"{len(run.test.names)} of {record.data}{of_it}{after}"


def _images(run: FinishedRun) -> Float64Array:
    """mIoU of each picture at the run's own threshold."""
    return scores.image_scores(run.test.counts, run.threshold)[SCORE]


def _headline(run: FinishedRun) -> float:
    return scores.mean_scores(run.test.counts, run.threshold)[SCORE]
