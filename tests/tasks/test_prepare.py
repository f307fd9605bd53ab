import csv
import json
import re
import shutil
import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from kolbench.data.sources.kol import KolSource
from kolbench.errors import ConfigError, DataError
from kolbench.io import images
from kolbench.tasks import prepare
from kolbench.video import timelines
from tests.helpers import clips, damaged
from tests.helpers.tasks import run_task

WIDTH, HEIGHT = 64, 48


def level(number: int) -> int:
    """The grey level that marks frame `number`."""
    return 20 + 3 * number


def record(
    path: Path, stamps_ms: list[int], codec: str = "libx264", gop: int = 250, marked: bool = False
) -> Path:
    """A video of grey frames at these times; `marked` paints the upper left quarter white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.gop_size, stream.bit_rate = gop, 20_000_000
        for number, stamp in enumerate(stamps_ms):
            image = np.full((HEIGHT, WIDTH, 3), level(number), np.uint8)
            if marked:
                image[: HEIGHT // 2, : WIDTH // 2] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def constant_rate(count: int, step_ms: int = 40) -> list[int]:
    return [step_ms * number for number in range(count)]


def numbers(folder: Path) -> list[int]:
    """Frame numbers by what the pictures show."""
    pictures = [path for path in sorted(folder.iterdir()) if path.suffix in (".png", ".jpg")]
    return [round((float(images.read_rgb(path).mean()) - 20) / 3) for path in pictures]


def prepared(values: Mapping[str, object]) -> dict[str, float]:
    result = run_task("task=prepare", **values)
    return {**result.figures, "failed": result.failed}


def manifest(root: Path) -> list[dict[str, str]]:
    with (root / "manifest.csv").open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(
    ("suffix", "codec", "gop"), [("mp4", "libx264", 250), ("mkv", "libx264", 7), ("avi", "mpeg4", 12)]
)
def test_frames_are_the_centres_of_equal_parts(tmp_path, suffix, codec, gop):
    video = record(tmp_path / f"clip.{suffix}", constant_rate(60), codec, gop)
    result = prepared({"input": str(video), "output": str(tmp_path / "out"), "frames": 4, "format": "png"})
    assert result == {"videos": 1, "frames": 4, "written": 4, "failed": 0}
    # parts of 15 frames: the first centre lies within frame 7
    assert numbers(tmp_path / "out" / "images" / "clip") == [7, 22, 37, 52]
    rows = manifest(tmp_path / "out")
    assert [row["name"] for row in rows] == [f"clip/clip_{n:06d}" for n in (7, 22, 37, 52)]
    assert {row["video"] for row in rows} == {"clip"}
    assert [float(row["timestamp_s"]) for row in rows] == pytest.approx([0.28, 0.88, 1.48, 2.08], abs=1e-3)


VARIABLE = [0, 33, 67, 400, 433, 1200]


def test_timestamps_decide_where_the_frame_rate_varies(tmp_path):
    video = record(tmp_path / "v.mkv", VARIABLE)
    timeline = timelines.read_timeline(video)
    assert [pts * timeline.time_base * 1000 for pts in timeline.pts] == VARIABLE
    # centres at about 205, 616 and 1027 ms: on display are the frames of 67, 433 and again 433 ms
    moments = timelines.choose_moments(timeline, 3)
    assert [moment.number for moment in moments] == [2, 4, 5]
    shown = [
        round((float(image.mean()) - 20) / 3) for _, image in timelines.extract(video, timeline, moments)
    ]
    assert shown == [2, 4, 5]
    assert [moment.seconds for moment in moments] == pytest.approx([0.067, 0.433, 1.2])


def test_short_videos_give_all_their_frames(tmp_path):
    record(tmp_path / "in" / "v.mp4", constant_rate(4))
    prepared({"input": tmp_path / "in", "output": tmp_path / "out"})
    assert numbers(tmp_path / "out" / "images" / "v") == [0, 1, 2, 3]


def test_choosing_is_distinct_and_even_for_any_count():
    timeline = timelines.Timeline(list(range(0, 1000, 10)), [0], 1000, Fraction(1, 100))
    for count in range(1, 101):
        chosen = [moment.number for moment in timelines.choose_moments(timeline, count)]
        assert len(set(chosen)) == count
        gaps = np.diff(chosen)
        assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


# How a phone marks a video that is held upright: columns of the display matrix, 16.16 fixed point
MATRICES = {
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


def turn(path: Path, degrees: int) -> None:
    """Writes a clockwise display rotation into the track header of an MP4."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (value * 65536 for value in MATRICES[degrees])
    # version and flags, times, id, reserved, duration, layer, volume: the matrix follows 40 bytes on
    start = data.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", data[start : start + 36])[::4] == (65536, 65536, 1 << 30)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize(("degrees", "corner"), [(90, (0, 1)), (180, (1, 1)), (270, (1, 0))])
def test_rotation_is_applied(tmp_path, degrees, corner):
    video = record(tmp_path / "v.mp4", constant_rate(3), marked=True)
    turn(video, degrees)
    prepared({"input": video, "output": tmp_path / "out", "frames": 1})
    (path,) = (tmp_path / "out" / "images" / "v").iterdir()
    image = images.read_rgb(path)
    assert image.shape[:2] == ((WIDTH, HEIGHT) if degrees != 180 else (HEIGHT, WIDTH))
    quarters = image[..., 0].reshape(2, image.shape[0] // 2, 2, image.shape[1] // 2).mean(axis=(1, 3))
    # the white quarter was upper left and has gone clockwise
    assert np.unravel_index(quarters.argmax(), (2, 2)) == corner


def test_bad_videos_are_named_skipped_and_leave_nothing(tmp_path, capsys):
    record(tmp_path / "in" / "good.mp4", constant_rate(10))
    (tmp_path / "in" / "empty.mp4").write_bytes(b"")
    (tmp_path / "in" / "noise.mov").write_bytes(np.random.default_rng(0).bytes(5000))
    whole = (tmp_path / "in" / "good.mp4").read_bytes()
    (tmp_path / "in" / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "in" / "notes.txt").write_text("no video")
    result = prepared({"input": tmp_path / "in", "output": tmp_path / "out", "frames": 2})
    assert result == {"videos": 1, "frames": 2, "written": 2, "failed": 3}
    printed = capsys.readouterr().out
    assert "empty.mp4 is empty (0 bytes)" in printed
    assert "noise.mov cannot be read as a video" in printed
    assert "cut.mp4 cannot be read as a video" in printed
    assert "data=kol data.root=" in printed
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["good"]
    assert {row["video"] for row in manifest(tmp_path / "out")} == {"good"}


def test_a_video_that_breaks_off_while_decoding_leaves_nothing(tmp_path, monkeypatch):
    video = record(tmp_path / "v.mkv", constant_rate(30))
    honest = timelines.read_timeline

    def longer(path: Path) -> timelines.Timeline:
        timeline = honest(path)
        return timeline._replace(pts=[*timeline.pts, 60_000], end=60_040)

    monkeypatch.setattr(timelines, "read_timeline", longer)
    with pytest.raises(
        DataError, match=r"None of the 1 videos could be read.*v\.mkv breaks off before 60\.00 s"
    ):
        prepared({"input": video, "output": tmp_path / "out", "frames": 31})
    assert list((tmp_path / "out" / "images").iterdir()) == []
    assert manifest(tmp_path / "out") == []


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.planes[0].update(bytes(4096))
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DataError, match="no video stream"):
        timelines.read_timeline(tmp_path / "a.mp4")


def test_running_again_adds_only_what_is_missing(tmp_path):
    record(tmp_path / "in" / "v.mp4", constant_rate(40))
    settings = {"input": tmp_path / "in", "output": tmp_path / "out", "frames": 4}
    prepared(settings)
    folder = tmp_path / "out" / "images" / "v"
    first, second, *_ = sorted(folder.iterdir())
    label = first.with_suffix(".json")
    label.write_text("{}")
    images.write_png(first, np.zeros((4, 4), np.uint8))
    touched, rows = first.read_bytes(), manifest(tmp_path / "out")
    second.unlink()
    record(tmp_path / "in" / "w.mp4", constant_rate(7))
    result = prepared({**settings, "format": "jpg"})
    assert result == {"videos": 2, "frames": 8, "written": 5, "failed": 0}
    assert (first.read_bytes(), label.read_text()) == (touched, "{}")
    assert second.with_suffix(".jpg").is_file()
    assert [row for row in manifest(tmp_path / "out") if row["video"] == "v"] == rows
    assert prepared(settings)["written"] == 0
    more = prepared({**settings, "frames": 5})
    assert more["written"] > 0
    assert len(manifest(tmp_path / "out")) == len({row["name"] for row in manifest(tmp_path / "out")})


def test_a_killed_run_is_completed_in_the_same_folder(tmp_path, monkeypatch):
    record(tmp_path / "v.mp4", constant_rate(20))
    settings = {"input": tmp_path / "v.mp4", "output": tmp_path / "out", "frames": 4}

    def killed(path: Path, image: np.ndarray) -> None:
        if "000007" in path.name:
            raise KeyboardInterrupt
        images.write_png(path, image)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "WRITERS", {"png": killed})
        with pytest.raises(KeyboardInterrupt):
            prepared(settings)
    assert prepared(settings)["written"] == 3
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["v"]
    assert numbers(tmp_path / "out" / "images" / "v") == [2, 7, 12, 17]


def test_videos_of_one_name_get_folders_and_groups_of_their_own(tmp_path):
    record(tmp_path / "in" / "b" / "clip.mp4", constant_rate(10))
    prepared({"input": tmp_path / "in", "output": tmp_path / "out", "frames": 2})
    # sorts before the first one, and a third has the suffix only in common
    record(tmp_path / "in" / "a" / "CLIP.mp4", constant_rate(12))
    record(tmp_path / "in" / "b" / "clip.mkv", constant_rate(14))
    # the same content under another name is the same video
    shutil.copy(tmp_path / "in" / "b" / "clip.mp4", tmp_path / "in" / "copy.mp4")
    prepared({"input": tmp_path / "in", "output": tmp_path / "out", "frames": 2})
    rows = manifest(tmp_path / "out")
    assert {row["file"]: row["video"] for row in rows} == {
        "b/clip.mp4": "clip",
        "a/CLIP.mp4": "CLIP_2",
        "b/clip.mkv": "clip_3",
    }
    assert len(rows) == 6


def test_frames_become_a_data_set_once_labelled(tmp_path):
    for count, name in ((10, "你好 👜.mp4"), (12, "b.c.mp4")):
        record(tmp_path / "in" / name, constant_rate(count))
    prepared({"input": tmp_path / "in", "output": tmp_path / "out", "frames": 2})
    with pytest.raises(DataError, match="None of the 4 frames"):
        KolSource(tmp_path / "out")
    for path in (tmp_path / "out" / "images").rglob("*.png"):
        box = {"label": "kol", "points": [[0, 0], [10, 5]], "shape_type": "rectangle"}
        content = {"imagePath": path.name, "imageData": None, "shapes": [box]}
        path.with_suffix(".json").write_text(json.dumps(content))
    source = KolSource(tmp_path / "out")
    assert source.groups == ["b.c", "b.c", "你好 👜", "你好 👜"]
    assert source.read(3).mask.sum() == 50


def test_jpeg_frames(tmp_path):
    video = record(tmp_path / "v.mp4", constant_rate(10))
    prepared({"input": video, "output": tmp_path / "out", "frames": 1, "format": "jpg"})
    (path,) = (tmp_path / "out" / "images" / "v").iterdir()
    with Image.open(path) as image:
        assert (image.format, image.size) == ("JPEG", (WIDTH, HEIGHT))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input": None}, "input has no value"),
        ({"output": None}, "output has no value"),
        ({"frames": 0}, "frames=0"),
        ({"format": "jpeg"}, r"Did you mean format=jpg\?"),
    ],
)
def test_wrong_settings(tmp_path, change, words):
    with pytest.raises(ConfigError, match=words):
        prepared({"input": tmp_path, "output": tmp_path / "out", "frames": 2, "format": "png", **change})


def test_inputs_without_video(tmp_path):
    with pytest.raises(DataError, match="holds no video"):
        prepared({"input": tmp_path, "output": tmp_path / "out"})
    with pytest.raises(DataError, match=r"input=.*nowhere does not exist"):
        prepared({"input": tmp_path / "nowhere", "output": tmp_path / "out"})


def test_a_frame_that_is_damaged_is_said_and_the_next_whole_one_stands_for_it(tmp_path, capsys):
    clip = damaged.transport_stream(tmp_path / "c.ts", 20)
    damaged.lose(clip, damaged.frame_packets(clip)[5][3])
    assert prepared({"input": clip, "output": tmp_path / "set", "frames": 20})["failed"] == 1
    said = capsys.readouterr().out
    assert re.search(r"c\.ts: \d+ frames are damaged, first at 0\.17 s; the next whole ones stand", said)
    assert len(list((tmp_path / "set" / "images" / "c").iterdir())) == 20


def test_of_a_joined_and_damaged_video_the_frames_that_are_whole_are_extracted(tmp_path):
    parts = [damaged.transport_stream(tmp_path / f"{n}.ts", 20, seed=n) for n in range(2)]
    damaged.lose(parts[0], damaged.frame_packets(parts[0])[19][3])
    clip = damaged.joined(tmp_path / "c.ts", parts)
    assert prepared({"input": clip, "output": tmp_path / "set", "frames": 4})["failed"] == 0
    wanted = [*damaged.textured(20), *damaged.textured(20, seed=1)]
    files = sorted((tmp_path / "set" / "images" / "c").iterdir())
    numbers = [int(file.stem[-6:]) for file in files]
    assert numbers == [5, 15, 25, 35]
    for file, number in zip(files, numbers, strict=True):
        assert clips.level_error(np.asarray(Image.open(file)), wanted[number]) < 3
