import shutil
from pathlib import Path

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data.checking import checked_hashes
from kolbench.data.sources.cvat import CvatSource
from kolbench.errors import DataError
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.tasks import configured

OTHERS = Path(__file__).parent / "written_by_others"
SQUARE = '<polygon label="person" points="2,2;8,2;8,8;2,8" z_order="0"/>'
BAG = '<box label="Bag" xtl="7" ytl="7" xbr="10" ybr="9" z_order="0"/>'


def image(shapes: str, name: str = "a.png", more: str = "") -> str:
    return f'<image id="0" name="{name}" width="{WIDTH}" height="{HEIGHT}" {more}>{shapes}</image>'


def write(path: Path, *images: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
    path.write_text(f"{head}{''.join(images)}</annotations>", encoding="utf-8")
    return path


def areas(root: Path, *shapes: str) -> tuple[int, int]:
    put(root / "images" / "a.png", picture())
    write(root / "annotations.xml", image("".join(shapes)))
    read = CvatSource(root, empty="keep").read(0)
    assert read.product is not None
    return int(read.mask.sum()), int(read.product.sum())


def test_areas_of_shapes_are_those_counted_by_hand(tmp_path):
    assert areas(tmp_path, SQUARE) == (36, 0)
    # 36 + 6 - 1 shared
    assert areas(tmp_path, SQUARE, BAG) == (41, 6)
    # a box of 4 x 2 px, turned by a quarter about its middle (6, 5): 2 x 4 px
    box = '<box label="kol" xtl="4" ytl="4" xbr="8" ybr="6" rotation="90"/>'
    assert areas(tmp_path, box) == (8, 0)
    assert np.array_equal(CvatSource(tmp_path).read(0).mask.nonzero()[1], [5, 6] * 4)
    # centres within 2 px of (5, 5): the 4 x 4 block without its corners
    assert areas(tmp_path, '<ellipse label="kol" cx="5" cy="5" rx="2" ry="2" rotation="30"/>') == (12, 0)
    # half axes of 4 and 1, turned by a quarter: columns 4 and 5
    assert areas(tmp_path, '<ellipse label="kol" cx="5" cy="5" rx="4" ry="1" rotation="90.0"/>')[0] == 12
    assert set(CvatSource(tmp_path).read(0).mask.nonzero()[1]) == {4, 5}


def test_masks_lie_at_their_box_row_by_row(tmp_path):
    mask = '<mask label="person" rle="1, 2, 1, 2" left="5" top="3" width="3" height="2" z_order="0"/>'
    assert areas(tmp_path, mask) == (4, 0)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3:5, 5:8] = [[0, 1, 1], [0, 1, 1]]
    assert np.array_equal(CvatSource(tmp_path).read(0).mask, expected)


def test_backgrounds_cut_by_z_order_and_group(tmp_path):
    hole = '<polygon label="hole" points="4,4;6,4;6,6;4,6" z_order="{}" group_id="{}"/>'
    assert areas(tmp_path, hole.format(1, 0), SQUARE) == (32, 0)
    assert areas(tmp_path, SQUARE, hole.format(-1, 0)) == (36, 0)
    grouped = SQUARE.replace("z_order", 'group_id="3" z_order')
    assert areas(tmp_path, grouped, hole.format(0, 3)) == (32, 0)
    assert areas(tmp_path, grouped, hole.format(0, 4)) == (36, 0)


def test_shapes_without_area_are_ignored_and_told(tmp_path):
    lines = '<points label="x" points="1,1"/><polyline label="x" points="1,1;2,2"/><tag label="x"/>'
    assert areas(tmp_path, SQUARE, lines) == (36, 0)
    told = "\n".join(CvatSource(tmp_path).describe())
    assert "shapes without area are ignored (1 points, 1 polyline, 1 tag)" in told


def test_files_that_datumaro_wrote(tmp_path):
    shutil.copytree(OTHERS / "datumaro_cvat", tmp_path, dirs_exist_ok=True)
    for name in ("p0", "p1"):
        put(tmp_path / "images" / f"{name}.jpg", picture(0, 16, 24))
    with pytest.raises(DataError, match=r"train\.xml, p0\.jpg, shape 3: the label car is not known"):
        CvatSource(tmp_path).read(0)
    labels = {"kol": "person", "product": "bag", "background": "car"}
    source = CvatSource(tmp_path, labels)
    first, second = source.read(0), source.read(1)
    assert first.product is not None
    assert (first.mask.sum(), first.product.sum()) == (77 + 12, 12)
    expected = np.zeros((16, 24), np.uint8)
    expected[3:12, 5:17] = 1
    expected[5:7, 8:11] = expected[11, 5:9] = 0
    assert np.array_equal(second.mask, expected)


def test_subsets_and_exports_of_several_tasks(tmp_path):
    subsets = ("Train", "Validation", "Test")
    images = []
    for number, subset in enumerate(subsets):
        put(tmp_path / "images" / subset / "clip" / f"{number}.png", picture(number))
        images.append(image(SQUARE, f"clip/{number}.png", f'subset="{subset}"'))
    write(tmp_path / "annotations.xml", *images)
    source = CvatSource(tmp_path)
    assert source.groups == ["clip"] * 3
    assert source.given_splits == {"train": [1], "val": [2], "test": [0]}
    for task in ("one", "two"):
        put(tmp_path / "tasks" / task / "images" / "frame_0.png", picture(len(task)))
        write(tmp_path / "tasks" / task / "annotations.xml", image(SQUARE, "frame_0.png"))
    source = CvatSource(tmp_path / "tasks")
    assert (source.names, source.groups) == (["one/images/frame_0", "two/images/frame_0"], ["one", "two"])


def test_pictures_without_a_person_are_left_out_and_unknown_labels_named(tmp_path):
    for name in "abc":
        put(tmp_path / f"{name}.png", picture(ord(name)))
    shapes = (SQUARE, BAG, '<polygon label="hole" points="4,4;6,4;6,6;4,6"/>')
    write(tmp_path / "x.xml", *(image(shape, f"{n}.png") for n, shape in zip("abc", shapes, strict=True)))
    source = CvatSource(tmp_path)
    assert source.names == ["a"]
    assert any("2 images without a person are left out" in line for line in source.describe())
    write(tmp_path / "x.xml", image(SQUARE), image(SQUARE.replace("person", "pers0n"), "b.png"))
    with pytest.raises(
        DataError, match=r"b\.png, shape 1: the label pers0n is not known.*Did you mean person"
    ):
        checked_hashes(CvatSource(tmp_path), "")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ('<polygon label="kol" points="1,1;2,2"/>', r"a\.png, shape 1: an outline of 2 points"),
        ('<polygon label="kol" points="1,1;2,2;3"/>', "no list of x, y"),
        ('<polygon label="kol"/>', "no list of x, y"),
        ('<cube label="kol"/>', "the shape cube is not known"),
        ('<box label="kol" xtl="1" ytl="1" xbr="x" ybr="2"/>', "its xbr is x, no number"),
        ('<box label="kol" xtl="1" ytl="1" xbr="2"/>', "its ybr is None, no number"),
        ('<box label="kol" xtl="1" ytl="1" xbr="inf" ybr="2"/>', "its xbr is inf, no number"),
        ('<mask label="kol" rle="3,a" left="0" top="0" width="2" height="2"/>', "no list of run lengths"),
        ('<mask label="kol" rle="3,2" left="0" top="0" width="2" height="2"/>', "RLE has 5 pixels, but 2x2"),
        ('<mask label="kol" rle="0" left="0" top="0" width="0" height="0"/>', "its mask is 0x0 px"),
        (
            '<mask label="kol" rle="9999999999,1" left="0" top="0" width="10000000000" height="1"/>',
            "its mask is",
        ),
        ('<mask label="kol" rle="1" left="0.5" top="0" width="1" height="1"/>', "no whole number"),
    ],
)
def test_wrong_shapes_name_file_picture_and_number(tmp_path, shape, words):
    with pytest.raises(DataError, match=words):
        areas(tmp_path, shape)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<annotation><filename>a.png</filename></annotation>", "Pascal VOC or LabelMe XML"),
        ("<html/>", "it holds <html>, not <annotations>"),
        ('<annotations><track id="0"/></annotations>', "is 'CVAT for video'"),
        ("<!DOCTYPE a><annotations/>", "declares a document type"),
        ("<annotations/>", "describe none of the 1 images"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    put(tmp_path / "a.png", picture())
    with pytest.raises(DataError, match="holds no XML file of CVAT"):
        CvatSource(tmp_path)
    (tmp_path / "x.xml").write_text(content)
    with pytest.raises(DataError, match=words):
        CvatSource(tmp_path)


def test_a_picture_of_another_size_and_the_fingerprint(tmp_path):
    put(tmp_path / "a.png", picture())
    write(tmp_path / "x.xml", image(SQUARE))
    source = instantiate(configured("experiment=ellipse", "data=cvat", f"data.root={tmp_path}").data.source)
    assert source.read(0).mask.sum() == 36
    seen = {source.fingerprint()}
    write(tmp_path / "x.xml", image(SQUARE + BAG))
    seen.add(CvatSource(tmp_path).fingerprint())
    put(tmp_path / "a.png", picture(1, 5, 6))
    seen.add(CvatSource(tmp_path).fingerprint())
    assert len(seen) == 3
    with pytest.raises(DataError, match=r"20x12 px, but its image is 6x5 px\. Label or export it at"):
        CvatSource(tmp_path).read(0)
