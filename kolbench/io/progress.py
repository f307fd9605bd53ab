"""Progress of long work: a rich bar in a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_SECONDS = 20.0
# the method at work, for bars of code that does not know its name
_subject: ContextVar[str] = ContextVar("subject", default="")


def in_terminal() -> bool:
    """Whether a person is likely to be watching."""
    return sys.stdout.isatty()


@contextmanager
def about(subject: str) -> Iterator[None]:
    """A block whose bars are about a method, by the name that people read."""
    before = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(before)


def subject() -> str:
    """The method that is at work; "" where nobody said."""
    return _subject.get()


@contextmanager
def working(what: str) -> Iterator[None]:
    """What turns in a terminal, with the seconds, while work without steps is done; nothing elsewhere."""
    if not in_terminal():
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as spinner:
        spinner.add_task(what, total=None)
        yield


@contextmanager
def bar(what: str, total: int, console: "Console | None" = None) -> Iterator[Callable[[int], None]]:
    """A progress bar for `total` steps; the yielded function moves it on by so many.

    Args:
        console: where it is drawn; None = rich's own, which follows sys.stdout wherever that is led.
    """
    if in_terminal():
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        # a step may take longer than a person waits: the spinner moves meanwhile
        what_column = (SpinnerColumn(), TextColumn("{task.description}"))
        columns = (*what_column, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as rich_bar:
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
