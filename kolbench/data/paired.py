"""Pictures with a mask file each: what the layouts of published portrait sets share."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kolbench.data import listing
from kolbench.data.clip_frames import in_time, unscored_after, unscored_before, unscored_note
from kolbench.data.mask_files import MaskFiles
from kolbench.data.sources.base import Source
from kolbench.errors import DataError, nearest
from kolbench.io.images import read_rgb
from kolbench.io.masks import read_alpha, require_same_size
from kolbench.types import ALPHA, BINARY, Float32Array, Sample, UInt8Array

TRAIN, VAL, TEST = "train", "val", "test"


class PairedSource(Source):
    """Reads pictures and their masks by name; what has no partner is left out and said.

    Of clips, images without a mask between the frames that have one are `unscored`.

    Args:
        root: the folder of the set, for messages.
        images, masks: name -> file.
        splits: `train`, `val`, `test` -> names; None where the set comes without a split.
        groups: name -> clip, whose frames stand in time then; None = no picture is a frame of a clip.
        soft: whether masks are alpha mattes, of which a half and more is foreground.
        truth: of soft masks: alpha, or binary where only their halves are to count.
        tags: name -> scenario; None = none are known.

    Raises:
        DataError: no picture has a mask.
    """

    def __init__(
        self,
        root: Path,
        images: Mapping[str, Path],
        masks: Mapping[str, Path],
        splits: Mapping[str, Iterable[str]] | None = None,
        groups: Mapping[str, str] | None = None,
        soft: bool = False,
        truth: str = BINARY,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.soft = root, soft
        self._truth = truth
        self._images, self._masks = images, masks
        names = sorted(images.keys() & masks.keys())
        clips = {} if groups is None else groups
        if groups is not None:
            names.sort(key=lambda name: in_time(clips.get(name, ""), name))
        if not names:
            raise DataError(f"{root}: none of {len(images)} images has one of the {len(masks)} masks.")
        rows = {name: row for row, name in enumerate(names)}
        given = None if splits is None else {split: _rows(rows, splits[split]) for split in splits}
        super().__init__(
            names,
            None if groups is None else [groups.get(name) for name in names],
            None if tags is None else [tags.get(name, "") for name in names],
            given,
            [clips.get(name, "") for name in names],
        )
        others = {name: clips[name] for name in images.keys() - masks.keys() if clips.get(name)}
        self.unscored = unscored_before(names, self.clips, others)
        self.unscored_after = unscored_after(names, self.clips, others)
        self._mask_files = MaskFiles(masks)

    def read(self, index: int) -> Sample:
        """Reads the picture and its mask.

        Raises:
            DataError: a file cannot be read or the sizes differ; names the files.
        """
        name = self.names[index]
        image = read_rgb(self._images[name])
        matte = read_matte(self._masks[name]) if self.soft else None
        mask = self._mask_files.read(name) if matte is None else halved(matte)
        require_same_size(self._images[name], image, self._masks[name], mask)
        return Sample(image, mask, matte=matte if self.truth == ALPHA else None)

    def files(self, index: int) -> Mapping[str, Path]:
        """Image and mask."""
        name = self.names[index]
        return {"image": self._images[name], "mask": self._masks[name]}

    def mask_levels(self, index: int) -> tuple[str, str]:
        """Of binary masks."""
        return self._mask_files.levels_of(self.names[index])

    def left_out(self) -> Mapping[Path, str]:
        """Images without a mask and masks without an image, but for frames that methods may remember."""
        between = {name for before in self.unscored.values() for name in before}
        used = {*self.names, *between, *self.unscored_after.values()}
        return listing.without_partner(used, {"image": self._images, "mask": self._masks})

    def read_unscored(self, name: str) -> UInt8Array:
        """Reads a frame of a clip that has no mask."""
        return read_rgb(self._images[name])

    @property
    def truth(self) -> str:
        """`alpha` where the mattes count as such."""
        return self._truth

    def fingerprint(self) -> str:
        """Digests pictures and masks (see listing.digest)."""
        others = [name for before in self.unscored.values() for name in before]
        others += self.unscored_after.values()
        parts = [(f"{name} image", self._images[name], False) for name in [*self.names, *others]]
        return listing.digest([*parts, *((f"{name} mask", self._masks[name], True) for name in self.names)])

    def describe(self) -> list[str]:
        """Says how many pictures there are, what is left out, and which mask levels were seen."""
        used = {*self.names, *(name for before in self.unscored.values() for name in before)}
        counted = [f"{len(self)} images with masks", *filter(None, [listing.group_note(self.groups)])]
        lines = [f"{self.root}: {', '.join(counted)}"]
        lines += unscored_note(self.unscored)
        lines += listing.unmatched("images", self._images.keys() - used, self._masks)
        lines += listing.unmatched("masks", self._masks.keys() - used, self._images)
        if self.soft:
            lines.append("masks are alpha mattes: one half and more is foreground")
            possible = "matting scores are possible; data.truth=binary leaves the mattes out"
            return [*lines, possible] if self.truth == ALPHA else lines
        return [*lines, *self._mask_files.notes(self.names)]


def _rows(rows: Mapping[str, int], names: Iterable[str]) -> list[int]:
    return sorted(rows[name] for name in names if name in rows)


def read_matte(path: Path) -> Float32Array:
    """An alpha matte as (H, W) float32 in [0, 1].

    Raises:
        DataError: it cannot be read as a matte.
    """
    levels, white = read_alpha(path)
    return (levels / np.float64(white)).astype(np.float32)


def halved(matte: Float32Array) -> UInt8Array:
    """An alpha matte (H, W) in [0, 1] as uint8 in {0, 1}, 1 from one half on."""
    return (matte >= 0.5).astype(np.uint8)


def drawn(names: Sequence[str], share: float, groups: Mapping[str, str] | None = None) -> set[str]:
    """Names for validation, the same on every machine, whole clips where clips are known.

    Args:
        names: of training pictures. share: of them that is wanted at least, in (0, 1).
        groups: name -> clip; None = each stands alone.
    """
    clips = {name: name if groups is None else groups[name] for name in names}
    chosen = set(listing.drawn(Counter(clips.values()), share))
    return {name for name in names if clips[name] in chosen}


def listed(path: Path, known: Iterable[str]) -> list[str]:
    """The names in a list of files, one a line, with or without suffix.

    Raises:
        DataError: names file and line of what is no picture, or stands twice.
    """
    names, found = set(known), []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text:
            continue
        name = next((name for name in (text, text.rpartition(".")[0]) if name in names), None)
        if name is None:
            hint = nearest(text, names)
            meant = f" Did you mean {hint}?" if hint else ""
            raise DataError(f"{path}, line {number}: there is no image {text} with a mask.{meant}")
        if name in found:
            raise DataError(f"{path}, line {number}: {text} stands there twice.")
        found.append(name)
    return found


def folder_in(root: Path, name: str, data: str) -> Path:
    """The folder `name` below `root`.

    Raises:
        DataError: there is none; says what the layout needs and what is there.
    """
    return listing.subfolder(root, name, f", which data={data} needs")
