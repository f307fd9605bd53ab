import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data.checking import checked_hashes
from kolbench.data.sources.labelstudio import LabelStudioSource
from kolbench.errors import DataError
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.tasks import configured

OTHERS = Path(__file__).parent / "written_by_others"


def region(kind: str, label: str | None, value: dict[str, object], **more: object) -> dict[str, object]:
    """A result; label None: drawn without one."""
    labelled = {} if label is None else {kind: [label]}
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": "r", "type": kind, "value": {**value, **labelled}, **size, **more}


def percent(*corners: tuple[float, float]) -> list[list[float]]:
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in corners]


def outline(label: str | None, *corners: tuple[float, float], **more: object) -> dict[str, object]:
    return region("polygonlabels", label, {"points": percent(*corners)}, **more)


def box(
    label: str, left: float, top: float, width: float, height: float, rotation: float = 0
) -> dict[str, object]:
    (x, y), (w, h) = percent((left, top), (width, height))
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": rotation}
    return region("rectanglelabels", label, value)


SQUARE = outline("person", (2, 2), (8, 2), (8, 8), (2, 8))
BAG = box("Bag", 7, 7, 3, 2)


def task(image: str, *annotations: list[object], **fields: object) -> dict[str, object]:
    """A task with one annotation for each list of results."""
    done = [
        {"id": n, "result": list(results), "updated_at": f"2024-01-0{n + 1}"}
        for n, results in enumerate(annotations)
    ]
    return {"id": 7, "data": {"image": image}, "annotations": done, **fields}


def write(root: Path, *tasks: dict[str, object], name: str = "export.json") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tasks))
    return path


def areas(root: Path, *results: object) -> tuple[int, int]:
    put(root / "a.png", picture())
    write(root, task("a.png", list(results)))
    read = LabelStudioSource(root, empty="keep").read(0)
    assert read.product is not None
    return int(read.mask.sum()), int(read.product.sum())


def test_areas_of_shapes_are_those_counted_by_hand(tmp_path):
    assert areas(tmp_path, SQUARE) == (36, 0)
    # 36 + 6 - 1 shared
    assert areas(tmp_path, SQUARE, BAG) == (41, 6)
    assert areas(tmp_path, SQUARE, outline("hole", (4, 4), (6, 4), (6, 6), (4, 6))) == (32, 0)
    # 4 x 2 px, turned by a quarter about their upper left corner: 2 columns to its left, 4 rows down
    assert areas(tmp_path, box("kol", 8, 3, 4, 2, 90)) == (8, 0)
    mask = LabelStudioSource(tmp_path).read(0).mask
    assert mask[3:7, 6:8].all()
    (x, y), (across, down) = percent((5, 5), (2, 2))
    round_one = region("ellipselabels", "kol", {"x": x, "y": y, "radiusX": across, "radiusY": down})
    # centres within 2 px of (5, 5): the 4 x 4 block without its corners
    assert areas(tmp_path, round_one) == (12, 0)


def test_the_brush_that_label_studios_sdk_wrote(tmp_path):
    shutil.copy(OTHERS / "labelstudio_brush.json", tmp_path / "export.json")
    # without what the upload put before its name
    put(tmp_path / "photos" / "p1.png", picture(0, 16, 24))
    source = LabelStudioSource(tmp_path)
    assert source.names == ["photos/p1"]
    expected = np.zeros((16, 24), np.uint8)
    expected[3:12, 5:17] = 1
    expected[5:7, 8:11] = expected[11, 5:9] = 0
    assert np.array_equal(source.read(0).mask, expected)


def test_labels_of_a_control_of_their_own(tmp_path):
    """A region is exported twice: drawn without a label, and again with one."""
    drawn = outline(None, (2, 2), (8, 2), (8, 8), (2, 8))
    labelled = region("labels", "person", {"points": drawn["value"]["points"]})
    assert areas(tmp_path, drawn, labelled) == (36, 0)
    with pytest.raises(DataError, match="has a region without a label"):
        areas(tmp_path, drawn)
    choice = {"id": "c", "type": "choices", "value": {"choices": ["indoor"]}}
    assert areas(tmp_path, SQUARE, choice) == (36, 0)


@pytest.mark.parametrize(
    "called",
    [
        "/data/upload/3/0a1b2c3d-a%20b.png",
        "/data/local-files/?d=set/photos/a%20b.png",
        "https://host/bucket/photos/a%20b.png?token=1",
        "s3://bucket/photos/a b.png",
        "photos\\a b.png",
    ],
)
def test_pictures_are_found_as_tasks_call_them(tmp_path, called):
    put(tmp_path / "photos" / "a b.png", picture())
    write(tmp_path, task(called, [SQUARE]))
    assert LabelStudioSource(tmp_path).read(0).mask.sum() == 36


def test_which_annotation_counts(tmp_path):
    put(tmp_path / "a.png", picture())
    small, other = box("kol", 0, 0, 1, 1), box("kol", 0, 0, 2, 1)
    write(tmp_path, task("a.png", [small], [other], [SQUARE]))
    source = LabelStudioSource(tmp_path)
    assert source.read(0).mask.sum() == 36
    assert any("1 images have several annotations" in line for line in source.describe())
    both = task("a.png", [small], [other], [SQUARE])
    both["annotations"][0]["ground_truth"] = True
    both["annotations"][2]["was_cancelled"] = True
    write(tmp_path, both)
    assert LabelStudioSource(tmp_path).read(0).mask.sum() == 1


def test_skipped_unlabelled_and_empty_pictures(tmp_path):
    for name in "abcd":
        put(tmp_path / f"{name}.png", picture(ord(name)))
    skipped = task("b.png", [SQUARE])
    skipped["annotations"][0]["was_cancelled"] = True
    write(
        tmp_path, task("a.png", [SQUARE]), skipped, task("c.png"), task("d.png", [BAG]), task("gone.png", [])
    )
    source = LabelStudioSource(tmp_path)
    assert source.names == ["a"]
    told = "\n".join(source.describe())
    assert "1 images without a person are left out (data.empty=keep takes them): d" in told
    assert "2 images not labelled: b, c" in told
    assert "1 images that label files name are not here: gone.png" in told
    assert LabelStudioSource(tmp_path, empty="keep").names == ["a", "d"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (outline("pers0n", (1, 1), (3, 1), (3, 3)), "task 7, region 1: the label pers0n is not known"),
        (outline("kol", (1, 1), (3, 1)), "outline of 2 points"),
        (outline("kol", (1, 1), (3, 1), (3, 3), image_rotation=90), "drawn on a turned image"),
        (outline("kol", (1, 1), (3, 1), (3, 3), original_width=5), "5x12 px, but its image is 20x12 px"),
        (region("brushlabels", "kol", {"format": "rle", "rle": [0, 0, 0, 9]}), "brush RLE has 9 values"),
        (region("brushlabels", "kol", {"format": "rle", "rle": "x"}), "no list of bytes"),
        (region("rectanglelabels", "kol", {"x": 1, "y": 1, "width": None, "height": 1}), "its width is None"),
        (5, "has no list of results"),
    ],
)
def test_wrong_regions_name_file_task_and_number(tmp_path, result, words):
    with pytest.raises(DataError, match=words):
        areas(tmp_path, result)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"images": [], "annotations": []}', "it is COCO JSON; use data=coco"),
        ('[{"image": "a.png", "annotator": 1}]', "JSON-MIN; export it as JSON"),
        ('[{"data": {"image": "a.png"}, "annotations": 5}]', "its annotations are no list"),
        ('[{"data": {"text": "hello"}, "annotations": []}]', "names no image; its data has text"),
        ('[{"data": {"image": "b.png"}, "annotations": []}]', "describe none of the 1 images there.*b.png"),
        ("[]", "is no Label Studio export"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    put(tmp_path / "a.png", picture())
    with pytest.raises(DataError, match="holds no JSON file of Label Studio"):
        LabelStudioSource(tmp_path)
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=words):
        LabelStudioSource(tmp_path)


def test_the_yaml_and_the_fingerprint(tmp_path):
    put(tmp_path / "a.png", picture())
    write(tmp_path, task("a.png", [SQUARE]))
    words = ("data=labelstudio", f"data.root={tmp_path}")
    source = instantiate(configured("experiment=ellipse", *words).data.source)
    checked_hashes(source, "")
    seen = {source.fingerprint()}
    write(tmp_path, task("a.png", [SQUARE, BAG]))
    seen.add(LabelStudioSource(tmp_path).fingerprint())
    put(tmp_path / "a.png", picture(1))
    seen.add(LabelStudioSource(tmp_path).fingerprint())
    assert len(seen) == 3
