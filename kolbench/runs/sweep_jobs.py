"""What the jobs of a sweep came to: a small file each in the sweep's folder, whichever process wrote it."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kolbench.errors import ConfigError
from kolbench.io.files import read_json, write_json

FOLDER = ".jobs"


@dataclass(frozen=True)
class JobOutcome:
    """One job of a sweep.

    number: in the sweep, from 0. label: how messages name it. words: its overrides. process: where it ran,
    see `this_process`. ended: whether it came to its end, well or badly; a job that was killed never does.
    row: its scores for the sweep's table. folder: its run folder, where it has one. error: why it failed.
    exit_code: what its task found.
    """

    number: int
    label: str
    words: tuple[str, ...]
    process: str
    ended: bool = False
    row: Mapping[str, float | str] | None = None
    folder: str | None = None
    error: str | None = None
    exit_code: int = 0

    @property
    def failure(self) -> str | None:
        """Why it failed, in words; None where it did not."""
        if self.ended:
            return self.error
        return "no result: its process was killed, perhaps for want of memory, or it still runs."


def this_process() -> str:
    """Host and number of this process."""
    return f"{platform.node()}:{os.getpid()}"


def require_one_process() -> None:
    """Refuses a sweep of which torchrun or srun has started several.

    Raises:
        ConfigError: each would go through all jobs, and processes of different jobs would meet.
    """
    for name, size in (("torchrun", "WORLD_SIZE"), ("srun", "SLURM_STEP_NUM_TASKS")):
        started = name == "srun" or "TORCHELASTIC_RUN_ID" in os.environ
        if started and os.environ.get(size, "1") != "1":
            raise ConfigError(
                f"{name} has started {os.environ[size]} processes, and each would go through all jobs. Start "
                "one: kolbench starts those of each job (trainer=ddp trainer.devices=N), and on a cluster "
                "hydra/launcher=slurm does (hydra.launcher.nodes=N hydra.launcher.tasks_per_node=M)."
            )


def follows() -> bool:
    """Whether Slurm started this process of a job beside the one that keeps what the job came to."""
    return os.environ.get("SLURM_PROCID", "0") != "0"


def write(sweep: Path, outcome: JobOutcome) -> None:
    """Leaves what is known of a job in the folder of its sweep; what was known before is replaced.

    A process that follows leaves nothing.
    """
    if follows():
        return
    folder = sweep / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{outcome.number}.json", asdict(outcome))


def interrupted(sweep: Path, number: int) -> bool:
    """Whether this job of the sweep was started before and never came to its end."""
    path = sweep / FOLDER / f"{number}.json"
    return path.is_file() and not read_json(path)["ended"]


def read(sweep: Path) -> list[JobOutcome]:
    """The jobs of a sweep that have begun, in their order."""
    found = [read_json(path) for path in (sweep / FOLDER).glob("*.json")]
    outcomes = [JobOutcome(**{**values, "words": tuple(values["words"])}) for values in found]
    return sorted(outcomes, key=lambda outcome: outcome.number)
