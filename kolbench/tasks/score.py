"""`task=score`: scores added to finished run folders, from the alphas and ground truths they keep."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError, KolbenchError
from kolbench.io.files import read_json, write_json
from kolbench.metrics import scores
from kolbench.metrics.score import registered
from kolbench.runs import run_folder
from kolbench.runs.finished import finished_folders
from kolbench.runs.record import RunRecord

ALPHA = "alpha"
# words of a command that say on what a method is scored, and how
_ON_WHAT = ("data", "refiner", "tta", "smooth", "corrupt", "severity", "threshold", "budget.limit")
# true alphas are asked for, of pictures at their own size, in a folder of their own
_REPLACED = ("metrics=", "data.truth=", "eval_protocol=", "paths.run=")


@dataclass(frozen=True)
class ScoreConfig(TaskConfig):
    """What `task=score` reads.

    runs: run folders, folders of run folders, or patterns. metrics: families of scores, and modules of scores
    outside this package.
    """

    runs: tuple[str, ...]
    metrics: tuple[str, ...]


def run(config: ScoreConfig) -> TaskResult:
    """Adds to each finished run below `runs` the scores that it lacks; predicts nothing.

    A run whose files are damaged, or that lacks the true alphas which scores need, is named and counted as
    failed; the others are scored.

    Raises:
        KolbenchError: `runs` is not given, matches nothing, or holds no finished run.
    """
    scores.load(config.metrics)
    if not config.runs:
        raise ConfigError("task=score needs runs=FOLDER or a pattern, such as runs=runs/suites/01_methods.")
    failed = 0
    for folder, record in finished_folders(config.runs, print).items():
        refused = [] if record.truth == ALPHA else scores.needing_alpha(config.metrics)
        try:
            print(f"{folder}: {_said(add_scores(folder, record))}", flush=True)
        except KolbenchError as error:
            print(f"{folder}: {error}", flush=True)
            failed += 1
            continue
        if refused:
            print(f"{folder}: {refusal(folder, record, refused)}", flush=True)
            failed += 1
    return TaskResult(failed=failed)


def _said(added: Sequence[str]) -> str:
    return f"added {', '.join(added)}" if added else "has all of these scores"


def add_scores(folder: Path, record: RunRecord) -> list[str]:
    """Completes the histograms of a finished run, its tables of scores and the scores of its `run.json`.

    Returns:
        The names of scores of the test pictures that were added, or reckoned anew as their code has changed.

    Raises:
        DataError: a file is missing or damaged.
    """
    from kolbench.engine import completion  # loads torch

    label = f"{record.method} ({folder.name})"
    columns = completion.complete(folder, record.truth == ALPHA, label)
    scored = run_folder.read_histograms(folder / run_folder.HISTOGRAMS)
    assert record.threshold is not None  # a finished run has one
    means = scores.mean_scores(scored["test"].counts, record.threshold)
    added = [name for name in means if name not in record.scores or _rests_on(name, columns)]
    if added or columns:
        run_folder.write_scores(folder, scored, record.threshold)
        # as it is, for it may be of an earlier version, or have keys of a later one
        values = read_json(folder / run_folder.RUN)
        write_json(folder / run_folder.RUN, {**values, "scores": {**record.scores, **means}})
    return added


def _rests_on(score: str, columns: Sequence[str]) -> bool:
    return any(name in columns for need in registered()[score].needs for name in need.names)


def refusal(folder: Path, record: RunRecord, refused: Sequence[str]) -> str:
    """Why scores that need a true alpha cannot be added, and the command that scores the run on alphas."""
    words = record.overrides
    if (folder / "checkpoints").is_dir():
        chosen = [word for word in words if word.lstrip("+").startswith(_ON_WHAT)]
        words = ("task=test", f"weights={folder}", *chosen)
    kept = [word for word in words if not word.startswith(_REPLACED)]
    command = [*kept, "data.truth=alpha", f"metrics=[{','.join(refused)}]"]
    return (
        f"metrics=[{','.join(refused)}] needs alpha mattes as ground truth, and this run was scored on "
        "binary masks. Where the masks are alpha mattes, score it again: "
        f"python -m kolbench {shlex.join(command)}"
    )
