"""Pictures whose labels stand in files of a labelling tool: what the layouts of such tools share."""

import os
import re
import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from kolbench.data import held, listing
from kolbench.data.shapes import Points, Shape, draw, require_drawn_size
from kolbench.data.sources.base import Source
from kolbench.errors import ConfigError, DataError, require_choice
from kolbench.io.images import read_rgb
from kolbench.types import Sample

Content = TypeVar("Content")

LEAVE_OUT, KEEP = "leave_out", "keep"
EMPTY = (LEAVE_OUT, KEEP)
VAL_SHARE = 0.1  # of the training pictures, where a set has two parts alone
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# folders that say nothing about the pictures in them
_PLAIN_FOLDERS = frozenset({"images", "default", "data", "obj_train_data"})


class Pictures:
    """All pictures below a folder, found by what label files call them; nothing outside is ever opened.

    Args:
        root: the folder.

    Raises:
        DataError: two files differ in their suffix only.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.by_name = listing.pictures_below(root)
        self._names: dict[str, list[str]] = {}
        for name, path in self.by_name.items():
            self._names.setdefault(_composed(path.name), []).append(name)

    def find(self, called: str, folders: Iterable[Path] = ()) -> str | None:
        """The name of the picture that a label file calls so; None where there is none.

        Args:
            called: a path, with slashes or back-slashes; may lead to where it was on another computer.
            folders: where it may lie, the likeliest first; else the picture below the root counts whose path
                ends most like it, where only one does.
        """
        wanted = PurePosixPath(_composed(called.replace("\\", "/")))
        alike = self._names.get(wanted.name, [])
        here = {_composed(os.path.normpath(self.by_name[name])): name for name in alike}
        for folder in folders:
            place = _composed(os.path.normpath(folder / wanted))
            if place in here:
                return here[place]
        likeness = {name: self._shared_folders(name, wanted) for name in alike}
        best = [name for name in alike if likeness[name] == max(likeness.values())]
        return best[0] if len(best) == 1 else None

    def _shared_folders(self, name: str, wanted: PurePosixPath) -> int:
        """How many folders above both are called the same, from the picture upwards."""
        pairs = list(zip(PurePosixPath(name).parts[-2::-1], wanted.parts[-2::-1], strict=False))
        return next((count for count, (a, b) in enumerate(pairs) if a != b), len(pairs))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@dataclass
class Found:
    """What label files say, filled as they are read.

    images: name -> picture. splits: name -> `train`, `val` or `test`, where label files or folders tell.
    sizes: name -> (height, width) that labels were drawn on. empty: names without a person. files: all label
    files, by what the digest calls them. absent: name -> why it cannot be used. missing: pictures that label
    files name and that are not there. notes: lines to print.
    """

    images: dict[str, Path] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[object, object]] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    files: dict[str, Path] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, pictures: Pictures, name: str, source: Path, split: str | None) -> None:
        """Takes a picture that a label file describes.

        Raises:
            DataError: another entry describes it already.
        """
        if name in self.images:
            raise DataError(
                f"{source} describes {pictures.by_name[name]}, which is described already; remove one, or "
                "name the label files to read in data.annotations."
            )
        self.images[name] = pictures.by_name[name]
        if split is not None:
            self.splits[name] = split


class LabelledSource(Source):
    """Reads pictures with what was drawn on them; several persons, and what they hold, become one KOL.

    A sub-folder is a group, unless it is called as folders of splits and pictures are. `groups.csv`,
    train.txt, val.txt and test.txt below `root` count as for `data=folder`; without them label files or
    folders called train, val (valid) and test are the splits. Where train and one other are there, that is
    the test set, and some of train are drawn for validation, the same on every machine.

    Args:
        root: the folder. pictures: those below it. found: what its label files say.
        products: one of held.RULES. empty: `leave_out` or `keep`: pictures without a person.

    Raises:
        DataError: no picture is left.
        ConfigError: no such rule.
    """

    def __init__(
        self,
        root: Path,
        pictures: Pictures,
        found: Found,
        products: str = held.LISTED,
        empty: str = LEAVE_OUT,
    ) -> None:
        self._rule = require_choice("data.held", products, held.RULES)
        self.root, self._found, self._pictures = root, found, pictures
        require_choice("data.empty", empty, EMPTY)
        self._left_out = sorted(found.empty) if empty == LEAVE_OUT else []
        names = sorted(found.images.keys() - set(self._left_out))
        if not names:
            raise DataError(_nothing_left(root, found, len(pictures.by_name)))
        unlabelled = pictures.by_name.keys() - found.images.keys() - found.absent.keys()
        self._unlabelled = sorted(unlabelled)
        absent = dict.fromkeys(unlabelled, "is not labelled") | found.absent
        absent |= dict.fromkeys(self._left_out, "shows no person")
        lists = listing.read_lists(root, names, absent)
        has_table = (root / "groups.csv").is_file()
        groups = lists.groups if has_table else [_group(name) for name in names]
        own, note = given_splits(names, groups, found.splits) if lists.given_splits is None else (None, "")
        super().__init__(names, groups, lists.tags, lists.given_splits or own)
        self._notes = [*lists.notes, *filter(None, [note]), *found.notes]

    @abstractmethod
    def shapes(self, name: str, height: int, width: int) -> list[Shape]:
        """What is drawn on one picture, in the order in which it is painted.

        Raises:
            DataError: it cannot be drawn; names file and shape.
        """

    def read(self, index: int) -> Sample:
        """Reads the image, and its mask and product mask as drawn; no product mask where none counts.

        Raises:
            DataError: image or labels cannot be used; names the file.
        """
        name = self.names[index]
        image = read_rgb(self._found.images[name])
        height, width = image.shape[:2]
        if name in self._found.sizes:
            where = f"{self._found.images[name]}: what is labelled"
            remedy = "Label or export it at the image's own size."
            require_drawn_size(where, self._found.sizes[name], (height, width), remedy)
        shapes = held.held(self.shapes(name, height, width), self._rule, height, width)
        mask, product = draw(shapes, height, width)
        return Sample(image, mask, None if self._rule == held.NONE else product)

    def files(self, index: int) -> Mapping[str, Path]:
        """The image; what is drawn on it has no file of its own."""
        return {"image": self._found.images[self.names[index]]}

    def left_out(self) -> Mapping[Path, str]:
        """Images that nobody labelled, and those that label files name but that are not there."""
        why = "is named by a label file and is not there"
        lost = {self.root / called: why for called in self._found.missing}
        return lost | {self._pictures.by_name[name]: "is not labelled" for name in self._unlabelled}

    def fingerprint(self) -> str:
        """Digests the label files and the images (see listing.digest)."""
        parts = [(f"{name} image", self._found.images[name], False) for name in self.names]
        return listing.digest([*parts, *((name, path, True) for name, path in self._found.files.items())])

    def describe(self) -> list[str]:
        """Says how many pictures there are, what is left out, and which labels count."""
        counted = [f"{len(self)} labelled images", *filter(None, [listing.group_note(self.groups)])]
        lines = [f"{self.root}: {', '.join(counted)}"]
        for words, names in (
            ("images without a person are left out (data.empty=keep takes them)", self._left_out),
            ("images not labelled", self._unlabelled),
            ("images that label files name are not here", self._found.missing),
        ):
            if names:
                lines.append(f"{len(names)} {words}: {listing.shorten(names, 5)}")
        return [*lines, *self._notes]


def _nothing_left(root: Path, found: Found, pictures: int) -> str:
    if found.empty:
        return (
            f"{root}: none of {len(found.images)} labelled images shows a person. Look at data.labels.kol, "
            "or take them all the same by data.empty=keep."
        )
    missing = f" They name images such as {found.missing[0]}." if found.missing else ""
    return (
        f"{root}: its label files describe none of the {pictures} images there.{missing} Put images and "
        "label files below one folder, and name that in data.root."
    )


def split_named(text: str) -> str | None:
    """The split that a file or folder is called after, such as instances_val2017.json; None = none or two."""
    found = {_SPLIT_WORDS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def split_of(root: Path, label_file: Path, name: str) -> str | None:
    """The split of a picture: by its label file's name, then by the folders of that, then of the picture."""
    above = label_file.relative_to(root).parts if label_file.is_relative_to(root) else (label_file.name,)
    parts = [*reversed(above), *reversed(name.split("/")[:-1])]
    return next(filter(None, map(split_named, parts)), None)


def _group(name: str) -> str | None:
    """The folders of a picture less those that every picture of such a set lies in."""
    folders = name.split("/")[:-1]
    telling = [f for f in folders if f.lower() not in _PLAIN_FOLDERS and not _is_split_folder(f)]
    return "/".join(telling) or None


def _is_split_folder(folder: str) -> bool:
    return re.sub(r"\d+$", "", folder.lower()) in _SPLIT_WORDS


def given_splits(
    names: Sequence[str], groups: Sequence[str | None], known: Mapping[str, str]
) -> tuple[dict[str, list[int]] | None, str]:
    """Splits that label files give, and a line about them.

    Args:
        names, groups: of all pictures. known: name -> `train`, `val` or `test`.

    Returns:
        Split -> indices, and what to print; None where fewer than two splits are known.
    """
    rows: dict[str, list[int]] = {split: [] for split in listing.SPLIT_NAMES}
    for row, name in enumerate(names):
        if name in known:
            rows[known[name]].append(row)
    there = [split for split, members in rows.items() if members]
    if len(there) == 3 or len(there) < 2:
        return (rows if len(there) == 3 else None), ""
    if "train" not in there:
        return None, ""
    held_out = next(split for split in there if split != "train")
    sizes: dict[str, int] = {}
    for row in rows["train"]:
        key = groups[row] or names[row]
        sizes[key] = sizes.get(key, 0) + 1
    if len(sizes) < 2:
        return None, f"the images of {' and '.join(there)} are dealt anew: train is one group alone"
    drawn = set(listing.drawn(sizes, VAL_SHARE))
    val = [row for row in rows["train"] if (groups[row] or names[row]) in drawn]
    train = [row for row in rows["train"] if row not in set(val)]
    note = f"{held_out} is the test set; {len(val)} images of train are drawn for validation"
    return {"train": train, "val": val, "test": rows[held_out]}, note


def label_files(root: Path, asked: str | Sequence[str] | None, suffix: str) -> list[Path]:
    """The files that `data.annotations` names, or all of a suffix below the folder.

    Args:
        root: the folder. asked: one path or several, below it; None = all. suffix: such as `.json`.

    Raises:
        DataError: a path does not exist or leads out of the folder.
        ConfigError: it is no path.
    """
    if asked is None:
        return listing.visible_files(root, (suffix,))
    named = [asked] if isinstance(asked, str) else asked
    if not isinstance(named, Sequence) or not named or not all(isinstance(name, str) for name in named):
        raise ConfigError(f"data.annotations={asked} is neither a file below data.root nor a list of files.")
    return [_label_file(root, name) for name in named]


def read_label_files(
    paths: Iterable[Path], read: Callable[[Path], Content], found: Found, root: Path, what: str, strict: bool
) -> list[tuple[Path, Content]]:
    """Reads those of some files that are of a tool, notes them in `found`, and says how many are not.

    Args:
        paths: to try. read: what a file holds, a DataError where it is of another tool. root: their folder.
        what: the tool's files, such as `COCO files`. strict: whether all have to be.

    Raises:
        DataError: all are to be read and one cannot, or none can; says why not of the first.
    """
    files: list[tuple[Path, Content]] = []
    others: dict[str, str] = {}
    for path in paths:
        try:
            files.append((path, read(path)))
        except DataError as error:
            others[path.name] = str(error)
    if others and (strict or not files):
        raise DataError(next(iter(others.values())))
    if others:
        found.notes.append(f"{len(others)} files cannot be read as {what}: {listing.shorten(others, 5)}")
    found.files |= {path.relative_to(root).as_posix(): path for path, _ in files}
    return files


def _label_file(root: Path, name: str) -> Path:
    inside = Path(os.path.normpath(name))
    path = root / inside
    if inside.is_absolute() or inside.parts[:1] == ("..",):
        raise DataError(f"data.annotations={name} leads out of data.root={root}; name files below it.")
    if not path.is_file():
        raise DataError(f"data.annotations={name}: {path} does not exist.")
    return path


def as_points(numbers: object, where: str) -> Points:
    """A flat list x, y, x, y, ... as (N, 2) float64.

    Raises:
        DataError: it is no such list, or fewer than three points.
    """
    try:
        points = np.array(numbers, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: its outline is no list of x, y; export it again.") from None
    if len(points) < 3 or not np.isfinite(points).all():
        raise DataError(f"{where}: an outline of {len(points)} points cannot be drawn; draw it again.")
    return points
