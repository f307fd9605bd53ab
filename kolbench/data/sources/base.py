"""The contract of a data layout: images with their truth, addressed by index."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kolbench.errors import DataError
from kolbench.types import BINARY, Sample, UInt8Array

Rows = Mapping[str, Sequence[int]]


class SplitPlan(NamedTuple):
    """How a set is split.

    fractions: shares of train, val and test, by group. paper: whose split `data.split=paper` repeats.
    paper_held_out: the share of images that it holds out, for validation and test alike; None = the
    three parts of the RSUDISNet paper.
    """

    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    paper: str = "the RSUDISNet paper"
    paper_held_out: float | None = None


class Source(ABC):
    """Gives images with their truth, one by one, and says what is known of all of them.

    A layout subclasses it, calls `__init__` with what it found, and says how a sample is read.

    names: one per image, unique. groups: the video of each image, None where unknown. tags: the scenario of
    each image, may be "". clips: the clip of each image, "" where it is no frame of one; frames of one clip
    follow one another in time as their indices do. given_splits: `train`, `val`, `test` -> indices, None
    where the layout comes without a split.

    Args:
        names: see above; the others follow their order.
        groups: None = no groups are known.
        tags: None = no tags.
        given_splits: see above.
        clips: None = no image is a frame of a clip.

    Raises:
        DataError: a name stands twice, groups, tags or clips are more or fewer than names, or a split holds
            an index that is none.
    """

    plan: SplitPlan = SplitPlan()
    """How the set is split where the layout comes without a split."""
    needs_checking: bool = True
    """Whether all images are read once before a run: not where code draws them, so that no file is bad."""
    knows_colours: bool = False
    """Whether samples carry the true foreground and background."""
    licence: str | None = None
    """Of the images, where the layout itself knows it."""
    test_sets: Sequence[str] = ()
    """Published sets that its test images are, by the names that `trained_on` of conf/weights.yaml has."""
    unscored: Mapping[int, Sequence[str]] = {}
    """Index of a frame of a clip -> names of the frames without truth that come right before it, in time.
    Methods that remember frames are given them; nobody scores them."""
    unscored_after: Mapping[int, str] = {}
    """Index of a clip's last frame with truth -> name of the frame without truth right behind it. Flow is
    found to it, and no method is given it."""
    known_hashes: Mapping[int, np.uint64] | None = None
    """Index -> perceptual hash, where the layout has read every image itself and found all of them good."""

    def __init__(
        self,
        names: Sequence[str],
        groups: Sequence[str | None] | None = None,
        tags: Sequence[str] | None = None,
        given_splits: Rows | None = None,
        clips: Sequence[str] | None = None,
    ) -> None:
        self.names = names
        self.groups: Sequence[str | None] = [None] * len(names) if groups is None else groups
        self.tags: Sequence[str] = [""] * len(names) if tags is None else tags
        self.clips: Sequence[str] = [""] * len(names) if clips is None else clips
        self.given_splits: Rows | None = given_splits
        self._require_agreement()

    @property
    def truth(self) -> str:
        """`alpha` where samples carry true alphas (`matte`) that count as truth, else `binary`."""
        return BINARY

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Reads one image with its truth; `instances` are given with all samples of a source or with none.

        Raises:
            DataError: it cannot be used; names the file.
        """

    def files(self, index: int) -> Mapping[str, Path]:
        """The files of one image: `image`, and `mask` and `product` where these have files of their own.

        Empty where the layout does not say.
        """
        return {}

    def mask_levels(self, index: int) -> tuple[str, str]:
        """How the levels of a mask file that was read were understood, and what may be wrong with that.

        Both are "" where the layout does not say.
        """
        return "", ""

    def left_out(self) -> Mapping[Path, str]:
        """File -> why it is not used, for files that look as if they were meant to be."""
        return {}

    def read_unscored(self, name: str) -> UInt8Array:
        """Reads one of the frames that `unscored` and `unscored_after` name, (H, W, 3) uint8 RGB.

        Raises:
            DataError: it cannot be used; names the file.
        """
        raise NotImplementedError(f"{type(self).__name__} names unscored frames and does not read them")

    def frame(self, name: str, row: int | None) -> UInt8Array:
        """The picture of a frame of a clip, (H, W, 3) uint8 RGB; row: None = it has no truth.

        Raises:
            DataError: it cannot be used; names the file.
        """
        return self.read_unscored(name) if row is None else self.read(row).image

    @abstractmethod
    def fingerprint(self) -> str:
        """Computes a digest that changes when an image or its truth does."""

    @abstractmethod
    def describe(self) -> list[str]:
        """Says what there is, and what is left out; lines to print."""

    def _require_agreement(self) -> None:
        layout, count = type(self).__name__, len(self.names)
        name, times = max(Counter(self.names).items(), key=lambda item: item[1], default=("", 0))
        if times > 1:
            raise DataError(f"{layout}: {times} images have the name {name}; names must be unique.")
        if wrong_names := [name for name in self.names if not _is_text(name)]:
            raise DataError(
                f"{layout}: {len(wrong_names)} of {count} file names are no text in UTF-8, such as "
                f"{wrong_names[0]!r}, so no table could hold them. Rename them, for instance by "
                "convmv -f latin1 -t utf8 -r --notest FOLDER."
            )
        for what, known in (("groups", self.groups), ("tags", self.tags), ("clips", self.clips)):
            if len(known) != count:
                raise DataError(f"{layout}: {count} names but {len(known)} {what}; give one for each name.")
        for split, rows in (self.given_splits or {}).items():
            if wrong := [row for row in rows if not 0 <= row < count]:
                raise DataError(
                    f"{layout}: the split {split} has the index {wrong[0]}, but there are {count} images."
                )


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8; bytes that are not stand in it as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
