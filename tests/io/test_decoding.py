"""Files as decoded pixels: orientation, deep levels, and what is no picture."""

import io
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from pillow_heif import register_heif_opener

from kolbench.errors import DataError
from kolbench.io import images, masks

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
    read = images.read_rgb(path)
    assert read.shape == (16, 24, 3)
    assert np.abs(read[..., 0].astype(int) - UPRIGHT).max() <= (0 if suffix != "webp" else 12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_transparency_comes_upright_with_the_colours(tmp_path, orientation):
    upright = np.stack([UPRIGHT, 255 - UPRIGHT, UPRIGHT // 2, UPRIGHT[::-1]], axis=2)
    save_turned(tmp_path / "a.png", Image.fromarray(upright), orientation)
    read = images.read_rgba(tmp_path / "a.png")
    assert np.array_equal(read, upright)
    assert read.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_come_upright_like_jpeg_pictures(tmp_path, orientation):
    mask = np.zeros((16, 24), np.uint8)
    mask[:8, :8] = 255
    save_turned(tmp_path / "m.png", Image.fromarray(mask), orientation)
    save_turned(tmp_path / "i.jpg", Image.fromarray(mask).convert("RGB"), orientation)
    assert np.array_equal(masks.read_mask(tmp_path / "m.png"), mask // 255)
    assert np.array_equal(images.read_rgb(tmp_path / "i.jpg")[..., 0] > 127, mask > 0)


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
    assert np.array_equal(images.read_rgb(tmp_path / "rgb.png"), upright[..., :3])
    assert np.array_equal(images.read_rgba(tmp_path / "rgba.png"), upright)


# 1000 / 257 = 3.89, 51400 / 257 = 200
def test_sixteen_bit_grey_is_divided_by_257(tmp_path):
    levels = np.array([[0, 1000, 51400, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        assert images.read_rgb(tmp_path / name)[0, :, 0].tolist() == [0, 4, 200, 255]


def test_sixteen_bit_colour_keeps_channel_order_and_scale(tmp_path):
    bgr = np.array([[[0, 1000, 51400], [65535, 51400, 1000]]], np.uint16)
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
    assert images.read_rgb(tmp_path / "a.png").tolist() == [[[200, 4, 0], [4, 200, 255]]]


def test_sixteen_bit_alpha(tmp_path):
    path = tmp_path / "a.png"
    save_deep(path, np.array([[[51400, 0, 0, 65535], [51400, 1000, 65535, 0]]], np.uint16))
    assert images.read_rgb(path).tolist() == [[[200, 0, 0], [255, 255, 255]]]
    assert images.read_rgba(path).tolist() == [[[200, 0, 0, 255], [200, 4, 255, 0]]]
    # 30000 / 257 = 116.7
    save_deep(path, np.array([[[51400, 1000, 0, 30000]]], np.uint16))
    assert images.read_rgba(path).tolist() == [[[200, 4, 0, 117]]]
    save_deep(path, np.array([[[51400, 1000, 0, 65535]]], np.uint16))
    assert images.read_rgba(path).tolist() == [[[200, 4, 0]]]


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
    assert images.read_rgb(tmp_path / "a.tif")[0, :, 1].tolist() == expected


@pytest.mark.parametrize("level", [-1, 70000])
def test_32_bit_levels_out_of_range_are_refused(tmp_path, level):
    Image.fromarray(np.array([[0, level]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif holds levels from"):
        images.read_rgb(tmp_path / "a.tif")


def test_floats_that_are_no_numbers_are_refused(tmp_path):
    Image.fromarray(np.array([[0, np.nan]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="nan"):
        images.read_rgb(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["mit Leer zeichen.png", "图片.png", "人👜.png", "x" * 200 + ".png"])
def test_names_of_any_script(tmp_path, name):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    images.write_png(tmp_path / name, image)
    assert np.array_equal(images.read_rgb(tmp_path / name), image)


def encoded(form: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["HEIF", "JXL", "AVIF"])
def test_pictures_of_newer_formats_are_read(kind):
    import pillow_jxl  # noqa: F401 - it registers itself, here for writing

    register_heif_opener()
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(60, 200, (3, 4, 3), np.uint8))
    picture = coarse.resize((64, 48), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, kind, quality=95)
    data = file.getvalue()
    assert np.abs(images.rgb_from_bytes(data, "a").astype(int) - np.asarray(picture)).mean() < 3
    with pytest.raises(DataError, match="a cannot be read: it is "):
        images.rgb_from_bytes(data[: len(data) // 2], "a")


@pytest.mark.parametrize(("start", "kind"), [(b"\x00\x00\x00\x18ftypheic", "HEIC"), (b"\xff\x0a", "JPEG XL")])
def test_a_decoder_that_is_not_installed_is_named(monkeypatch, start, kind):
    for name in ("pillow_heif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=rf"it is {kind}; pip install 'kolbench\[heif\]', or convert it"):
        images.rgb_from_bytes(start + bytes(32), "a")


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
        (b"hello", "no image format"),
        (encoded("JPEG")[:700], "JPEG that is truncated"),
        (encoded("PNG")[:700], "PNG that is truncated"),
    ],
)
def test_files_that_are_no_pictures_are_named_with_what_they_are(tmp_path, content, words):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (images.read_rgb, images.read_rgba, masks.read_mask):
        with pytest.raises(DataError, match=words) as error:
            read(path)
        assert str(path) in str(error.value)
    with pytest.raises(DataError, match=f"The upload cannot be read: .*{words}"):
        images.rgba_from_bytes(content, "The upload")


def test_folders_and_missing_files(tmp_path):
    (tmp_path / "0001.png").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        images.read_rgb(tmp_path / "0001.png")
    with pytest.raises(DataError, match=r"does not exist. Did you mean 0001\.png"):
        images.read_rgb(tmp_path / "0001.PNG")
    with pytest.raises(DataError, match="does not exist"):
        images.read_rgb(tmp_path / "no" / "0001.png")


def test_the_limit_against_bombs_stays_on(tmp_path, monkeypatch):
    images.write_png(tmp_path / "a.png", np.zeros((30, 30), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    for read in (images.read_rgb, images.read_rgba, images.frames_in):
        with pytest.raises(DataError, match=r"a\.png has more pixels .*\(800\)"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_is_passed_over(kind):
    """200 EXIF blocks, cut, overwritten or of noise; the pixels are those of the file without them."""
    generator = np.random.default_rng(0)
    whole = Image.Exif()
    whole[0x0112], whole[0x010F], whole[0x011A] = 1, "a camera", 72.0
    whole.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    good = np.frombuffer(whole.tobytes(), np.uint8)
    picture = Image.fromarray(np.stack([UPRIGHT, UPRIGHT, UPRIGHT], axis=2))

    def encoded(exif: bytes) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, exif=exif)
        return file.getvalue()

    expected = images.rgb_from_bytes(encoded(b""), "a")
    for number in range(200):
        body = good[6:].copy()
        places = generator.integers(0, len(body), size=1 + number % 12)
        body[places] = generator.integers(0, 256, size=len(places))
        broken = b"Exif\0\0" + (body[: generator.integers(1, len(body))] if number % 2 else body).tobytes()
        read = images.rgb_from_bytes(encoded(broken), f"number {number}")
        # a hit on the orientation itself may turn the picture
        assert sorted(read.ravel()) == sorted(expected.ravel())


def test_megabytes_of_text_are_no_fault_of_a_png():
    notes = PngImagePlugin.PngInfo()
    notes.add_text("notes", "v" * 2_000_000)
    notes.add_itxt("XML:com.adobe.xmp", "<x/>" * 600_000, zip=True)
    file = io.BytesIO()
    Image.fromarray(UPRIGHT).save(file, "PNG", pnginfo=notes)
    assert np.array_equal(images.rgb_from_bytes(file.getvalue(), "a")[..., 0], UPRIGHT)
