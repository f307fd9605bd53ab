"""`data=labelstudio`: pictures with Label Studio's export (JSON): brush masks, polygons, boxes, ellipses."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from kolbench.data import listing, rle
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
from kolbench.data.labels import KOL, LabelMap, kind_of, label_classes, plain
from kolbench.data.shapes import Points, Shape, box_corners, ellipse, require_drawn_size, whole
from kolbench.errors import DataError

# what the upload to Label Studio puts before a picture's name
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")

# percent of a picture; what is farther off is no coordinate
_FARTHEST = 1e6

Result = Mapping[str, Any]


class LabelStudioSource(LabelledSource):
    """Reads pictures with the JSON export of Label Studio below one folder.

    Pictures are found by the name that the task gives, with or without what the upload put before it. Of
    several annotations of a picture the ground truth counts, else the newest; skipped ones do not. Tasks
    without annotation are not labelled.

    Args:
        root: the folder of pictures and label files.
        labels: class (`kol`, `product`, `background`) -> labels; upper and lower case are the same.
        empty: `leave_out` or `keep`: pictures without a person.
        annotations: label files below root; None = all JSON files of Label Studio.

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
        self._results: dict[str, tuple[str, list[Result]]] = {}
        self._several = 0
        for path, tasks in _exports(folder, annotations, found):
            for number, task in enumerate(tasks, start=1):
                self._take(path, f"{path}, task {task.get('id', f'number {number}')}", task, pictures, found)
        if self._several:
            found.notes.append(
                f"{self._several} images have several annotations: the ground truth counts, else the newest"
            )
        super().__init__(folder, pictures, found, empty=empty)

    def shapes(self, name: str, height: int, width: int) -> list[Shape]:
        """What is drawn on one picture, in the order of the export."""
        where, results = self._results[name]
        shapes = []
        for number, result in enumerate(results, start=1):
            region = f"{where}, region {number}"
            drawn = _drawn(result, height, width, region)
            kinds = [kind_of(label, self._classes, region) for label in _labels(result["value"])]
            shapes += [drawn._replace(kind=kind) for kind in kinds]
        return shapes

    def _take(self, path: Path, where: str, task: Result, pictures: Pictures, found: Found) -> None:
        called = _picture_name(task, where)
        name = _find(pictures, called, path.parent)
        if name is None:
            found.missing.append(called)
            return
        done = [entry for entry in _annotations(task, where) if not entry.get("was_cancelled")]
        if not done:
            return
        found.add(pictures, name, path, split_of(pictures.root, path, name))
        self._several += len(done) > 1
        chosen = max(done, key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or "")))
        results = _regions(chosen, where)
        self._results[name] = where, results
        kinds = {self._classes.get(plain(label)) for result in results for label in _labels(result["value"])}
        # an unknown label is named when the picture is read
        if KOL not in kinds and None not in kinds:
            found.empty.add(name)


def _exports(root: Path, asked: str | Sequence[str] | None, found: Found) -> list[tuple[Path, list[Result]]]:
    paths = label_files(root, asked, ".json")
    files = read_label_files(paths, _tasks, found, root, "exports of Label Studio", strict=asked is not None)
    if not files:
        raise DataError(
            f"{root} holds no JSON file of Label Studio. Export the project as JSON, put it beside the "
            "images, or give another data.root."
        )
    return files


def _tasks(path: Path) -> list[Result]:
    loaded = read_json(path, "Label Studio export")
    tasks: list[Any] = loaded if isinstance(loaded, list) else [loaded]
    if not tasks or not all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        raise DataError(f"{path} is no Label Studio export: {json_format(loaded)}.")
    return tasks


def _annotations(task: Result, where: str) -> list[Result]:
    entries = task.get("annotations", task.get("completions", []))
    if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
        return entries
    raise DataError(f"{where}: its annotations are no list; export the project as JSON, not as JSON-MIN.")


def _picture_name(task: Result, where: str) -> str:
    """Where the picture of a task lies: an address, an upload, or a file of local storage (?d=PATH)."""
    data: Mapping[str, object] = task["data"]
    texts = [value for key, value in data.items() if isinstance(value, str) and key in ("image", "img")]
    texts += [value for value in data.values() if isinstance(value, str)]
    named = (_path_in(text) for text in texts)
    found = next((path for path in named if Path(path).suffix.lower() in listing.PICTURE_SUFFIXES), None)
    if found is None:
        raise DataError(f"{where} names no image; its data has {', '.join(map(str, data)) or 'nothing'}.")
    return found


def _path_in(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    local = parse_qs(parts.query).get("d")
    return local[0] if local else unquote(parts.path)


def _find(pictures: Pictures, called: str, folder: Path) -> str | None:
    """The picture by the name that it has in Label Studio, else without what the upload put before it."""
    beside = (folder, folder / "images")
    name = pictures.find(called.lstrip("/"), beside)
    if name is not None:
        return name
    head, _, last = called.rpartition("/")
    bare = _UPLOADED.sub("", last)
    return pictures.find(f"{head}/{bare}".lstrip("/"), beside) if bare != last else None


def _regions(annotation: Result, where: str) -> list[Result]:
    """What is drawn: results with a label. A region drawn without label is there again with it."""
    results = annotation.get("result")
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise DataError(f"{where} has no list of results; export the project as JSON.")
    drawn = [
        result for result in results if isinstance(result.get("value"), dict) and _has_area(result["value"])
    ]
    labelled = [result for result in drawn if _labels(result["value"])]
    known = {str(result.get("id")) for result in labelled}
    if any(str(result.get("id")) not in known for result in drawn):
        raise DataError(f"{where} has a region without a label; label it in Label Studio.")
    return labelled


def _has_area(value: Result) -> bool:
    return (
        any(key in value for key in ("rle", "points", "radiusX"))
        or {"x", "y", "width", "height"} <= value.keys()
    )


def _labels(value: Result) -> list[str]:
    """The labels of a region: `brushlabels`, `polygonlabels` and so on, or `labels`."""
    return [
        label
        for key, labels in value.items()
        if key.endswith("labels") and isinstance(labels, list)
        for label in labels
    ]


def _drawn(result: Result, height: int, width: int, where: str) -> Shape:
    """A region in pixels, its kind not known yet; coordinates are percent of the picture."""
    value: Result = result["value"]
    if result.get("image_rotation"):
        raise DataError(f"{where} was drawn on a turned image; turn the image file and label it again.")
    said = result.get("original_height"), result.get("original_width")
    require_drawn_size(where, said, (height, width), "Put the image that was labelled there.")
    if "rle" in value:
        return whole("", rle.from_brush(value["rle"], height, width, where))
    if "points" in value:
        return Shape("", "polygon", as_points(value["points"], where) * (width / 100, height / 100))
    return Shape("", "polygon", _box_or_ellipse(value, where, width / 100, height / 100))


def _box_or_ellipse(value: Result, where: str, across: float, down: float) -> Points:
    """A box, turned about its upper left corner, or an ellipse; across, down: pixels of a percent."""
    x, y = _number(value, "x", where) * across, _number(value, "y", where) * down
    degrees = _number(value, "rotation", where) if "rotation" in value else 0.0
    if "radiusX" in value:
        radii = _number(value, "radiusX", where) * across, _number(value, "radiusY", where) * down
        return ellipse((x, y), radii, degrees)
    size = _number(value, "width", where) * across, _number(value, "height", where) * down
    return box_corners(x, y, *size, degrees, (x, y))


def _number(value: Result, key: str, where: str) -> float:
    number = value.get(key)
    if isinstance(number, int | float) and abs(number) < _FARTHEST:
        return float(number)
    raise DataError(f"{where}: its {key} is {number}, no number; export it again.")
