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


class _PlainLine:
    """Says how far the work is, at most every 20 seconds."""

    def __init__(self, what: str, total: int) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.spoke = time.monotonic()

    def advance(self, steps: int) -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.spoke > PLAIN_SECONDS:
            self.spoke = now
            print(f"{self.what}: {self.done} of {self.total}", flush=True)
