"""Masks of every kind of levels."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kolbench.errors import DataError
from kolbench.io import images, masks


@pytest.mark.parametrize(
    ("levels", "expected", "kind"),
    [
        ([0, 1], [0, 1], "0/1"),
        ([0, 255], [0, 1], "0/255"),
        ([0, 0], [0, 0], "empty"),
        ([1, 1], [1, 1], "0/1"),
        ([255, 255], [1, 1], "0/255"),
        ([0, 76], [0, 1], "0/76"),
        ([0, 1, 2, 15], [0, 1, 1, 1], "class indices"),
        ([0, 127, 128, 255], [0, 0, 1, 1], "cut at 0.5"),
    ],
)
def test_grey_masks(tmp_path, levels, expected, kind):
    images.write_png(tmp_path / "m.png", np.array([levels], np.uint8))
    reading = masks.inspect_mask(tmp_path / "m.png")
    assert reading.mask.tolist() == [expected]
    assert reading.mask.dtype == np.uint8
    assert reading.kind == kind
    assert bool(reading.warning) == (kind not in ("0/1", "0/255", "empty"))


@pytest.mark.parametrize("high", [1, 255, 65535])
def test_sixteen_bit_masks(tmp_path, high):
    Image.fromarray(np.array([[0, high]], np.uint16)).save(tmp_path / "m.png")
    reading = masks.inspect_mask(tmp_path / "m.png")
    assert reading.mask.tolist() == [[0, 1]]
    assert reading.kind == f"16-bit 0/{high}"
    assert reading.warning == ""


def test_sixteen_bit_masks_with_soft_edges_are_cut(tmp_path):
    Image.fromarray(np.array([[0, 0, 30000, 40000, 65535]], np.uint16)).save(tmp_path / "m.png")
    assert masks.read_mask(tmp_path / "m.png").tolist() == [[0, 0, 0, 1, 1]]


def test_one_bit_and_float_masks(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "b.png")
    Image.fromarray(np.array([[1, 0]], np.float32)).save(tmp_path / "f.tif")
    assert masks.inspect_mask(tmp_path / "b.png")[1:] == ("bool 0/1", "")
    assert masks.read_mask(tmp_path / "b.png").tolist() == [[1, 0]]
    assert masks.read_mask(tmp_path / "f.tif").tolist() == [[1, 0]]


def palette_mask(path: Path, palette: list[int], indices: list[int]) -> None:
    image = Image.new("P", (len(indices), 1))
    image.putpalette(palette)
    image.putdata(indices)
    image.save(path)


def test_palette_masks_go_by_index_unless_grey(tmp_path):
    # dark red has a luminance of 38, so a cut of the luminance would lose it
    palette_mask(tmp_path / "voc.png", [0, 0, 0, 128, 0, 0, 0, 128, 0], [0, 1, 2])
    assert masks.read_mask(tmp_path / "voc.png").tolist() == [[0, 1, 1]]
    palette_mask(tmp_path / "white_first.png", [255, 255, 255, 0, 0, 0], [0, 1, 1])
    assert masks.read_mask(tmp_path / "white_first.png").tolist() == [[1, 0, 0]]


def test_colour_label_masks(tmp_path):
    labels = np.array([[[0, 0, 0], [128, 0, 0], [0, 0, 64]]], np.uint8)
    images.write_png(tmp_path / "m.png", labels)
    assert masks.inspect_mask(tmp_path / "m.png")[1:] == ("RGB labels 0/1", "")
    assert masks.read_mask(tmp_path / "m.png").tolist() == [[0, 1, 1]]


def test_alpha_channel_masks(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    photograph[..., 3] = np.eye(8, dtype=np.uint8) * 255
    images.write_png(tmp_path / "cutout.png", photograph)
    assert np.array_equal(masks.read_mask(tmp_path / "cutout.png"), np.eye(8))
    opaque = np.full((1, 2, 4), 255, np.uint8)
    opaque[0, 0, :3] = 0
    images.write_png(tmp_path / "opaque.png", opaque)
    assert masks.read_mask(tmp_path / "opaque.png").tolist() == [[0, 1]]


def test_jpeg_masks_are_cut_with_a_warning(tmp_path):
    truth = np.zeros((64, 64), np.uint8)
    truth[10:50, 17:40] = 1
    images.write_jpeg(tmp_path / "grey.jpg", truth * 255)
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = truth * 255
    images.write_jpeg(tmp_path / "red.jpg", red, quality=95)
    assert np.array_equal(masks.read_mask(tmp_path / "grey.jpg"), truth)
    assert (masks.read_mask(tmp_path / "red.jpg") != truth).mean() < 0.01
    assert "lossy" in masks.inspect_mask(tmp_path / "grey.jpg").warning
    images.write_jpeg(tmp_path / "lost.jpg", truth)
    assert "JPEG cannot hold 0/1" in masks.inspect_mask(tmp_path / "lost.jpg").warning
    images.write_jpeg(tmp_path / "full.jpg", np.full((16, 16), 254, np.uint8))
    assert masks.read_mask(tmp_path / "full.jpg").all()


def test_photographs_are_refused_as_masks(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name, picture in (("colour.png", noise), ("grey.png", noise[..., 0])):
        images.write_png(tmp_path / name, picture)
        with pytest.raises(DataError, match="looks like a photograph"):
            masks.read_mask(tmp_path / name)


@pytest.mark.parametrize("levels", [[127, 127], [1, 2, 3], list(range(100))])
def test_levels_that_fit_no_mask_are_refused(tmp_path, levels):
    images.write_png(tmp_path / "m.png", np.array([levels], np.uint8))
    with pytest.raises(DataError, match=r"m\.png has"):
        masks.read_mask(tmp_path / "m.png")


def beside_black(levels):
    """As much black as there are levels: a mask is not mostly of middle levels."""
    return np.hstack([np.zeros_like(levels), levels])


@pytest.mark.parametrize(
    ("levels", "hard"),
    [
        (beside_black(np.arange(256, dtype=np.uint8).reshape(16, 16)), False),
        (beside_black(np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)), False),
        # the levels around one half
        (np.array([[0, 32767, 32768, 65535]], np.uint16), False),
        (np.array([[0, 127, 128, 255]], np.uint8), False),
        # what is not cut at one half is its own alpha
        (np.array([[0, 0, 1, 1]], np.uint8), True),
        (np.array([[0, 38, 38, 0]], np.uint8), True),
        (np.array([[0, 1, 2, 3]], np.uint8), True),
        (np.array([[255, 255]], np.uint8), True),
    ],
)
def test_a_matte_has_the_mask_of_its_file_and_its_levels(tmp_path, levels, hard):
    path = tmp_path / "a.png"
    Image.fromarray(levels).save(path)
    found, mask = masks.inspect_matte(path), masks.inspect_mask(path)
    assert np.array_equal(found.mask, mask.mask)
    assert found.kind == mask.kind
    assert np.array_equal(found.mask, found.alpha >= 0.5)
    assert found.alpha.dtype == np.float32
    assert (found.hard, found.lossy) == (hard, False)
    expected = mask.mask if hard else levels / (255 if levels.dtype == np.uint8 else 65535)
    assert np.allclose(found.alpha, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("levels", "share"),
    [
        (np.full((8, 8), 128, np.uint8), 1),
        (np.tile(np.arange(0, 120, 2, dtype=np.uint8), (4, 1)), 0),
        (np.tile(np.arange(90, 170, dtype=np.uint8), (4, 1)), 42 / 80),
    ],
)
def test_what_only_a_matte_can_be_passes_where_it_is_known_to_be_one(tmp_path, levels, share):
    path = tmp_path / "a.png"
    Image.fromarray(levels).save(path)
    with pytest.raises(DataError):
        masks.inspect_matte(path)
    found = masks.inspect_matte(path, surely=True)
    assert np.allclose(found.alpha, levels / 255, atol=1e-7, rtol=0)
    assert found.mask.mean() == share


def test_a_jpeg_matte_is_lossy_and_a_colour_picture_is_none(tmp_path):
    levels = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    Image.fromarray(beside_black(levels)).save(tmp_path / "a.jpg", quality=95)
    found = masks.inspect_matte(tmp_path / "a.jpg")
    assert found.lossy
    assert np.array_equal(found.mask, masks.read_mask(tmp_path / "a.jpg"))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match="photograph"):
        masks.inspect_matte(tmp_path / "b.png", surely=True)


def test_sizes_that_differ_name_both_files():
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 5), np.uint8)
    masks.require_same_size("i.jpg", image, "m.png", mask[:, :5].repeat(2, 1)[:, :6])
    with pytest.raises(DataError, match=r"i\.jpg is 6x4 px, but m\.png is 5x4 px") as error:
        masks.require_same_size("i.jpg", image, "m.png", mask)
    assert "EXIF" not in str(error.value)
    with pytest.raises(DataError, match="EXIF"):
        masks.require_same_size("i.jpg", image, "m.png", np.zeros((6, 4), np.uint8))


def majority_written_out(mask, side):
    """Sliding windows of a mask that is mirrored about its outermost pixels."""
    padded = np.pad(mask, side // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return (windows.sum((2, 3)) > side * side / 2).astype(np.uint8)


@pytest.mark.parametrize(("inside", "expected"), [(12, 0), (13, 1)])
def test_a_pixel_is_foreground_where_13_of_25_are(inside, expected):
    mask = np.zeros((9, 9), np.uint8)
    mask[2:7, 2:7].flat[:inside] = 1
    assert masks.majority(mask, 5)[4, 4] == expected


def test_at_the_border_the_mask_is_mirrored_about_its_outermost_pixels():
    mask = np.zeros((6, 8), np.uint8)
    mask[:, 1:] = 1
    # the outermost column stands once in a window, those beside it twice: 20 of 25 are foreground
    assert masks.majority(mask, 5)[:, 0].tolist() == [1] * 6
    mask[:, 1] = 0
    # of the columns 2 1 0 1 2 two are foreground: 10 of 25; of 1 0 1 2 3, two as well
    assert masks.majority(mask, 5).tolist() == [[0, 0, 1, 1, 1, 1, 1, 1]] * 6


@pytest.mark.parametrize("side", [1, 3, 5, 9])
def test_the_majority_is_that_of_sliding_windows_and_of_a_rounded_blur(side):
    mask = (np.random.default_rng(side).random((31, 40)) > 0.5).astype(np.uint8)
    found = masks.majority(mask, side)
    assert np.array_equal(found, majority_written_out(mask, side))
    assert np.array_equal(found, cv2.blur(mask, (side, side)))
