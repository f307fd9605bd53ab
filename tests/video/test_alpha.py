"""Transparency of clips and animations comes in with the pictures, where it is asked for."""

import itertools

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from kolbench.errors import DataError
from kolbench.video.reader import VideoReader
from tests.helpers import clips

CUTOUTS = [clips.cutout(number) for number in range(6)]
# in real time VP8 takes the more losses the busier the machine is
FAST = {"auto-alt-ref": "0", "deadline": "good", "cpu-used": "5", "crf": "10", "b": "2M"}


def read(path, alpha=True):
    with VideoReader(path, alpha=alpha) as reader:
        return list(reader)


def near(mask, pixels=4):
    """(H, W) bool: what is nearer than that to the mask."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2)) == 1


def animation(path, pictures, milliseconds, **options):
    first, *rest = [Image.fromarray(picture) for picture in pictures]
    first.save(path, save_all=True, append_images=rest, duration=milliseconds, loop=0, **options)
    return path


@pytest.mark.parametrize(
    # slack: levels by which the codec may miss alpha at worst, and colours inside on average
    ("name", "codec", "pixel_format", "slack", "colour"),
    [
        ("own.webm", None, None, 8, 4),
        ("own.mov", None, None, 1, 0.1),
        ("vp8.webm", "libvpx", "yuva420p", 8, 4),
        ("vp9.mkv", "libvpx-vp9", "yuva420p", 12, 4),
        ("qtrle.mov", "qtrle", "argb", 0, 0),
        ("png.mov", "png", "rgba", 0, 0),
        ("ffv1.mkv", "ffv1", "yuva420p", 1, 3),
        ("apng.apng", "apng", "rgba", 0, 0),
    ],
)
def test_alpha_comes_with_the_colours_and_times_that_are_there_without(
    tmp_path, name, codec, pixel_format, slack, colour
):
    path = tmp_path / name
    if codec is None:
        clips.write_cutouts(path, CUTOUTS, format_name="prores" if name.endswith("mov") else None)
    else:
        options = FAST if "vpx" in codec else None
        clips.make_clip(path, pictures=CUTOUTS, codec=codec, pixel_format=pixel_format, options=options)
    frames, plain = read(path), read(path, alpha=False)
    for frame, same, expected in zip(frames, plain, CUTOUTS, strict=True):
        assert frame.image.shape == (96, 128, 4)
        assert frame.image.flags.c_contiguous
        assert frame[1:] == same[1:]
        np.testing.assert_array_equal(frame.image[..., :3], same.image)
        alpha = expected[..., 3].astype(int)
        assert np.abs(frame.image[..., 3] - alpha).max() <= slack
        assert frame.image[..., 3][~near(alpha > 0)].max() <= 3
        inside = alpha == 255
        assert clips.level_error(frame.image[inside, :3], expected[inside, :3]) <= colour


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("c.mp4", "libx264", {"bf": "2"}),
        ("c.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
        ("c.mov", "prores_ks", {}),
        ("c.mkv", "ffv1", {}),
    ],
)
def test_a_stream_without_alpha_is_read_as_ever(tmp_path, name, codec, options):
    path = clips.make_clip(tmp_path / name, 5, codec=codec, options=options)
    for frame, same in zip(read(path), read(path, alpha=False), strict=True):
        assert frame.image.shape == (96, 128, 3)
        np.testing.assert_array_equal(frame.image, same.image)
        assert frame[1:] == same[1:]


def tagged(path, codec, size=(64, 96), tags=(), turned=0):
    """One transparent picture; `tags`: matrix, range, primaries, transfer. `turned`: degrees of the flag."""
    picture = np.dstack([clips.picture(0, size), np.full(size, 100, np.uint8)])
    picture[: size[0] // 2, :, 3] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=FAST if "vpx" in codec else {})
        stream.height, stream.width = size
        stream.pix_fmt = "yuva420p" if "vpx" in codec else "rgba"
        if tags:
            context = stream.codec_context
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        if turned:
            stream.set_display_rotation(turned)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(stream.encode())
    return picture


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "size", "tags"),
    [
        ("libvpx", (64, 96), (1, 1, 1, 1)),
        ("libvpx-vp9", (64, 96), (5, 2, 1, 1)),
        # HLG, which is brought to standard range
        ("libvpx-vp9", (64, 96), (9, 1, 9, 18)),
        # nothing is said: VP9 of this width is taken for BT.709, but VP8 is BT.601 by its definition
        ("libvpx", (32, 1280), ()),
        ("libvpx-vp9", (32, 1280), ()),
    ],
)
def test_what_the_container_says_of_colours_holds_with_alpha_too(tmp_path, codec, size, tags):
    picture = tagged(tmp_path / "c.webm", codec, size, tags)
    (frame,), (same,) = read(tmp_path / "c.webm"), read(tmp_path / "c.webm", alpha=False)
    np.testing.assert_array_equal(frame.image[..., :3], same.image)
    assert np.abs(frame.image[..., 3].astype(int) - picture[..., 3]).mean() < 1


@pytest.mark.parametrize(("name", "codec"), [("c.webm", "libvpx-vp9"), ("c.mov", "png")])
@pytest.mark.parametrize("degrees", [90, 180])
def test_alpha_is_turned_with_its_picture(tmp_path, name, codec, degrees):
    picture = tagged(tmp_path / name, codec, turned=degrees)
    expected = np.rot90(picture, degrees // 90)
    (frame,) = read(tmp_path / name)
    assert frame.image.shape == expected.shape
    assert clips.level_error(frame.image[..., 3], expected[..., 3]) < 1
    assert clips.level_error(frame.image[..., :3], expected[..., :3]) < 5


@pytest.mark.parametrize("name", ["c.webm", "c.mov", "c.gif"])
def test_what_is_opaque_stays_fully_opaque(tmp_path, name):
    opaque = [np.dstack([clips.picture(number), np.full((96, 128), 255, np.uint8)]) for number in range(4)]
    if name == "c.gif":
        animation(tmp_path / name, opaque, 100)
    else:
        clips.write_cutouts(tmp_path / name, opaque, format_name="prores" if name == "c.mov" else None)
    frames = read(tmp_path / name)
    assert len(frames) == 4
    assert all((frame.image[..., 3] == 255).all() for frame in frames)


def test_a_cut_clip_with_alpha_is_named_and_a_damaged_one_goes_on(tmp_path):
    path = clips.write_cutouts(tmp_path / "c.webm", [clips.cutout(number) for number in range(60)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"c\.webm breaks off at \d\.\d\d s"):
        read(path)
    with av.open(str(clips.write_cutouts(path, CUTOUTS))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    start = data.index(packets[3])
    data[start : start + 40] = np.random.default_rng(1).bytes(40)
    path.write_bytes(data)
    reader = VideoReader(path, alpha=True)
    frames = list(reader)
    assert len(frames) == len(CUTOUTS)
    assert np.array_equal(frames[3].image, frames[2].image)
    for frame, cutout in zip(frames[:3], CUTOUTS, strict=False):
        assert clips.level_error(frame.image[..., 3], cutout[..., 3]) < 4
    assert "frames are lost or damaged, first at 0.12 s" in reader.notes[0]


MILLISECONDS = [100, 200, 50, 300, 100, 150]


@pytest.mark.parametrize(
    ("name", "options"), [("c.gif", {"disposal": 2}), ("c.png", {"disposal": 1}), ("c.png", {"blend": 0})]
)
def test_an_animation_is_a_clip_with_its_own_times(tmp_path, name, options):
    path = animation(tmp_path / name, CUTOUTS, MILLISECONDS, **options)
    begins = [0, *itertools.accumulate(MILLISECONDS)]
    frames = read(path)
    assert [frame.seconds for frame in frames] == pytest.approx([ms / 1000 for ms in begins[:-1]])
    assert VideoReader(path).seconds == pytest.approx(begins[-1] / 1000)
    with Image.open(path) as image:
        expected = [np.array(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]
    for frame, other in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.image[..., 3], other[..., 3])
        seen = other[..., 3] > 0
        np.testing.assert_array_equal(frame.image[seen], other[seen])
    assert 0 < (frames[0].image[..., 3] == 0).mean() < 1


def test_what_stands_in_for_an_animation_is_not_part_of_it(tmp_path):
    pictures = [clips.picture(number) for number in range(4)]
    path = animation(tmp_path / "c.png", [np.zeros_like(pictures[0]), *pictures], 100, default_image=True)
    frames = read(path)
    for frame, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.image, picture)
