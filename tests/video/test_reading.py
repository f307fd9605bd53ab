from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image

from kolbench.errors import DataError
from kolbench.video.reader import VideoReader
from kolbench.video.timelines import choose_moments, extract, read_timeline
from tests.helpers import clips


def read(path):
    with VideoReader(path) as reader:
        return reader, list(reader)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("c.mp4", "libx264", {"bf": "2", "crf": "10"}),
        ("c.mov", "prores_ks", {}),
        ("c.mkv", "ffv1", {}),
        ("c.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "10"}),
        ("c.avi", "mpeg4", {"qscale": "2"}),
        ("c.ts", "libx264", {"bf": "2", "crf": "10"}),
    ],
)
def test_frames_come_in_the_order_of_display_with_their_times(tmp_path, name, codec, options):
    # AVI has no timestamps but frame numbers, so it cannot say 1/90000 s
    if name.endswith("avi"):
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=30, options={"qscale": "2"})
            stream.width, stream.height = 128, 96
            for number in range(20):
                frame = av.VideoFrame.from_ndarray(clips.picture(number), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    else:
        path = clips.make_clip(tmp_path / name, 20, codec=codec, options=options)
    reader, frames = read(path)
    assert reader.frame_count == len(frames) == 20
    assert (reader.height, reader.width) == (96, 128)
    for number, frame in enumerate(frames):
        errors = [clips.level_error(frame.image, clips.picture(n)) for n in range(20)]
        assert int(np.argmin(errors)) == number
    assert [frame.seconds for frame in frames] == pytest.approx([n / 30 for n in range(20)], abs=6e-4)
    assert frames[0].pts == reader.start
    assert frames[-1].pts == reader.last
    assert reader.seconds == pytest.approx(20 / 30, abs=1.1e-3)
    assert frames[3].image.dtype == np.uint8
    assert frames[3].image.flags.c_contiguous
    assert frames[3].image.flags.writeable


def test_h264_in_avi_gets_display_times_although_the_file_holds_decoding_times(tmp_path):
    with av.open(str(tmp_path / "c.avi"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "crf": "10"})
        stream.width, stream.height = 128, 96
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(clips.picture(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    _, frames = read(tmp_path / "c.avi")
    assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in range(20)])
    assert clips.level_error(frames[7].image, clips.picture(7)) < 2


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_variable_rates_and_the_last_duration_are_exact(tmp_path, suffix):
    path = clips.make_clip(
        tmp_path / f"v.{suffix}", stamps_ms=clips.IRREGULAR_MS, last_ms=300, options={"bf": "0"}
    )
    reader, frames = read(path)
    assert [frame.pts * reader.time_base * 1000 for frame in frames] == list(clips.IRREGULAR_MS)
    assert reader.end * reader.time_base == Fraction(3, 2)
    assert reader.seconds == 1.5


def test_one_frame_is_a_video(tmp_path):
    reader, frames = read(clips.make_clip(tmp_path / "one.mp4", 1))
    assert [frame.seconds for frame in frames] == [0]
    assert reader.seconds == pytest.approx(1 / 30, abs=1e-4)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_all_eight_orientations_come_upright(tmp_path, degrees, mirrored):
    # the library that writes this flag mirrors after turning counter-clockwise
    lies = clips.picture(3)
    with av.open(str(tmp_path / "c.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv444p"
        stream.set_display_rotation(degrees, hflip=mirrored)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(lies, format="rgb24")))
        container.mux(stream.encode())
    reader, (frame,) = read(tmp_path / "c.mp4")
    upright = np.rot90(lies, degrees // 90)
    assert (reader.height, reader.width) == upright.shape[:2]
    assert clips.level_error(frame.image, upright[:, ::-1] if mirrored else upright) < 1


@pytest.mark.parametrize(
    ("degrees", "turn"), [(90, Image.Transpose.ROTATE_270), (180, Image.Transpose.ROTATE_180)]
)
def test_the_flag_of_a_phone_turns_clockwise(tmp_path, degrees, turn):
    reader, frames = read(clips.make_clip(tmp_path / "c.mp4", 3, options={"crf": "5"}, rotation=degrees))
    expected = np.asarray(Image.fromarray(clips.picture(2)).transpose(turn))
    assert clips.level_error(frames[2].image, expected) < 2
    assert (reader.height, reader.width) == expected.shape[:2]


def test_pixels_that_are_not_square_become_square(tmp_path):
    path = tmp_path / "c.mp4"
    lying = np.full((96, 128, 3), 40, np.uint8)
    # a disc as it is shown, half as wide as high where pixels are twice as wide as high
    rows, columns = np.mgrid[:96, :128]
    lying[(rows - 48) ** 2 + (2 * (columns - 64)) ** 2 < 40**2] = 220
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(lying, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for shape, turned in (((96, 256), 0), ((256, 96), 90)):
        if turned:
            clips.turn(path, turned)
        reader, frames = read(path)
        assert (reader.height, reader.width) == shape == frames[0].image.shape[:2]
        inside = frames[0].image[..., 1] > 130
        height, width = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        assert abs(np.ptp(height) - np.ptp(width)) <= 2
        assert "has pixels of 2:1; its frames of 128x96 become 256x96 of square ones" in reader.notes[0]
        timeline = read_timeline(path)
        ((_, image),) = extract(path, timeline, choose_moments(timeline, 1))
        assert np.array_equal(image, frames[1].image)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_interlaced_frames_become_whole_pictures(tmp_path, codec):
    path = tmp_path / "c.mkv"
    # a bar that moves by 12 px a frame, so by 6 px from the one half picture to the other
    with av.open(str(path), "w") as container:
        options = {"flags": "+ilme+ildct", "crf": "4", "qscale": "2"}
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(8):
            woven = np.full((96, 128, 3), 40, np.uint8)
            for half in (0, 1):
                left = 10 + 12 * number + 6 * half
                # the encoders say that the lower lines come first
                woven[1 - half :: 2, left : left + 20] = 220
            frame = av.VideoFrame.from_ndarray(woven, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    reader, frames = read(path)
    assert "is interlaced; each frame is made one whole image" in reader.notes[0]
    assert [round(frame.seconds * 25) for frame in frames] == list(range(8))
    timeline = read_timeline(path)
    extracted = [image for _, image in extract(path, timeline, choose_moments(timeline, 8))]
    for number, frame in enumerate(frames[1:-1], start=1):
        lit = frame.image[..., 1] > 130
        # all lines alike, where the first half picture has the bar
        assert (lit == lit[48]).mean() > 0.99
        assert abs(int(np.flatnonzero(lit[48])[0]) - (10 + 12 * number)) <= 1
        assert np.array_equal(extracted[number], frame.image)


def lossless_clip(path, matrix, tag, bits, full, size):
    """One frame of eight bars in the clips.COLOURS, as Y, Cb, Cr that are computed here."""
    height, width = size
    sample = np.uint8 if bits == 8 else np.uint16
    frame = av.VideoFrame(width, height, "yuv444p" if bits == 8 else "yuv444p10le")
    values = np.array([clips.planes_of(colour, matrix, bits, full) for colour in clips.COLOURS], sample)
    for channel, plane in enumerate(frame.planes):
        row = np.zeros(plane.line_size // np.dtype(sample).itemsize, sample)
        row[:width] = np.repeat(values[:, channel], width // 8)
        plane.update(np.tile(row, height).tobytes())
    frame.pts = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, frame.format.name
        context = stream.codec_context
        context.colorspace, context.color_range = tag, 2 if full else 1
        frame.colorspace, frame.color_range = tag, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "tag", "size"),
    [
        ("bt709", 1, (64, 128)),
        ("bt601", 5, (64, 128)),
        ("bt601", 6, (720, 1280)),
        # nothing is said: the size decides
        ("bt601", 2, (480, 640)),
        ("bt709", 2, (720, 1280)),
    ],
)
def test_colours_follow_matrix_range_and_depth(tmp_path, matrix, tag, bits, full, size):
    lossless_clip(tmp_path / "c.mkv", matrix, tag, bits, full, size)
    _, (frame,) = read(tmp_path / "c.mkv")
    bar = size[1] // 8
    seen = frame.image[size[0] // 2, bar // 2 :: bar].astype(int)
    assert np.abs(seen - clips.COLOURS).max() <= 2


@pytest.mark.parametrize(
    "pixel_format", ["gray", "yuv422p", "yuv420p10le", "bgr0", "yuva420p", "bgra", "yuv410p"]
)
def test_other_pixel_formats_are_read(tmp_path, pixel_format):
    path = clips.make_clip(tmp_path / "c.mkv", 3, codec="ffv1", pixel_format=pixel_format)
    _, frames = read(path)
    expected = clips.picture(2)
    if pixel_format == "gray":
        luma = expected @ [0.299, 0.587, 0.114]
        expected = np.repeat(luma.round()[..., None], 3, axis=2)
    assert clips.level_error(frames[2].image, expected) < 4


# shares of the signal of BT.2100, each with each: three reds, greens and blues
PATCHES = np.stack(np.meshgrid(*[[0.1, 0.4, 0.75]] * 3, indexing="ij"), -1).reshape(27, 3)
PATCH_PX = 16
HLG, PQ = 18, 16


def tagged(frame: av.VideoFrame, transfer: int, matrix: int, full: int) -> av.VideoFrame:
    frame.pts, frame.colorspace, frame.color_range = 0, matrix, full
    frame.color_trc, frame.color_primaries = transfer, 9
    return frame


def fill(frame: av.VideoFrame, planes: list[np.ndarray]) -> None:
    for plane, values in zip(frame.planes, planes, strict=True):
        buffer = memoryview(plane)
        rows = np.frombuffer(buffer, np.uint16).reshape(plane.height, plane.line_size // 2)
        rows[:, : plane.width] = values


def hdr_clip(path, transfer: int, pixel_format: str) -> None:
    """The patches, one below the other, in BT.2020 with 10 bits and limited range."""
    red, green, blue = np.repeat(PATCHES, PATCH_PX, 0).T[..., None] * np.ones(64)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    chroma = [(blue - luma) / 1.8814, (red - luma) / 1.4746]
    step = 2 if "420" in pixel_format else 1
    planes = [876 * luma + 64, *(896 * plane[::step, ::step] + 512 for plane in chroma)]
    frame = tagged(av.VideoFrame(64, len(red), pixel_format), transfer, 9, 1)
    fill(frame, [np.rint(plane).astype(np.uint16) for plane in planes])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, len(red), pixel_format
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = (
            9,
            1,
            transfer,
            9,
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def standard_range(transfer: int) -> np.ndarray:
    """What swscale makes of the patches in 16-bit RGB, where no matrix and no chroma is in between."""
    signal = np.repeat(PATCHES, PATCH_PX, 0)[:, None] * np.ones((64, 1))
    frame = tagged(av.VideoFrame(64, len(signal), "gbrp16le"), transfer, 0, 2)
    fill(frame, [np.rint(signal[..., channel] * 65535).astype(np.uint16) for channel in (1, 2, 0)])
    narrow = VideoReformatter().reformat(
        frame, format="rgb24", dst_color_trc=13, dst_color_primaries=1, dst_color_range=2
    )
    return narrow.to_ndarray()[PATCH_PX // 2 :: PATCH_PX, 32].astype(int)


@pytest.mark.slow
@pytest.mark.parametrize(("transfer", "name", "most"), [(HLG, "HLG", 8), (PQ, "PQ", 4)])
def test_hdr_is_brought_to_standard_range_and_said(tmp_path, transfer, name, most):
    expected = standard_range(transfer)
    for pixel_format in ("yuv420p10le", "yuv444p10le"):
        hdr_clip(tmp_path / "c.mkv", transfer, pixel_format)
        reader, (frame,) = read(tmp_path / "c.mkv")
        assert f"is HDR ({name})" in reader.notes[0]
        inner = frame.image.reshape(27, PATCH_PX, 64, 3)[:, 4:-4].astype(int)
        # every row of a patch is the same
        assert np.ptp(inner, axis=(1, 2)).max() <= 1
        # ten bits of the darkest, most saturated HLG patches are further apart than the others
        assert np.abs(inner[:, 4, 32] - expected).max() <= most
        # grey stays grey; HLG, ITU-R BT.2100: 75 % is the white of a page, without a conversion 191
        greys = inner[[0, 13, 26], 4, 32]
        assert np.ptp(greys, axis=1).max() <= 1
        assert greys[2].min() >= 235


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    return clips.faulty_clips(tmp_path_factory.mktemp("faulty"))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("empty", r"empty\.mp4 is empty \(0 bytes\); copy it again"),
        ("page", r"page\.mp4 cannot be read as a video: it is a web page"),
        ("noise", r"noise\.mp4 cannot be read as a video: .* Copy it again, or convert it"),
        ("picture", r"image\.mp4 cannot be read as a video: it is none of the containers"),
        ("playlist", r"playlist\.mp4 cannot be read as a video"),
        ("sound_only", r"sound_only\.mp4 holds no video stream, only sound"),
        ("cover", r"cover\.mp3 .*(holds no video stream|none of the containers)"),
        ("no_frames", r"no_frames\.mp4 holds no video stream"),
        ("headless", r"headless\.mp4 cannot be read as a video"),
        ("cut_mp4", r"cut\.mp4 breaks off at 1\.\d\d s, but says of itself that it lasts 3\.00 s"),
        ("cut_mkv", r"cut\.mkv breaks off at 1\.\d\d s, but says of itself that it lasts 3\.00 s"),
        ("cut_webm", r"cut\.webm breaks off at 1\.\d\d s"),
        ("missing", r"missing\.mp4 is not a file; check the path"),
    ],
)
def test_what_is_no_whole_video_is_named_with_what_to_do(faulty, fault, said):
    folder = faulty["empty"].parent
    path = faulty.get(fault, folder / f"{fault}.mp4")
    if fault == "picture":
        Image.fromarray(clips.picture(0)).save(path, format="JPEG")
    if fault == "playlist":
        clips.make_clip(folder / "secret.ts", 5)
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")
    if fault == "cover":
        path = clips.sound_alone(folder / "cover.mp3", "libmp3lame")
    if fault == "no_frames":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height = 64, 64
            container.start_encoding()
    with pytest.raises(DataError, match=said):
        read(path)


def test_a_recording_that_starts_between_two_key_frames_starts_at_the_next(tmp_path):
    every_20 = {"g": "20", "bf": "2", "x264-params": "scenecut=0"}
    whole = clips.make_clip(tmp_path / "whole.ts", 60, options=every_20).read_bytes()
    # a transport stream is made of packets of 188 bytes
    (tmp_path / "cut.ts").write_bytes(whole[188 * (len(whole) // 188 // 6) :])
    _, frames = read(tmp_path / "cut.ts")
    assert len(frames) == 40
    errors = [clips.level_error(frames[0].image, clips.picture(n)) for n in range(60)]
    assert int(np.argmin(errors)) == 20


def test_a_video_that_changes_its_size_is_refused(tmp_path):
    with av.open(str(tmp_path / "two.ts"), "w") as container:
        for size, first in (((96, 128), 0), ((64, 64), 10)):
            encoder = av.CodecContext.create("libx264", "w")
            encoder.height, encoder.width, encoder.pix_fmt = *size, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
            encoder.options = {"bf": "0", "tune": "zerolatency"}
            if first == 0:
                stream = container.add_mux_stream("h264", width=128, height=96, time_base=Fraction(1, 90_000))
            packets = []
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(clips.picture(number, size), format="rgb24")
                frame.pts = first + number
                packets += encoder.encode(frame)
            for packet in packets + encoder.encode(None):
                packet.stream = stream
                container.mux(packet)
    with pytest.raises(DataError, match=r"changes its size from 128x96 to 64x64 at 0\.3"):
        read(tmp_path / "two.ts")


def test_iterating_again_starts_again_and_leaving_closes(tmp_path):
    path = clips.make_clip(tmp_path / "c.mp4", 10)
    with VideoReader(path) as reader:
        first, other = iter(reader), iter(reader)
        assert next(first).pts == next(other).pts == 0
        assert [frame.pts for frame in reader][1] == next(other).pts
    assert next(first, None) is None
    assert reader.notes == []


def test_names_are_files_whatever_they_look_like(tmp_path, monkeypatch):
    clips.make_clip(tmp_path / "c.mp4", 3)
    for name in ("concat:c.mp4", "http:c.mp4", "视频 🎥 50%d.mp4", "-i.mp4"):
        (tmp_path / name).write_bytes((tmp_path / "c.mp4").read_bytes())
        monkeypatch.chdir(tmp_path)
        assert len(read(name)[1]) == 3


def test_a_title_that_is_no_utf8_hinders_nobody(tmp_path):
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "a song of 1998"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 90, np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    whole = path.read_bytes()
    assert b"a song of 1998" in whole
    path.write_bytes(whole.replace(b"a song of 1998", b"a s\xf6ng of 1998"))
    with VideoReader(path) as reader:
        assert len(list(reader)) == 1
    timeline = read_timeline(path)
    (shown,) = extract(path, timeline, choose_moments(timeline, 1))
    assert shown[1].shape == (24, 32, 3)
