"""Where something is measured: processor, libraries, load, clocks, energy and memory."""

import os
import platform
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kolbench.io.heap import give_back

# what computes: a new version of one may be faster than another
LIBRARIES = ("torch", "onnxruntime", "openvino", "numpy", "opencv-python")
CPU_INFO = Path("/proc/cpuinfo")
POWER = Path("/sys/class/powercap")
STAT = Path("/proc/stat")
# of a line of /proc/stat, see proc(5): user, nice, system, irq, softirq, steal
_BUSY = (1, 2, 3, 6, 7, 8)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name."""
    return next(iter(_listed("model name")), "") or platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of Python and of those LIBRARIES that are installed."""
    found = {name: number for name in LIBRARIES if (number := installed(name))}
    return {"python": platform.python_version(), **found}


def installed(package: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def load() -> float | None:
    """Programs that ran or waited for a core, averaged over the last minute; None where no system says it."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def clock_mhz() -> float | None:
    """The mean clock of the cores now; None where it cannot be read."""
    found = [float(text) for text in _listed("cpu MHz")]
    return sum(found) / len(found) if found else None


def _listed(key: str) -> list[str]:
    if not CPU_INFO.is_file():
        return []
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]


class Others:
    """How many of this process's cores others have used since it was made, the host of a guest included."""

    def __init__(self) -> None:
        self._began = self._now()

    @property
    def cores(self) -> float | None:
        """The mean, 0 to `cores()`; None where the system does not tell."""
        now = self._now()
        if now is None or self._began is None:
            return None
        wall, busy, own = (after - before for after, before in zip(now, self._began, strict=True))
        return max(0.0, busy - own) / wall if wall > 0 else None

    def _now(self) -> tuple[float, float, float] | None:
        """Seconds: of a clock, of all work on the cores, of this process's."""
        if sys.platform != "linux" or not STAT.is_file():
            return None
        rows = {row[0]: row for row in map(str.split, STAT.read_text(encoding="ascii").splitlines()) if row}
        mine = [rows[f"cpu{core}"] for core in os.sched_getaffinity(0) if f"cpu{core}" in rows]
        ticks = sum(int(row[place]) for row in mine for place in _BUSY)
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


class Energy:
    """Joules that the processors drew, by Intel's and AMD's RAPL counters.

    Args:
        folder: where the kernel shows them.

    Attributes:
        measured: whether there are counters that may be read; on many machines only root may.
    """

    def __init__(self, folder: Path = POWER) -> None:
        packages = folder.glob("intel-rapl:*") if folder.is_dir() else ()
        # intel-rapl:0:1 is a part of the package intel-rapl:0
        self._counters = [path for path in sorted(packages) if path.name.count(":") == 1 and _readable(path)]
        self.measured = bool(self._counters)

    def read(self) -> Mapping[Path, float]:
        """Joules of each counter now."""
        return {path: _joules(path, "energy_uj") for path in self._counters}

    def since(self, before: Mapping[Path, float]) -> float | None:
        """Joules since a reading; one that began anew did so once. None: not measured."""
        if not self.measured:
            return None
        now = self.read()
        return sum(
            now[path] - was + (_joules(path, "max_energy_range_uj") if now[path] < was else 0)
            for path, was in before.items()
        )


def _readable(path: Path) -> bool:
    try:
        _joules(path, "energy_uj")
        _joules(path, "max_energy_range_uj")
    except (OSError, ValueError):
        return False
    return True


def _joules(path: Path, name: str) -> float:
    return int((path / name).read_text(encoding="ascii")) / 1e6


class PeakMemory:
    """The most memory of this process since it was made, beyond what it held then."""

    def __init__(self) -> None:
        # what is kept for later would hide what is needed now
        give_back()
        self._before = _kilobytes("VmRSS")
        self._can = self._before is not None and _forget_peak()

    @property
    def grown(self) -> int | None:
        """Bytes; None where the system does not tell."""
        peak = _kilobytes("VmHWM") if self._can else None
        return None if peak is None or self._before is None else 1024 * max(0, peak - self._before)


def _forget_peak() -> bool:
    """Lets Linux begin anew with the peak, as proc(5) says of clear_refs."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _kilobytes(key: str) -> int | None:
    status = Path("/proc/self/status")
    if sys.platform != "linux" or not status.is_file():
        return None
    lines = status.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), None)
