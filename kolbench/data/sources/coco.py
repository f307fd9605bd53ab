"""`data=coco`: pictures with COCO's annotations (JSON): polygons, RLE compressed and not, crowds."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kolbench.data import held, listing, rle
from kolbench.data.label_files import json_format, read_json
from kolbench.data.labelled import (
    LEAVE_OUT,
    Found,
    LabelledSource,
    Pictures,
    as_points,
    label_files,
    read_label_files,
    split_of,
)
from kolbench.data.labels import BACKGROUND, KOL, LabelMap, label_classes, plain, require_kol
from kolbench.data.shapes import Shape, whole
from kolbench.errors import DataError, require_choice

CROWDS = ("foreground", "background", "leave_out")
# what COCO 2017 has beside instances_*.json: the same pictures without outlines of all things
_OTHER_TASKS = ("captions_", "person_keypoints_", "panoptic_", "image_info_", "stuff_")


class Annotation(NamedTuple):
    """One object of a COCO file; kind: see data.labels; where: file, number; segmentation: as it stands."""

    kind: str
    where: str
    segmentation: object
    crowd: bool


class CocoSource(LabelledSource):
    """Reads pictures with COCO JSON at any depth below a folder; persons and what they hold are the KOL.

    Read are `instances_*.json` where there are some, else all COCO files (`_annotations.coco.json` of
    Roboflow, `instances_default.json` of CVAT). Categories that stand in no class of `labels` do not count.

    Args:
        root: the folder of pictures and label files.
        labels: class (`kol`, `product`, `background`) -> categories; upper and lower case are the same.
        products: which products count, see held.held.
        crowd: what regions with `iscrowd` are, which CVAT and datumaro set for every mask: `foreground`, as
            others; `background`; or `leave_out`: pictures with a crowd of persons are left out.
        empty: `leave_out` or `keep`: pictures without a person.
        annotations: label files below root; None = see above.

    Raises:
        DataError: there is no COCO file, none of its categories is a KOL, or it describes no picture there.
        ConfigError: a choice is unknown.
    """

    def __init__(
        self,
        root: str | Path,
        labels: LabelMap | None = None,
        products: str = held.TOUCHING,
        crowd: str = CROWDS[0],
        empty: str = LEAVE_OUT,
        annotations: str | Sequence[str] | None = None,
    ) -> None:
        self._crowd = require_choice("data.crowd", crowd, CROWDS)
        folder = listing.require_folder(root)
        pictures, found = Pictures(folder), Found()
        self._classes = label_classes(labels)
        self._annotations: dict[str, list[Annotation]] = {}
        self._counted: Counter[str] = Counter()
        self._crowded: set[str] = set()
        for path, content in _coco_files(folder, annotations, found):
            self._read_file(path, content, pictures, found)
        if crowd == "leave_out":
            for name in self._crowded & found.images.keys():
                del found.images[name]
                found.absent[name] = "shows a crowd"
            if self._crowded:
                found.notes.append(f"{len(self._crowded)} images with a crowd of persons are left out")
        found.empty = {name for name in found.images if not self._shows_person(name)}
        super().__init__(folder, pictures, found, products, empty)

    def shapes(self, name: str, height: int, width: int) -> list[Shape]:
        """The objects of one picture, each a group; a background cuts out of all before it."""
        return [
            part
            for number, annotation in enumerate(self._annotations[name])
            if self._counts(annotation)
            for part in _parts(annotation, None if annotation.kind == BACKGROUND else number, height, width)
        ]

    def _counts(self, annotation: Annotation) -> bool:
        return not annotation.crowd or self._crowd == "foreground"

    def _shows_person(self, name: str) -> bool:
        return any(a.kind == KOL and self._counts(a) for a in self._annotations[name])

    def _read_file(self, path: Path, content: Mapping[str, object], pictures: Pictures, found: Found) -> None:
        named = _entries(content, "categories", path)
        categories: dict[object, str] = {entry["id"]: str(entry.get("name")) for entry in named}
        require_kol(list(categories.values()), self._classes, str(path))
        names = {}
        folders = _picture_folders(pictures.root, path)
        for entry in _entries(content, "images", path):
            called = str(entry.get("file_name"))
            name = pictures.find(called, folders)
            if name is None:
                found.missing.append(called)
                continue
            found.add(pictures, name, path, split_of(pictures.root, path, name))
            if "height" in entry and "width" in entry:
                found.sizes[name] = (entry["height"], entry["width"])
            names[entry["id"]] = name
            self._annotations[name] = []
        counts: Counter[str] = Counter()
        for number, entry in enumerate(_entries(content, "annotations", path, "image_id"), start=1):
            number_of = entry.get("category_id")
            known = isinstance(number_of, int | str) and number_of in categories
            category = categories[number_of] if known else f"category {number_of}"
            counts[category] += 1
            kind = self._classes.get(plain(category))
            if kind is None or entry["image_id"] not in names:
                continue
            where = f"{path}, annotation {entry.get('id', f'number {number}')}"
            crowd = bool(entry.get("iscrowd"))
            name = names[entry["image_id"]]
            self._annotations[name].append(
                Annotation(kind, where, _compact(entry.get("segmentation")), crowd)
            )
            if crowd and kind == KOL:
                self._crowded.add(name)
        found.notes += _told(path, counts, self._classes)


def _coco_files(
    root: Path, asked: str | Sequence[str] | None, found: Found
) -> list[tuple[Path, Mapping[str, object]]]:
    paths = label_files(root, asked, ".json")
    if asked is None:
        instances = [path for path in paths if path.name.startswith("instances_")]
        paths = instances or [path for path in paths if not path.name.startswith(_OTHER_TASKS)]
    files = read_label_files(paths, _coco_content, found, root, "COCO files", strict=asked is not None)
    if not files:
        raise DataError(
            f"{root} holds no COCO file: no JSON with images, annotations and categories, such as "
            "annotations/instances_train2017.json. Give another data.root, or name it in data.annotations."
        )
    return files


def _coco_content(path: Path) -> Mapping[str, object]:
    loaded = read_json(path, "COCO file")
    if isinstance(loaded, dict) and "images" in loaded and "annotations" in loaded:
        return loaded
    raise DataError(f"{path} is no COCO file: {json_format(loaded)}.")


def _entries(
    content: Mapping[str, object], key: str, path: Path, reference: str = "id"
) -> list[Mapping[str, object]]:
    entries = content.get(key)
    if not isinstance(entries, list):
        raise DataError(f"{path} has no list of {key}; export it again as COCO.")
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get(reference), int | str):
            raise DataError(
                f"{path}: number {number} of its {key} has no {reference}; export it again as COCO."
            )
    return entries


def _picture_folders(root: Path, path: Path) -> list[Path]:
    """Where the pictures of a label file may lie: named as its end, beside it, in images/, or in the root."""
    end = re.sub(r"^[a-z_]*_", "", path.stem)
    bases = [path.parent, *([path.parent.parent] if path.parent != root else []), root]
    return [base / folder for base in bases for folder in (end, f"images/{end}", "images", "")]


def _compact(segmentation: object) -> object:
    """Polygons as arrays, which take less memory; what is none stays, and is named when it is read."""
    if not isinstance(segmentation, list) or not all(isinstance(part, list) for part in segmentation):
        return segmentation
    try:
        return [np.array(part, np.float64) for part in segmentation]
    except (TypeError, ValueError, OverflowError):
        return segmentation


def _parts(annotation: Annotation, group: int | None, height: int, width: int) -> list[Shape]:
    segmentation, where = annotation.segmentation, annotation.where
    if isinstance(segmentation, dict):
        return [whole(annotation.kind, rle.from_coco(segmentation, height, width, where), group)]
    if not isinstance(segmentation, list) or not segmentation:
        raise DataError(f"{where} has a box and no outline; export segmentation, or draw it.")
    outlines = [as_points(part, where) for part in segmentation if not _covers_nothing(part)]
    if not outlines:
        raise DataError(f"{where}: its outline has fewer than three points; draw it again.")
    return [Shape(annotation.kind, "polygon", points, group) for points in outlines]


def _covers_nothing(part: object) -> bool:
    """Whether a polygon is a point or a line, as some tools leave them beside others."""
    return isinstance(part, np.ndarray) and part.size <= 4


def _told(path: Path, counts: Counter[str], classes: Mapping[str, str]) -> list[str]:
    """What the categories of a file count as, a line."""
    kinds: dict[str, list[str]] = {}
    for category, count in counts.most_common():
        kinds.setdefault(classes.get(plain(category), "not counted"), []).append(f"{category} ({count})")
    return [
        f"{path.name}: " + "; ".join(f"{kind}: {listing.shorten(names, 8)}" for kind, names in kinds.items())
    ]
