"""`data=tiktok`: numbered frames of many clips in one folder, cut where their hashes jump."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kolbench.data import checking, duplicates, listing
from kolbench.data.mask_files import MaskFiles
from kolbench.data.sources.base import Source, SplitPlan
from kolbench.errors import DataError
from kolbench.io.files import write_text
from kolbench.io.images import read_rgb
from kolbench.io.masks import require_same_size
from kolbench.runs.fingerprint import code_hash
from kolbench.types import Sample

# Measured on 8 clips of DAVIS-2016 of people on foot, one after the other: consecutive frames differ in at
# most 16 of 64 bits (20 where every other frame is left out), the first frame of a clip and the last of the
# one before in 28 to 34. A jump that is missed makes one group of two clips; a false one puts a clip on both
# sides, as where a camera pans after a vehicle: motocross-jump has frames 30 bits apart.
JUMP_BITS = 24
# The report fits on 75 % and holds 25 % out; a ninth of the 75 % chooses epoch and threshold here.
PLAN = SplitPlan((8 / 12, 1 / 12, 3 / 12), "the TikTok report (75/25)", 0.25)
DEPTH = 3  # the archive holds its folder in a folder of the same name
_IMAGES = ("images", "image", "imgs", "img")
_MASKS = ("masks", "mask")
_ALL_NEEDED = (
    "data=tiktok finds its clips in all images, so data.on_error=skip cannot leave them out: mend or "
    "remove them, or name the clips in groups.csv. task=doctor shows them."
)
_NUMBER = re.compile(r"\d+(?=\D*$)")


class TiktokSource(Source):
    """Reads the layout of Kaggle's "Segmentation Full Body TikTok Dancing Dataset" (2,615 frames).

    Two sibling folders of numbered files, images and masks, matched and ordered by the last number in
    their names. Groups are clips (see `cut_clips`), unless `groups.csv` beside the folders names them;
    train.txt, val.txt and test.txt may lie there too (see listing.read_lists). Each image is read once
    for its hash; the hashes are kept in the user's cache folder (XDG_CACHE_HOME, ~/.cache).

    Args:
        root: the folder that holds the pair, or one up to two levels above it.

    Raises:
        DataError: there is no such pair or more than one, a number stands twice, nothing matches, or
            images cannot be read.
    """

    plan = PLAN

    def __init__(self, root: str | Path) -> None:
        self.root = listing.require_folder(root)
        pair = find_pair(self.root)
        self._pair = pair
        images, masks = _numbered(pair.images), _numbered(pair.masks)
        numbers = sorted(images.paths.keys() & masks.paths.keys())
        if not numbers:
            raise DataError(
                f"No image of {pair.images} ({len(images.paths)} numbered) has a mask of the same number "
                f"in {pair.masks} ({len(masks.paths)} numbered); both need names such as 00001.png."
            )
        self._images = {listing.key_of(images.paths[n], pair.images): images.paths[n] for n in numbers}
        names = list(self._images)
        self._masks = dict(zip(names, (masks.paths[n] for n in numbers), strict=True))
        self._mask_files = MaskFiles(self._masks)
        self._range = (numbers[0], numbers[-1])
        self._notes = [*_left_out("images", images, numbers), *_left_out("masks", masks, numbers)]
        absent = {listing.key_of(p, pair.images): "has no mask" for p in images.paths.values()}
        lists = listing.read_lists(pair.images.parent, names, absent)
        super().__init__(names, lists.groups, lists.tags, lists.given_splits)
        self._notes += lists.notes
        if (pair.images.parent / "groups.csv").is_file():
            self._notes += filter(None, [listing.group_note(self.groups)])
        else:
            clips = cut_clips(self._hashes())
            self.groups = _clip_names(self.names, clips.labels)
            self._notes.append(clips.describe())

    def read(self, index: int) -> Sample:
        """Reads the frame and its mask.

        Raises:
            DataError: a file cannot be read or the sizes differ; names the files.
        """
        name = self.names[index]
        image = read_rgb(self._images[name])
        mask = self._mask_files.read(name)
        require_same_size(self._images[name], image, self._masks[name], mask)
        return Sample(image, mask)

    def files(self, index: int) -> Mapping[str, Path]:
        """Image and mask."""
        name = self.names[index]
        return {"image": self._images[name], "mask": self._masks[name]}

    def mask_levels(self, index: int) -> tuple[str, str]:
        """Of its mask files."""
        return self._mask_files.levels_of(self.names[index])

    def fingerprint(self) -> str:
        """Digests images and masks (see listing.digest)."""
        return listing.digest(
            [
                *((f"{name} image", self._images[name], False) for name in self.names),
                *((f"{name} mask", self._masks[name], True) for name in self.names),
            ]
        )

    def describe(self) -> list[str]:
        """Says what there is, what is left out, where clips come from, and which mask levels were seen."""
        first, last = self._range
        line = (
            f"{self._pair.images.parent}: {len(self)} images with masks, numbers {first} to {last}, "
            f"in {self._pair.images.name}/ and {self._pair.masks.name}/"
        )
        return [line, *self._notes, *self._mask_files.notes(self.names)]

    def _hashes(self) -> list[np.uint64]:
        """Of all images in order, computed once for a state of the files."""
        kept = _cache_file(self.fingerprint())
        known = _kept_hashes(kept, len(self))
        if known is not None:
            return known
        self.known_hashes = checking.checked_hashes(self, "finding clips", _ALL_NEEDED)
        hashes = [self.known_hashes[row] for row in range(len(self))]
        _keep_hashes(kept, hashes)
        return hashes


class Pair(NamedTuple):
    """Sibling folders of images and of masks."""

    images: Path
    masks: Path


class Clips(NamedTuple):
    """labels: the number of each image's clip, in order; joined: runs that went into an earlier one."""

    labels: list[int]
    joined: int

    def describe(self) -> str:
        """Says how many clips there are and where they were cut; a line to print."""
        sizes = Counter(self.labels).values()
        joined = f"; {self.joined} runs joined to one with the same image" if self.joined else ""
        return (
            f"{len(sizes)} clips of {min(sizes)} to {max(sizes)} images, cut where the perceptual hash of "
            f"neighbours differs in more than {JUMP_BITS} of 64 bits{joined} (groups.csv overrules them)"
        )


def cut_clips(hashes: Sequence[np.uint64], jump: int = JUMP_BITS) -> Clips:
    """Cuts consecutive frames into clips where the hash jumps, and joins clips that share a near-duplicate.

    Args:
        hashes: perceptual hashes of frames in order.
        jump: more bits than this, of 64, between neighbours begin a run.
    """
    values = np.array(hashes, np.uint64)
    jumps = np.bitwise_count(values[1:] ^ values[:-1]) > jump
    runs = [0, *np.cumsum(jumps).tolist()]
    earlier = list(range(runs[-1] + 1))  # each run's link to an earlier run of its clip, or to itself

    def root(run: int) -> int:
        while earlier[run] != run:
            run = earlier[run]
        return run

    for row, value in enumerate(values):
        near = np.flatnonzero(np.bitwise_count(values[:row] ^ value) <= duplicates.MAX_DISTANCE)
        for other in {runs[index] for index in near}:
            one, two = sorted((root(runs[row]), root(other)))
            earlier[two] = one
    labels = [root(run) for run in runs]
    return Clips(labels, runs[-1] + 1 - len(set(labels)))


def _clip_names(names: Sequence[str], labels: Sequence[int]) -> list[str | None]:
    """Clips by the name of their first picture."""
    first: dict[int, str] = {}
    return [f"clip {first.setdefault(label, name)}" for name, label in zip(names, labels, strict=True)]


def find_pair(root: Path) -> Pair:
    """Finds the folders of images and masks in `root` or up to two levels below, names in any case.

    Raises:
        DataError: none or several; lists what was found and what is expected.
    """
    pairs: list[Pair] = []
    seen: list[str] = []
    for children in _siblings(root, DEPTH):
        seen += [f"{child.relative_to(root).as_posix()}/" for child in children]
        images = [child for child in children if child.name.casefold() in _IMAGES]
        masks = [child for child in children if child.name.casefold() in _MASKS]
        pairs += [Pair(image, mask) for image in images for mask in masks]
    if len(pairs) == 1:
        return pairs[0]
    expected = "data=tiktok needs one pair of sibling folders, images/ and masks/, of numbered images"
    if not pairs:
        found = listing.shorten(seen) or "no folders"
        raise DataError(f"{root}: {expected}, at most {DEPTH} levels deep, and finds none. It holds {found}.")
    listed = listing.shorten(
        f"{pair.images.relative_to(root).as_posix()}/ + {pair.masks.relative_to(root).as_posix()}/"
        for pair in pairs
    )
    raise DataError(f"{root}: {expected}, and finds {len(pairs)}: {listed}. Point data.root at one of them.")


def _siblings(root: Path, depth: int) -> Iterator[list[Path]]:
    """The visible sub-folders of each folder, down to `depth`; folders of images are not entered."""
    children = sorted(
        path
        for path in root.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
    )
    yield children
    for child in children:
        if depth > 1 and child.name.casefold() not in (*_IMAGES, *_MASKS):
            yield from _siblings(child, depth - 1)


class _Numbered(NamedTuple):
    """Files by number, and those without one."""

    folder: Path
    paths: dict[int, Path]
    odd: list[str]


def _numbered(folder: Path) -> _Numbered:
    paths: dict[int, Path] = {}
    odd: list[str] = []
    for name, path in listing.pictures_below(folder).items():
        found = _NUMBER.search(path.stem)
        if found is None:
            odd.append(name)
        elif (number := int(found.group())) in paths:
            raise DataError(
                f"{paths[number]} and {path} have the same number {number}, so that images, masks and "
                "their order cannot be told. Number the files of one folder through, or use data=folder, "
                "where each sub-folder is a clip."
            )
        else:
            paths[number] = path
    return _Numbered(folder, paths, odd)


def _left_out(what: str, files: _Numbered, used: Iterable[int]) -> list[str]:
    lonely = {listing.key_of(files.paths[n], files.folder) for n in files.paths.keys() - set(used)}
    lines = listing.unmatched(what, lonely, {})
    if files.odd:
        lines.append(
            f"{len(files.odd)} {what} without a number in the name are left out: {listing.shorten(files.odd)}"
        )
    return lines


def _cache_file(fingerprint: str) -> Path:
    """Where the hashes of these images, by this code, are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    key = hashlib.sha256(f"{fingerprint} {_hashing_code()}".encode()).hexdigest()[:16]
    return Path(base) / "kolbench" / f"hashes-{key}.json"


@cache
def _hashing_code() -> str:
    return code_hash([checking.__name__])


def _kept_hashes(path: Path, count: int) -> list[np.uint64] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        hashes = [np.uint64(int(value, 16)) for value in kept]
    except (OSError, ValueError, TypeError, OverflowError):
        return None
    return hashes if len(hashes) == count else None


def _keep_hashes(path: Path, hashes: Iterable[np.uint64]) -> None:
    text = json.dumps([f"{int(value):016x}" for value in hashes])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError:
        return  # the next run computes them again
