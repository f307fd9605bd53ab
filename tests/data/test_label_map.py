import pytest

from kolbench.data.label_map import meanings
from kolbench.errors import ConfigError, DataError

# as CVAT's "Segmentation mask 1.1" has it
CVAT = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nPerson:128,0,0::\nbag:0,128,0::\ncar:0,0,128::\n"


def test_masks_are_no_label_maps_unless_somebody_says_so(tmp_path):
    assert meanings(tmp_path, None, None, None) is None


def test_a_label_file_says_what_colours_mean(tmp_path):
    (tmp_path / "labelmap.txt").write_text(CVAT)
    found = meanings(tmp_path, None, None, None)
    assert found is not None
    assert (found.person, found.product) == (((128, 0, 0),), ((0, 128, 0),))
    assert "Person (kol), bag (product), car (not counted)" in found.note
    other = meanings(tmp_path, None, None, {"kol": "car"})
    assert other is not None
    assert (other.person, other.product) == (((0, 0, 128),), ())
    # what is typed comes first
    typed = meanings(tmp_path, "red", 3, None)
    assert typed is not None
    assert (typed.person, typed.product, typed.file) == (((255, 0, 0),), (3,), None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("background:0,0,0::\ndog:1,2,3::\n", "no category that means a KOL.*It has background, dog"),
        ("person:0,0\n", r"line 1: person:0,0 is not name:red,green,blue"),
        ("\nperson:0,0,256::\n", "line 2"),
        ("person\n", "line 1"),
    ],
)
def test_wrong_label_files_are_named(tmp_path, content, words):
    (tmp_path / "labelmap.txt").write_text(content)
    with pytest.raises(DataError, match=words):
        meanings(tmp_path, None, None, None)


def test_colours_that_contradict_each_other(tmp_path):
    with pytest.raises(ConfigError, match=r"product_colour needs data\.person_colour"):
        meanings(tmp_path, None, "red", None)
    with pytest.raises(ConfigError, match="both name 3"):
        meanings(tmp_path, [3, 4], [3], None)
