"""Pictures as 8-bit colours, with and without transparency; what is written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from kolbench.errors import DataError
from kolbench.io import images, masks


def read_rgba(path: Path) -> np.ndarray:
    """As both readers give it, in memory of its own."""
    array = images.read_rgba(path)
    assert np.array_equal(images.rgba_from_bytes(path.read_bytes(), "the upload"), array)
    assert array.dtype == np.uint8
    assert array.flags.writeable
    assert array.flags.c_contiguous
    return array


def test_cmyk(tmp_path):
    # cyan, full black ink, no ink
    cmyk = np.array([[[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]]], np.uint8)
    Image.frombytes("CMYK", (3, 1), cmyk.tobytes()).save(tmp_path / "a.tif")
    for read in (images.read_rgb, read_rgba):
        assert read(tmp_path / "a.tif").tolist() == [[[0, 255, 255], [0, 0, 0], [255, 255, 255]]]


def test_palette_and_its_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.png", transparency=1)
    assert images.read_rgb(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert images.read_rgb(tmp_path / "b.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]
    assert read_rgba(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert read_rgba(tmp_path / "b.png").tolist() == [[[10, 20, 30, 255], [40, 50, 60, 0]]]
    # a tRNS chunk with an alpha per colour
    image.save(tmp_path / "c.png", transparency=bytes([51, 7]))
    assert read_rgba(tmp_path / "c.png").tolist() == [[[10, 20, 30, 51], [40, 50, 60, 7]]]


@pytest.mark.parametrize(
    ("mode", "levels", "transparent", "expected"),
    [
        ("L", [5, 9], 9, [[5, 5, 5, 255], [9, 9, 9, 0]]),
        ("RGB", [1, 2, 3, 4, 5, 6], (1, 2, 3), [[1, 2, 3, 0], [4, 5, 6, 255]]),
        ("L", [5, 9], 7, [[5, 5, 5], [9, 9, 9]]),
    ],
)
def test_one_level_or_colour_may_be_transparent(tmp_path, mode, levels, transparent, expected):
    image = Image.frombytes(mode, (2, 1), bytes(levels))
    image.save(tmp_path / "a.png", transparency=transparent)
    assert read_rgba(tmp_path / "a.png").tolist() == [expected]


@pytest.mark.parametrize("form", ["png", "tif", "webp"])
def test_rgba_is_read_as_it_was_saved_unless_nothing_is_transparent(tmp_path, form):
    rgba = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    rgba[0, 0, 3] = 0
    options = {"lossless": True, "exact": True} if form == "webp" else {}
    path = tmp_path / f"a.{form}"
    Image.fromarray(rgba).save(path, **options)
    assert np.array_equal(read_rgba(path), rgba)
    flat = np.rint((rgba[..., :3] * (rgba[..., 3:] / 255)) + (255 - rgba[..., 3:].astype(float)))
    assert np.array_equal(images.read_rgb(path), flat)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(path, **options)
    assert np.array_equal(read_rgba(path), rgba[..., :3])


def test_alpha_is_kept_or_flattened_on_white(tmp_path):
    # 100 at alpha 51 = 0.2: 20 + 204 = 224
    Image.frombytes("LA", (2, 1), bytes([100, 51, 100, 255])).save(tmp_path / "la.png")
    Image.frombytes("RGBA", (1, 1), bytes([100, 0, 255, 51])).save(tmp_path / "rgba.png")
    assert images.read_rgb(tmp_path / "la.png")[0, :, 0].tolist() == [224, 100]
    assert images.read_rgb(tmp_path / "rgba.png").tolist() == [[[224, 204, 255]]]
    assert read_rgba(tmp_path / "la.png").tolist() == [[[100, 100, 100, 51], [100, 100, 100, 255]]]
    assert read_rgba(tmp_path / "rgba.png").tolist() == [[[100, 0, 255, 51]]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_what_is_read_may_be_written_to(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    for read in (images.read_rgb, masks.read_mask):
        array = read(tmp_path / "a.png")
        assert array.flags.writeable
        assert array.flags.c_contiguous


def test_one_bit(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert images.read_rgb(tmp_path / "a.png").tolist() == [[[255] * 3, [0] * 3]]


def test_as_rgb_takes_files_pil_images_and_arrays(tmp_path):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    images.write_png(tmp_path / "a.png", image)
    for picture in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image), image):
        assert np.array_equal(images.as_rgb(picture), image)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.rot90(image)).save(tmp_path / "t.png", exif=turned)
    assert np.array_equal(images.as_rgb(Image.open(tmp_path / "t.png")), image)
    for wrong in (image.astype(np.float32), image[..., 0], image[:0]):
        with pytest.raises(DataError, match="uint8 RGB"):
            images.as_rgb(wrong)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    images.write_jpeg(tmp_path / "whole.jpg", noise)
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    with Image.open(tmp_path / "broken.jpg") as broken, pytest.raises(DataError, match="damaged"):
        images.as_rgb(broken)


def pages_of(image: Image.Image) -> int:
    return image.n_frames  # type: ignore[attr-defined]  # formats of several pages have it


def save_four(path: Path, **options: object) -> Path:
    first, *others = (Image.new("RGB", (16, 16), (60 * number, 0, 0)) for number in range(4))
    first.save(path, save_all=True, append_images=others, **options)
    return path


WITH_AVIF = pytest.param("avif", marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow cannot"))


@pytest.mark.parametrize("form", ["gif", "png", "webp", WITH_AVIF])
def test_frames_of_animations_are_counted(tmp_path, form):
    assert images.frames_in(save_four(tmp_path / f"a.{form}", duration=100)) == 4
    Image.new("RGB", (16, 16)).save(tmp_path / f"still.{form}")
    assert images.frames_in(tmp_path / f"still.{form}") == 1


def test_the_picture_in_place_of_an_animation_is_none_of_its_frames(tmp_path):
    path = save_four(tmp_path / "a.png", default_image=True)
    with Image.open(path) as image:
        assert pages_of(image) == 4
    assert images.frames_in(path) == 3


@pytest.mark.parametrize("form", ["mpo", "tif"])
def test_second_pictures_and_pages_are_no_frames(tmp_path, form):
    path = save_four(tmp_path / f"a.{form}")
    with Image.open(path) as image:
        assert (image.format, pages_of(image)) == ({"mpo": "MPO", "tif": "TIFF"}[form], 4)
    assert images.frames_in(path) == 1


def test_frames_are_counted_by_the_header_alone(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    images.write_jpeg(tmp_path / "a.jpg", noise)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:700])
    assert images.frames_in(tmp_path / "a.jpg") == 1
    (tmp_path / "b.jpg").write_bytes(b"<!DOCTYPE html><html></html>")
    with pytest.raises(DataError, match=r"b\.jpg cannot be read: it is a web page"):
        images.frames_in(tmp_path / "b.jpg")
    with pytest.raises(DataError, match=r"c\.jpg does not exist\.$"):
        images.frames_in(tmp_path / "c.jpg")
    with pytest.raises(DataError, match=r"does not exist. Did you mean a\.jpg"):
        images.frames_in(tmp_path / "A.JPG")


def test_writing_replaces_whole_files_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.png"
    for shape in ((5, 7), (5, 7, 3), (5, 7, 4)):
        array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        images.write_png(path, array)
        assert np.array_equal(np.asarray(Image.open(path)), array)
    for wrong in (np.zeros((5, 7), np.float32), np.zeros((5, 7, 2), np.uint8)):
        with pytest.raises(ValueError, match="8-bit"):
            images.write_png(path, wrong)
        with pytest.raises(ValueError, match="8-bit"):
            images.write_jpeg(path, wrong)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
