import numpy as np
import pytest
from PIL import Image

from kolbench.errors import ConfigError, DataError
from kolbench.io import label_maps, masks
from tests.helpers.data_files import put

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)
# 2 red, 3 green, 1 blue
COLOURS = np.array([[RED, GREEN, GREEN], [RED, GREEN, BLUE]], np.uint8)


def test_labels_are_colours_or_class_numbers():
    assert label_maps.parse_labels("k", None) == ()
    assert label_maps.parse_labels("k", "#ff0000") == (RED,)
    assert label_maps.parse_labels("k", ["green", 15, "3"]) == (GREEN, 15, 3)
    for wrong in ("#ff0g", "redd", True, -1, 1.5, [None]):
        with pytest.raises(ConfigError, match=r"k=.* is neither a colour.*nor a class number"):
            label_maps.parse_labels("k", wrong)


def test_colours_of_a_lossless_file_count_as_they_are(tmp_path):
    path = put(tmp_path / "a.png", COLOURS)
    assert label_maps.read_labels(path, [RED]).tolist() == [[1, 0, 0], [1, 0, 0]]
    assert label_maps.read_labels(path, [RED, BLUE]).tolist() == [[1, 0, 0], [1, 0, 1]]
    assert not label_maps.read_labels(path, [(254, 0, 0)]).any()
    assert label_maps.colours_in(path) == "#008000 (50%), #ff0000 (33%), #0000ff (17%)"
    with pytest.raises(DataError, match=r"a\.png holds colours \(RGB\), no class numbers"):
        label_maps.read_labels(path, [1])


def test_a_jpeg_moves_colours(tmp_path):
    path = tmp_path / "a.jpg"
    put(path, np.repeat(np.repeat(COLOURS, 32, axis=0), 32, axis=1))
    found = label_maps.read_labels(path, [RED])
    assert found[4:60, 4:28].all()
    assert not found[:, 36:].any()


def test_class_numbers_of_palettes_and_greys(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2], [15, 1, 0]], np.uint8))
    image.save(tmp_path / "grey.png")
    image.putpalette([0, 0, 0, *RED, *GREEN] + [9] * 60)
    image.save(tmp_path / "palette.png")
    for name in ("grey", "palette"):
        found = label_maps.read_labels(tmp_path / f"{name}.png", [1, 15])
        assert found.tolist() == [[0, 1, 0], [1, 1, 0]]
    assert label_maps.read_labels(tmp_path / "palette.png", [GREEN]).tolist() == [[0, 0, 1], [0, 0, 0]]
    deep = np.array([[300, 7]], np.uint16)
    put(tmp_path / "deep.png", deep)
    assert label_maps.read_labels(tmp_path / "deep.png", [300]).tolist() == [[1, 0]]


def test_black_is_the_person_of_an_inverted_mask(tmp_path):
    path = put(tmp_path / "a.png", np.array([[255, 0, 255]], np.uint8))
    assert label_maps.read_labels(path, label_maps.parse_labels("k", "black")).tolist() == [[0, 1, 0]]


def test_labels_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(COLOURS)).save(tmp_path / "a.png", exif=exif.tobytes())
    assert label_maps.read_labels(tmp_path / "a.png", [RED]).tolist() == [[1, 0, 0], [1, 0, 0]]


def test_colours_without_black_are_no_mask(tmp_path):
    path = put(tmp_path / "a.png", COLOURS)
    with pytest.raises(DataError, match=r"nowhere black.*#008000 \(50%\).*data\.person_colour"):
        masks.read_mask(path)
    put(path, np.where(COLOURS == BLUE, 0, COLOURS).astype(np.uint8))
    assert masks.inspect_mask(path).kind.startswith("RGB labels")
