"""One process at a time, on one machine or on several that share a disk."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from filelock import SoftFileLease, Timeout

# how long the sign of life of a process on another machine may be absent; it is renewed three times as often
LEASE_S = 120.0
POLL_S = 0.5


@contextmanager
def alone(path: Path, waiting: str) -> Iterator[Callable[[], bool]]:
    """A block that no other process is in at the same time.

    The lock is a file that is made by exclusive creation (O_EXCL) and renewed while the block lasts; on many
    network disks the kernel's own locks (flock) are known to one machine only. A process that was killed
    leaves the file behind: on its own machine it counts no more at once, on others after `LEASE_S` seconds.

    Args:
        path: of the file. waiting: printed where another process is in the block.

    Yields:
        Asks whether the lock is still this process's. A process that stood still for `LEASE_S` seconds, or
        whose file was removed, has lost it for good and should write no more.
    """
    lost = Event()

    def lose(_: object) -> None:
        lost.set()
        told = f"kolbench: {path} is held by this process no longer: another one may work on the same."
        print(told, file=sys.stderr, flush=True)

    lease = SoftFileLease(path, lease_duration=LEASE_S, on_compromise=lose)
    try:
        lease.acquire(timeout=0)
    except Timeout:
        print(waiting, flush=True)
        lease.acquire(poll_interval=POLL_S)
    token = lease.token
    assert token is not None
    try:
        # the sign of life notices a loss late: two of its intervals after it
        yield lambda: not lost.is_set() and _names(path, token)
    finally:
        lease.release()


def _names(path: Path, token: str) -> bool:
    if _holds(path, token):
        return True
    # a process that waits may have moved it away for a moment
    time.sleep(POLL_S)
    return _holds(path, token)


def _holds(path: Path, token: str) -> bool:
    try:
        return token in path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    except OSError:
        # a network disk that does not answer now: the sign of life decides
        return True
