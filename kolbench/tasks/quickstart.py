"""`task=quickstart`: from the prompt to a report page in two minutes, with nothing downloaded."""

import contextlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.io import progress
from kolbench.models.checkpoints import download
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.runs import record, run_folder
from kolbench.runs.finished import find, test_sets
from kolbench.runs.method_names import shown_name
from kolbench.tasks.inside import folder_of
from kolbench.tasks.report import PAGE, write_report
from kolbench.tasks.score_table import print_table
from kolbench.tasks.suite import rows_of

LOG = "quickstart.log"
# the automatic ones; the baselines are scored with every run
CLASSIC: Mapping[str, Mapping[str, object]] = {
    "kmeans": {},
    "meanshift": {"model.method": "pyramid"},
    "grabcut": {},
}
OFFICIAL = "official_modnet"
TRAINED = "unet"
SCENES: Mapping[str, object] = {
    "data": "synthetic",
    "data.picture_size": 128,
    "budget": "quick",
    "budget.scenes.train": 120,
    "budget.scenes.val": 10,
    "budget.scenes.test": 20,
}
# some seconds on two CPU cores; the rate of a long training would not get far in so few steps
BRIEF: Mapping[str, object] = {"budget.size": 64, "budget.epochs": 4, "budget.epoch_pictures": 160}


@dataclass(frozen=True)
class QuickstartConfig(TaskConfig):
    """What `task=quickstart` reads. output: a folder for runs and report."""

    output: Path
    seed: int
    device: str


def run(config: QuickstartConfig) -> TaskResult:
    """Scores the methods on drawn scenes, writes the report, prints a table and the page's address.

    Raises:
        KolbenchError: a run failed, or the folder cannot be written.
    """
    started = time.monotonic()
    network, words = _network()
    experiments = {**CLASSIC, network: words}
    shared = {
        **SCENES,
        "seed": config.seed,
        "device": config.device,
        "paths.runs": config.output / "runs",
    }
    config.output.mkdir(parents=True, exist_ok=True)
    log = config.output / LOG
    runs = []
    with (
        # what the runs print goes elsewhere, the bar does not
        progress.bar("methods evaluated", len(experiments), Console(file=sys.stdout)) as advance,
        log.open("w", encoding="utf-8") as file,
    ):
        for name, own in experiments.items():
            doing = "training and evaluating" if name == TRAINED else "evaluating"
            print(f"{doing} {shown_name(name)} on drawn scenes", flush=True)
            with contextlib.redirect_stdout(file):
                runs.append(folder_of("fit", {"experiment": name, **shared, **own}))
            advance(1)
    (comparison,) = test_sets(find([str(folder) for folder in runs]))
    said = write_report(comparison, config.output / "report")
    records = [record.read(folder / run_folder.RUN) for folder in runs]
    print_table(
        rows_of([(done.method, done) for done in records]),
        "20 drawn test scenes, each row at its own threshold",
    )
    for sentence in said:
        print(sentence)
    print(_about(network))
    page = (config.output / "report" / PAGE).absolute()
    print(f"{time.monotonic() - started:.0f} s; what the runs printed: {log}")
    print(f"report: {page.as_uri()}", flush=True)
    return TaskResult(folder=config.output)


def _network() -> tuple[str, Mapping[str, object]]:
    """The small network that takes part, and the words of its training."""
    entry = catalogue().official_of("modnet")
    return (TRAINED, BRIEF) if download.at_hand(entry) is None else (OFFICIAL, {})


def _about(network: str) -> str:
    if network == OFFICIAL:
        return (
            f"{shown_name(OFFICIAL)} has its authors' weights, which were at hand; it has never seen drawn "
            "scenes."
        )
    return (
        f"{shown_name(TRAINED)} was trained from scratch for some seconds, which shows only that training "
        "works; python -m kolbench experiment=rsudisnet takes minutes. Official weights: task=weights."
    )
