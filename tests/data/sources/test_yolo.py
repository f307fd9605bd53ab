import shutil
from pathlib import Path

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data.checking import checked_hashes
from kolbench.data.sources.yolo import YoloSource
from kolbench.errors import ConfigError, DataError
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.tasks import configured

OTHERS = Path(__file__).parent / "written_by_others"
SQUARE = [2, 2, 8, 2, 8, 8, 2, 8]
BESIDE = [8, 3, 10, 3, 10, 6, 8, 6]
FAR = [15, 3, 18, 3, 18, 6, 15, 6]


def line(number: int, corners: list[int]) -> str:
    shares = np.array(corners).reshape(-1, 2) / (WIDTH, HEIGHT)
    return " ".join([str(number), *(f"{share:.6f}" for share in shares.ravel())])


def tree(
    root: Path, *lines: str, part: str = "train", name: str = "a", names: str = "[person, bag, car]"
) -> Path:
    put(root / "images" / part / f"{name}.png", picture(len(part) + len(name)))
    label = root / "labels" / part / f"{name}.txt"
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text("\n".join(lines) + "\n")
    (root / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnames: {names}\n")
    return root


def areas(root: Path, *lines: str, **choices: str) -> tuple[int, int]:
    read = YoloSource(tree(root, *lines), **choices).read(0)
    assert read.product is not None
    return int(read.mask.sum()), int(read.product.sum())


def test_persons_and_what_they_hold_are_one(tmp_path):
    person, bag, far = line(0, SQUARE), line(1, BESIDE), line(1, FAR)
    assert areas(tmp_path, person) == (36, 0)
    assert areas(tmp_path, person, bag, far, line(2, BESIDE)) == (42, 6)
    assert areas(tmp_path, person, bag, far, products="listed") == (51, 15)
    # there and back over the same bridge, as several parts of an object are joined
    joined = [*SQUARE, 2, 8, 12, 8, 12, 10, 14, 10, 14, 8, 12, 8, 2, 8]
    assert areas(tmp_path, line(0, joined)) == (36 + 4, 0)


def test_trees_of_ultralytics_and_of_roboflow(tmp_path):
    for part in ("train", "val"):
        for name in "ab":
            tree(tmp_path / "u", line(0, SQUARE), part=part, name=name)
    source = YoloSource(tmp_path / "u")
    assert source.names == ["images/train/a", "images/train/b", "images/val/a", "images/val/b"]
    assert source.groups == [None] * 4
    assert source.given_splits is not None
    assert source.given_splits["test"] == [2, 3]
    root = tmp_path / "robo"
    for number, part in enumerate(("train", "valid", "test")):
        put(root / part / "images" / "a.jpg", picture(number))
        (root / part / "labels").mkdir()
        (root / part / "labels" / "a.txt").write_text(line(0, SQUARE))
    (root / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: {0: person}\n"
    )
    source = YoloSource(root)
    assert source.names == ["test/images/a", "train/images/a", "valid/images/a"]
    assert source.given_splits == {"train": [1], "val": [2], "test": [0]}


def test_data_yaml_decides_splits_of_other_names(tmp_path):
    for part, name in (("x", "a"), ("y", "b"), ("z", "c")):
        tree(tmp_path, line(0, SQUARE), part=part, name=name)
    (tmp_path / "held.txt").write_text("./images/z/c.png\n")
    (tmp_path / "data.yaml").write_text(
        "path: /nowhere/set\ntrain: images/x\nval: [images/y]\ntest: held.txt\nnames: {0: person}\n"
    )
    assert YoloSource(tmp_path).given_splits == {"train": [0], "val": [1], "test": [2]}
    (tmp_path / "data.yaml").write_text("train: /etc\nval: ../../outside\nnames: {0: person}\n")
    assert YoloSource(tmp_path).given_splits is None


def test_pictures_without_labels_show_nobody(tmp_path):
    tree(tmp_path, line(0, SQUARE), name="a")
    tree(tmp_path, "", name="bb")
    put(tmp_path / "images" / "train" / "ccc.png", picture(9))
    put(tmp_path / "cover.png", picture(10))
    source = YoloSource(tmp_path)
    assert source.names == ["images/train/a"]
    told = "\n".join(source.describe())
    assert "2 images without a person are left out" in told
    assert "1 images not labelled: cover" in told
    assert "classes: kol: person; product: bag; not counted: car" in told
    kept = YoloSource(tmp_path, empty="keep")
    assert len(kept) == 3
    assert kept.read(2).mask.sum() == 0


def test_files_that_supervision_wrote(tmp_path):
    """It traces masks with OpenCV, whose outlines end at the index of the last pixel."""
    shutil.copytree(OTHERS / "supervision_yolo", tmp_path, dirs_exist_ok=True)
    put(tmp_path / "images" / "p0.png", picture(0, 16, 24))
    read = YoloSource(tmp_path).read(0)
    assert read.product is not None
    expected = np.zeros((16, 24), np.uint8)
    expected[2:12, 3:9] = 1
    bag = np.zeros((16, 24), np.uint8)
    bag[6:8, 10:13] = 1
    assert np.array_equal(read.product, bag)
    assert np.array_equal(read.mask, expected | bag)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("0 0.5 0.5 0.2 0.2", r"a\.txt, line 2 is a box of detection"),
        ("0 0.1 0.1 0.2 0.2 0.3", "no list of x, y"),
        ("0 0.1 0.1", "outline of 1 points"),
        ("0 a b c d e f", "no list of x, y"),
        ("0 nan 0 1 0 1 1", "cannot be drawn"),
        ("0 3 3 8 3 8 8", "outside of 0 to 1"),
        ("3 0 0 1 0 1 1", "line 2: the class 3 is not one of 0, 1, 2"),
        ("person 0 0 1 0 1 1", "the class person is not one of"),
        ("-1 0 0 1 0 1 1", "the class -1 is not one of"),
    ],
)
def test_wrong_lines_are_named(tmp_path, wrong, words):
    with pytest.raises(DataError, match=words):
        checked_hashes(YoloSource(tree(tmp_path, line(0, SQUARE), wrong)), "")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("[dog]", r"data\.yaml has no category that means a KOL"),
        ("5", "names is neither a list"),
        ("{a: b}", "names is neither a list"),
        ("[person, [x]]", "names is neither a list"),
        ("[person", "is no YAML"),
        ("!!python/object/apply:os.system [false]", "is no YAML"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, names, words):
    with pytest.raises(DataError, match=words):
        YoloSource(tree(tmp_path, line(0, SQUARE), names=names))


def test_a_yaml_that_multiplies_is_refused_at_once(tmp_path):
    tree(tmp_path, line(0, SQUARE))
    levels = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 30))
    (tmp_path / "data.yaml").write_text(f"x0: &x0 [a]\n{levels}\nnames: *x29\n")
    with pytest.raises(DataError, match="names is neither a list of class names"):
        YoloSource(tmp_path)
    (tmp_path / "data.yaml").write_text(f"x0: &x0 [a]\n{levels}\ntrain: *x29\nnames: [person]\n")
    assert len(YoloSource(tmp_path)) == 1


def test_folders_that_cannot_be_used(tmp_path):
    put(tmp_path / "images" / "a.png", picture())
    with pytest.raises(DataError, match=r"has no data\.yaml .* and no classes\.txt"):
        YoloSource(tmp_path)
    (tmp_path / "classes.txt").write_text("person\n")
    with pytest.raises(DataError, match="none of 1 images has a label file"):
        YoloSource(tmp_path)
    (tmp_path / "images" / "a.txt").write_text(line(0, SQUARE))
    with pytest.raises(DataError, match="none of 1 images has a label file"):
        YoloSource(tmp_path)
    # pictures and labels in one folder, where none is called images
    (tmp_path / "images").rename(tmp_path / "obj_train_data")
    assert YoloSource(tmp_path).read(0).mask.sum() == 36
    with pytest.raises(ConfigError, match=r"data\.held=near"):
        YoloSource(tmp_path, products="near")


def test_the_yaml_and_the_fingerprint(tmp_path):
    tree(tmp_path, line(0, SQUARE), line(2, FAR))
    words = ("data=yolo", f"data.root={tmp_path}", "data.labels.product=[car]", "data.held=listed")
    source = instantiate(configured("experiment=ellipse", *words).data.source)
    assert source.read(0).product.sum() == 9
    seen = {source.fingerprint()}
    tree(tmp_path, line(0, SQUARE))
    seen.add(YoloSource(tmp_path).fingerprint())
    tree(tmp_path, line(0, SQUARE), names="[bag, person]")
    seen.add(YoloSource(tmp_path, empty="keep").fingerprint())
    assert len(seen) == 3
