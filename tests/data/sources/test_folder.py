import base64
import csv
import io
import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kolbench.data import duplicates, listing, splits
from kolbench.data.checking import check_all, perceptual_hash
from kolbench.data.sources import labelme
from kolbench.data.sources.folder import FolderSource
from kolbench.data.sources.kol import KolSource
from kolbench.data.sources.labelme import LabelmeSource, fill_polygon
from kolbench.errors import ConfigError, DataError
from kolbench.io import images, masks

WIDTH, HEIGHT = 20, 12


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def put(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, array)
    return path


def folder(root: Path, names: list[str], products: tuple[str, ...] = ()) -> Path:
    for number, name in enumerate(names):
        put(root / "images" / f"{name}.png", picture(number))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[2:8, 3:9] = 255
        put(root / "masks" / f"{name}.png", mask)
    for name in products:
        product = np.zeros((HEIGHT, WIDTH), np.uint8)
        product[4:6, 5:7] = 255
        put(root / "products" / f"{name}.png", product)
    return root


def test_folder_pairs_by_stem_at_any_depth_and_in_any_format(tmp_path):
    root = folder(tmp_path, ["b", "VIDEO/a", "图 片"], products=("b",))
    images.write_jpeg(root / "images" / "c.JPG", picture(9))
    put(root / "masks" / "c.png", np.ones((HEIGHT, WIDTH), np.uint8))
    source = FolderSource(root)
    assert source.names == ["VIDEO/a", "b", "c", "图 片"]
    assert source.groups == ["VIDEO", None, None, None]
    assert source.tags == ["", "", "", ""]
    assert source.given_splits is None
    read = source.read(1)
    assert np.array_equal(read.image, picture(0))
    assert read.mask.sum() == 36
    assert read.product is not None
    assert read.product.sum() == 4
    assert source.read(0).product is None
    assert source.read(2).mask.all()


def test_a_product_outside_its_mask_is_added_to_it(tmp_path):
    root = folder(tmp_path, ["a"])
    product = np.zeros((HEIGHT, WIDTH), np.uint8)
    product[7:9, 8:11] = 1
    put(root / "products" / "a.png", product)
    read = FolderSource(root).read(0)
    # 36 + 6 less the one pixel that both cover
    assert read.mask.sum() == 41
    assert not (read.product > read.mask).any()


def test_unmatched_files_are_reported_and_left_out(tmp_path):
    root = folder(tmp_path, ["a", "b"], products=("z",))
    for number in range(25):
        put(root / "images" / f"lonely{number:02d}.png", picture())
    put(root / "masks" / "A2.png", np.zeros((4, 4), np.uint8))
    put(root / "images" / "a2.png", picture())
    source = FolderSource(root)
    assert source.names == ["a", "b"]
    text = "\n".join(source.describe())
    assert "2 pictures with masks" in text
    assert "26 images without a partner are left out: a2, lonely00" in text
    assert "and 6 more" in text
    assert "a2 and A2 differ in upper and lower case only" in text
    assert "1 products without a partner are left out: z" in text
    assert "0/255 (2)" in text


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        FolderSource(tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"has no folder masks/.*It holds images"):
        FolderSource(tmp_path)
    put(tmp_path / "images" / "a.png", picture())
    put(tmp_path / "masks" / "a_mask.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"first: a\).*first: a_mask\)"):
        FolderSource(tmp_path)
    put(tmp_path / "masks" / "a.png", np.zeros((4, 4), np.uint8))
    images.write_jpeg(tmp_path / "images" / "a.jpg", picture())
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png have the same name"):
        FolderSource(tmp_path)


def test_hidden_files_of_other_systems_are_no_pictures(tmp_path):
    root = folder(tmp_path, ["a"])
    (root / "images" / "._a.png").write_bytes(b"\x00\x05\x16\x07")
    (root / "images" / ".thumbs").mkdir()
    put(root / "images" / ".thumbs" / "a.jpg", picture())
    assert FolderSource(root).names == ["a"]


def test_composed_and_decomposed_names_are_one(tmp_path):
    root = folder(tmp_path, [unicodedata.normalize("NFD", "é")])
    (root / "images" / (unicodedata.normalize("NFD", "é") + ".png")).rename(root / "images" / "é.png")
    (root / "train.txt").write_text("é\n", encoding="utf-8")
    source = FolderSource(root)
    assert source.names == [unicodedata.normalize("NFC", "é")]
    assert source.given_splits == {"train": [0], "val": [], "test": []}


def test_split_files(tmp_path):
    root = folder(tmp_path, ["a", "b", "V/c", "d", "e"])
    (root / "train.txt").write_text("b\n\nimages/a.png\n", encoding="utf-8-sig")
    (root / "val.txt").write_text("V\\c\r\n")
    (root / "test.txt").write_text("d.png")
    source = FolderSource(root)
    assert source.names == ["V/c", "a", "b", "d", "e"]
    assert source.given_splits == {"train": [2, 1], "val": [0], "test": [3]}
    assert any("1 pictures stand in no split" in line for line in source.describe())


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        ("a\nhat_1\n", "b\n", r"train\.txt, line 2: there is no picture hat_1\. Did you mean hat_01\?"),
        ("a\n", "b\n\na\n", r"val\.txt, line 3: a stands already in .*train\.txt, line 1"),
        ("a\na\n", "b\n", r"train\.txt, line 2: a stands already"),
        ("a\nmaskless\n", "b\n", r"train\.txt, line 2: maskless has no mask"),
    ],
)
def test_wrong_split_files_name_file_and_line(tmp_path, train, val, words):
    root = folder(tmp_path, ["a", "b", "hat_01"])
    put(root / "images" / "maskless.png", picture())
    (root / "train.txt").write_text(train)
    (root / "val.txt").write_text(val)
    with pytest.raises(DataError, match=words):
        FolderSource(root)


def test_groups_csv_gives_groups_and_tags_and_overrules_folders(tmp_path):
    root = folder(tmp_path, ["a", "b", "V/c", "d"])
    (root / "groups.csv").write_text("stem,group,tag\na,clip 1,bag\nb,clip 1\nV/c,,\n")
    source = FolderSource(root)
    assert source.names == ["V/c", "a", "b", "d"]
    assert source.groups == [None, "clip 1", "clip 1", None]
    assert source.tags == ["", "bag", "", ""]
    (root / "groups.csv").write_text("a,clip\nq,clip\n")
    with pytest.raises(DataError, match=r"groups\.csv, line 2: there is no picture q"):
        FolderSource(root)
    (root / "groups.csv").write_text("a,b,c,d\n")
    with pytest.raises(DataError, match=r"line 1: 4 columns"):
        FolderSource(root)


def test_folders_called_train_val_test_are_the_split_and_not_groups(tmp_path):
    root = folder(tmp_path, ["train/V1/a", "train/V1/b", "val/V2/a", "test/a"])
    source = FolderSource(root)
    assert source.names == ["test/a", "train/V1/a", "train/V1/b", "val/V2/a"]
    assert source.given_splits == {"train": [1, 2], "val": [3], "test": [0]}
    assert source.groups == [None, "V1", "V1", "V2"]


def test_fingerprint_sees_contents_and_names_but_no_times_or_places(tmp_path):
    root = folder(tmp_path / "one", ["a", "b"], products=("a",))
    before = FolderSource(root).fingerprint()
    assert FolderSource(folder(tmp_path / "two", ["a", "b"], products=("a",))).fingerprint() == before
    os.utime(root / "masks" / "a.png", (0, 0))
    assert FolderSource(root).fingerprint() == before
    seen = {before}
    mask = masks.read_mask(root / "masks" / "a.png") * 255
    mask[0, 0] = 255
    for change in (
        lambda: put(root / "masks" / "a.png", mask),
        lambda: put(root / "images" / "b.png", picture(77)),
        lambda: put(root / "products" / "a.png", mask),
        lambda: (root / "products" / "a.png").unlink(),
        lambda: [(root / part / "b.png").rename(root / part / "c.png") for part in ("images", "masks")],
    ):
        change()
        seen.add(FolderSource(root).fingerprint())
    assert len(seen) == 6


@pytest.mark.parametrize("suffix", ["bmp", "ppm", "tif"])
def test_one_pixel_in_the_middle_of_a_large_picture_changes_the_fingerprint(tmp_path, suffix):
    array = picture(3, 300, 400)
    for kind, content in (("images", array), ("masks", np.ones((300, 400), np.uint8))):
        (tmp_path / kind).mkdir()
        Image.fromarray(content).save(tmp_path / kind / f"a.{suffix if kind == 'images' else 'png'}")
    path = tmp_path / "images" / f"a.{suffix}"
    before, size = FolderSource(tmp_path).fingerprint(), path.stat().st_size
    array[150, 200] ^= 255
    Image.fromarray(array).save(path)
    assert path.stat().st_size == size > 4 * listing.BLOCK_BYTES
    assert FolderSource(tmp_path).fingerprint() != before


def test_labels_are_hashed_whole_and_pictures_above_64_mib_at_both_ends(tmp_path):
    path = tmp_path / "big"
    for size, whole, seen in (
        (listing.WHOLE_BYTES, False, True),
        (listing.WHOLE_BYTES + 1, False, False),
        (listing.WHOLE_BYTES + 1, True, True),
    ):
        path.write_bytes(b"")
        os.truncate(path, size)
        before = listing.digest([("a", path, whole)])
        for place, changes in ((size // 2, seen), (0, True), (size - 1, True)):
            with path.open("r+b") as handle:
                handle.seek(place)
                handle.write(b"x")
            assert (listing.digest([("a", path, whole)]) != before) == changes
            before = listing.digest([("a", path, whole)])


def test_videos_are_known_again_by_both_ends(tmp_path):
    path = tmp_path / "big"
    content = bytearray(5 * listing.BLOCK_BYTES)
    path.write_bytes(content)
    whole, ends = (listing.content_digest(path, flag) for flag in (True, False))
    content[len(content) // 2] = 1
    path.write_bytes(content)
    assert listing.content_digest(path, True) != whole
    assert listing.content_digest(path, False) == ends
    content[-1] = 1
    path.write_bytes(content)
    assert listing.content_digest(path, False) != ends


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    """As where clips lie on another disk, or two clips share their masks."""
    root = folder(tmp_path / "set", ["V1/a"])
    elsewhere = folder(tmp_path / "disk", ["b", "deep/c"])
    for kind in ("images", "masks"):
        (root / kind / "V2").symlink_to(elsewhere / kind, target_is_directory=True)
        (root / kind / "V1" / "loop").symlink_to(root / kind, target_is_directory=True)
        (root / kind / "V1" / "itself").symlink_to(root / kind / "V1" / "itself")
        (elsewhere / kind / "deep" / "up").symlink_to(elsewhere / kind, target_is_directory=True)
        (root / kind / "gone").symlink_to(tmp_path / "nowhere", target_is_directory=True)
    put(root / "images" / "V3" / "b.png", picture(8))
    (root / "masks" / "V3").symlink_to(elsewhere / "masks", target_is_directory=True)
    source = FolderSource(root)
    assert source.names == ["V1/a", "V2/b", "V2/deep/c", "V3/b"]
    assert source.groups == ["V1", "V2", "V2/deep", "V3"]
    assert np.array_equal(source.read(2).image, picture(1))
    assert source.read(3).mask.sum() == 36


def test_folders_that_link_to_each_other_end(tmp_path):
    root = folder(tmp_path, ["V1/a", "V2/b"])
    (root / "images" / "V1" / "x").symlink_to(root / "images" / "V2", target_is_directory=True)
    (root / "images" / "V2" / "y").symlink_to(root / "images" / "V1", target_is_directory=True)
    names = listing.pictures_below(root / "images")
    assert sorted(names) == ["V1/a", "V1/x/b", "V2/b", "V2/y/a"]


def test_check_all_lists_every_bad_picture_in_one_error(tmp_path):
    root = folder(tmp_path, [f"{n:03d}" for n in range(150)])
    bad = list(range(0, 150, 6))
    for number in bad:
        (root / "images" / f"{number:03d}.png").write_bytes(b"<html>")
    put(root / "masks" / "001.png", np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    kept: list[int] = []
    with pytest.raises(DataError) as error:
        check_all(FolderSource(root), lambda index, image: kept.append(index))
    text = str(error.value)
    assert text.startswith("26 of 150 pictures cannot be used:")
    assert text.count("web page") == 19
    assert "001.png is 20x12 px, but" in text
    assert text.endswith("and 6 more")
    assert kept == [n for n in range(150) if n not in {*bad, 1}]


def test_mask_warnings_are_told(tmp_path):
    root = folder(tmp_path, ["a", "b"])
    (root / "masks" / "a.png").unlink()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, :8] = 255
    mask[:, 8] = 200
    images.write_jpeg(root / "masks" / "a.jpg", mask)
    (root / "masks" / "b.png").write_bytes(b"")
    text = "\n".join(FolderSource(root).describe())
    assert "mask levels in 1 masks read so far: cut at 0.5 (1)" in text
    assert "a.jpg" in text
    assert "lossy" in text


# ---- Labelme


def shape(label, points, shape_type="polygon", group_id=None, **more):
    return {"label": label, "points": points, "shape_type": shape_type, "group_id": group_id, **more}


def annotate(root: Path, name: str, shapes: list, image: bool = True, **fields) -> Path:
    if image:
        put(root / f"{name}.png", picture())
    path = root / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"{Path(name).name}.png",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        **fields,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def drawn(root: Path, *shapes: dict) -> tuple[int, int]:
    """Foreground and product area in pixels."""
    annotate(root, "a", list(shapes))
    read = LabelmeSource(root).read(0)
    assert read.product is not None
    return int(read.mask.sum()), int(read.product.sum())


SQUARE = [[2, 2], [8, 2], [8, 8], [2, 8]]


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


def test_polygons_cover_what_an_independent_point_test_says():
    rng = np.random.default_rng(3)
    for _ in range(20):
        corners = rng.uniform(-3, 24, (int(rng.integers(3, 9)), 2))
        expected = np.zeros((HEIGHT, WIDTH), bool)
        for y in range(HEIGHT):
            for x in range(WIDTH):
                expected[y, x] = crossings((x + 0.5, y + 0.5), corners) % 2
        assert np.array_equal(fill_polygon(corners, HEIGHT, WIDTH), expected)


def crossings(point: tuple[float, float], corners: np.ndarray) -> int:
    """Edges that a ray downwards from the point crosses."""
    count = 0
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        if (x0 > point[0]) != (x1 > point[0]):
            count += y0 + (point[0] - x0) * (y1 - y0) / (x1 - x0) > point[1]
    return count


def test_polygons_that_share_an_edge_neither_overlap_nor_leave_a_gap():
    left = fill_polygon(np.array([[0, 0], [7.5, 0], [4.2, 12], [0, 12]]), HEIGHT, WIDTH)
    right = fill_polygon(np.array([[7.5, 0], [20, 0], [20, 12], [4.2, 12]]), HEIGHT, WIDTH)
    assert not (left & right).any()
    assert (left | right).all()


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


def bitmap(array: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


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
    assert (read.mask.sum(), read.product.sum()) == (37, 1)
    with pytest.raises(DataError, match="label Modell is not known"):
        LabelmeSource(tmp_path).read(0)
    with pytest.raises(ConfigError, match=r"Did you mean data.labels=product"):
        LabelmeSource(tmp_path, {"kol": ["a"], "products": ["b"]})
    with pytest.raises(DataError, match=r"A stands in data.labels.kol and data.labels.product"):
        labelme.label_classes({"kol": ["a"], "product": ["A"]})
    with pytest.raises(DataError, match=r"data.labels.kol is empty"):
        labelme.label_classes({"kol": [], "product": ["a"]})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kol": 5}, r"data\.labels\.kol=5 .*data\.labels\.kol=\[.person.\]"),
        ({"kol": ["person", 5]}, r"data\.labels\.kol=.*5"),
        ({"kol": [["person"]]}, r"data\.labels\.kol="),
        ({"kol": ["person"], "product": True}, r"data\.labels\.product=True"),
        ({"kol": ["person"], "background": {"hole": 1}}, r"data\.labels\.background="),
        ({"kol": " "}, r"data\.labels\.kol="),
        (5, r"data\.labels=5"),
        ("person", r"data\.labels=person"),
    ],
)
def test_label_maps_of_a_wrong_type_name_their_key(wrong, words):
    with pytest.raises(ConfigError, match=words):
        labelme.label_classes(wrong)


def test_a_bare_word_is_one_label():
    assert labelme.label_classes({"kol": "Person", "product": None}) == {"person": "kol"}


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
    with pytest.raises(DataError, match=r"w\.json: its picture .*w\.png is missing"):
        LabelmeSource(tmp_path).read(2)


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
    with pytest.raises(DataError, match=r"12x20 px, but its picture is 20x12 px.*EXIF"):
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
    assert "3 labelled pictures, 2 groups" in told
    assert "1 pictures not labelled: V2/new" in told
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
    with pytest.raises(DataError, match=r"1 of 2 pictures.*\n.*b\.json is no Labelme file: it is XML"):
        check_all(LabelmeSource(tmp_path))


# ---- frames of task=prepare


def prepared(root: Path, names: dict[str, str]) -> Path:
    for number, name in enumerate(names):
        put(root / "images" / f"{name}.png", picture(number))
    with (root / "manifest.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerows(
            [("name", "video", "timestamp_s", "frame"), *((n, v, "0", "0") for n, v in names.items())]
        )
    return root


FRAMES = {"v1/v1_000001": "v1", "v1/v1_000009": "v1", "v2/v2_000003": "v2"}


def test_kol_frames_labelled_with_labelme(tmp_path):
    root = prepared(tmp_path, FRAMES)
    with pytest.raises(DataError, match=r"None of the 3 frames .*Labelme"):
        KolSource(root)
    for name in ("v1/v1_000001", "v2/v2_000003"):
        annotate(root / "images", name, [shape("kol", SQUARE)])
    source = KolSource(root)
    assert source.names == ["v1/v1_000001", "v2/v2_000003"]
    assert source.groups == ["v1", "v2"]
    assert source.read(1).mask.sum() == 36
    assert "2 of 3 frames labelled, in 2 of 2 videos" in source.describe()[0]
    assert source.fingerprint() == LabelmeSource(root / "images").fingerprint()


def test_kol_frames_labelled_by_masks(tmp_path):
    root = prepared(tmp_path, FRAMES)
    put(root / "masks" / "v1" / "v1_000009.png", np.ones((HEIGHT, WIDTH), np.uint8))
    (root / "train.txt").write_text("v1/v1_000009\n")
    source = KolSource(root, {"kol": ["x"]})
    assert (source.names, source.groups) == (["v1/v1_000009"], ["v1"])
    assert source.given_splits == {"train": [0], "val": [], "test": []}
    assert source.read(0).mask.all()


def test_kol_needs_its_manifest(tmp_path):
    folder(tmp_path, ["a"])
    with pytest.raises(DataError, match=r"no manifest\.csv.*data=folder"):
        KolSource(tmp_path)


def test_a_manifest_that_is_no_utf8_is_named(tmp_path):
    """As a spreadsheet saves it in cp1252."""
    root = prepared(tmp_path, FRAMES)
    text = (root / "manifest.csv").read_text(encoding="utf-8").replace("v2,", "café,")
    (root / "manifest.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match=r"manifest\.csv is not UTF-8 text; save it as UTF-8"):
        KolSource(root)
    annotate(root / "images", "v2/v2_000003", [])
    # with the byte order mark and line ends of a spreadsheet's UTF-8
    (root / "manifest.csv").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert KolSource(root).groups == ["café"]


# ---- real photographs


def test_street_kol(shared):
    source = FolderSource(shared / "data" / "street_kol")
    assert len(source) == 793
    assert "793 pictures with masks, 538 with product masks" in source.describe()[0]
    made = splits.make_splits(source, "auto", 0)
    splits.assert_disjoint(made, source.names, source.groups, by_group=True)
    line = splits.describe(made, source, "auto")
    assert line == "593 train / 100 val / 100 test pictures, disjoint by file list"
    hashes: dict[int, np.uint64] = {}
    check_all(source, lambda index, image: hashes.update({index: perceptual_hash(image)}))
    assert len(hashes) == 793
    assert duplicates.cross_split_duplicates(hashes, made) == []
    # one scene photographed twice, which differs enough to pass; unrelated pictures are 10 bits apart
    (pair,) = duplicates.cross_split_duplicates(hashes, made, max_distance=8)
    assert [source.names[row] for row in pair[:2]] == ["0197", "0671"]
