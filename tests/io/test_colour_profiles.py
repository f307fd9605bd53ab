"""Pictures of other colour spaces look in sRGB as they did; the profiles are made here, tag by tag."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from kolbench.io import colour_profiles, images

# columns: red, green and blue of the space in XYZ, adapted to D50 (Bradford), from their published primaries
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
DISPLAY_P3 = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
GAMMA = 2.19921875


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile(name: str, matrix: np.ndarray, gamma: float = GAMMA) -> bytes:
    """An ICC profile of version 2: a matrix and one gamma for all channels."""
    text = name.encode()
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642) + fixed(1.0) + fixed(0.8249),
    }
    for column, colour in zip(matrix.T, (b"r", b"g", b"b"), strict=True):
        tags[colour + b"XYZ"] = b"XYZ " + bytes(4) + b"".join(fixed(value) for value in column)
        tags[colour + b"TRC"] = curve
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", place + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", place + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += fixed(0.9642) + fixed(1.0) + fixed(0.8249) + bytes(48)
    return header[:128] + table + body


def expected(levels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The same colours in sRGB, by the definitions; those outside of it at its border."""
    linear = (levels / 255) ** GAMMA @ (np.linalg.inv(SRGB) @ matrix).T
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return 255 * encoded


PATCHES = (
    np.stack(np.meshgrid(*[[32, 96, 160, 224]] * 3, indexing="ij"), -1).reshape(8, 8, 3).astype(np.uint8)
)


def encoded(picture: Image.Image, kind: str, icc: bytes) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, icc_profile=icc)
    return file.getvalue()


@pytest.mark.parametrize("matrix", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_colours_of_other_spaces_come_in_srgb(matrix, kind):
    data = encoded(Image.fromarray(PATCHES), kind, profile("a space", matrix))
    found = images.rgb_from_bytes(data, "a")
    assert np.abs(found - expected(PATCHES, matrix)).max() <= 2
    assert np.abs(found.astype(int) - PATCHES).max() > 20


def test_transparency_is_kept():
    alpha = np.arange(64, dtype=np.uint8).reshape(8, 8, 1) * 4
    picture = Image.fromarray(np.concatenate([PATCHES, alpha], 2))
    found = images.rgba_from_bytes(encoded(picture, "PNG", profile("a space", DISPLAY_P3)), "a")
    assert np.array_equal(found[..., 3:], alpha)
    assert np.abs(found[..., :3] - expected(PATCHES, DISPLAY_P3)).max() <= 2


def test_pictures_of_srgb_without_a_profile_or_with_a_broken_one_stay_as_they_are():
    colour_profiles.notes()
    good = profile("a space", DISPLAY_P3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (b"", srgb, good[:200], b"noise" * 40, good.replace(b"RGB ", b"CMYK", 1)):
        found = images.rgb_from_bytes(encoded(Image.fromarray(PATCHES), "PNG", icc), "a")
        assert np.array_equal(found, PATCHES)
    assert colour_profiles.notes() == []


def test_what_was_converted_is_said_once():
    colour_profiles.notes()
    for name in ("Display P3", "Display P3", "Adobe RGB"):
        icc = profile(name, DISPLAY_P3 if name == "Display P3" else ADOBE_RGB)
        images.rgb_from_bytes(encoded(Image.fromarray(PATCHES), "PNG", icc), "a")
    said = "3 images have another colour profile than sRGB (Adobe RGB, Display P3); converted to sRGB"
    assert colour_profiles.notes() == [said]
    assert colour_profiles.notes() == []


def test_a_deep_png_is_converted_too():
    deep = PATCHES.astype(np.uint16) * 257
    ok, plain = cv2.imencode(".png", deep[..., ::-1])
    assert ok
    data = plain.tobytes()
    # its profile stands between the header and the pixels
    body = b"a space\0\0" + zlib.compress(profile("a space", ADOBE_RGB))
    chunk = struct.pack(">I", len(body)) + b"iCCP" + body
    chunk += struct.pack(">I", zlib.crc32(b"iCCP" + body))
    found = images.rgb_from_bytes(data[:33] + chunk + data[33:], "a")
    assert np.abs(found - expected(PATCHES, ADOBE_RGB)).max() <= 2
