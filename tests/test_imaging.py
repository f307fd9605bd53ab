import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kolbench import imaging
from kolbench.errors import DataError

# An upright picture whose four corners all differ, so that no orientation maps it to itself.
UPRIGHT = np.array([[10, 60, 110], [160, 210, 250]], np.uint8).repeat(8, 0).repeat(8, 1)
# PIL's own inverse of each EXIF orientation, an implementation that is not ours.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def save_turned(path: Path, upright: Image.Image, orientation: int) -> None:
    stored = upright.transpose(STORED[orientation]) if orientation in STORED else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif.tobytes())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_pictures_come_upright(tmp_path, orientation, suffix):
    path = tmp_path / f"a.{suffix}"
    upright = Image.fromarray(np.stack([UPRIGHT, UPRIGHT, UPRIGHT], axis=2))
    save_turned(path, upright, orientation)
    read = imaging.read_rgb(path)
    assert read.shape == (16, 24, 3)
    assert np.abs(read[..., 0].astype(int) - UPRIGHT).max() <= (0 if suffix != "webp" else 12)


def read_rgba(path: Path) -> np.ndarray:
    """As both readers give it, in memory of its own."""
    array = imaging.read_rgba(path)
    assert np.array_equal(imaging.rgba_from_bytes(path.read_bytes(), "the upload"), array)
    assert array.dtype == np.uint8
    assert array.flags.writeable
    assert array.flags.c_contiguous
    return array


@pytest.mark.parametrize("orientation", range(1, 9))
def test_transparency_comes_upright_with_the_colours(tmp_path, orientation):
    upright = np.stack([UPRIGHT, 255 - UPRIGHT, UPRIGHT // 2, UPRIGHT[::-1]], axis=2)
    save_turned(tmp_path / "a.png", Image.fromarray(upright), orientation)
    assert np.array_equal(read_rgba(tmp_path / "a.png"), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_come_upright_like_jpeg_pictures(tmp_path, orientation):
    mask = np.zeros((16, 24), np.uint8)
    mask[:8, :8] = 255
    save_turned(tmp_path / "m.png", Image.fromarray(mask), orientation)
    save_turned(tmp_path / "i.jpg", Image.fromarray(mask).convert("RGB"), orientation)
    assert np.array_equal(imaging.read_mask(tmp_path / "m.png"), mask // 255)
    assert np.array_equal(imaging.read_rgb(tmp_path / "i.jpg")[..., 0] > 127, mask > 0)


def save_deep(path: Path, colours: np.ndarray, orientation: int = 1) -> None:
    """A 16-bit PNG of (H, W, 3 or 4) colours, red first, with an orientation tag."""
    blue_first = np.ascontiguousarray(colours[..., [2, 1, 0, 3][: colours.shape[2]]])
    encoded = cv2.imencode(".png", blue_first)[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = exif.tobytes().removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    path.write_bytes(encoded[:33] + chunk + encoded[33:])


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_sixteen_bit_colour_comes_upright(tmp_path, orientation):
    upright = np.stack([UPRIGHT, 255 - UPRIGHT, UPRIGHT // 2, UPRIGHT[::-1]], axis=2)
    stored = np.rot90(upright.astype(np.uint16) * 257, {3: 2, 6: 1, 8: -1}[orientation])
    save_deep(tmp_path / "rgb.png", stored[..., :3], orientation)
    save_deep(tmp_path / "rgba.png", stored, orientation)
    assert np.array_equal(imaging.read_rgb(tmp_path / "rgb.png"), upright[..., :3])
    assert np.array_equal(read_rgba(tmp_path / "rgba.png"), upright)


# 1000 / 257 = 3.89, 51400 / 257 = 200
def test_sixteen_bit_grey_is_divided_by_257(tmp_path):
    levels = np.array([[0, 1000, 51400, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        assert imaging.read_rgb(tmp_path / name)[0, :, 0].tolist() == [0, 4, 200, 255]


def test_sixteen_bit_colour_keeps_channel_order_and_scale(tmp_path):
    bgr = np.array([[[0, 1000, 51400], [65535, 51400, 1000]]], np.uint16)
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
    assert imaging.read_rgb(tmp_path / "a.png").tolist() == [[[200, 4, 0], [4, 200, 255]]]


def test_sixteen_bit_alpha(tmp_path):
    path = tmp_path / "a.png"
    save_deep(path, np.array([[[51400, 0, 0, 65535], [51400, 1000, 65535, 0]]], np.uint16))
    assert imaging.read_rgb(path).tolist() == [[[200, 0, 0], [255, 255, 255]]]
    assert read_rgba(path).tolist() == [[[200, 0, 0, 255], [200, 4, 255, 0]]]
    # 30000 / 257 = 116.7
    save_deep(path, np.array([[[51400, 1000, 0, 30000]]], np.uint16))
    assert read_rgba(path).tolist() == [[[200, 4, 0, 117]]]
    save_deep(path, np.array([[[51400, 1000, 0, 65535]]], np.uint16))
    assert read_rgba(path).tolist() == [[[200, 4, 0]]]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([[0, 1000, 51400]], np.int32), [0, 4, 200]),
        (np.array([[0, 7, 255]], np.int32), [0, 7, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 7, 254]], np.float32), [0, 7, 254]),
    ],
)
def test_32_bit_levels(tmp_path, levels, expected):
    Image.fromarray(levels).save(tmp_path / "a.tif")
    assert imaging.read_rgb(tmp_path / "a.tif")[0, :, 1].tolist() == expected


@pytest.mark.parametrize("level", [-1, 70000])
def test_32_bit_levels_out_of_range_are_refused(tmp_path, level):
    Image.fromarray(np.array([[0, level]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif holds levels from"):
        imaging.read_rgb(tmp_path / "a.tif")


def test_floats_that_are_no_numbers_are_refused(tmp_path):
    Image.fromarray(np.array([[0, np.nan]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="nan"):
        imaging.read_rgb(tmp_path / "a.tif")


def test_cmyk(tmp_path):
    # cyan, full black ink, no ink
    cmyk = np.array([[[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]]], np.uint8)
    Image.frombytes("CMYK", (3, 1), cmyk.tobytes()).save(tmp_path / "a.tif")
    for read in (imaging.read_rgb, read_rgba):
        assert read(tmp_path / "a.tif").tolist() == [[[0, 255, 255], [0, 0, 0], [255, 255, 255]]]


def test_palette_and_its_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.png", transparency=1)
    assert imaging.read_rgb(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert imaging.read_rgb(tmp_path / "b.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]
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
    assert np.array_equal(imaging.read_rgb(path), flat)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(path, **options)
    assert np.array_equal(read_rgba(path), rgba[..., :3])


def test_alpha_is_kept_or_flattened_on_white(tmp_path):
    # 100 at alpha 51 = 0.2: 20 + 204 = 224
    Image.frombytes("LA", (2, 1), bytes([100, 51, 100, 255])).save(tmp_path / "la.png")
    Image.frombytes("RGBA", (1, 1), bytes([100, 0, 255, 51])).save(tmp_path / "rgba.png")
    assert imaging.read_rgb(tmp_path / "la.png")[0, :, 0].tolist() == [224, 100]
    assert imaging.read_rgb(tmp_path / "rgba.png").tolist() == [[[224, 204, 255]]]
    assert read_rgba(tmp_path / "la.png").tolist() == [[[100, 100, 100, 51], [100, 100, 100, 255]]]
    assert read_rgba(tmp_path / "rgba.png").tolist() == [[[100, 0, 255, 51]]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_what_is_read_may_be_written_to(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    for read in (imaging.read_rgb, imaging.read_mask):
        array = read(tmp_path / "a.png")
        assert array.flags.writeable
        assert array.flags.c_contiguous


def test_one_bit(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert imaging.read_rgb(tmp_path / "a.png").tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("name", ["mit Leer zeichen.png", "图片.png", "人👜.png", "x" * 200 + ".png"])
def test_names_of_any_script(tmp_path, name):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    imaging.write_png(tmp_path / name, image)
    assert np.array_equal(imaging.read_rgb(tmp_path / name), image)


def encoded(form: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"  <!DOCTYPE html><html></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 32, "HEIC"),
        (b"\x00\x00\x00\x18ftypisom" + b"\x00" * 32, "video"),
        (b'{"shapes": []}', "JSON"),
        (b"PK\x03\x04abc", "archive"),
        (b"hello", "no picture format"),
        (encoded("JPEG")[:700], "JPEG that is truncated"),
        (encoded("PNG")[:700], "PNG that is truncated"),
    ],
)
def test_files_that_are_no_pictures_are_named_with_what_they_are(tmp_path, content, words):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (imaging.read_rgb, imaging.read_rgba, imaging.read_mask):
        with pytest.raises(DataError, match=words) as error:
            read(path)
        assert str(path) in str(error.value)
    with pytest.raises(DataError, match=f"The upload cannot be read: .*{words}"):
        imaging.rgba_from_bytes(content, "The upload")


def test_folders_and_missing_files(tmp_path):
    (tmp_path / "0001.png").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        imaging.read_rgb(tmp_path / "0001.png")
    with pytest.raises(DataError, match=r"does not exist. Did you mean 0001\.png"):
        imaging.read_rgb(tmp_path / "0001.PNG")
    with pytest.raises(DataError, match="does not exist"):
        imaging.read_rgb(tmp_path / "no" / "0001.png")


def test_the_limit_against_bombs_stays_on(tmp_path, monkeypatch):
    imaging.write_png(tmp_path / "a.png", np.zeros((30, 30), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    for read in (imaging.read_rgb, imaging.read_rgba):
        with pytest.raises(DataError, match=r"a\.png has more pixels .*\(800\)"):
            read(tmp_path / "a.png")


def test_as_rgb_takes_files_pil_images_and_arrays(tmp_path):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    imaging.write_png(tmp_path / "a.png", image)
    for picture in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image), image):
        assert np.array_equal(imaging.as_rgb(picture), image)
    save_turned(tmp_path / "t.png", Image.fromarray(image), 6)
    assert np.array_equal(imaging.as_rgb(Image.open(tmp_path / "t.png")), image)
    for wrong in (image.astype(np.float32), image[..., 0], image[:0]):
        with pytest.raises(DataError, match="uint8 RGB"):
            imaging.as_rgb(wrong)
    (tmp_path / "broken.jpg").write_bytes(encoded("JPEG")[:700])
    with Image.open(tmp_path / "broken.jpg") as broken, pytest.raises(DataError, match="damaged"):
        imaging.as_rgb(broken)


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
    imaging.write_png(tmp_path / "m.png", np.array([levels], np.uint8))
    reading = imaging.inspect_mask(tmp_path / "m.png")
    assert reading.mask.tolist() == [expected]
    assert reading.mask.dtype == np.uint8
    assert reading.kind == kind
    assert bool(reading.warning) == (kind not in ("0/1", "0/255", "empty"))


@pytest.mark.parametrize("high", [1, 255, 65535])
def test_sixteen_bit_masks(tmp_path, high):
    Image.fromarray(np.array([[0, high]], np.uint16)).save(tmp_path / "m.png")
    reading = imaging.inspect_mask(tmp_path / "m.png")
    assert reading.mask.tolist() == [[0, 1]]
    assert reading.kind == f"16-bit 0/{high}"
    assert reading.warning == ""


def test_sixteen_bit_masks_with_soft_edges_are_cut(tmp_path):
    Image.fromarray(np.array([[0, 0, 30000, 40000, 65535]], np.uint16)).save(tmp_path / "m.png")
    assert imaging.read_mask(tmp_path / "m.png").tolist() == [[0, 0, 0, 1, 1]]


def test_one_bit_and_float_masks(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "b.png")
    Image.fromarray(np.array([[1, 0]], np.float32)).save(tmp_path / "f.tif")
    assert imaging.inspect_mask(tmp_path / "b.png")[1:] == ("bool 0/1", "")
    assert imaging.read_mask(tmp_path / "b.png").tolist() == [[1, 0]]
    assert imaging.read_mask(tmp_path / "f.tif").tolist() == [[1, 0]]


def palette_mask(path: Path, palette: list[int], indices: list[int]) -> None:
    image = Image.new("P", (len(indices), 1))
    image.putpalette(palette)
    image.putdata(indices)
    image.save(path)


def test_palette_masks_go_by_index_unless_grey(tmp_path):
    # dark red has a luminance of 38, so a cut of the luminance would lose it
    palette_mask(tmp_path / "voc.png", [0, 0, 0, 128, 0, 0, 0, 128, 0], [0, 1, 2])
    assert imaging.read_mask(tmp_path / "voc.png").tolist() == [[0, 1, 1]]
    palette_mask(tmp_path / "white_first.png", [255, 255, 255, 0, 0, 0], [0, 1, 1])
    assert imaging.read_mask(tmp_path / "white_first.png").tolist() == [[1, 0, 0]]


def test_colour_label_masks(tmp_path):
    labels = np.array([[[0, 0, 0], [128, 0, 0], [0, 0, 64]]], np.uint8)
    imaging.write_png(tmp_path / "m.png", labels)
    assert imaging.inspect_mask(tmp_path / "m.png")[1:] == ("RGB labels 0/1", "")
    assert imaging.read_mask(tmp_path / "m.png").tolist() == [[0, 1, 1]]


def test_alpha_channel_masks(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    photograph[..., 3] = np.eye(8, dtype=np.uint8) * 255
    imaging.write_png(tmp_path / "cutout.png", photograph)
    assert np.array_equal(imaging.read_mask(tmp_path / "cutout.png"), np.eye(8))
    opaque = np.full((1, 2, 4), 255, np.uint8)
    opaque[0, 0, :3] = 0
    imaging.write_png(tmp_path / "opaque.png", opaque)
    assert imaging.read_mask(tmp_path / "opaque.png").tolist() == [[0, 1]]


def test_jpeg_masks_are_cut_with_a_warning(tmp_path):
    truth = np.zeros((64, 64), np.uint8)
    truth[10:50, 17:40] = 1
    imaging.write_jpeg(tmp_path / "grey.jpg", truth * 255)
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = truth * 255
    imaging.write_jpeg(tmp_path / "red.jpg", red, quality=95)
    assert np.array_equal(imaging.read_mask(tmp_path / "grey.jpg"), truth)
    assert (imaging.read_mask(tmp_path / "red.jpg") != truth).mean() < 0.01
    assert "lossy" in imaging.inspect_mask(tmp_path / "grey.jpg").warning
    imaging.write_jpeg(tmp_path / "lost.jpg", truth)
    assert "JPEG cannot hold 0/1" in imaging.inspect_mask(tmp_path / "lost.jpg").warning
    imaging.write_jpeg(tmp_path / "full.jpg", np.full((16, 16), 254, np.uint8))
    assert imaging.read_mask(tmp_path / "full.jpg").all()


def test_photographs_are_refused_as_masks(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name, picture in (("colour.png", noise), ("grey.png", noise[..., 0])):
        imaging.write_png(tmp_path / name, picture)
        with pytest.raises(DataError, match="looks like a photograph"):
            imaging.read_mask(tmp_path / name)


@pytest.mark.parametrize("levels", [[127, 127], [1, 2, 3], list(range(100))])
def test_levels_that_fit_no_mask_are_refused(tmp_path, levels):
    imaging.write_png(tmp_path / "m.png", np.array([levels], np.uint8))
    with pytest.raises(DataError, match=r"m\.png has"):
        imaging.read_mask(tmp_path / "m.png")


def test_sizes_that_differ_name_both_files():
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 5), np.uint8)
    imaging.require_same_size("i.jpg", image, "m.png", mask[:, :5].repeat(2, 1)[:, :6])
    with pytest.raises(DataError, match=r"i\.jpg is 6x4 px, but m\.png is 5x4 px") as error:
        imaging.require_same_size("i.jpg", image, "m.png", mask)
    assert "EXIF" not in str(error.value)
    with pytest.raises(DataError, match="EXIF"):
        imaging.require_same_size("i.jpg", image, "m.png", np.zeros((6, 4), np.uint8))


def test_writing_replaces_whole_files_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.png"
    for shape in ((5, 7), (5, 7, 3), (5, 7, 4)):
        array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        imaging.write_png(path, array)
        assert np.array_equal(np.asarray(Image.open(path)), array)
    for wrong in (np.zeros((5, 7), np.float32), np.zeros((5, 7, 2), np.uint8)):
        with pytest.raises(ValueError, match="8-bit"):
            imaging.write_png(path, wrong)
        with pytest.raises(ValueError, match="8-bit"):
            imaging.write_jpeg(path, wrong)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
