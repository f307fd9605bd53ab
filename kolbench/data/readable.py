"""A source without the pictures that cannot be used: `data.on_error=skip`."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from kolbench.data import checking
from kolbench.data.sources.base import Rows, Source
from kolbench.errors import DataError
from kolbench.types import Sample, UInt8Array


class ReadableSource(Source):
    """Another source's pictures that can be read; what cannot is said, and left out of every split.

    A frame without truth that cannot be read is left out too, and those before a bad frame with truth.

    Args:
        source: read once, whole.

    Attributes:
        skipped: name -> what is wrong with it.

    Raises:
        DataError: nothing of the source can be used.
    """

    def __init__(self, source: Source) -> None:
        found = checking.read_all(source, "checking images")
        kept = [row for row in range(len(source)) if row not in found.faults]
        if not kept:
            faults = list(found.faults.values())
            raise DataError(f"None of {len(source)} images can be used:\n  {checking.listed(faults)}")
        checking.refuse_full(found.full, len(kept))
        place = {row: number for number, row in enumerate(kept)}
        super().__init__(
            [source.names[row] for row in kept],
            [source.groups[row] for row in kept],
            [source.tags[row] for row in kept],
            _placed(source.given_splits, place),
            [source.clips[row] for row in kept],
        )
        self.skipped = {source.names[row]: fault for row, fault in found.faults.items()} | found.unscored
        self._source = source
        self._rows = kept
        self.plan, self.knows_colours = source.plan, source.knows_colours
        self.licence, self.test_sets = source.licence, source.test_sets
        self.known_hashes = {place[row]: value for row, value in found.hashes.items()}
        self.unscored = {
            place[row]: [name for name in names if name not in found.unscored]
            for row, names in source.unscored.items()
            if row in place
        }
        self.unscored_after = {
            place[row]: name
            for row, name in source.unscored_after.items()
            if row in place and name not in found.unscored
        }

    @property
    def truth(self) -> str:
        """As the source's."""
        return self._source.truth

    def read(self, index: int) -> Sample:
        """A picture with its truth."""
        return self._source.read(self._rows[index])

    def files(self, index: int) -> Mapping[str, Path]:
        """As the source's."""
        return self._source.files(self._rows[index])

    def read_unscored(self, name: str) -> UInt8Array:
        """A frame without truth."""
        return self._source.read_unscored(name)

    def fingerprint(self) -> str:
        """As the source's, where nothing is left out."""
        whole = self._source.fingerprint()
        if not self.skipped:
            return whole
        return hashlib.sha256(f"{whole} {sorted(self.skipped)}".encode()).hexdigest()

    def describe(self) -> list[str]:
        """As the source's, and what is left out."""
        lines = self._source.describe()
        if not self.skipped:
            return lines
        told = checking.listed(list(self.skipped.values()))
        count = f"{len(self.skipped)} of {len(self._source)} images"
        return [*lines, f"data.on_error=skip: left out, as they cannot be used, {count}:\n  {told}"]


def _placed(rows: Rows | None, place: Mapping[int, int]) -> Rows | None:
    """Rows of each split by their numbers among the pictures that are kept."""
    if rows is None:
        return None
    return {split: [place[row] for row in chosen if row in place] for split, chosen in rows.items()}
