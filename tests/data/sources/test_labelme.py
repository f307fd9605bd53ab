import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kolbench.data.checking import checked_hashes
from kolbench.data.sources.labelme import LabelmeSource
from kolbench.errors import ConfigError, DataError
from tests.helpers.data_files import HEIGHT, SQUARE, WIDTH, annotate, bitmap, picture, put, shape


def drawn(root: Path, *shapes: object) -> tuple[int, int]:
    """Foreground and product area in pixels."""
    annotate(root, "a", list(shapes))
    read = LabelmeSource(root).read(0)
    assert read.product is not None
    return int(read.mask.sum()), int(read.product.sum())


def test_areas_of_shapes_are_those_counted_by_hand(tmp_path):
    assert drawn(tmp_path, shape("person", SQUARE)) == (36, 0)
    assert drawn(tmp_path, shape("kol", [[8, 9], [3, 4]], "rectangle")) == (25, 0)
    # a right triangle: 9 + 8 + ... + 1 centres; those on its slanting right edge do not count
    assert drawn(tmp_path, shape("kol", [[0, 0], [10, 0], [0, 10]])) == (45, 0)
    # centres within 2 px of (5, 5): the 4 x 4 block without its corners
    assert drawn(tmp_path, shape("kol", [[5, 5], [5, 7]], "circle")) == (12, 0)
    # a square on its tip: 3 centres in each quarter, and those on its two left edges, 3 each
    diamond = [[6, 3], [9, 6], [6, 9], [3, 6]]
    assert drawn(tmp_path, shape("kol", diamond, "oriented_rectangle")) == (18, 0)
    # beyond the picture's borders
    assert drawn(tmp_path, shape("kol", [[-5, -5], [2, -5], [2, 99], [-5, 99]])) == (2 * HEIGHT, 0)


def test_products_belong_to_the_mask_and_are_kept_apart(tmp_path):
    bag = shape("Bag ", [[7, 7], [10, 9]], "rectangle")
    # 36 + 6 - 1 shared
    assert drawn(tmp_path, shape("person", SQUARE), bag) == (41, 6)


def test_background_cuts_out_of_what_was_drawn_before(tmp_path):
    person, hole = shape("person", SQUARE), shape("hole", [[4, 4], [6, 6]], "rectangle")
    bag = shape("bag", [[5, 5], [6, 6]], "rectangle")
    assert drawn(tmp_path, person, hole) == (32, 0)
    assert drawn(tmp_path, hole, person) == (36, 0)
    assert drawn(tmp_path, person, bag, hole) == (32, 0)
    assert drawn(tmp_path, person, hole, bag) == (33, 1)


def test_a_bridge_to_an_inner_outline_is_a_hole(tmp_path):
    bridged = [*SQUARE, [2, 2], [4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
    assert drawn(tmp_path, shape("person", bridged)) == (32, 0)


def test_groups_join_parts_and_limit_holes(tmp_path):
    parts = [
        shape("person", [[0, 0], [4, 4]], "rectangle", 1),
        shape("person", [[2, 0], [6, 4]], "rectangle", 1),
    ]
    assert drawn(tmp_path, *parts) == (24, 0)
    behind = shape("person", [[0, 0], [6, 2]], "rectangle", 2)
    hole = shape("hole", [[0, 0], [6, 1]], "rectangle", 1)
    assert drawn(tmp_path, *parts, hole) == (18, 0)
    assert drawn(tmp_path, *parts, behind, hole) == (24, 0)
    assert drawn(tmp_path, *parts, behind, {**hole, "group_id": None}) == (18, 0)


def test_mask_shapes_lie_at_their_box(tmp_path):
    part = np.array([[1, 1, 0], [0, 1, 1]], np.uint8)
    # the second point is the last pixel inside
    annotate(tmp_path, "a", [shape("person", [[5, 3], [7, 4]], "mask", mask=bitmap(part))])
    read = LabelmeSource(tmp_path).read(0)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3:5, 5:8] = part
    assert np.array_equal(read.mask, expected)
    over = shape("person", [[18, 11], [20, 12]], "mask", mask=bitmap(part * 255))
    assert drawn(tmp_path, over) == (2, 0)
    with pytest.raises(DataError, match=r"shape 1: its mask is 3x2 px, its box 9x8"):
        drawn(tmp_path, shape("person", [[0, 0], [8, 7]], "mask", mask=bitmap(part)))
    with pytest.raises(DataError, match="no base64"):
        drawn(tmp_path, shape("person", [[0, 0], [2, 1]], "mask", mask="?"))


def test_shapes_without_area_are_ignored_and_told(tmp_path):
    lines = [
        shape("whatever", [[1, 1]], "point"),
        shape("whatever", [[1, 1], [2, 2]], "line"),
        shape("whatever", [[1, 1], [2, 2], [5, 5]], "linestrip"),
    ]
    assert drawn(tmp_path, shape("person", SQUARE), *lines) == (36, 0)
    told = "\n".join(LabelmeSource(tmp_path).describe())
    assert "ignored (1 line, 1 linestrip, 1 point" in told


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (shape("pers0n", SQUARE), r"a\.json, shape 2: the label pers0n .*Did you mean person\?"),
        (shape("person", SQUARE, "spline"), "shape type spline is not known"),
        (shape("person", SQUARE[:2]), "polygon of 2 points"),
        (shape("person", [[1, 2], [3, 4], [5, None]]), "cannot be drawn"),
        (shape("person", [[1, 2], [3]]), r"no list of \[x, y\]"),
        (shape("person", SQUARE, "circle"), "circle of 4 points"),
        (shape("person", SQUARE, "polygon", [7]), r"a\.json, shape 2: its group_id \[7\] is no number"),
        ("nonsense", "is no shape"),
    ],
)
def test_wrong_shapes_name_file_and_number(tmp_path, wrong, words):
    with pytest.raises(DataError, match=words):
        drawn(tmp_path, shape("person", SQUARE), wrong)


def test_label_maps(tmp_path):
    annotate(tmp_path, "a", [shape("Modell", SQUARE), shape("Ware", [[0, 0], [1, 1]], "rectangle")])
    source = LabelmeSource(tmp_path, {"kol": ["modell"], "product": "ware", "background": None})
    read = source.read(0)
    assert read.product is not None
    assert (read.mask.sum(), read.product.sum()) == (37, 1)
    with pytest.raises(DataError, match="label Modell is not known"):
        LabelmeSource(tmp_path).read(0)
    with pytest.raises(ConfigError, match=r"Did you mean data.labels=product"):
        LabelmeSource(tmp_path, {"kol": ["a"], "products": ["b"]})


def test_pictures_are_found_by_path_with_backslashes_by_stem_or_in_the_file(tmp_path):
    put(tmp_path / "pictures" / "x.png", picture(5))
    annotate(tmp_path, "labels/x", [shape("person", SQUARE)], image=False, imagePath="..\\pictures\\x.png")
    annotate(tmp_path, "V/y", [], imagePath="C:\\Users\\somebody\\y.png")
    inside = base64.b64encode((tmp_path / "pictures" / "x.png").read_bytes()).decode()
    annotate(tmp_path, "z", [], image=False, imageData=inside)
    source = LabelmeSource(tmp_path)
    assert source.names == ["V/y", "labels/x", "z"]
    assert source.unlabelled == []
    assert np.array_equal(source.read(0).image, picture(0))
    assert source.read(0).mask.sum() == 0
    assert np.array_equal(source.read(1).image, picture(5))
    assert np.array_equal(source.read(2).image, picture(5))
    annotate(tmp_path, "w", [], image=False)
    with pytest.raises(DataError, match=r"w\.json: its image .*w\.png is missing"):
        LabelmeSource(tmp_path).read(2)


def test_pictures_outside_of_the_root_are_told(tmp_path):
    put(tmp_path / "elsewhere" / "x.png", picture(5))
    annotate(tmp_path, "set/x", [shape("person", SQUARE)], image=False, imagePath="../elsewhere/x.png")
    annotate(tmp_path, "set/y", [shape("person", SQUARE)])
    told = "\n".join(LabelmeSource(tmp_path / "set").describe())
    assert "1 of 2 sampled files take an image outside of data.root" in told
    assert "elsewhere/x.png" in told
    (tmp_path / "set" / "x.json").unlink()
    assert "sampled files take" not in "\n".join(LabelmeSource(tmp_path / "set").describe())


@pytest.mark.parametrize("beside", [False, True])
def test_the_fingerprint_follows_the_picture_that_is_opened(tmp_path, beside):
    """imagePath leads to another folder; a picture of the same name beside the label file is not read."""
    opened = put(tmp_path / "pictures" / "x.png", picture(5))
    annotate(tmp_path, "labels/x", [shape("person", SQUARE)], image=beside, imagePath="../pictures/x.png")
    before = LabelmeSource(tmp_path).fingerprint()
    put(opened, 255 - picture(5))
    source = LabelmeSource(tmp_path)
    assert np.array_equal(source.read(0).image, 255 - picture(5))
    assert source.fingerprint() != before


def test_a_damaged_label_file_has_a_fingerprint_and_is_named_when_read(tmp_path):
    annotate(tmp_path, "a", [])
    annotate(tmp_path, "b", []).write_text('{"shapes": [')
    source = LabelmeSource(tmp_path)
    before = source.fingerprint()
    put(tmp_path / "a.png", picture(7))
    assert source.fingerprint() != before
    with pytest.raises(DataError, match=r"b\.json is no Labelme file"):
        source.read(1)


def test_labels_are_drawn_on_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(picture())).save(tmp_path / "a.png", exif=exif.tobytes())
    annotate(tmp_path, "a", [shape("person", SQUARE)], image=False)
    read = LabelmeSource(tmp_path).read(0)
    assert np.array_equal(read.image, picture())
    assert read.mask[2:8, 2:8].all()
    annotate(tmp_path, "a", [], image=False, imageHeight=WIDTH, imageWidth=HEIGHT)
    with pytest.raises(DataError, match=r"12x20 px, but its image is 20x12 px.*EXIF"):
        LabelmeSource(tmp_path).read(0)


def test_labelme_folders_with_groups_and_unlabelled_pictures(tmp_path):
    for name in ("V1/a", "V1/b", "V2/a"):
        annotate(tmp_path, name, [shape("person", SQUARE)])
    put(tmp_path / "V2" / "new.png", picture())
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "train.txt").write_text("V1/a\nV1/b\n")
    source = LabelmeSource(tmp_path)
    assert source.groups == ["V1", "V1", "V2"]
    assert source.given_splits == {"train": [0, 1], "val": [], "test": []}
    told = "\n".join(source.describe())
    assert "3 labelled images, 2 groups" in told
    assert "1 images not labelled: V2/new" in told
    assert "settings.json" in told
    before = source.fingerprint()
    annotate(tmp_path, "V1/a", [shape("person", SQUARE[:3])])
    assert LabelmeSource(tmp_path).fingerprint() != before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xml", "<annotation><filename>a.png</filename></annotation>", "CVAT's 'LabelMe' export is XML"),
        ("b.json", '{"images": [], "annotations": []}', "COCO JSON"),
        ("b.json", '[{"id": 1, "annotations": []}]', "Label Studio JSON"),
        ("b.json", '{"shapes": [', "damaged JSON"),
        ("b.json", "", "it is empty"),
    ],
)
def test_labels_of_other_tools_are_named(tmp_path, name, content, words):
    put(tmp_path / "a.png", picture())
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=words):
        LabelmeSource(tmp_path)


def test_cvat_xml_named_json_beside_its_picture_is_named_when_read(tmp_path):
    annotate(tmp_path, "a", [])
    put(tmp_path / "b.png", picture())
    (tmp_path / "b.json").write_text("<?xml version='1.0'?><annotation/>")
    with pytest.raises(DataError, match=r"1 of 2 images.*\n.*b\.json is no Labelme file: it is XML"):
        checked_hashes(LabelmeSource(tmp_path), "")
