from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from kolbench.errors import ConfigError
from kolbench.video.codecs import format_name_of
from kolbench.video.reader import VideoReader
from kolbench.video.sequence import PngSequence
from kolbench.video.writers import VideoWriter
from tests.helpers import clips


def bars(size, alpha=None):
    """Eight vertical bars in the clips.COLOURS; `alpha` = their levels."""
    image = np.repeat(clips.COLOURS, size[1] // 8, axis=0)[None].repeat(size[0], axis=0)
    if alpha is None:
        return image
    return np.dstack([image, np.repeat(np.array(alpha, np.uint8), size[1] // 8)[None].repeat(size[0], 0)])


def write_one(path, image, format_name, frames=2):
    height, width = image.shape[:2]
    with VideoWriter(path, None, height, width, format_name, time_base=Fraction(1, 25)) as writer:
        for pts in range(frames):
            writer.write(image, pts)
    return writer


@pytest.mark.parametrize(("name", "format_name"), [("o.mp4", "h264"), ("o.webm", "vp9"), ("o.mov", "prores")])
def test_colours_are_tagged_and_come_back(tmp_path, name, format_name):
    write_one(tmp_path / name, bars((64, 128)), format_name)
    with av.open(str(tmp_path / name)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        tags = (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
        assert tags == (1, 1, 1, 1)
    # FFmpeg decodes all ProRes 4444 to 12 bits
    bits = 12 if format_name == "prores" else 8
    expected = [clips.planes_of(colour, "bt709", bits, False) for colour in clips.COLOURS]
    step = 16 // (1 if format_name == "prores" else 2)
    dtype = np.uint16 if format_name == "prores" else np.uint8
    for channel, plane in enumerate(frame.planes[:3]):
        size, apart = (64, 16) if channel == 0 else (64 * step // 16, step)
        rows = np.frombuffer(bytes(plane), dtype).reshape(size, -1)
        seen = rows[size // 2, apart // 2 :: apart][:8].astype(int)
        assert np.abs(seen / 2 ** (bits - 8) - [e[channel] / 2 ** (bits - 8) for e in expected]).max() <= 3
    with VideoReader(tmp_path / name) as reader:
        image = next(iter(reader)).image
    assert np.abs(image[32, 8::16].astype(int) - clips.COLOURS).max() <= 4


def decode_with_alpha(path):
    """(H, W, 4) uint8 of the first frame; FFmpeg's own VP9 decoder leaves the alpha out."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.codec.canonical_name != "vp9":
            return next(container.decode(stream)).to_ndarray(format="rgba")
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in container.demux(stream):
            for frame in decoder.decode(packet):
                return frame.to_ndarray(format="rgba")
    return None


LEVELS = (255, 0, 128, 255, 64, 192, 255, 255)


@pytest.mark.parametrize(
    ("name", "format_name", "slack"), [("o.webm", "vp9", 6), ("o.mov", "prores", 1), ("o", "png", 0)]
)
def test_transparency_comes_back(tmp_path, name, format_name, slack):
    source = clips.make_clip(tmp_path / "in.mp4", 3, size=(64, 128))
    alpha = bars((64, 128), LEVELS)[..., 3]
    clips.copy(source, tmp_path / name, format_name, alpha=alpha)
    if format_name == "png":
        seen = np.asarray(Image.open(tmp_path / name / "000000.png"))
    else:
        seen = decode_with_alpha(tmp_path / name)
    assert seen.shape == (64, 128, 4)
    assert np.abs(seen[32, 8::16, 3].astype(int) - LEVELS).max() <= slack
    with VideoReader(source) as reader:
        assert clips.level_error(seen[..., :3], next(iter(reader)).image) <= 4


@pytest.mark.parametrize(("name", "format_name"), clips.OUTPUTS)
def test_odd_sizes_are_padded_where_colour_is_halved(tmp_path, name, format_name):
    source = clips.make_clip(tmp_path / "in.mkv", 5, size=(49, 65), codec="ffv1", pixel_format="yuv444p")
    writer = clips.copy(source, tmp_path / name, format_name)
    if name == "o":
        assert np.asarray(Image.open(tmp_path / name / "000004.png")).shape == (49, 65, 3)
        assert len(clips.names_in(tmp_path / name)) == 6
        return
    with VideoReader(tmp_path / name) as reader:
        frames = list(reader)
    assert len(frames) == 5
    image = frames[4].image
    if format_name == "prores":
        assert image.shape == (49, 65, 3)
        assert writer.notes == []
    else:
        assert image.shape == (50, 66, 3)
        assert "65x49 was made 66x50 by repeating the last column or row" in writer.notes[0]
        assert clips.level_error(image[:, 65], image[:, 64]) < 8
        assert clips.level_error(image[49], image[48]) < 8
    assert clips.level_error(image[:49, :65], clips.picture(4, (49, 65))) < 5


def test_a_turned_clip_comes_out_upright_without_a_flag(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", 5, rotation=90, options={"crf": "5"})
    clips.copy(source, tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.rotation, frame.height, frame.width) == (0, 128, 96)
    assert clips.level_error(frame.to_ndarray(format="rgb24"), np.rot90(clips.picture(0), -1)) < 4


def test_grey_pictures_make_a_grey_video(tmp_path):
    ramp = np.tile(np.arange(0, 256, 2, dtype=np.uint8), (64, 1))
    with VideoWriter(tmp_path / "o.mp4", None, 64, 128, "h264", time_base=Fraction(1, 25)) as writer:
        writer.write(ramp, 0)
    with VideoReader(tmp_path / "o.mp4") as reader:
        image = next(iter(reader)).image
        assert reader.seconds == pytest.approx(1 / 30, abs=1 / 100)
    assert clips.level_error(image, np.repeat(ramp[..., None], 3, axis=2)) < 2
    with (
        pytest.raises(ConfigError, match="a video holds 8 bits; write a folder of PNGs for 16"),
        VideoWriter(tmp_path / "p.mp4", None, 64, 128, "h264", time_base=Fraction(1, 25)) as writer,
    ):
        writer.write(ramp.astype(np.uint16), 0)


def test_pngs_hold_sixteen_bits(tmp_path):
    deep = np.linspace(0, 65535, 64 * 32).astype(np.uint16).reshape(32, 64)
    with PngSequence(tmp_path / "o", time_base=Fraction(1, 10)) as sequence:
        sequence.write(deep, 5)
    assert (np.asarray(Image.open(tmp_path / "o" / "000000.png")) == deep).all()
    assert (tmp_path / "o" / "timestamps.csv").read_text() == "file,seconds\n000000.png,0.500000\n"


@pytest.mark.parametrize(
    ("name", "alpha", "format_name", "found"),
    [
        ("a.mp4", False, None, "h264"),
        ("a.MOV", False, "auto", "h264"),
        ("a.mkv", False, None, "h264"),
        ("a.webm", True, None, "vp9"),
        ("a.mov", True, "prores", "prores"),
        ("folder", True, None, "png"),
        ("folder", False, "png", "png"),
    ],
)
def test_the_suffix_decides(name, alpha, format_name, found):
    assert format_name_of(name, alpha, format_name) == found


@pytest.mark.parametrize(
    ("name", "alpha", "format_name", "said"),
    [
        (
            "a.mp4",
            True,
            None,
            r"a\.mp4: \.mp4 with H\.264 has no alpha channel; write \.webm.*prores.*folder",
        ),
        ("a.mov", True, None, r"no alpha channel; .*format=prores"),
        ("a.mkv", True, "h264", r"no alpha channel"),
        (
            "a.gif",
            False,
            None,
            r"written as \.mp4, \.m4v, \.mov, \.mkv, \.webm, or as a folder.*\.gif is none",
        ),
        ("a.mp4", False, "vp9", r"format=vp9 is written as \.webm"),
        ("folder", False, "h264", r"format=h264 is written as \.mp4"),
        ("a.mp4", False, "png", r"format=png writes a folder; leave \.mp4 away"),
        ("a.mp4", False, "h265", r"format=h265 is not a choice.*Did you mean format=h264"),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_does(name, alpha, format_name, said):
    with pytest.raises(ConfigError, match=said):
        format_name_of(name, alpha, format_name)


def test_transparent_pictures_are_refused_by_a_form_without_alpha(tmp_path):
    with (
        pytest.raises(ConfigError, match=r"o\.mp4 has no alpha channel; write \.webm"),
        VideoWriter(tmp_path / "o.mp4", None, 64, 128, "h264", time_base=Fraction(1, 25)) as writer,
    ):
        writer.write(bars((64, 128), LEVELS), 0)
    assert clips.names_in(tmp_path) == []


@pytest.mark.parametrize("by_link", [False, True])
def test_the_input_is_never_the_output(tmp_path, by_link):
    source = clips.make_clip(tmp_path / "in.mp4", 5)
    before = source.read_bytes()
    target = source
    if by_link:
        target = tmp_path / "link.mp4"
        target.symlink_to(source)
    with pytest.raises(ConfigError, match="is the input itself; give another name"):
        clips.copy(source, target)
    assert source.read_bytes() == before
