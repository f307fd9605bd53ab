import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from kolbench.config.compose import instantiate
from kolbench.data import rle
from kolbench.data.checking import checked_hashes
from kolbench.data.sources.coco import CocoSource
from kolbench.errors import ConfigError, DataError
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.tasks import configured

OTHERS = Path(__file__).parent / "written_by_others"
CATEGORIES = ("person", "bag", "car", "hole")
PERSON, BAG, CAR, HOLE = range(1, 5)
# 6 x 6 px, and 2 x 3 px right beside it
SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]
BESIDE = [[8, 3, 10, 3, 10, 6, 8, 6]]
FAR = [[15, 3, 18, 3, 18, 6, 15, 6]]


def thing(image: int, category: int, segmentation: object, crowd: int = 0) -> dict[str, object]:
    return {"image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": crowd}


def write(path: Path, files: list[str], *things: dict[str, object], **more: object) -> Path:
    """A COCO file of pictures numbered from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [
            {"id": n, "file_name": name, "height": HEIGHT, "width": WIDTH} for n, name in enumerate(files, 1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(CATEGORIES, 1)],
        "annotations": [{"id": 100 + n, **entry} for n, entry in enumerate(things)],
    }
    path.write_text(json.dumps(content | more))
    return path


def areas(root: Path, *things: dict[str, object], **choices: str) -> tuple[int, int]:
    """Foreground and product area of one picture in pixels."""
    put(root / "a.png", picture())
    write(root / "annotations.json", ["a.png"], *things)
    read = CocoSource(root, **choices).read(0)
    assert read.product is not None
    return int(read.mask.sum()), int(read.product.sum())


def test_persons_and_what_they_hold_are_one(tmp_path):
    person, bag, far = thing(1, PERSON, SQUARE), thing(1, BAG, BESIDE), thing(1, BAG, FAR)
    other = thing(1, PERSON, [[12, 0, 14, 0, 14, 12, 12, 12]])
    assert areas(tmp_path, person) == (36, 0)
    assert areas(tmp_path, person, other) == (36 + 24, 0)
    # two pixels at least
    assert areas(tmp_path, bag, person, far) == (42, 6)
    assert areas(tmp_path, bag, person, far, products="listed") == (51, 15)
    # a car that touches is no product
    assert areas(tmp_path, person, thing(1, CAR, BESIDE)) == (36, 0)
    assert CocoSource(tmp_path, products="none").read(0).product is None


def test_parts_of_an_object_are_joined_and_holes_cut(tmp_path):
    parts = [*SQUARE, [4, 4, 12, 4, 12, 6, 4, 6]]
    assert areas(tmp_path, thing(1, PERSON, parts)) == (36 + 8, 0)
    # what has fewer than three points beside others covers nothing
    assert areas(tmp_path, thing(1, PERSON, [*SQUARE, [1, 1, 9, 9]])) == (36, 0)
    assert areas(tmp_path, thing(1, PERSON, SQUARE), thing(1, HOLE, [[4, 4, 6, 4, 6, 6, 4, 6]])) == (32, 0)


def test_rle_of_pycocotools_is_read_as_it_was_drawn(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[1:9, 4:11] = 1
    mask[3:5, 6:9] = 0
    compressed = coco.encode(mask)
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    put(tmp_path / "a.png", picture())
    for segmentation in (
        {"size": [HEIGHT, WIDTH], "counts": compressed["counts"].decode()},
        {"size": [HEIGHT, WIDTH], "counts": counts},
    ):
        write(tmp_path / "annotations.json", ["a.png"], thing(1, PERSON, segmentation))
        assert np.array_equal(CocoSource(tmp_path).read(0).mask, mask)


def test_polygons_differ_from_pycocotools_by_pixels_on_their_outline_alone(tmp_path):
    """pycocotools rounds corners to a fifth of a pixel and paints more of the edge."""
    corners = np.random.default_rng(0).uniform(0, 1, (40, 6)) * np.tile([WIDTH, HEIGHT], 3)
    put(tmp_path / "a.png", picture())
    for outline in corners.tolist():
        write(tmp_path / "annotations.json", ["a.png"], thing(1, PERSON, [outline]))
        ours = CocoSource(tmp_path).read(0).mask
        encoded = coco.merge(coco.frPyObjects([outline], HEIGHT, WIDTH))
        theirs = rle.from_coco({**encoded, "counts": encoded["counts"].decode()}, HEIGHT, WIDTH, "")
        x, y = np.array(outline).reshape(3, 2).T
        rows, columns = np.nonzero(ours != theirs)
        for row, column in zip(rows, columns, strict=True):
            assert distance((column + 0.5, row + 0.5), x, y) <= 1


def distance(point: tuple[float, float], x: np.ndarray, y: np.ndarray) -> float:
    """From a point to the nearest edge of an outline."""
    ends = np.stack([x, y], axis=1)
    starts, steps = ends, np.roll(ends, -1, axis=0) - ends
    share = ((np.array(point) - starts) * steps).sum(axis=1) / (steps**2).sum(axis=1)
    nearest = starts + steps * share.clip(0, 1)[:, None]
    return float(np.hypot(*(nearest - point).T).min())


def test_crowds(tmp_path):
    runs = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * (WIDTH - 2), 2 * HEIGHT]}
    things = thing(1, PERSON, SQUARE), thing(1, PERSON, runs, crowd=1)
    assert areas(tmp_path, *things) == (36 + 24, 0)
    assert areas(tmp_path, *things, crowd="background") == (36, 0)
    put(tmp_path / "b.png", picture(1))
    write(tmp_path / "annotations.json", ["a.png", "b.png"], *things, thing(2, PERSON, SQUARE))
    source = CocoSource(tmp_path, crowd="leave_out")
    assert source.names == ["b"]
    assert "1 images with a crowd of persons are left out" in source.describe()
    # a picture of nothing but a crowd shows no person where crowds do not count
    write(tmp_path / "annotations.json", ["a.png", "b.png"], things[1], thing(2, PERSON, SQUARE))
    assert CocoSource(tmp_path, crowd="background").names == ["b"]


def test_pictures_without_a_person_are_left_out_unless_kept(tmp_path):
    for number, name in enumerate("abc"):
        put(tmp_path / f"{name}.png", picture(number))
    write(tmp_path / "x.json", ["a.png", "b.png"], thing(1, PERSON, SQUARE), thing(2, BAG, SQUARE))
    source = CocoSource(tmp_path)
    assert source.names == ["a"]
    told = "\n".join(source.describe())
    assert "1 images without a person are left out (data.empty=keep takes them): b" in told
    assert "1 images not labelled: c" in told
    assert "x.json: kol: person (1); product: bag (1)" in told
    kept = CocoSource(tmp_path, empty="keep")
    assert kept.names == ["a", "b"]
    assert kept.read(1).mask.sum() == 0
    write(tmp_path / "x.json", ["a.png"], thing(1, CAR, SQUARE))
    with pytest.raises(DataError, match=r"none of 1 labelled images shows a person.*data\.empty=keep"):
        CocoSource(tmp_path)
    for choice in ({"products": "some"}, {"crowd": "some"}, {"empty": "some"}):
        with pytest.raises(ConfigError, match=r"data\.(held|crowd|empty)=some is not a choice"):
            CocoSource(tmp_path, **choice)


def published(root: Path, **counts: int) -> Path:
    """As COCO is unpacked: train2017/ and val2017/ beside annotations/."""
    for part, count in counts.items():
        names = [f"{number:012d}.png" for number in range(count)]
        for number, name in enumerate(names):
            put(root / part / name, picture(100 * len(part) + number))
        things = [thing(number + 1, PERSON, SQUARE) for number in range(count)]
        write(root / "annotations" / f"instances_{part}.json", names, *things)
        (root / "annotations" / f"captions_{part}.json").write_text('{"images": [], "annotations": []}')
    return root


def test_published_folders_give_test_and_validation_is_drawn(tmp_path):
    source = CocoSource(published(tmp_path, train2017=10, val2017=3))
    assert source.given_splits is not None
    assert {split: len(rows) for split, rows in source.given_splits.items()} == {
        "train": 9,
        "val": 1,
        "test": 3,
    }
    assert all(source.names[row].startswith("val2017/") for row in source.given_splits["test"])
    assert source.groups == [None] * 13
    assert any("val is the test set; 1 images of train are drawn" in line for line in source.describe())
    assert CocoSource(tmp_path).given_splits == source.given_splits
    alone = CocoSource(tmp_path, annotations="annotations/instances_val2017.json")
    assert len(alone) == 3
    assert alone.given_splits is None


def test_exports_of_roboflow_and_cvat(tmp_path):
    for number, part in enumerate(("train", "valid", "test")):
        put(tmp_path / "robo" / part / "a.png", picture(number))
        write(tmp_path / "robo" / part / "_annotations.coco.json", ["a.png"], thing(1, PERSON, SQUARE))
    source = CocoSource(tmp_path / "robo")
    assert source.names == ["test/a", "train/a", "valid/a"]
    assert source.given_splits == {"train": [1], "val": [2], "test": [0]}
    assert np.array_equal(source.read(2).image, picture(1))
    put(tmp_path / "cvat" / "images" / "clip" / "a.png", picture())
    path = tmp_path / "cvat" / "annotations" / "instances_default.json"
    write(path, ["clip/a.png"], thing(1, PERSON, SQUARE))
    source = CocoSource(tmp_path / "cvat")
    assert (source.names, source.groups, source.given_splits) == (["images/clip/a"], ["clip"], None)


@pytest.mark.parametrize("mode", ["guess", "mask"])
def test_files_that_datumaro_wrote(tmp_path, mode):
    """Its masks carry iscrowd, and its numbers of annotations stand twice."""
    content = (OTHERS / f"datumaro_coco_{mode}" / "annotations" / "instances_train.json").read_text()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train.json").write_text(content)
    for name in ("p0", "p1"):
        put(tmp_path / "images" / "train" / f"{name}.jpg", picture(0, 16, 24))
    source = CocoSource(tmp_path)
    first, second = source.read(0), source.read(1)
    # 7 x 11 px, and 4 x 3 px beside; the car does not count
    assert first.product is not None
    assert (first.mask.sum(), first.product.sum()) == (77 + 12, 12)
    assert second.mask.sum() == 9 * 12 - 2 * 3 - 4
    assert not second.mask[5:7, 8:11].any()
    assert not second.mask[11, 5:9].any()


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ([], "annotation 100 has a box and no outline"),
        (None, "annotation 100 has a box and no outline"),
        ([[1, 2, 3, 4, 5, 6, 7]], "no list of x, y"),
        ([["a", "b", "c", "d", "e", "f"]], "no list of x, y"),
        ([[1, 2, 3, 4]], "fewer than three points"),
        ([[1, 2, 3, 4, 5, None]], "annotation 100"),
        ([[1, 2, 3, 4, 5, float("inf")]], "cannot be drawn"),
        ({"size": [HEIGHT, WIDTH], "counts": [3]}, "its RLE has 3 pixels"),
        ({"size": [10**6, 10**6], "counts": [10**12]}, "has the size"),
    ],
)
def test_wrong_outlines_name_file_and_annotation(tmp_path, segmentation, words):
    with pytest.raises(DataError, match=rf"annotations\.json, {words}" if "100" in words else words):
        areas(tmp_path, thing(1, PERSON, segmentation))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"categories": None}, "no list of categories"),
        ({"images": {}}, "no list of images"),
        ({"images": [5]}, "number 1 of its images has no id"),
        ({"annotations": [{"id": 1}]}, "number 1 of its annotations has no image_id"),
        ({"categories": [{"id": 1, "name": "dog"}]}, "no category that means a KOL.*It has dog"),
    ],
)
def test_files_that_are_no_coco_are_named(tmp_path, more, words):
    put(tmp_path / "a.png", picture())
    write(tmp_path / "x.json", ["a.png"], **more)
    with pytest.raises(DataError, match=words):
        CocoSource(tmp_path)


def test_folders_that_cannot_be_used(tmp_path):
    put(tmp_path / "a.png", picture())
    with pytest.raises(DataError, match="holds no COCO file"):
        CocoSource(tmp_path)
    (tmp_path / "x.json").write_text('{"shapes": []}')
    with pytest.raises(DataError, match=r"x\.json is no COCO file: it is Labelme JSON; use data=labelme"):
        CocoSource(tmp_path)
    write(tmp_path / "y.json", ["gone.png"], thing(1, PERSON, SQUARE))
    with pytest.raises(DataError, match=r"describe none of the 1 images there.*such as gone\.png"):
        CocoSource(tmp_path)
    write(tmp_path / "y.json", ["a.png"], thing(1, PERSON, SQUARE))
    assert any(
        "1 files cannot be read as COCO files: x.json" in line for line in CocoSource(tmp_path).describe()
    )
    write(tmp_path / "z.json", ["a.png"], thing(1, PERSON, SQUARE))
    with pytest.raises(DataError, match=r"z\.json describes .*a\.png, which is described already"):
        CocoSource(tmp_path)
    assert len(CocoSource(tmp_path, annotations=["z.json"])) == 1
    for asked, words in (
        ("../z.json", "leads out of data.root"),
        ("w.json", "does not exist"),
        ("x.json", "Labelme"),
    ):
        with pytest.raises(DataError, match=words):
            CocoSource(tmp_path, annotations=asked)
    with pytest.raises(ConfigError, match=r"data\.annotations=5"):
        CocoSource(tmp_path, annotations=5)


def test_a_picture_of_another_size_is_named(tmp_path):
    put(tmp_path / "a.png", picture(0, WIDTH, HEIGHT))
    write(tmp_path / "x.json", ["a.png"], thing(1, PERSON, SQUARE))
    with pytest.raises(DataError, match=r"a\.png: .* 20x12 px, but its image is 12x20 px\. .*EXIF"):
        checked_hashes(CocoSource(tmp_path), "")


def test_paths_never_lead_out_of_the_root(tmp_path):
    put(tmp_path / "secret.png", picture(7))
    put(tmp_path / "set" / "a.png", picture(0))
    names = ["../secret.png", str(tmp_path / "secret.png"), "C:\\photos\\a.png"]
    things = [thing(number, PERSON, SQUARE) for number in (1, 2, 3)]
    write(tmp_path / "set" / "x.json", names, *things)
    source = CocoSource(tmp_path / "set")
    # where a picture was on another computer does not matter if it is here
    assert source.names == ["a"]
    assert any("2 images that label files name are not here: ../secret.png" in x for x in source.describe())
    lost = "is named by a label file and is not there"
    assert list(source.left_out().values()) == [lost, lost]


def test_the_yaml_and_the_fingerprint(tmp_path):
    put(tmp_path / "a.png", picture())
    write(tmp_path / "x.json", ["a.png"], thing(1, PERSON, SQUARE), thing(1, CAR, BESIDE))
    words = ("data=coco", f"data.root={tmp_path}", "data.labels.product=[car]", "data.held=listed")
    source = instantiate(configured("experiment=ellipse", *words).data.source)
    assert source.read(0).product.sum() == 6
    seen = {source.fingerprint()}
    write(tmp_path / "x.json", ["a.png"], thing(1, PERSON, BESIDE))
    seen.add(CocoSource(tmp_path).fingerprint())
    put(tmp_path / "a.png", picture(1))
    seen.add(CocoSource(tmp_path).fingerprint())
    assert len(seen) == 3
