"""Which other frame of its clip a frame is trained with."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from kolbench.data import clip_frames
from kolbench.data.dataset import seed_for
from kolbench.types import FIRST_REFERENCE


class Reference(NamedTuple):
    """row: of the sample cache. draw: of the changes made to it; None = those of the frame itself."""

    row: int
    draw: int | None


class References(Protocol):
    """Gives each frame its reference."""

    def of(self, round_number: int, row: int) -> Reference:
        """The reference of a row of the sample cache in a round of the training."""


class FirstFrames:
    """The first frame of each clip, changed as the frame is (PDNet).

    Args:
        rows: of the source, in the order of the sample cache. clips: of all rows of the source.
    """

    def __init__(self, rows: Sequence[int], clips: Sequence[str]) -> None:
        self._first = clip_frames.first_frames(rows, clips)

    def of(self, round_number: int, row: int) -> Reference:
        """Alike in every round."""
        return Reference(self._first[row], None)


class RandomFrames:
    """Any frame of the clip, changed by itself (COSNet); seed, round and row alone decide.

    Args:
        rows, clips: see FirstFrames. seed: of the run.
    """

    def __init__(self, rows: Sequence[int], clips: Sequence[str], seed: int) -> None:
        self._mates = clip_frames.clip_mates(rows, clips)
        self._seed = seed

    def of(self, round_number: int, row: int) -> Reference:
        """Drawn anew in every round."""
        draw = seed_for("reference", self._seed, round_number, row)
        return Reference(clip_frames.random_frame(self._mates[row], row, draw), draw)


def references(kind: str, rows: Sequence[int], clips: Sequence[str], seed: int) -> References:
    """As `Segmenter.training_reference` says."""
    return FirstFrames(rows, clips) if kind == FIRST_REFERENCE else RandomFrames(rows, clips, seed)
