"""Reading ahead and writing behind: order, errors in their place, no thread left, short queues."""

import signal
import threading
import time

import pytest

from kolbench.video import stream
from kolbench.video.stream import WAITING, read_ahead, write_behind


def no_thread_is_left():
    # it has said its last word; the interpreter takes a moment to strike it off
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if {t.name for t in threading.enumerate()}.isdisjoint({"read ahead", "write behind"}):
            return True
        time.sleep(0.01)
    return False


def test_items_arrive_in_order_and_the_thread_ends():
    with read_ahead(range(100)) as items:
        assert list(items) == list(range(100))
    assert no_thread_is_left()


def test_reading_is_ahead_by_the_queue_and_no_more():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    with read_ahead(items()) as ahead:
        assert next(ahead) == 0
        deadline = time.monotonic() + 5
        while len(made) < WAITING + 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        # one taken, WAITING in the queue, one in the maker's hand
        assert made == list(range(WAITING + 2))


def test_an_error_while_reading_arrives_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise ValueError("third")

    taken = []

    def take():
        with read_ahead(items()) as ahead:
            taken.extend(ahead)

    with pytest.raises(ValueError, match="third"):
        take()
    assert taken == [1, 2]
    assert no_thread_is_left()


def test_leaving_early_closes_what_was_read():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    with read_ahead(items()) as ahead:
        next(ahead)
    assert closed == ["read ahead"]
    assert no_thread_is_left()


def test_all_is_written_in_order_before_the_block_is_left():
    written = []

    def slowly(item):
        time.sleep(0.002)
        written.append(item)

    with write_behind(slowly) as put:
        for number in range(30):
            put(number)
    assert written == list(range(30))
    assert no_thread_is_left()


@pytest.mark.parametrize("last", [3, 100])
def test_an_error_while_writing_is_raised_and_nothing_is_written_after_it(last):
    written = []

    def work(item):
        if item == 3:
            raise OSError("disk full")
        written.append(item)

    def write():
        with write_behind(work) as put:
            for number in range(last + 1):
                put(number)

    with pytest.raises(OSError, match="disk full"):
        write()
    assert written == [0, 1, 2]
    assert no_thread_is_left()


def test_a_failing_block_drops_what_waits_and_keeps_its_error():
    release = threading.Event()
    written = []

    def work(item):
        release.wait(5)
        written.append(item)

    def interrupted():
        with write_behind(work) as put:
            for number in range(3):
                put(number)
            threading.Timer(0.1, release.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(written) <= 1
    assert no_thread_is_left()


@pytest.mark.usefixtures("keyboard")
def test_the_writer_ends_before_its_block_even_if_the_last_wait_is_interrupted():
    written = []

    def slowly(item):
        time.sleep(0.3)
        written.append(item)

    def drained():
        with write_behind(slowly) as put:
            put(0)
            put(1)
            # the signal comes while the block waits for the writer
            threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        drained()
    assert no_thread_is_left()
    assert written == [0]


@pytest.mark.usefixtures("keyboard")
def test_a_signal_while_the_reader_starts_leaves_nobody_in_what_it_reads():
    me = threading.get_ident()

    def items():
        # the other thread is about to leave Thread.start()
        signal.pthread_kill(me, signal.SIGINT)
        time.sleep(0.005)
        yield 0

    def read(source):
        with read_ahead(source) as ahead:
            next(ahead)
            time.sleep(1)

    for _ in range(60):
        source = items()
        with pytest.raises(KeyboardInterrupt):
            read(source)
        # fails where a thread is at work in it
        source.close()
    assert no_thread_is_left()


def test_what_was_abandoned_before_it_began_never_begins():
    worked = []
    worker = stream._Worker("late", lambda: worked.append(True))
    worker.abandon()
    worker.start()
    worker._thread.join()
    assert worked == []


@pytest.mark.parametrize("pipe", [lambda: read_ahead(iter("ab")), lambda: write_behind(print)])
def test_a_thread_that_cannot_be_started_is_waited_for_by_nobody(pipe, monkeypatch):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="can't start"), pipe():
        pytest.fail("the block began")


def test_the_two_overlap():
    # all three wait here at the same time, or the wait ends with an error
    together = threading.Barrier(3, timeout=60)

    def items():
        yield 0
        yield 1
        together.wait()
        yield 2

    def write(item):
        if item == 0:
            together.wait()

    with read_ahead(items()) as ahead, write_behind(write) as put:
        for item in ahead:
            if item == 1:
                together.wait()
            put(item)
    assert not together.broken
