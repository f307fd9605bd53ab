import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from kolbench.data import rle
from kolbench.errors import DataError

MASKS = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))


def noise(height: int, width: int, seed: int, share: float) -> np.ndarray:
    """Blocks of 3 x 3 px, so that runs are of many lengths."""
    blocks = np.random.default_rng(seed).random((height, width)) < share
    return np.kron(blocks, np.ones((3, 3))).astype(np.uint8)[:height, :width]


@given(MASKS)
@settings(max_examples=60, deadline=None)
def test_coco_masks_are_those_that_pycocotools_encodes(drawn):
    mask = noise(*drawn)
    encoded = coco.encode(np.asfortranarray(mask))
    compressed = {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    assert np.array_equal(rle.from_coco(compressed, drawn[0], drawn[1], "here"), mask)


def test_long_runs_are_read_as_pycocotools_encodes_them():
    # differences of both signs, over several characters each
    mask = np.zeros((2000, 3000), np.uint8)
    mask[5:1900, 100:105] = 1
    mask[:3, 2000:] = 1
    counts = coco.encode(np.asfortranarray(mask))["counts"].decode()
    assert np.array_equal(rle.from_coco({"size": [2000, 3000], "counts": counts}, 2000, 3000, ""), mask)


def test_runs_go_down_columns_or_along_rows():
    assert rle.from_runs([2, 3, 1], 2, 3, "columns", "").tolist() == [[0, 1, 1], [0, 1, 0]]
    assert rle.from_runs([2, 3, 1], 2, 3, "rows", "").tolist() == [[0, 0, 1], [1, 1, 0]]
    uncompressed = {"size": [2, 3], "counts": [0, 4, 2]}
    assert rle.from_coco(uncompressed, 2, 3, "").tolist() == [[1, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({"size": [2, 3], "counts": [2, 3]}, "here: its RLE has 5 pixels, but 3x2 are 6"),
        ({"size": [2, 3], "counts": [10**12]}, "has 1000000000000 pixels"),
        ({"size": [2, 3], "counts": [-1, 7]}, "no list of run lengths"),
        ({"size": [2, 3], "counts": [True, 5]}, "no list of run lengths"),
        ({"size": [2, 3], "counts": None}, "no list of run lengths"),
        ({"size": [3, 2], "counts": [6]}, r"has the size \[3, 2\], but its image is \[2, 3\]"),
        ({"counts": [6]}, "has the size None"),
        ({"size": [2, 3], "counts": "zz"}, "its RLE"),
        ({"size": [2, 3], "counts": ""}, "has 0 pixels"),
        ({"size": [2, 3], "counts": "\x05"}, r"the character '\\x05'"),
        ({"size": [2, 3], "counts": "é☃"}, "the character"),
    ],
)
def test_damaged_runs_are_named(segmentation, words):
    with pytest.raises(DataError, match=words):
        rle.from_coco(segmentation, 2, 3, "here")


class BitWriter:
    """Writes numbers of so many bits, the highest first."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, size: int, *numbers: int) -> "BitWriter":
        self.text += "".join(format(number, f"0{size}b") for number in numbers)
        return self

    def bytes(self) -> list[int]:
        padded = self.text + "0" * (-len(self.text) % 8)
        return [int(padded[i : i + 8], 2) for i in range(0, len(padded), 8)]


def header(values: int) -> BitWriter:
    """Values of 8 bits, lengths of 3, 4, 8 and 16."""
    return BitWriter().put(32, values).put(5, 7).put(4, 2, 3, 7, 15)


def test_brush_streams_are_read_by_hand():
    # three pixels of RGBA: one transparent, one of alpha 9, one of colour without alpha
    stream = header(12).put(1, 1).put(2, 0).put(3, 3).put(8, 0)
    stream.put(1, 0).put(2, 1).put(4, 7).put(8, 1, 2, 3, 9, 255, 255, 255, 0)
    assert rle.from_brush(stream.bytes(), 1, 3, "").tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (header(2**32 - 1).bytes(), "has 4294967295 values, but 3x1 px of RGBA have 12"),
        (header(12).put(1, 1).put(2, 3).put(16, 12).put(8, 0).bytes(), "is damaged"),
        (header(12).put(1, 0).put(2, 3).put(16, 11).put(8, 1).bytes(), "ends too early"),
        (header(12).bytes(), "ends too early"),
        ([], "ends too early"),
        ([256], "no list of bytes"),
        (["a"], "no list of bytes"),
        (None, "no list of bytes"),
        (10**12, "no list of bytes"),
    ],
)
def test_damaged_brush_streams_are_named(data, words):
    with pytest.raises(DataError, match=words):
        rle.from_brush(data, 1, 3, "here")
