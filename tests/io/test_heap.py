"""Arrays that come and go cost no new pages, and settings of the user's own are left alone."""

import ctypes
import sys

import pytest

from kolbench.io import heap
from tests.helpers.commands import python

# page faults of twenty arrays of 40 MB, after the first five
FAULTS = """
import resource
import numpy as np
from kolbench.io.heap import keep_freed_memory

done = keep_freed_memory()
for number in range(25):
    if number == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(5_000_000)
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
def test_arrays_that_come_and_go_cost_no_new_pages():
    done, faults = python(FAULTS).stdout.split()
    assert done == "True"
    # mapped anew they cost 20 x 9,766 pages of 4 KiB, or 20 x 20 huge ones
    assert int(faults) < 200


# address space in use after arrays of 12 MB between small ones, before and after they are freed
LIMITED = """
import resource
import numpy as np
from kolbench.io.heap import keep_freed_memory

def space():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

resource.setrlimit(resource.RLIMIT_AS, (space() + 2**30, resource.RLIM_INFINITY))
done, before = keep_freed_memory(), space()
# glibc keeps blocks of this size from here on, unless it is told otherwise
np.ones(3_500_000)
large, small = [], []
for _ in range(20):
    large.append(np.ones(1_500_000))
    small.append(np.ones(8_000))
full = space() - before
large.clear()
print(done, full, space() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and RLIMIT_AS binds on Linux only")
def test_where_address_space_is_limited_it_is_handed_back():
    done, full, left = python(LIMITED).stdout.split()
    assert done == "False"
    assert int(full) > 20 * 12_000_000
    # the small arrays take 1.3 MB
    assert int(left) < 12_000_000


@pytest.mark.parametrize("name", heap.OWN_SETTINGS)
def test_settings_of_the_users_own_are_left_alone(name, monkeypatch):
    monkeypatch.setenv(name, "1000000")
    assert not heap.keep_freed_memory()


def test_another_c_library_changes_nothing(monkeypatch):
    def missing(name):
        raise OSError(name)

    for name in heap.OWN_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not heap.keep_freed_memory()
    assert not heap.give_back()
