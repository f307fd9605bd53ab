"""Files that a command left."""

from collections.abc import Iterable
from pathlib import Path


def only(paths: Iterable[Path]) -> Path:
    """The one path that there must be."""
    found = list(paths)
    assert len(found) == 1, found
    return found[0]
