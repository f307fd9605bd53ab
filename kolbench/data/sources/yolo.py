"""`data=yolo`: pictures with segmentation labels of Ultralytics (one .txt a picture)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from kolbench.data import held, listing
from kolbench.data.labelled import LEAVE_OUT, Found, LabelledSource, Pictures, as_points, split_named
from kolbench.data.labels import BACKGROUND, KOL, LabelMap, label_classes, plain, require_kol
from kolbench.data.shapes import Shape
from kolbench.errors import DataError

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names", "labels/classes.txt")
PARTS = ("train", "val", "test")


class YoloSource(LabelledSource):
    """Reads `images/` with `labels/` as Ultralytics has them, split below (`images/train`) or above.

    Each line of a label file is a class number and the corners of an outline, as shares of width and height,
    pixel (0, 0) being [0, 1) x [0, 1). Programs that trace masks with OpenCV write indices of the last pixels
    instead: what they wrote loses up to one pixel at the right and below.
    The names of the classes stand in data.yaml (`names`) or classes.txt; classes that stand in no class of
    `labels` do not count. A picture is of the split whose folder or list `train`, `val` or `test` of
    data.yaml name, else of that which its folder is called after.

    Args:
        root: the folder of both.
        labels: class (`kol`, `product`, `background`) -> names of classes; upper and lower case are the same.
        products: which products count, see held.held.
        empty: `leave_out` or `keep`: pictures without a person, those without a label file included.

    Raises:
        DataError: there are no names, no class is a KOL, or no picture has a label file.
        ConfigError: a choice is unknown.
    """

    def __init__(
        self,
        root: str | Path,
        labels: LabelMap | None = None,
        products: str = held.TOUCHING,
        empty: str = LEAVE_OUT,
    ) -> None:
        folder = listing.require_folder(root)
        pictures, found = Pictures(folder), Found()
        classes = label_classes(labels)
        described, names = _class_names(folder)
        require_kol(list(names.values()), classes, str(described))
        found.files[described.relative_to(folder).as_posix()] = described
        self._names = names
        self._kinds = {number: classes.get(plain(name)) for number, name in names.items()}
        self._labels: dict[str, Path] = {}
        parts = _parts_of(described, folder) if described.suffix in (".yaml", ".yml") else {}
        for name, path in pictures.by_name.items():
            label = _label_path(folder, path)
            if label is None:
                continue
            split = _split(path.relative_to(folder).as_posix(), parts)
            found.add(pictures, name, label, split)
            if not label.is_file():
                found.empty.add(name)
                continue
            found.files[label.relative_to(folder).as_posix()] = label
            self._labels[name] = label
            if not self._shows_person(label):
                found.empty.add(name)
        if not self._labels:
            raise DataError(
                f"{folder}: none of {len(pictures.by_name)} images has a label file: images/train/a.jpg "
                "needs labels/train/a.txt (or train/images/a.jpg train/labels/a.txt)."
            )
        found.notes += self._told()
        super().__init__(folder, pictures, found, products, empty)

    def shapes(self, name: str, height: int, width: int) -> list[Shape]:
        """The objects of one picture, each a group; a background cuts out of all before it."""
        if name not in self._labels:
            return []
        path, shapes = self._labels[name], []
        for number, line in enumerate(listing.read_text(path).splitlines(), start=1):
            if words := line.split():
                where = f"{path}, line {number}"
                kind = self._kinds[self._class(words[0], where)]
                points = _corners(words[1:], where) * (width, height)
                if kind is not None:
                    shapes.append(Shape(kind, "polygon", points, None if kind == BACKGROUND else number))
        return shapes

    def _class(self, word: str, where: str) -> int:
        number = _class_number(word)
        if number in self._names:
            return number
        known = listing.shorten(map(str, self._names), 8)
        raise DataError(f"{where}: the class {word[:20]} is not one of {known}.")

    def _shows_person(self, label: Path) -> bool:
        """Whether a line is of a class that means a KOL, or is damaged, which is named when it is read."""
        try:
            lines = listing.read_text(label).splitlines()
        except DataError:
            return True
        numbers = [words[0] for line in lines if (words := line.split())]
        return any(self._kinds.get(_class_number(number), KOL) == KOL for number in numbers)

    def _told(self) -> list[str]:
        kinds: dict[str, list[str]] = {}
        for number, name in self._names.items():
            kinds.setdefault(self._kinds[number] or "not counted", []).append(name)
        return [
            "classes: " + "; ".join(f"{kind}: {listing.shorten(names, 8)}" for kind, names in kinds.items())
        ]


def _class_number(word: str) -> int:
    """A class number; -1 where it is none, or has more digits than any."""
    return int(word) if word.isdecimal() and len(word) < 10 else -1


def _class_names(root: Path) -> tuple[Path, dict[int, str]]:
    """The file that names the classes, and their names by number."""
    path = next((root / name for name in NAMES if (root / name).is_file()), None)
    if path is None:
        others = sorted(p for p in root.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file())
        path = next((p for p in others if "names:" in listing.read_text(p)), None)
    if path is None:
        raise DataError(
            f"{root} has no data.yaml (with names:) and no classes.txt, so its class numbers mean nothing. "
            "Add one, such as names: [person, bag]."
        )
    if path.suffix not in (".yaml", ".yml"):
        lines = [line.strip() for line in listing.read_text(path).splitlines()]
        return path, {number: line for number, line in enumerate(lines) if line}
    names = _yaml(path).get("names")
    entries = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(entries, dict) or not all(
        isinstance(number, int) and isinstance(name, str | int) for number, name in entries.items()
    ):
        raise DataError(f"{path}: names is neither a list of class names nor number: name.")
    return path, {number: str(name) for number, name in entries.items()}


def _yaml(path: Path) -> Mapping[str, object]:
    try:
        content = yaml.safe_load(listing.read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError):
        raise DataError(
            f"{path} is no YAML; write it as Ultralytics has it (train:, val:, names:)."
        ) from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no keys; write it as Ultralytics has it (train:, val:, names:).")
    return content


def _label_path(root: Path, picture: Path) -> Path | None:
    """The label file of a picture: the last folder `images` on its way is `labels`, or beside it."""
    folders = list(picture.relative_to(root).parts)
    if "images" not in folders[:-1]:
        beside = picture.with_suffix(".txt")
        return beside if beside.is_file() else None
    place = len(folders) - 2 - folders[-2::-1].index("images")
    folders[place] = "labels"
    return root.joinpath(*folders).with_suffix(".txt")


def _parts_of(described: Path, root: Path) -> dict[str, str]:
    """Folder or picture below the root -> split, as data.yaml says; what leads elsewhere is passed over."""
    content = _yaml(described)
    parts: dict[str, str] = {}
    for split in PARTS:
        value = content.get(split)
        entries = value if isinstance(value, list) else [value]
        for text in entries:
            # aliases of YAML can make small files of endless lists
            for place in _places(text, root) if isinstance(text, str) else ():
                parts[place] = split
    return parts


def _places(text: str, root: Path) -> Sequence[str]:
    """What one entry of data.yaml names: a folder, or the pictures of a list."""
    plain_path = PurePosixPath(text.replace("\\", "/"))
    # Roboflow writes ../train/images, from a folder that is not there
    steps = [step for step in plain_path.parts if step not in ("..", ".", "/")]
    for start in range(len(steps)):
        place = root.joinpath(*steps[start:])
        with suppress(OSError):  # a name longer than any file's
            if place.is_dir():
                return ["/".join(steps[start:])]
            if place.suffix == ".txt" and place.is_file():
                lines = listing.read_text(place).splitlines()
                return [line.strip().replace("\\", "/").removeprefix("./") for line in lines if line.strip()]
    return []


def _split(picture: str, parts: Mapping[str, str]) -> str | None:
    """The split of a picture below the root, by what data.yaml names, else by the folder it lies in."""
    if picture in parts:
        return parts[picture]
    folders = [str(folder) for folder in PurePosixPath(picture).parents][:-1]
    known = next((parts[folder] for folder in folders if folder in parts), None)
    return known or next(filter(None, (split_named(PurePosixPath(folder).name) for folder in folders)), None)


def _corners(words: Sequence[str], where: str) -> np.ndarray:
    if len(words) == 4:
        raise DataError(
            f"{where} is a box of detection, not an outline; export labels for segmentation "
            "(class x1 y1 x2 y2 ...)."
        )
    corners = as_points(words, where)
    if corners.min() < -0.01 or corners.max() > 1.01:
        raise DataError(f"{where} has corners outside of 0 to 1; they are shares of width and height.")
    return corners
