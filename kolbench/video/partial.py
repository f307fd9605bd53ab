"""Outputs that are made beside their place, under a name that says so, and moved there only when whole."""

import hashlib
import os
import shutil
from pathlib import Path

from kolbench.errors import ConfigError

LONGEST_NAME = 240


def _beside(path: Path, ending: str) -> Path:
    """`.NAME.ending` in the same folder; a name too long for two more endings becomes its digest."""
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return path.with_name(f".{name}.{ending}")


class PartialFile:
    """A file in the making, `.NAME.part`; what a killed run left of the same name is overwritten."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = _beside(path, "part")

    def begin(self) -> None:
        """Makes the empty file.

        Raises:
            ConfigError: `path` is a folder, or nothing can be written there.
        """
        if self.path.is_dir():
            raise ConfigError(f"output={self.path} is a folder; give the name of a file.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.made.write_bytes(b"")
        except OSError as error:
            raise ConfigError(f"output={self.path} cannot be written: {error.strerror}.") from None

    def commit(self) -> None:
        """Forces the file to the disk and moves it into its place."""
        with self.made.open("rb+") as handle:
            os.fsync(handle.fileno())
        self.made.replace(self.path)

    def discard(self) -> None:
        """Leaves nothing behind."""
        self.made.unlink(missing_ok=True)


class PartialFolder:
    """A folder in the making, `.NAME.part`; the one that it replaces is `.NAME.old` for a moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = _beside(path, "part")
        self.old = _beside(path, "old")

    def begin(self) -> None:
        """Makes the empty folder, after what a killed run left is taken away.

        Raises:
            ConfigError: `path` is a file, or nothing can be written there.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"output={self.path} is a file; give the name of a folder.")
        try:
            if self.old.exists():
                self._settle()
            self.discard()
            self.made.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f"output={self.path} cannot be written: {error.strerror}.") from None

    def _settle(self) -> None:
        """A run was killed between two renames: the old folder goes back, unless a new one stands there."""
        if self.path.exists():
            shutil.rmtree(self.old)
        else:
            self.old.rename(self.path)

    def commit(self) -> None:
        """Moves the folder into its place."""
        if self.path.exists():
            self.path.rename(self.old)
        self.made.rename(self.path)
        if self.old.exists():
            shutil.rmtree(self.old)

    def discard(self) -> None:
        """Leaves nothing behind."""
        if self.made.exists():
            shutil.rmtree(self.made)
