"""`task=compare`: is one run significantly better or worse than another on the same test images?"""

from dataclasses import dataclass
from pathlib import Path

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError, DataError
from kolbench.metrics import scores
from kolbench.report import statistics
from kolbench.report.intervals import SIGNIFICANCE, TOO_FEW, fewest_groups, group_means
from kolbench.report.layout import listed
from kolbench.report.sentences import images_in_words
from kolbench.report.statistics import Difference
from kolbench.report.words import counted, p_value
from kolbench.runs import labels
from kolbench.runs.finished import FinishedRun, find, test_sets
from kolbench.runs.method_names import shown_label
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
        `exit_code`: 0 where b is better or the same within the gate, 1 where it is worse, 3 where the test
        images allow none of these verdicts.

    Raises:
        ConfigError: a run is missing or unfinished, or the two cannot be compared. Its exit code is 2, as 1
            is a verdict.
    """
    a, b = _only("a", config.a), _only("b", config.b)
    if a.truth_access != b.truth_access:
        raise ConfigError(
            f"a={a.folder} and b={b.folder} cannot be compared: one uses more ground truth than the other "
            f"(truth_access {a.truth_access} and {b.truth_access})."
        )
    found = test_sets([a, b])
    if len(found) > 1:
        raise ConfigError(
            f"a={a.folder} and b={b.folder} were not scored on the same test images, so they cannot be "
            f"compared: {_what(a)} against {_what(b)}."
        )
    for name, each in (("a", a), ("b", b)):
        label = shown_label(each.label, each.method)
        print(f"{name}: {label}, mIoU {_headline(each):.4f} at threshold {each.threshold:.2f}, {each.folder}")
    print(f"on {images_in_words(found[0])}", flush=True)
    groups = found[0].groups
    values = {"b": _images(b), "a": _images(a)}
    (difference,) = statistics.differences(values, groups)
    equal = bool((values["a"] == values["b"]).all())
    said = "same" if equal else verdict(difference, config.gate)
    value, low, high = difference.interval
    span = f"95 % CI [{low:+.4f}, {high:+.4f}]" if difference.interval.known else TOO_FEW
    print(f"b - a: {value:+.4f} mIoU ({span}, {p_value(difference.p)})")
    if not difference.interval.known:
        by_group = group_means({"b - a": values["b"] - values["a"]}, groups)["b - a"]
        print(f"b - a of each group: {listed(by_group, sign='+')}")
    print(f"gate {config.gate:g}: {EQUAL if equal else sentence(said, difference)}", flush=True)
    if (number := len(set(groups))) < fewest_groups():
        print(
            f"{counted(number, 'group')}: at least {fewest_groups()} are needed for a significant difference"
        )
    return TaskResult(exit_code=EXIT_CODES[said])


EQUAL = "same: both have the same score on every image"
SENTENCES = {
    "better": "better: b is significantly better than a",
    "same": "same: the whole 95 % CI lies within the gate",
    "worse": "worse: b is significantly worse than a",
    "inconclusive": "no significant difference between a and b",
}
SMALL = "no verdict: the difference is significant, but smaller than the gate"


def sentence(said: str, difference: Difference) -> str:
    """A verdict in words; a significant difference below the gate is called neither the same nor none."""
    significant = _is_significant(difference)
    return SMALL if said == "inconclusive" and significant else SENTENCES[said]


def _is_significant(difference: Difference) -> bool:
    _, low, high = difference.interval
    return difference.p < SIGNIFICANCE and (low > 0 or high < 0)


def verdict(difference: Difference, gate: float) -> str:
    """`better`, `worse`, `same` or `inconclusive`.

    Better (worse) needs p below 5 %, an interval above (below) zero and a difference of at least the gate;
    the same, an interval within the gate on both sides.
    """
    value, low, high = difference.interval
    if -gate <= low and high <= gate:
        return "same"
    if not _is_significant(difference) or abs(value) < gate:
        return "inconclusive"
    return "better" if low > 0 else "worse"


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
    return f"{counted(len(run.test.names), 'image')} of {record.data}{of_it}{after}"


def _images(run: FinishedRun) -> Float64Array:
    """mIoU of each image at the run's own threshold."""
    return scores.image_scores(run.test.counts, run.threshold)[SCORE]


def _headline(run: FinishedRun) -> float:
    return scores.mean_scores(run.test.counts, run.threshold)[SCORE]
