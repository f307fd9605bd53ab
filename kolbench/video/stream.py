"""Reading, computing and writing at the same time, with queues so short that memory does not grow."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")

# items that wait between two stages: enough to smooth over uneven times, little enough for memory
WAITING = 3
_END = object()


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


@contextmanager
def read_ahead(items: Iterable[T], waiting: int = WAITING) -> Iterator[Iterator[T]]:
    """The same items in the same order, made by a thread of their own; its errors arrive in their place.

    Leaving the block stops the thread, wherever it is, and closes `items` where that is a generator.
    """
    line: queue.Queue[Any] = queue.Queue(waiting)
    stopped = threading.Event()

    def make() -> None:
        try:
            for item in items:
                if not _put(line, item, stopped):
                    break
            else:
                _put(line, _END, stopped)
        except BaseException as error:
            _put(line, _Failed(error), stopped)
        finally:
            if hasattr(items, "close"):
                items.close()

    def taken() -> Iterator[T]:
        while True:
            item = line.get()
            if item is _END:
                return
            if isinstance(item, _Failed):
                raise item.error
            yield item

    thread = threading.Thread(target=make, name="read ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        thread.join()


@contextmanager
def write_behind(work: Callable[[T], object], waiting: int = WAITING) -> Iterator[Callable[[T], None]]:
    """Gives a function that hands an item to `work` in a thread of its own, in order.

    An error of `work` is raised by the next call, or on leaving the block, which waits for all items. Where
    the block itself fails, the items that wait are dropped.
    """
    line: queue.Queue[Any] = queue.Queue(waiting)
    stopped = threading.Event()
    # an interrupted Thread.join() takes a running thread for ended, an event does not
    ended = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while (item := line.get()) is not _END and not stopped.is_set():
                work(item)
        except BaseException as error:
            failures.append(error)
            stopped.set()
        finally:
            ended.set()

    def put(item: T) -> None:
        if not _put(line, item, stopped):
            raise failures[0]

    threading.Thread(target=run, name="write behind", daemon=True).start()
    try:
        yield put
        _put(line, _END, stopped)
        ended.wait()
    except BaseException:
        stopped.set()
        # a thread that waits for an item is woken
        with suppress(queue.Full):
            line.put_nowait(_END)
        ended.wait()
        raise
    if failures:
        raise failures[0]


def _put(line: "queue.Queue[Any]", item: Any, stopped: threading.Event) -> bool:
    """Whether the item was taken before the other side stopped."""
    while not stopped.is_set():
        try:
            line.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
