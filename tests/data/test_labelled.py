import pytest

from kolbench.data.labelled import Pictures, given_splits, split_named
from tests.helpers.data_files import picture, put


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("instances_train2017.json", "train"),
        ("_annotations.coco.json", None),
        ("valid", "val"),
        ("person_keypoints_val2017", "val"),
        ("Validation", "val"),
        ("TEST-01", "test"),
        ("train_and_test", None),
        ("latest", None),
        ("trained", None),
    ],
)
def test_splits_that_files_and_folders_are_called_after(text, split):
    assert split_named(text) == split


def test_pictures_are_found_as_they_are_called(tmp_path):
    for name in ("x/a.png", "y/a.png", "x/sub/b.png", "y/sub/c.png", "z/sub/c.png"):
        put(tmp_path / name, picture())
    found = Pictures(tmp_path)
    assert found.find("a.png", [tmp_path / "y"]) == "y/a"
    assert found.find("a.png") is None
    assert found.find("y/a.png") == "y/a"
    assert found.find("D:\\shots\\x\\a.png") == "x/a"
    assert found.find("/home/me/elsewhere/b.png") == "x/sub/b"
    assert found.find("sub/c.png") is None
    assert found.find("z/sub/c.png") == "z/sub/c"
    assert found.find("../x/a.png", [tmp_path / "y"]) == "x/a"
    assert found.find("../../etc/passwd", [tmp_path]) is None
    assert found.find("b.jpg") is None
    assert Pictures(tmp_path / "x" / ".." / "y").find("a.png", [tmp_path / "y"]) == "a"


def test_two_parts_are_three_splits():
    names = [f"t{n}" for n in range(10)] + ["v0", "v1"]
    known = {name: "train" if name[0] == "t" else "val" for name in names}
    splits, note = given_splits(names, [None] * 12, known)
    assert splits is not None
    assert splits["test"] == [10, 11]
    assert len(splits["val"]) == 1
    assert sorted(splits["train"] + splits["val"]) == list(range(10))
    assert note == "val is the test set; 1 images of train are drawn for validation"
    # groups stay whole
    groups = ["a"] * 5 + ["b"] * 5 + [None, None]
    splits, _ = given_splits(names, groups, known)
    assert splits is not None
    assert splits["val"] in ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    assert given_splits(names, ["a"] * 12, known)[0] is None


def test_one_part_is_no_split_and_three_are_taken():
    assert given_splits(["a", "b"], [None] * 2, {"a": "train", "b": "train"}) == (None, "")
    assert given_splits(["a", "b"], [None] * 2, {"a": "val", "b": "test"}) == (None, "")
    known = {"a": "train", "b": "val", "c": "test"}
    assert given_splits("abc", [None] * 3, known) == ({"train": [0], "val": [1], "test": [2]}, "")
