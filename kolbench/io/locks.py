"""One process at a time, on one machine or on several that share a disk."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import SoftFileLease, Timeout

# how long the sign of life of a process on another machine may be absent; it is renewed three times as often
LEASE_S = 120.0
POLL_S = 0.5


@contextmanager
def alone(path: Path, waiting: str) -> Iterator[None]:
    """A block that no other process is in at the same time.

    The lock is a file that is made by exclusive creation (O_EXCL) and renewed while the block lasts; on many
    network disks the kernel's own locks (flock) are known to one machine only. A process that was killed
    leaves the file behind: on its own machine it counts no more at once, on others after `LEASE_S` seconds.

    Args:
        path: of the file. waiting: printed where another process is in the block.
    """
    lease = SoftFileLease(path, lease_duration=LEASE_S, on_compromise=lambda _: _tell(path))
    try:
        lease.acquire(timeout=0)
    except Timeout:
        print(waiting, flush=True)
        lease.acquire(poll_interval=POLL_S)
    try:
        yield
    finally:
        lease.release()


def _tell(path: Path) -> None:
    told = f"kolbench: {path} is held by this process no longer: another one may work on the same."
    print(told, file=sys.stderr, flush=True)
