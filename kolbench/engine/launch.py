"""Starts the processes that train together, lets them find each other, and ends all where one dies."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from kolbench.engine import collective
from kolbench.engine.team import Plan, Team
from kolbench.errors import STOPPED_BY_KEYBOARD, TERMINATED, ConfigError, KolbenchError, TrainingError

# of a process that another one started: its number on this machine, where all find each other, and who it was
LOCAL_RANK = "KOLBENCH_LOCAL_RANK"
MEETING = "KOLBENCH_MEETING"
PARENT = "KOLBENCH_PARENT"
END = {"what": "end"}
# gloo's processes close their connections when they die, so that no other one waits until then
TIMEOUT = timedelta(days=7)
# seconds from the death of one process to the end of all, where the first one hangs
GRACE_SECONDS = 30.0
# the same while they still look for each other, where nothing else would tell the first one
_MEETING_SECONDS = 2.0
# of torch's errors where another process is gone
_LOST = re.compile("gloo|nccl|connection|broken pipe|reset by peer", re.IGNORECASE)
_LOOK_SECONDS = 0.1
# in which the end of a process is seen that broke a connection
_SETTLE_SECONDS = 5.0


class OwnEnvironment(ClusterEnvironment):
    """Tells Lightning who this process is; it starts none and joins none."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team

    @property
    def creates_processes_externally(self) -> bool:
        """They are there already."""
        return True

    @property
    def main_address(self) -> str:
        """Not asked for: the processes have found each other."""
        return os.environ.get("MASTER_ADDR", "127.0.0.1")

    @property
    def main_port(self) -> int:
        """As `main_address`."""
        return int(os.environ.get("MASTER_PORT", "0"))

    @staticmethod
    def detect() -> bool:
        """It is given, never found."""
        return False

    def world_size(self) -> int:
        """How many processes there are."""
        return self._team.size

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """Of this process."""
        return self._team.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """On this machine."""
        return self._team.local_rank

    def node_rank(self) -> int:
        """Of this machine."""
        return self._team.rank // self._team.plan.devices


@contextmanager
def together(plan: Plan, words: Sequence[str] = (), lost: Callable[[str], None] = print) -> Iterator[Team]:
    """The processes of a run, from their start to their end; one process is given back at once.

    Those of torchrun and of srun are taken as they are. Else this process starts the others of its machine,
    with the same command: a single job, never a sweep.

    Args:
        plan: how many.
        words: of the command, behind `python -m kolbench`; a process that follows starts none.
        lost: told why all end where this process cannot be told otherwise; it hangs in a device's library.

    Raises:
        ConfigError: processes of several machines cannot find each other.
        TrainingError: another process has ended too early.
    """
    outside = _outside(plan)
    if plan.size == 1:
        yield Team(plan)
        return
    with ExitStack() as stack:
        siblings = _Siblings(None, "", lost)
        if outside is None and LOCAL_RANK not in os.environ:
            siblings = stack.enter_context(_siblings(plan, words, lost))
        team = _team(plan, outside)
        stack.enter_context(_shared_cores(plan, outside))
        stack.enter_context(_silent(team))
        try:
            with _group(team, outside, siblings.meeting):
                siblings.met = True
                yield team
                if team.first:
                    collective.order(END)
        except KolbenchError:
            raise
        except Exception as error:
            siblings.raise_for_ended(error, _SETTLE_SECONDS)
            if isinstance(error, RuntimeError) and _LOST.search(str(error)):
                raise TrainingError(
                    "Another process of this run has ended, and says why itself. The same command goes on "
                    "from the last checkpoint."
                ) from error
            raise


def is_follower(plan: Plan) -> bool:
    """Whether this process was started to work along with the first one of a run.

    Raises:
        ConfigError: torchrun or srun has started another number of processes.
    """
    outside = _outside(plan)
    return plan.size > 1 and _team(plan, outside).rank > 0


def orders() -> Iterator[dict[str, str]]:
    """What the first process tells this one to do, one after the other, until the end."""
    while (told := collective.order()) != END:
        yield told


def _outside(plan: Plan) -> ClusterEnvironment | None:
    """What has started the processes, where it was not kolbench.

    Raises:
        ConfigError: it has started another number of them.
    """
    kinds: dict[str, type[ClusterEnvironment]] = {
        "torchrun": TorchElasticEnvironment,
        "srun": SLURMEnvironment,
    }
    for name, kind in kinds.items():
        if not kind.detect():
            continue
        try:
            found = kind()
        except RuntimeError as error:
            raise ConfigError(f"{name}: {error}") from error
        if found.world_size() == plan.size:
            return found
        # a job of one task may start processes of its own
        if found.world_size() > 1:
            raise ConfigError(
                f"{name} has started {found.world_size()} processes, but trainer.devices={plan.devices} and "
                f"trainer.num_nodes={plan.nodes} are {plan.size}. Let them agree."
            )
    return None


def _team(plan: Plan, outside: ClusterEnvironment | None) -> Team:
    if outside is not None:
        return Team(plan, outside.global_rank(), outside.local_rank())
    local = int(os.environ.get(LOCAL_RANK, "0"))
    return Team(plan, _node(plan) * plan.devices + local, local)


def _node(plan: Plan) -> int:
    """The number of this machine; some clusters number those of a job that uses one."""
    number = int(os.environ.get("NODE_RANK", "0")) if plan.nodes > 1 else 0
    if number >= plan.nodes:
        raise ConfigError(f"NODE_RANK={number}, but trainer.num_nodes={plan.nodes}: they count from 0.")
    return number


def leave_no_folder(folder: Path) -> None:
    """Removes the run folder that Hydra makes for each process of torchrun or srun, where it is empty."""
    if LOCAL_RANK not in os.environ:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def _group(team: Team, outside: ClusterEnvironment | None, meeting: str) -> Iterator[None]:
    """The process group of torch, which Lightning then uses."""
    cuda = team.device.type == "cuda"
    if cuda:
        torch.cuda.set_device(team.device)
    if outside is not None:
        os.environ.setdefault("MASTER_ADDR", outside.main_address)
        os.environ.setdefault("MASTER_PORT", str(outside.main_port))
    at = os.environ.get(MEETING) or meeting
    with _on_this_machine() if at.startswith("file:") else nullcontext():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            init_method=at or "env://",
            rank=team.rank,
            world_size=team.size,
            timeout=TIMEOUT,
        )
        try:
            yield
        finally:
            dist.destroy_process_group()


@contextmanager
def _on_this_machine() -> Iterator[None]:
    """Lets gloo and NCCL listen to this machine alone, unless the user has named an interface."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    named = [name for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if name not in os.environ]
    if sys.platform == "win32":
        named = []
    os.environ.update(dict.fromkeys(named, loopback))
    try:
        yield
    finally:
        for name in named:
            del os.environ[name]


@contextmanager
def _shared_cores(plan: Plan, outside: ClusterEnvironment | None) -> Iterator[None]:
    """A part of the cores for each process of a machine, unless OMP_NUM_THREADS says otherwise."""
    before = torch.get_num_threads()
    if outside is None:
        torch.set_num_threads(_threads_of_each(plan))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _threads_of_each(plan: Plan) -> int:
    threads = torch.get_num_threads()
    return threads if "OMP_NUM_THREADS" in os.environ else max(1, threads // plan.devices)


@contextmanager
def _silent(team: Team) -> Iterator[None]:
    """The first process alone speaks; errors of the others are kept or shown by who started them."""
    if team.first:
        yield
        return
    parent = int(os.environ.get(PARENT, "0")) or os.getppid()
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        spoken, sys.stdout = sys.stdout, nowhere
        try:
            yield
        finally:
            sys.stdout = spoken


def _end_with_parent(parent: int) -> None:
    """Ends this process where the one that started it is gone, wherever it hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


@dataclass
class _Sibling:
    rank: int
    process: subprocess.Popen[bytes]
    errors: Path

    def told(self) -> str:
        """Why it has ended, in words."""
        return (
            f"Process {self.rank} of this run {self._why().rstrip('.')}. All its processes have ended; the "
            "same command goes on from the last checkpoint."
        )

    def _why(self) -> str:
        code = self.process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            kernel = " (by the system where memory ran out, or by hand)" if name == "SIGKILL" else ""
            return f"was ended by {name}{kernel}"
        lines = self.errors.read_text("utf-8", "replace").strip().splitlines()
        said = [line.removeprefix("kolbench: ") for line in lines if line.startswith("kolbench: ")]
        return f"failed: {[*lines, *said][-1]}" if lines else f"failed with exit code {code}"


class _Siblings:
    """The other processes of this machine, watched by a thread."""

    def __init__(self, folder: Path | None, meeting: str, lost: Callable[[str], None]) -> None:
        self.meeting = meeting
        # whether they have found each other
        self.met = False
        self._folder = folder
        self._all: list[_Sibling] = []
        self._lost = lost
        self._over = threading.Event()

    def start(self, words: Sequence[str], plan: Plan) -> None:
        """Starts them, and a thread that watches them."""
        assert self._folder is not None
        for rank in range(1, plan.devices):
            self._all.append(_start(rank, self._folder, self.meeting, words, plan))
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        """Ends this process where another one has died and the first has not noticed for some seconds."""
        while not self._over.wait(_LOOK_SECONDS):
            dead = self._dead()
            if dead is None or self._over.wait(GRACE_SECONDS if self.met else _MEETING_SECONDS):
                continue
            told = dead.told()
            self._lost(told)
            print(f"kolbench: {told}", file=sys.stderr, flush=True)
            self.stop()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            os._exit(1)

    def raise_for_ended(self, error: Exception, seconds: float) -> None:
        """Raises what has ended another one of them, where that is so within some seconds.

        Args:
            error: what this process has noticed of it.

        Raises:
            TrainingError: it has failed, or was killed.
            KeyboardInterrupt, SystemExit: the same signal has stopped all.
        """
        until = time.monotonic() + seconds
        while self._all and (dead := self._dead()) is None and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        if not self._all or dead is None:
            return
        if dead.process.returncode in (-signal.SIGTERM, TERMINATED):
            raise SystemExit(TERMINATED) from None
        if dead.process.returncode in (-signal.SIGINT, STOPPED_BY_KEYBOARD):
            raise KeyboardInterrupt from None
        raise TrainingError(dead.told()) from error

    def wait(self) -> None:
        """Until all have ended by themselves."""
        for each in self._all:
            each.process.wait()

    def stop(self) -> None:
        """Ends all that still run."""
        self._over.set()
        for each in self._all:
            if each.process.poll() is None:
                each.process.terminate()
        for each in self._all:
            try:
                each.process.wait(5)
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()

    def _dead(self) -> _Sibling | None:
        return next((each for each in self._all if each.process.poll() not in (None, 0)), None)


@contextmanager
def _siblings(plan: Plan, words: Sequence[str], lost: Callable[[str], None]) -> Iterator[_Siblings]:
    """Starts them; on the way out they have ended, by themselves where all went well."""
    if plan.nodes > 1 and not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= set(os.environ):
        raise ConfigError(
            f"trainer.num_nodes={plan.nodes}: processes of several machines must be started on each, by "
            f"srun, or with torchrun --nnodes {plan.nodes} --nproc-per-node {plan.devices} -m kolbench ..., "
            "or with MASTER_ADDR, MASTER_PORT and NODE_RANK set."
        )
    with tempfile.TemporaryDirectory(prefix="kolbench-") as folder:
        meeting = f"file://{folder}/meeting" if plan.nodes == 1 else ""
        siblings = _Siblings(Path(folder), meeting, lost)
        try:
            siblings.start(words, plan)
            yield siblings
            siblings.wait()
        finally:
            siblings.stop()


def _start(rank: int, folder: Path, meeting: str, words: Sequence[str], plan: Plan) -> _Sibling:
    # it has no run folder
    command = [sys.executable, "-m", "kolbench", *words, "hydra.run.dir=."]
    errors = folder / f"{rank}.txt"
    environment = {
        **os.environ,
        LOCAL_RANK: str(rank),
        MEETING: meeting,
        PARENT: str(os.getpid()),
    }
    environment.setdefault("OMP_NUM_THREADS", str(_threads_of_each(plan)))
    with errors.open("wb") as file:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file, env=environment)  # noqa: S603 - a list of words, no shell
    return _Sibling(rank, process, errors)
