"""Freed memory is kept for the next array, instead of being handed back to the kernel and asked for again."""

import ctypes
import gc
import os
import sys

# of mallopt, as in glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# larger blocks are still mapped one by one, and handed back at once; older glibc takes no more than 32 MiB
LARGEST_BLOCK_BYTES = (256 * 1024**2, 32 * 1024**2)
# free memory at the end of the heap beyond which it is handed back; the largest that mallopt takes
KEPT_BYTES = 2**31 - 1
# where address space is limited to less than this, blocks larger than that are mapped one by one
SCARCE_BYTES, LIMITED_BLOCK_BYTES = 16 * 1024**3, 1024**2
OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Lets glibc keep what is freed; for programs of their own, as it holds for the whole process.

    Networks and video frames make and drop arrays of some megabytes all the time. By default each of them is
    mapped anew, and the kernel clears its pages one by one, which took up to a third of the time.

    Returns:
        Whether it was done: not with another C library, nor where the environment has settings of its own,
        nor where address space is scarce.
    """
    if any(name in os.environ for name in OWN_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    if _is_scarce():
        # kept memory is address space that code which oneDNN compiles, and threads, would lack
        mallopt(M_MMAP_THRESHOLD, LIMITED_BLOCK_BYTES)
        return False
    mapped = any(mallopt(M_MMAP_THRESHOLD, size) for size in LARGEST_BLOCK_BYTES)
    kept = bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
    return mapped and kept


def _is_scarce() -> bool:
    """Whether `ulimit -v` leaves little address space."""
    if sys.platform == "win32":
        return False
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return limit != resource.RLIM_INFINITY and limit < SCARCE_BYTES


def give_back() -> bool:
    """Hands back what glibc keeps: code that oneDNN compiles, and threads, take no memory of it.

    Returns:
        Whether any was handed back.
    """
    gc.collect()
    try:
        return bool(ctypes.CDLL("libc.so.6").malloc_trim(0))
    except (OSError, AttributeError):
        return False
