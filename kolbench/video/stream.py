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


class _Worker:
    """A thread that is over, or will never begin, once it was abandoned, wherever a signal struck.

    An interrupted Thread.start() may or may not have begun a thread, and an interrupted Thread.join() takes a
    running thread for ended; what is taken here by one side is not taken by the other.
    """

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._work = work
        self._taken = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        if self._taken.acquire(blocking=False):
            try:
                self._work()
            finally:
                self._ended.set()

    def start(self) -> None:
        """Begins the work."""
        self._thread.start()

    def wait(self) -> None:
        """Returns when the work is done; it must have been started."""
        self._ended.wait()

    def abandon(self) -> None:
        """Returns when the work is done; work that has not begun never will."""
        if not self._taken.acquire(blocking=False):
            self._ended.wait()


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

    worker = _Worker("read ahead", make)
    try:
        worker.start()
        yield taken()
    finally:
        stopped.set()
        worker.abandon()


@contextmanager
def write_behind(work: Callable[[T], object], waiting: int = WAITING) -> Iterator[Callable[[T], None]]:
    """Gives a function that hands an item to `work` in a thread of its own, in order.

    An error of `work` is raised by the next call, or on leaving the block, which waits for all items. Where
    the block itself fails, the items that wait are dropped.
    """
    line: queue.Queue[Any] = queue.Queue(waiting)
    stopped = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while (item := line.get()) is not _END and not stopped.is_set():
                work(item)
        except BaseException as error:
            failures.append(error)
            stopped.set()

    def put(item: T) -> None:
        if not _put(line, item, stopped):
            raise failures[0]

    worker = _Worker("write behind", run)
    try:
        worker.start()
        yield put
        _put(line, _END, stopped)
        worker.wait()
    except BaseException:
        stopped.set()
        # a thread that waits for an item is woken
        with suppress(queue.Full):
            line.put_nowait(_END)
        worker.abandon()
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
