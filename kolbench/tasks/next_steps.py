"""What a run, a suite or a sweep says at its end: what to open, what to type, what its scores mean."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from kolbench.config.folder import conf_words

OVERVIEW = "overview.png"
SMOKE = "smoke"
# set for the runs of a suite, which end with one block for all of them
IN_SUITE = "KOLBENCH_IN_SUITE"


def next_steps(look_at: Path, runs: Path, budgets: Iterable[str]) -> list[str]:
    """At most three lines.

    Args:
        look_at: a file or folder to open. runs: a run folder, or one that holds run folders.
        budgets: of the runs.
    """
    command = shlex.join(
        ["python", "-m", "kolbench", *conf_words(), "task=report", f"runs={shown_path(runs)}"]
    )
    small = set(budgets) == {SMOKE}
    warned = ["budget=smoke only shows that everything runs: these scores mean nothing"]
    return [f"look at {shown_path(look_at)}", f"report: {command}", *(warned if small else [])]


def shown_path(path: Path) -> str:
    """As one types it: relative where it lies below the working directory."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def is_job(sweep: str | None) -> bool:
    """Whether a run is one of several that end with one table for all.

    Args:
        sweep: that the run is of; None = of none.
    """
    return sweep is not None or IN_SUITE in os.environ
