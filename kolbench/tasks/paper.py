"""`task=paper`: the same method under the paper's protocol and the leakage-free one, and the gap."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kolbench.config.fields import Values
from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError, KolbenchError
from kolbench.io.files import write_json
from kolbench.metrics import scores
from kolbench.metrics.counts import ImageCounts
from kolbench.report.intervals import TOO_FEW, Interval, group_means, mean_interval
from kolbench.report.layout import listed
from kolbench.runs import run_folder
from kolbench.runs.finished import groups_of
from kolbench.runs.method_names import shown_name
from kolbench.tasks.suite import Job, execute_all, job_of, own_words, shown
from kolbench.types import Float64Array

SCORE = "miou"
# protocol -> what it says about the split, and whether its threshold may be the best one on the test pictures
PROTOCOLS = {"paper": ("data.split=paper", True), "honest": ("data.split=auto", False)}
WORDS = {
    "paper": "random frames, best threshold on the test images",
    "honest": "split by video or by the data set's own lists, threshold from validation",
}
# what people read of a protocol
NAMES = {"paper": "paper", "honest": "leakage-free"}


_CAUTION = (
    "The two test sets are different images: where the intervals overlap, that alone may explain the gap."
)


@dataclass(frozen=True)
class Outcome:
    """One protocol's result on its own test pictures.

    from_validation, best_on_test: mean mIoU and its 95 % interval over groups at either threshold.
    by_group: mean mIoU of each group at the threshold of the headline.
    """

    job: Job
    from_validation: Interval
    threshold: float
    best_on_test: Interval
    best_threshold: float
    protocol: str
    by_group: Mapping[str, float]

    @property
    def headline(self) -> Interval:
        """The number that the protocol would print."""
        return self.best_on_test if PROTOCOLS[self.protocol][1] else self.from_validation


@dataclass(frozen=True)
class PaperConfig(TaskConfig):
    """What `task=paper` reads itself; all words go on to its two runs. threshold: must stay None."""

    hands_on: ClassVar[bool] = True

    name: str
    output: Path | None
    threshold: float | None
    eval_protocol: str
    tta: str
    seed: int
    device: str
    resume: str
    on_oom: str
    metrics: tuple[str, ...]
    trim: str


def run(config: PaperConfig) -> TaskResult:
    """Runs both (each in a process; what is finished is not run again), prints them and writes `gap.json`.

    Raises:
        KolbenchError: one of the runs failed.
    """
    if config.threshold is not None:
        raise ConfigError("task=paper chooses its thresholds by the two protocols: leave threshold= out.")
    parent = config.paths.runs / "paper"
    words = [word for word in own_words(config.invocation.overrides) if not word.startswith("data.split=")]
    jobs = {
        protocol: job_of(f"{config.name}-{protocol}", [*words, own], parent)
        for protocol, (own, _) in PROTOCOLS.items()
    }
    for protocol, job in jobs.items():
        state = "finished already" if job.finished else "to run"
        print(f"== {NAMES[protocol]}: {WORDS[protocol]}: {state}\n   {shown(job)}", flush=True)
    if execute_all([job for job in jobs.values() if not job.finished]):
        failed = " and the ".join(NAMES[protocol] for protocol, job in jobs.items() if not job.finished)
        raise KolbenchError(f"The run under the {failed} protocol failed; it says why above.")
    outcomes = [_outcome(protocol, job) for protocol, job in jobs.items()]
    gap = outcomes[0].headline.value - outcomes[1].headline.value
    _print(config.name, outcomes, gap)
    output = config.output or outcomes[1].job.folder
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "gap.json", _record(outcomes, gap))
    print(f"written to {output / 'gap.json'}", flush=True)
    return TaskResult()


def _outcome(protocol: str, job: Job) -> Outcome:
    scored = run_folder.read_histograms(job.folder / run_folder.HISTOGRAMS)
    chosen, best = (scores.best_threshold(scored[split].counts) for split in ("val", "test"))
    groups = groups_of(scored["test"])
    at_chosen, at_best = (_images(scored["test"], threshold) for threshold in (chosen, best))
    headline = at_best if PROTOCOLS[protocol][1] else at_chosen
    return Outcome(
        job,
        mean_interval(at_chosen, groups),
        chosen,
        mean_interval(at_best, groups),
        best,
        protocol,
        group_means({SCORE: headline}, groups)[SCORE],
    )


def _images(test: ImageCounts, threshold: float) -> Float64Array:
    """mIoU of each image."""
    return scores.image_scores(test.counts, threshold)[SCORE]


def _print(name: str, outcomes: list[Outcome], gap: float) -> None:
    console = Console(highlight=False)
    console.print(Text(f"{shown_name(name)}: mIoU under two protocols", "bold"))
    console.print(_table(outcomes))
    for outcome in outcomes:
        if not outcome.headline.known:
            print(f"{NAMES[outcome.protocol]}: {TOO_FEW}; mIoU by group: {listed(outcome.by_group)}")
    print(
        f"gap: {gap:+.4f} mIoU. The paper's protocol reports {outcomes[0].headline.value:.4f}, the "
        f"leakage-free one {outcomes[1].headline.value:.4f}.\n{_CAUTION}"
    )


def _table(outcomes: list[Outcome]) -> Table:
    """Two rows for each protocol, that of its headline first and in bold; no wider than 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("protocol", "threshold"):
        table.add_column(column, no_wrap=True)
    for column in ("thr.", "mIoU", "95 % CI", "test images"):
        table.add_column(column, justify="right", no_wrap=True)
    for outcome in outcomes:
        rows = [
            ("from validation", outcome.from_validation, outcome.threshold),
            ("best on test", outcome.best_on_test, outcome.best_threshold),
        ]
        rows.sort(key=lambda row: row[1] is not outcome.headline)
        for place, (chosen, found, at) in enumerate(rows):
            once = (NAMES[outcome.protocol], f"{outcome.job.record.pictures['test']:,}")
            protocol, images = once if place == 0 else ("", "")
            span = f"{found.low:.4f} to {found.high:.4f}" if found.known else "-"
            cells = (protocol, chosen, f"{at:.2f}", f"{found.value:.4f}", span, images)
            table.add_row(*cells, style="bold" if place == 0 else "")
    return table


def _record(outcomes: list[Outcome], gap: float) -> Values:
    return {
        "gap": gap,
        "score": SCORE,
        **{
            outcome.protocol: {
                "meaning": WORDS[outcome.protocol],
                "command": shown(outcome.job),
                "run": str(outcome.job.folder),
                "pictures": outcome.job.record.pictures,
                "threshold_from_validation": {"at": outcome.threshold, **outcome.from_validation.as_json()},
                "best_threshold_on_test": {"at": outcome.best_threshold, **outcome.best_on_test.as_json()},
            }
            for outcome in outcomes
        },
    }
