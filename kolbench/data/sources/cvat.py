"""`data=cvat`: pictures with CVAT's annotations (XML, "CVAT for images"): polygons, masks, boxes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from kolbench.data import listing, rle
from kolbench.data.label_files import read_xml
from kolbench.data.labelled import (
    LEAVE_OUT,
    Found,
    LabelledSource,
    Pictures,
    as_points,
    label_files,
    read_label_files,
    split_named,
    split_of,
)
from kolbench.data.labels import BACKGROUND, KOL, LabelMap, kind_of, label_classes, plain
from kolbench.data.shapes import Points, Shape, box_corners, ellipse
from kolbench.errors import DataError

DRAWN = ("polygon", "mask", "box", "ellipse")
IGNORED = ("polyline", "points", "skeleton", "cuboid", "tag")


class CvatSource(LabelledSource):
    """Reads pictures with XML files of CVAT at any depth below a folder.

    Shapes are painted from the lowest z_order on, and those of one group_id are parts of one object.
    Polylines, points, skeletons, cuboids and tags are ignored and counted. A picture's `subset` is its split.

    Args:
        root: the folder of pictures and label files.
        labels: class (`kol`, `product`, `background`) -> labels; upper and lower case are the same.
        empty: `leave_out` or `keep`: pictures without a person.
        annotations: label files below root; None = all XML files of CVAT.

    Raises:
        DataError: there is no such file, or it describes no picture there.
    """

    def __init__(
        self,
        root: str | Path,
        labels: LabelMap | None = None,
        empty: str = LEAVE_OUT,
        annotations: str | Sequence[str] | None = None,
    ) -> None:
        folder = listing.require_folder(root)
        pictures, found = Pictures(folder), Found()
        self._classes = label_classes(labels)
        self._entries: dict[str, tuple[Path, Element]] = {}
        ignored: Counter[str] = Counter()
        for path, content in _cvat_files(folder, annotations, found):
            for image in content.iter("image"):
                ignored.update(shape.tag for shape in image if shape.tag in IGNORED)
                self._take(path, image, pictures, found)
        if ignored:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items()))
            found.notes.append(f"shapes without area are ignored ({kinds})")
        super().__init__(folder, pictures, found, empty=empty)

    def shapes(self, name: str, height: int, width: int) -> list[Shape]:
        """What is drawn on one picture, from the lowest z_order on."""
        path, image = self._entries[name]
        drawn = []
        for number, shape in enumerate(image, start=1):
            where = f"{path}, {image.get('name')}, shape {number}"
            if shape.tag in DRAWN:
                drawn.append(
                    (
                        _number(shape, "z_order", where, 0),
                        _shape(shape, self._classes, (height, width), where),
                    )
                )
            elif shape.tag not in IGNORED:
                raise DataError(f"{where}: the shape {shape.tag} is not known; known are {', '.join(DRAWN)}.")
        return [shape for _, shape in sorted(drawn, key=lambda entry: entry[0])]

    def _take(self, path: Path, image: Element, pictures: Pictures, found: Found) -> None:
        called = image.get("name", "")
        subset = image.get("subset") or ""
        parent = path.parent
        folders = [
            base / part for base in (parent, parent.parent) for part in (f"images/{subset}", "images", "")
        ]
        name = pictures.find(called, folders)
        if name is None:
            found.missing.append(called)
            return
        found.add(pictures, name, path, split_named(subset) or split_of(pictures.root, path, name))
        if image.get("width") and image.get("height"):
            where = f"{path}, {called}"
            found.sizes[name] = _whole(image, "height", where), _whole(image, "width", where)
        self._entries[name] = path, image
        kinds = {self._classes.get(plain(shape.get("label"))) for shape in image if shape.tag in DRAWN}
        # an unknown label is named when the picture is read
        if kinds <= {BACKGROUND} or (KOL not in kinds and None not in kinds):
            found.empty.add(name)


def _cvat_files(root: Path, asked: str | Sequence[str] | None, found: Found) -> list[tuple[Path, Element]]:
    paths = label_files(root, asked, ".xml")
    files = read_label_files(paths, _cvat_content, found, root, "CVAT files", strict=asked is not None)
    if not files:
        raise DataError(
            f"{root} holds no XML file of CVAT, such as annotations.xml. Export 'CVAT for images 1.1', or "
            "give another data.root."
        )
    return files


def _cvat_content(path: Path) -> Element:
    content = read_xml(path, "CVAT file")
    if content.tag == "annotation":
        raise DataError(
            f"{path} is no CVAT file: it is Pascal VOC or LabelMe XML. Export 'CVAT for images 1.1' "
            "from CVAT."
        )
    if content.tag != "annotations":
        raise DataError(f"{path} is no CVAT file: it holds <{content.tag}>, not <annotations>.")
    if content.find("track") is not None:
        raise DataError(
            f"{path} is 'CVAT for video', whose shapes stand for many frames. Export 'CVAT for images 1.1', "
            "with the images."
        )
    return content


def _shape(shape: Element, classes: Mapping[str, str], size: tuple[int, int], where: str) -> Shape:
    kind = kind_of(shape.get("label"), classes, where)
    number = shape.get("group_id")
    group = number if number and number != "0" else None
    if shape.tag == "mask":
        return _mask(shape, kind, group, size, where)
    return Shape(kind, "polygon", _outline(shape, where), group)


def _outline(shape: Element, where: str) -> Points:
    if shape.tag == "polygon":
        return as_points([pair.split(",") for pair in shape.get("points", "").split(";")], where)
    degrees = _number(shape, "rotation", where, 0)
    if shape.tag == "ellipse":
        x, y, across, down = (_number(shape, key, where) for key in ("cx", "cy", "rx", "ry"))
        return ellipse((x, y), (across, down), degrees)
    left, top, right, bottom = (_number(shape, key, where) for key in ("xtl", "ytl", "xbr", "ybr"))
    middle = ((left + right) / 2, (top + bottom) / 2)
    return box_corners(left, top, right - left, bottom - top, degrees, middle)


def _mask(shape: Element, kind: str, group: str | None, size: tuple[int, int], where: str) -> Shape:
    left, top, width, height = (_whole(shape, key, where) for key in ("left", "top", "width", "height"))
    try:
        runs = [int(run) for run in shape.get("rle", "").split(",")]
    except ValueError:
        raise DataError(f"{where}: its rle is no list of run lengths; export it again.") from None
    if not (1 <= height <= size[0] and 1 <= width <= size[1]):
        raise DataError(
            f"{where}: its mask is {width}x{height} px, its image {size[1]}x{size[0]}; draw it again."
        )
    bitmap = rle.from_runs(runs, height, width, "rows", where)
    box = np.array([[left, top], [left + width - 1, top + height - 1]], np.float64)
    return Shape(kind, "mask", box, group, bitmap)


def _number(shape: Element, key: str, where: str, otherwise: float | None = None) -> float:
    text = shape.get(key)
    if text is None and otherwise is not None:
        return otherwise
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise DataError(f"{where}: its {key} is {text}, no number; export it again.")
    return value


def _whole(shape: Element, key: str, where: str) -> int:
    value = _number(shape, key, where)
    if value != int(value):
        raise DataError(f"{where}: its {key} is {value}, no whole number; export it again.")
    return int(value)
