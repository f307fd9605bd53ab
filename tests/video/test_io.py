import csv
from fractions import Fraction

import av
import numpy as np
import pytest

from kolbench.video.reader import VideoReader
from kolbench.video.writers import open_writer
from tests.helpers import clips


def sounds(path):
    """Per sound stream: (seconds of the first packet's begin, packets' bytes)."""
    with av.open(str(path)) as container:
        packets = {stream.index: [] for stream in container.streams.audio}
        for packet in container.demux(audio=tuple(range(len(packets)))) if packets else ():
            if packet.dts is not None:
                packets[packet.stream.index].append((float(packet.pts * packet.time_base), bytes(packet)))
    return [(of[0][0], [data for _, data in of]) for of in packets.values()]


def first_and_length(path):
    with VideoReader(path) as reader:
        return float(reader.start * reader.time_base), reader.seconds


def tone(path, stream=0):
    """(loudest frequency in Hz, seconds at which it begins, seconds it lasts) of a decoded sound stream."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=stream))
    # packed frames hold left and right in turn in their only row
    apart = 1 if frames[0].format.is_planar else frames[0].layout.nb_channels
    rate = frames[0].sample_rate
    one = np.concatenate([np.asarray(frame.to_ndarray(), np.float64)[0, ::apart] for frame in frames])[:rate]
    peak = np.abs(np.fft.rfft(one)).argmax() * rate / len(one)
    begin = float(frames[0].pts * frames[0].time_base)
    return peak, begin, sum(frame.samples for frame in frames) / rate


@pytest.mark.parametrize(("name", "format_name"), clips.OUTPUTS)
def test_every_timestamp_and_the_last_duration_are_kept(tmp_path, name, format_name):
    source = clips.make_clip(
        tmp_path / "in.mp4", stamps_ms=clips.IRREGULAR_MS, last_ms=300, options={"bf": "0"}
    )
    writer = clips.copy(source, tmp_path / "out" / name, format_name)
    assert writer.notes == []
    if name == "o":
        with (tmp_path / "out" / "o" / "timestamps.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["file"] for row in rows] == [f"{n:06d}.png" for n in range(6)]
        assert [float(row["seconds"]) * 1000 for row in rows] == pytest.approx(clips.IRREGULAR_MS)
        return
    with VideoReader(tmp_path / "out" / name) as reader:
        stamps = [frame.pts * reader.time_base * 1000 for frame in reader]
        assert stamps == list(clips.IRREGULAR_MS)
        assert reader.end * reader.time_base == Fraction(3, 2)
    with av.open(str(tmp_path / "out" / name)) as container:
        assert container.duration == 1_500_000


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv", "o.webm"])
@pytest.mark.parametrize("start", ["in.mp4", "in.mkv", "in.ts"])
def test_length_and_offset_to_the_sound_are_kept_between_containers(tmp_path, start, name):
    source = clips.make_clip(tmp_path / start, 45, sound="aac", fps=30, options={"bf": "2"})
    clips.copy(source, tmp_path / name)
    (before, seconds), (after, copied) = first_and_length(source), first_and_length(tmp_path / name)
    assert copied == pytest.approx(seconds, abs=1.1e-3)
    assert seconds == pytest.approx(1.5, abs=1e-3)
    # AAC becomes Opus in WebM, with another lead-in before what is heard
    begin = (lambda path: tone(path)[1]) if name == "o.webm" else (lambda path: sounds(path)[0][0])
    assert after - begin(tmp_path / name) == pytest.approx(before - begin(source), abs=1.1e-3)
    with av.open(str(source)) as first, av.open(str(tmp_path / name)) as second:
        assert second.duration / 1e6 == pytest.approx(first.duration / 1e6, abs=1 / 30)


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv", "o.webm"])
def test_a_picture_or_a_sound_that_begins_late_stays_late(tmp_path, name):
    codec = "libopus" if name == "o.webm" else "aac"
    rate = 48_000 if name == "o.webm" else 44_100
    late_sound = clips.make_clip(tmp_path / "a.mkv", 30, sound=codec, sound_from=0.4, sample_rate=rate)
    late_picture = clips.make_clip(
        tmp_path / "b.mkv", stamps_ms=[250 + 40 * n for n in range(25)], sound=codec, sample_rate=rate
    )
    for source in (late_sound, late_picture):
        clips.copy(source, tmp_path / name)
        assert first_and_length(tmp_path / name) == pytest.approx(first_and_length(source), abs=1e-3)
        (begin, data), (begin_copied, copied) = sounds(source)[0], sounds(tmp_path / name)[0]
        assert begin_copied == pytest.approx(begin, abs=1.1e-3)
        assert copied == data


def test_a_clock_that_starts_anywhere_is_set_to_zero(tmp_path):
    source = clips.make_clip(tmp_path / "in.ts", stamps_ms=[90_000 + 40 * n for n in range(10)])
    clips.copy(source, tmp_path / "o.mp4")
    assert first_and_length(source)[0] >= 90
    assert first_and_length(tmp_path / "o.mp4")[0] == pytest.approx(0, abs=1e-4)


def test_a_clip_that_is_not_written_to_its_end_stops_there_with_its_sound(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", 60, sound="aac")
    with VideoReader(source) as reader, open_writer(tmp_path / "o.mp4", reader) as writer:
        for frame, _ in zip(reader, range(20), strict=False):
            writer.write(frame.image, frame.pts)
    assert first_and_length(tmp_path / "o.mp4")[1] == pytest.approx(20 / 30, abs=1e-3)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(20 / 30, abs=1 / 30)


@pytest.mark.parametrize(
    ("sound", "rate", "start", "name"),
    [
        ("aac", 44_100, "in.mp4", "o.mp4"),
        ("aac", 44_100, "in.mp4", "o.mkv"),
        ("aac", 48_000, "in.mkv", "o.mov"),
        ("libopus", 48_000, "in.webm", "o.webm"),
        ("libopus", 48_000, "in.webm", "o.mp4"),
        ("libmp3lame", 44_100, "in.mkv", "o.mp4"),
        ("pcm_s16le", 44_100, "in.mov", "o.mov"),
        ("pcm_s16le", 22_050, "in.mkv", "o.mkv"),
        ("flac", 44_100, "in.mkv", "o.mkv"),
    ],
)
def test_sound_is_copied_packet_by_packet(tmp_path, sound, rate, start, name):
    codec = "libvpx-vp9" if start == "in.webm" else "libx264"
    fast = {"deadline": "realtime", "cpu-used": "8"} if start == "in.webm" else {}
    source = clips.make_clip(tmp_path / start, 45, codec=codec, options=fast, sound=sound, sample_rate=rate)
    writer = clips.copy(source, tmp_path / name)
    assert writer.notes == []
    ((begin, data),) = sounds(source)
    ((begin_copied, copied),) = sounds(tmp_path / name)
    assert b"".join(copied) == b"".join(data)
    if sound != "pcm_s16le":
        assert copied == data
    assert begin_copied == pytest.approx(begin, abs=1.1e-3)


def test_all_sound_streams_are_kept(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", 45, sound=("aac", "aac"))
    clips.copy(source, tmp_path / "o.mkv")
    assert [data for _, data in sounds(tmp_path / "o.mkv")] == [data for _, data in sounds(source)]
    assert [tone(tmp_path / "o.mkv", n)[0] for n in (0, 1)] == pytest.approx([440, 880], abs=3)


@pytest.mark.parametrize(
    ("sound", "rate", "start", "name", "becomes"),
    [
        ("aac", 44_100, "in.mp4", "o.webm", "opus"),
        ("pcm_s16le", 44_100, "in.mkv", "o.mp4", "aac"),
        ("pcm_s16le", 96_000, "in.mkv", "o.mp4", "aac"),
        ("libopus", 48_000, "in.mkv", "o.mov", "aac"),
    ],
)
def test_sound_that_a_container_cannot_hold_is_encoded_anew_and_said(
    tmp_path, sound, rate, start, name, becomes
):
    source = clips.make_clip(tmp_path / start, 60, sound=sound, sample_rate=rate, sound_from=0.2)
    writer = clips.copy(source, tmp_path / name)
    heard = "opus" if "opus" in sound else sound
    (note,) = writer.notes
    assert note.lower() == (
        f"{name}: the sound was encoded anew as {becomes}, because {name[1:]} does not hold {heard}."
    )
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == becomes
    pitch, begin, seconds = tone(tmp_path / name)
    assert pitch == pytest.approx(440, abs=3)
    assert begin == pytest.approx(tone(source)[1], abs=0.03)
    assert begin + seconds == pytest.approx(2.0, abs=0.06)


def test_sound_can_be_dropped_and_silence_needs_no_word(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", 10, sound="aac")
    assert clips.copy(source, tmp_path / "o.webm", sound=False).notes == []
    assert sounds(tmp_path / "o.webm") == []
    mute = clips.make_clip(tmp_path / "mute.mp4", 10)
    assert clips.copy(mute, tmp_path / "o.mp4").notes == []
    assert sounds(tmp_path / "o.mp4") == []
    assert clips.copy(source, tmp_path / "pngs").notes == ["pngs: a folder of PNGs holds no sound."]
