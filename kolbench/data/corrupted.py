"""A source whose pictures are corrupted as they are read: what the test set is made of under `corrupt=`."""

import hashlib

import numpy as np

from kolbench.data.corruptions import Corruption
from kolbench.data.sources.base import Source
from kolbench.types import Sample, UInt8Array


class CorruptedSource(Source):
    """Another source's pictures, frames without truth among them, all corrupted.

    Args:
        source: of the pictures as they are.
        corruption: what happens to each.
    """

    def __init__(self, source: Source, corruption: Corruption) -> None:
        super().__init__(source.names, source.groups, source.tags, source.given_splits, source.clips)
        self.unscored = source.unscored
        self.unscored_after = source.unscored_after
        self._source = source
        self._corruption = corruption
        before = {name: row for row, names in source.unscored.items() for name in names}
        after = {name: row for row, name in source.unscored_after.items()}
        self._clip_of = {name: source.clips[row] for name, row in (before | after).items()}

    @property
    def truth(self) -> str:
        """As the source's."""
        return self._source.truth

    def read(self, index: int) -> Sample:
        """The corrupted picture with its truth."""
        return self._corruption.of(self._source.read(index), self.names[index], self.clips[index])

    def read_unscored(self, name: str) -> UInt8Array:
        """The corrupted frame."""
        image = self._source.read_unscored(name)
        blank = np.zeros(image.shape[:2], np.uint8)
        return self._corruption.of(Sample(image, blank), name, self._clip_of[name]).image

    def fingerprint(self) -> str:
        """Of the source and the corruption."""
        return hashlib.sha256(f"{self._source.fingerprint()} {self._corruption}".encode()).hexdigest()

    def describe(self) -> list[str]:
        """As the source's, and what happens to its pictures."""
        return [*self._source.describe(), self._corruption.words()]
