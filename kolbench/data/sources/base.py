"""Where pictures and their truth come from: the contract of a source, and folders of masks as one."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from kolbench.data import listing
from kolbench.data.manifest import HOW_TO_LABEL, MANIFEST, read_manifest
from kolbench.data.sources.labelme import LabelmeSource
from kolbench.errors import DataError
from kolbench.io.images import read_rgb
from kolbench.io.masks import MaskReading, inspect_mask, read_mask, require_same_size
from kolbench.types import Sample, UInt8Array

SAMPLED = 20
CHUNK = 64


class Source(Protocol):
    """A set of pictures with truth, addressed by index.

    names: unique. groups: the video of each picture, None where unknown. tags: scenario, may be "".
    given_splits: `train`, `val`, `test` -> indices, where the source comes with a split.

    A source may also have `plan`, how its set is split where that differs from SplitPlan(), and `checked`,
    index -> perceptual hash, once it has read every picture itself and found all of them good.
    """

    names: list[str]
    groups: list[str | None]
    tags: list[str]
    given_splits: dict[str, list[int]] | None

    def __len__(self) -> int: ...

    def read(self, index: int) -> Sample:
        """One picture; DataError where it cannot be used. Instances are told of all pictures or of none."""
        ...

    def fingerprint(self) -> str:
        """A digest that changes when a picture or its truth does."""
        ...

    def describe(self) -> list[str]:
        """Lines to print: what there is, and what is left out."""
        ...


class SplitPlan(NamedTuple):
    """How a set is split.

    fractions: shares of train, val and test, by group. paper: whose split `data.split=paper` repeats.
    paper_held_out: the share of pictures that it holds out, for validation and test alike; None = the
    three parts of the RSUDISNet paper.
    """

    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    paper: str = "the RSUDISNet paper"
    paper_held_out: float | None = None


def check_all(source: Source, keep: Callable[[int, UInt8Array], None] | None = None) -> None:
    """Reads every picture once, so that no run dies hours later.

    Args:
        source: what to check.
        keep: called with index and (H, W, 3) uint8 image of each good picture, in order.

    Raises:
        DataError: one error that lists all bad pictures (the first 20, and how many more).
    """
    problems: list[str] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(source), CHUNK):
            indices = range(start, min(start + CHUNK, len(source)))
            for index, outcome in zip(indices, pool.map(partial(_attempt, source), indices), strict=True):
                if isinstance(outcome, DataError):
                    problems.append(str(outcome))
                elif keep is not None:
                    keep(index, outcome.image)
    if problems:
        rest = len(problems) - listing.SHOWN
        listed = "\n  ".join(problems[: listing.SHOWN]) + (f"\n  and {rest} more" if rest > 0 else "")
        raise DataError(f"{len(problems)} of {len(source)} pictures cannot be used:\n  {listed}")


def _attempt(source: Source, index: int) -> Sample | DataError:
    try:
        return source.read(index)
    except DataError as error:
        return error


class FolderSource:
    """`images/` with `masks/` and perhaps `products/`, matched by path without suffix, at any depth.

    A product outside its mask is added to the mask: what is held belongs to the KOL. Beside the folders
    may lie `train.txt`, `val.txt`, `test.txt` and `groups.csv` (see listing.read_lists).

    Args:
        root: the folder that holds them.

    Raises:
        DataError: a folder is missing, nothing matches, names collide, or a list names an unknown picture.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = listing.require_folder(root)
        self._images = listing.pictures_below(_subfolder(self.root, "images"))
        self._masks = listing.pictures_below(_subfolder(self.root, "masks"))
        products = self.root / "products"
        self._products = listing.pictures_below(products) if products.is_dir() else {}
        self.names = sorted(self._images.keys() & self._masks.keys())
        if not self.names:
            raise DataError(_nothing_matches(self.root, self._images, self._masks))
        absent = dict.fromkeys(self._images.keys() - self._masks.keys(), "has no mask")
        absent |= dict.fromkeys(self._masks.keys() - self._images.keys(), "has a mask but no image")
        self._lists = listing.read_lists(self.root, self.names, absent)
        self.groups, self.tags = self._lists.groups, self._lists.tags
        self.given_splits = self._lists.given_splits
        self._mask_files = MaskFiles(self._masks)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Sample:
        """The picture, its mask and its product mask (None where there is no file).

        Raises:
            DataError: a file cannot be read or the sizes differ; names the files.
        """
        name = self.names[index]
        image = read_rgb(self._images[name])
        mask = self._mask_files.read(name)
        require_same_size(self._images[name], image, self._masks[name], mask)
        if name not in self._products:
            return Sample(image, mask)
        product = read_mask(self._products[name])
        require_same_size(self._images[name], image, self._products[name], product)
        return Sample(image, np.maximum(mask, product), product)

    def fingerprint(self) -> str:
        """See listing.digest; of pictures, masks and products."""
        parts = [(f"{name} image", self._images[name], False) for name in self.names]
        parts += [(f"{name} mask", self._masks[name], True) for name in self.names]
        parts += [(f"{n} product", self._products[n], True) for n in self.names if n in self._products]
        return listing.digest(parts)

    def describe(self) -> list[str]:
        """What the folder holds, what is left out, and which mask levels were seen."""
        matched = set(self.names)
        parts = [f"{len(self)} pictures with masks"]
        if self._products:
            parts.append(f"{len(matched & self._products.keys())} with product masks")
        parts += filter(None, [listing.group_note(self.groups)])
        lines = [f"{self.root}: {', '.join(parts)}"]
        for what, files in (("images", self._images), ("masks", self._masks), ("products", self._products)):
            lines += unmatched(
                what, files.keys() - matched, self._masks if what == "images" else self._images
            )
        return [*lines, *self._lists.notes, *self._mask_files.notes(self.names)]


class MaskFiles:
    """Mask files by name, which remember how their levels were understood."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._readings: dict[str, MaskReading] = {}

    def inspect(self, name: str) -> MaskReading:
        """See mattes.inspect_mask."""
        reading = inspect_mask(self._paths[name])
        self._readings[name] = reading._replace(mask=np.empty((0, 0), np.uint8))
        return reading

    def read(self, name: str) -> UInt8Array:
        """(H, W) uint8 in {0, 1}."""
        return self.inspect(name).mask

    def notes(self, names: Sequence[str]) -> list[str]:
        """Lines to print: the levels of the masks read so far, a sample of `names` at least."""
        for index in listing.spread(len(names), SAMPLED):
            if names[index] not in self._readings:
                _attempt_mask(self.read, names[index])
        kinds = Counter(reading.kind for reading in self._readings.values())
        seen = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
        lines = [f"mask levels in {len(self._readings)} masks read so far: {seen}"]
        warnings = {name: r.warning for name, r in sorted(self._readings.items()) if r.warning}
        if warnings:
            name, warning = next(iter(warnings.items()))
            others = f" (and {len(warnings) - 1} more like it)" if len(warnings) > 1 else ""
            lines.append(f"warning: {self._paths[name]}: {warning}{others}")
        return lines


def _attempt_mask(read: Callable[[str], UInt8Array], name: str) -> None:
    try:
        read(name)
    except DataError:
        return  # reading all pictures names it


def _subfolder(root: Path, name: str) -> Path:
    if (root / name).is_dir():
        return root / name
    inside = sorted(path.name for path in root.iterdir() if path.is_dir())
    raise DataError(
        f"{root} has no folder {name}/; data=folder needs images/ and masks/. "
        f"It holds {listing.shorten(inside) or 'no folders'}."
    )


def _nothing_matches(root: Path, images: Mapping[str, Path], masks: Mapping[str, Path]) -> str:
    first = [next(iter(sorted(files)), None) for files in (images, masks)]
    return (
        f"No picture of {root / 'images'} ({len(images)}, first: {first[0]}) has a mask of the same name in "
        f"{root / 'masks'} ({len(masks)}, first: {first[1]}). Name them alike, suffixes may differ."
    )


def unmatched(what: str, names: set[str], others: Mapping[str, Path]) -> list[str]:
    """Lines that name the files without a partner, and those that differ from one in case only."""
    if not names:
        return []
    lines = [f"{len(names)} {what} without a partner are left out: {listing.shorten(sorted(names))}"]
    folded = {other.casefold(): other for other in others if other not in names}
    for name in sorted(names):
        other = folded.get(name.casefold())
        if other is not None and other != name:
            lines.append(f"{name} and {other} differ in upper and lower case only; name them alike")
            break
    return lines


class KolSource:
    """Frames that task=prepare extracted, labelled with Labelme or by masks; the groups are the videos.

    Where `masks/` holds pictures it is read (as `data=folder`, with `products/`), else the Labelme files
    beside the frames. Frames without label are counted and left out.

    Args:
        root: the output folder of task=prepare.
        labels: see LabelmeSource.

    Raises:
        DataError: there is no manifest, or nothing is labelled yet; says how to label.
    """

    def __init__(self, root: str | Path, labels: Mapping[str, Sequence[str]] | None = None) -> None:
        self.root = listing.require_folder(root)
        videos = _videos(self.root)
        pictures = listing.pictures_below(_subfolder(self.root, "images"))
        masks = self.root / "masks"
        self._inner: FolderSource | LabelmeSource
        if masks.is_dir() and listing.pictures_below(masks):
            self._inner = FolderSource(self.root)
        elif listing.visible_files(self.root / "images", (".json",)):
            self._inner = LabelmeSource(self.root / "images", labels)
        else:
            raise DataError(
                f"None of the {len(pictures)} frames in {self.root / 'images'} is labelled. {HOW_TO_LABEL}"
            )
        self.names = self._inner.names
        self._pictures = len(pictures)
        absent = dict.fromkeys(pictures.keys() - set(self.names), "is not labelled")
        lists = listing.read_lists(self.root, self.names, absent)
        self.groups = [videos.get(name, group) for name, group in zip(self.names, lists.groups, strict=True)]
        self.tags, self.given_splits = lists.tags, lists.given_splits
        self._video_count = len(set(videos.values()))

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Sample:
        """One labelled frame; see FolderSource.read and LabelmeSource.read."""
        return self._inner.read(index)

    def fingerprint(self) -> str:
        """Of the labelled frames."""
        return self._inner.fingerprint()

    def describe(self) -> list[str]:
        """How many frames of how many videos are labelled, and what the labels hold."""
        labelled = len({group for group in self.groups if group is not None})
        line = (
            f"{self.root}: {len(self)} of {self._pictures} frames labelled, "
            f"in {labelled} of {self._video_count} videos; the others are left out"
        )
        return [line, *self._inner.describe()]


def _videos(root: Path) -> dict[str, str]:
    """Frame name -> video, from the manifest."""
    if not (root / MANIFEST).is_file():
        raise DataError(
            f"{root} has no {MANIFEST}: task=prepare did not write it. Use data=folder or data=labelme."
        )
    return {row.name: row.video for row in read_manifest(root)}
