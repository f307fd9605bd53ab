"""`data=labelme`: images with Labelme's annotations (JSON) beside them."""

import base64
import binascii
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import TypedDict, cast

import numpy as np

from kolbench.data import listing
from kolbench.data.label_files import json_format, read_json
from kolbench.data.labels import LabelMap, kind_of, label_classes
from kolbench.data.shapes import IGNORED, SHAPE_TYPES, Points, Shape, draw, require_drawn_size
from kolbench.data.sources.base import Source
from kolbench.errors import DataError
from kolbench.io import images, masks
from kolbench.types import Sample, UInt8Array

SAMPLED = 20


class Annotation(TypedDict, total=False):
    """What is read of a Labelme file; nothing but `shapes` being a list is checked yet."""

    shapes: list[object]
    imagePath: object
    imageData: object
    imageHeight: object
    imageWidth: object


def read_annotation(path: Path) -> Annotation:
    """Reads a Labelme file.

    Raises:
        DataError: it is no JSON, or JSON of another tool, which is named.
    """
    loaded = read_json(path, "Labelme file")
    if isinstance(loaded, dict) and isinstance(loaded.get("shapes"), list):
        return cast(Annotation, loaded)
    raise DataError(f"{path} is no Labelme file: {json_format(loaded)}.")


def parse_shapes(annotation: Annotation, classes: Mapping[str, str], path: Path) -> list[Shape]:
    """Turns the shapes of a Labelme file into what can be drawn.

    Raises:
        DataError: a label or shape type is unknown, or a shape is malformed; names file and shape.
    """
    return [
        _parse_shape(shape, classes, f"{path}, shape {number}")
        for number, shape in enumerate(annotation["shapes"], start=1)
    ]


def _parse_shape(shape: object, classes: Mapping[str, str], where: str) -> Shape:
    if not isinstance(shape, dict):
        raise DataError(f"{where} is no shape; save the file again in Labelme.")
    shape_type = shape.get("shape_type") or "polygon"
    if shape_type not in SHAPE_TYPES:
        known = ", ".join(SHAPE_TYPES)
        raise DataError(f"{where}: the shape type {shape_type} is not known; known are {known}.")
    if shape_type in IGNORED:
        return Shape("background", shape_type, np.zeros((0, 2)))
    points = _points(shape.get("points"), shape_type, where)
    bitmap = _bitmap(shape, points, where) if shape_type == "mask" else None
    group = shape.get("group_id")
    if not isinstance(group, int | str | None):
        raise DataError(f"{where}: its group_id {group} is no number; save the file again in Labelme.")
    return Shape(kind_of(shape.get("label"), classes, where), shape_type, points, group, bitmap)


def _points(points: object, shape_type: str, where: str) -> Points:
    try:
        array = np.array(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise DataError(f"{where}: its points are no list of [x, y]; draw it again.") from None
    needed = {"circle": (2,), "mask": (2,), "rectangle": (2, 4)}.get(shape_type)
    enough = len(array) in needed if needed else len(array) >= 3
    if not enough or not np.isfinite(array).all():
        raise DataError(f"{where}: a {shape_type} of {len(array)} points cannot be drawn; draw it again.")
    return array


def _bitmap(shape: Mapping[str, object], points: Points, where: str) -> UInt8Array:
    try:
        data = base64.b64decode(str(shape.get("mask") or ""), validate=True)
    except binascii.Error:
        raise DataError(f"{where}: its mask is no base64; draw it again.") from None
    bitmap = masks.mask_from_bytes(data, f"the mask of {where}")
    # the second corner is the last pixel that belongs to the box
    width, height = (int(v) + 1 for v in np.rint(np.ptp(points, axis=0)))
    if abs(bitmap.shape[0] - height) > 1 or abs(bitmap.shape[1] - width) > 1:
        raise DataError(
            f"{where}: its mask is {bitmap.shape[1]}x{bitmap.shape[0]} px, "
            f"its box {width}x{height}; draw it again."
        )
    return bitmap


class LabelmeSource(Source):
    """Reads images with Labelme JSON beside them, at any depth below a folder.

    Sub-folders are groups; `groups.csv` and split files work as for `data=folder`. Shapes with no area
    (points, lines) are ignored and counted. `imageData` is decoded only where the image is missing.

    Args:
        root: the folder.
        labels: class (`kol`, `product`, `background`) -> labels; upper and lower case are the same.

    Raises:
        DataError: there is no Labelme file below the folder; names what is there instead.
    """

    def __init__(self, root: str | Path, labels: LabelMap | None = None) -> None:
        self.root = listing.require_folder(root)
        self.classes = label_classes(labels)
        self._pictures = listing.pictures_below(self.root)
        self._files, named, self._foreign = _labelme_files(self.root, self._pictures)
        if not self._files:
            raise DataError(_nothing_labelled(self.root, self._pictures, self._foreign))
        names = sorted(self._files)
        self.unlabelled = sorted(
            name for name, path in self._pictures.items() if name not in self._files and path not in named
        )
        absent = dict.fromkeys(self.unlabelled, "has no Labelme file")
        lists = listing.read_lists(self.root, names, absent)
        super().__init__(names, lists.groups, lists.tags, lists.given_splits)
        self._notes = lists.notes

    def read(self, index: int) -> Sample:
        """Reads the image and its masks as drawn.

        Raises:
            DataError: image or annotation cannot be used; names the file.
        """
        path = self._files[self.names[index]]
        annotation = read_annotation(path)
        image = self._image(self.names[index], path, annotation)
        height, width = image.shape[:2]
        _require_size(path, annotation, height, width)
        mask, product = draw(parse_shapes(annotation, self.classes, path), height, width)
        return Sample(image, mask, product)

    def fingerprint(self) -> str:
        """Digests the label files and the images that are opened with them (see listing.digest)."""
        parts = [(f"{name} label", path, True) for name, path in self._files.items()]
        for name, path in self._files.items():
            try:
                opened = self._picture_file(name, _named_picture(path, read_annotation(path)))
            except DataError:
                continue  # reading all images names it
            if opened is not None:
                parts.append((name, opened, False))
        return listing.digest(parts)

    def describe(self) -> list[str]:
        """Says what the folder holds, and what is left out."""
        groups = listing.group_note(self.groups)
        lines = [f"{self.root}: {len(self)} labelled images{', ' + groups if groups else ''}"]
        if self.unlabelled:
            lines.append(f"{len(self.unlabelled)} images not labelled: {listing.shorten(self.unlabelled)}")
        if self._foreign:
            foreign = listing.shorten(path.name for path in self._foreign)
            lines.append(f"{len(self._foreign)} JSON files that are not Labelme's: {foreign}")
        ignored = self._ignored_shapes()
        if ignored:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items()))
            lines.append(f"shapes without area are ignored ({kinds} in {SAMPLED} sampled files)")
        outside = self._pictures_outside()
        if outside:
            looked = min(SAMPLED, len(self))
            lines.append(
                f"{len(outside)} of {looked} sampled files take an image outside of data.root, "
                f"as {outside[0]}"
            )
        return [*lines, *self._notes]

    def _pictures_outside(self) -> list[Path]:
        """Where imagePath of some sampled files leads, if that is not below the root."""
        root, found = os.path.normpath(self.root.absolute()), []
        for index in listing.spread(len(self), SAMPLED):
            path = self._files[self.names[index]]
            try:
                named = _named_picture(path, read_annotation(path))
            except DataError:
                continue  # reading all images names it
            if named.is_file() and not Path(os.path.normpath(named.absolute())).is_relative_to(root):
                found.append(named)
        return found

    def _ignored_shapes(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for index in listing.spread(len(self), SAMPLED):
            try:
                shapes = read_annotation(self._files[self.names[index]])["shapes"]
            except DataError:
                continue  # reading all images names it
            found.update(
                s["shape_type"] for s in shapes if isinstance(s, dict) and s.get("shape_type") in IGNORED
            )
        return found

    def _image(self, name: str, path: Path, annotation: Annotation) -> UInt8Array:
        named = _named_picture(path, annotation)
        opened = self._picture_file(name, named)
        if opened is not None:
            return images.read_rgb(opened)
        if annotation.get("imageData"):
            try:
                data = base64.b64decode(str(annotation["imageData"]))
            except binascii.Error:
                raise DataError(f"{path}: its imageData is no base64, and {named} is missing.") from None
            return images.rgb_from_bytes(data, f"the imageData of {path}")
        raise DataError(f"{path}: its image {named} is missing; put it beside the file.")

    def _picture_file(self, name: str, named: Path) -> Path | None:
        """The image that the annotation names, else the one beside it, else none."""
        return named if named.is_file() else self._pictures.get(name)


def _named_picture(path: Path, annotation: Annotation) -> Path:
    """Where imagePath leads from the annotation's folder, back-slashes of Windows or not."""
    return Path(os.path.normpath(path.parent / PureWindowsPath(str(annotation.get("imagePath"))).as_posix()))


def _labelme_files(root: Path, pictures: Mapping[str, Path]) -> tuple[dict[str, Path], set[Path], list[Path]]:
    """Name -> annotation, images that annotations elsewhere name, and JSON files of other tools.

    A file with its image beside it is not opened yet: with imageData it may be large.
    """
    files: dict[str, Path] = {}
    named: set[Path] = set()
    foreign: list[Path] = []
    for path in listing.visible_files(root, (".json",)):
        key = listing.key_of(path, root)
        if key not in pictures:
            try:
                named.add(_named_picture(path, read_annotation(path)))
            except DataError:
                foreign.append(path)
                continue
        files[key] = path
    return files, named, foreign


def _nothing_labelled(root: Path, pictures: Mapping[str, Path], foreign: Sequence[Path]) -> str:
    message = f"{root} holds {len(pictures)} images, but no Labelme file (picture.json beside picture.jpg)."
    for path in [*foreign, *listing.visible_files(root, (".xml",))][:1]:
        try:
            read_annotation(path)
        except DataError as error:
            message += f" {error}"
    return f"{message} Label the images with Labelme and save beside them, or give another data.root."


def _require_size(path: Path, annotation: Annotation, height: int, width: int) -> None:
    said = annotation.get("imageHeight"), annotation.get("imageWidth")
    if None not in said:
        require_drawn_size(str(path), said, (height, width), "Open and save it again in Labelme.")
