"""Which job of a sweep writes which file: what one job wrote, no other job replaces."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from kolbench.errors import ConfigError

FOLDER = ".outputs"


class SweepOutputs:
    """The files of a sweep by the job that writes them, known to all processes and machines of the sweep.

    Each file that a job takes is a small file in the sweep's folder, made by exclusive creation (O_EXCL),
    which one of several processes wins on network disks too.

    Attributes:
        job: the present one; "" outside of sweeps.
    """

    def __init__(self) -> None:
        self.job = ""
        self._folder = Path()

    def leave(self) -> None:
        """What follows is no job of a sweep."""
        self.job = ""

    def enter(self, sweep: Path, job: str) -> None:
        """What follows is this job of the sweep in that folder."""
        self.job = job
        self._folder = sweep / FOLDER

    def take(self, files: Iterable[Path]) -> None:
        """Takes files for the present job, before it writes the first; outside of sweeps nothing happens.

        Raises:
            ConfigError: one belongs to another job.
        """
        if not self.job:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        claims = {file: self._folder / _digest(file) for file in files}
        for file, claim in claims.items():
            self._require_own(file, claim)
        for file, claim in claims.items():
            try:
                with claim.open("x", encoding="utf-8") as made:
                    made.write(self.job)
            except FileExistsError:
                self._require_own(file, claim)

    def _require_own(self, file: Path, claim: Path) -> None:
        owner = claim.read_text(encoding="utf-8") if claim.is_file() else self.job
        if owner != self.job:
            # empty in the moment between creation and writing
            raise ConfigError(
                f"{file} was written by {owner or 'another job'} of this sweep; let output= name what is "
                "swept, such as 'output=OUT/${threshold}' where that is the threshold."
            )


def _digest(file: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()[:32]


SWEEP = SweepOutputs()
