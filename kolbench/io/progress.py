"""Progress of long work: a rich bar in a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_SECONDS = 20.0


def in_terminal() -> bool:
    """Whether a person is likely to be watching."""
    return sys.stdout.isatty()


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar for `total` steps; the yielded function moves it on by so many."""
    if in_terminal():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True) as rich_bar:
            task = rich_bar.add_task(what, total=total)
            yield lambda steps: rich_bar.advance(task, steps)
        return
    yield _PlainLine(what, total).advance


@contextmanager
def bytes_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar for `total` bytes, 0 where nobody knows; the yielded function moves it on by so many."""
    if in_terminal():
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, transient=True) as rich_bar:
            task = rich_bar.add_task(what, total=total or None)
            yield lambda count: rich_bar.advance(task, count)
        return
    yield _PlainLine(what, total, " bytes").advance


class _PlainLine:
    """Says how far the work is, at most every 20 seconds."""

    def __init__(self, what: str, total: int, unit: str = "") -> None:
        self.what = what
        self.total = f"{total:,}" if total else "an unknown number"
        self.unit = unit
        self.done = 0
        self.spoke = time.monotonic()

    def advance(self, steps: int) -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.spoke > PLAIN_SECONDS:
            self.spoke = now
            print(f"{self.what}: {self.done:,} of {self.total}{self.unit}", flush=True)
