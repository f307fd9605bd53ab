"""Which job of a sweep writes which file: what one job wrote, no other job replaces."""

import os
from collections.abc import Iterable
from pathlib import Path

from kolbench.errors import ConfigError


class SweepOutputs:
    """The files of a sweep by the job that writes them. job: the present one; "" outside of sweeps."""

    def __init__(self) -> None:
        self.job = ""
        self._owners: dict[str, str] = {}

    def clear(self) -> None:
        """Forgets all jobs."""
        self.job = ""
        self._owners.clear()

    def take(self, files: Iterable[Path]) -> None:
        """Takes files for the present job, before it writes the first; outside of sweeps nothing happens.

        Raises:
            ConfigError: one belongs to an earlier job.
        """
        places = {os.path.realpath(file): file for file in files} if self.job else {}
        for place, file in places.items():
            if self._owners.get(place, self.job) != self.job:
                raise ConfigError(
                    f"{file} was written by {self._owners[place]} of this sweep; let output= name what is "
                    "swept, such as 'output=OUT/${threshold}' where that is the threshold."
                )
        self._owners.update(dict.fromkeys(places, self.job))


SWEEP = SweepOutputs()
