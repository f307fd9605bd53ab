"""Whatever stands where in a label file, it is read or refused in words; no other error ever comes out."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kolbench.data.checking import checked_hashes
from kolbench.data.sources.base import Source
from kolbench.data.sources.coco import CocoSource
from kolbench.data.sources.cvat import CvatSource
from kolbench.data.sources.labelstudio import LabelStudioSource
from kolbench.data.sources.yolo import YoloSource
from kolbench.errors import KolbenchError
from tests.helpers.data_files import picture, put

OTHERS = Path(__file__).parent / "written_by_others"
WEIRD = (None, True, -1, 10**400, float("inf"), "x" * 5000, [], {}, [[None]], {"a": [1]})
# what says nothing of a picture
SILENT = ("licenses", "info", "license", "supercategory", "flickr_url", "coco_url", "date_captured")
TEXTS = ("", "x", "-1", "9" * 5000, "1e400", "nan", "\u0663")


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in nested JSON; of long lists the first two."""
    yield at
    if isinstance(value, dict):
        inside: list[tuple[Any, Any]] = [entry for entry in value.items() if entry[0] not in SILENT]
    else:
        inside = list(enumerate(value[:2])) if isinstance(value, list) else []
    for key, entry in inside:
        yield from places(entry, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: object) -> Any:
    if not at:
        return new
    copied = copy.deepcopy(value)
    target = copied
    for key in at[:-1]:
        target = target[key]
    target[at[-1]] = new
    return copied


def require_words(layout: Callable[[Path], Source], root: Path, told: object) -> bool:
    """Whether a folder is read; an error of another kind names what was changed."""
    try:
        checked_hashes(layout(root), "")
        return True
    except KolbenchError:
        return False
    except Exception as error:
        pytest.fail(f"{told}: {type(error).__name__}: {error}")


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        (CocoSource, "datumaro_coco_guess/annotations/instances_train.json"),
        (LabelStudioSource, "labelstudio_brush.json"),
    ],
)
def test_json_with_anything_anywhere(tmp_path, layout, file):
    for name in ("p0", "p1"):
        put(tmp_path / f"{name}.png", picture(0, 16, 24))
    content = json.loads((OTHERS / file).read_text().replace(".jpg", ".png"))
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert require_words(layout, tmp_path, "as it was written")
    outcomes = []
    for at in places(content):
        for weird in WEIRD:
            text = json.dumps(changed(content, at, "WEIRD")).replace('"WEIRD"', _json(weird))
            (tmp_path / "x.json").write_text(text)
            outcomes.append(require_words(layout, tmp_path, (at, str(weird)[:20])))
    # some of it plays no part, and some is refused
    assert 0.1 < sum(outcomes) / len(outcomes) < 0.9


def _json(value: object) -> str:
    # JSON of any length, which Python's own writer refuses of large numbers
    return "1" + "0" * 400 if value == 10**400 else json.dumps(value)


def test_xml_with_anything_anywhere(tmp_path):
    for name in ("p0", "p1"):
        put(tmp_path / f"{name}.png", picture(0, 16, 24))
    text = (
        (OTHERS / "datumaro_cvat" / "train.xml")
        .read_text()
        .replace(".jpg", ".png")
        .replace('"car"', '"hole"')
    )
    (tmp_path / "x.xml").write_text(text)
    assert require_words(CvatSource, tmp_path, "as it was written")
    count = len(list(ElementTree.fromstring(text).iter()))
    outcomes = []
    # what stands before describes the task
    for number in range(count - 6, count):
        keys = list(list(ElementTree.fromstring(text).iter())[number].attrib)
        for key in keys:
            for weird in TEXTS:
                tree = ElementTree.fromstring(text)
                list(tree.iter())[number].set(key, weird)
                (tmp_path / "x.xml").write_text(ElementTree.tostring(tree, encoding="unicode"))
                outcomes.append(require_words(CvatSource, tmp_path, (number, key, weird[:20])))
    assert 0.1 < sum(outcomes) / len(outcomes) < 0.9


def test_lines_and_yaml_with_anything_anywhere(tmp_path):
    put(tmp_path / "images" / "a.png", picture())
    label = tmp_path / "labels" / "a.txt"
    label.parent.mkdir()
    line = "0 0.1 0.1 0.5 0.1 0.5 0.5"
    described = {"train": "images", "names": ["person", "bag"]}
    (tmp_path / "data.yaml").write_text(json.dumps(described))
    outcomes = []
    for place in range(7):
        for weird in TEXTS:
            words = line.split()
            words[place] = weird
            label.write_text(" ".join(words))
            outcomes.append(require_words(YoloSource, tmp_path, (place, weird[:20])))
    label.write_text(line)
    assert require_words(YoloSource, tmp_path, "as it was written")
    for at in places(described):
        for wrong in WEIRD:
            text = json.dumps(changed(described, at, "WEIRD")).replace('"WEIRD"', _json(wrong))
            (tmp_path / "data.yaml").write_text(text)
            outcomes.append(require_words(YoloSource, tmp_path, (at, str(wrong)[:20])))
    for written in (
        "names: [person]\nval: 2001-99-99",
        "names: [person]\n? [a]\n: b",
        "&a [*a]",
        "names: &a [*a]",
    ):
        (tmp_path / "data.yaml").write_text(written)
        outcomes.append(require_words(YoloSource, tmp_path, written))
    assert 0.1 < sum(outcomes) / len(outcomes) < 0.9
