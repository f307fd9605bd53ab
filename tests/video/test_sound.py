import av
import numpy as np
import pytest

from kolbench.video.reader import VideoReader
from kolbench.video.writers import VideoWriter, open_writer
from tests.helpers import clips, damaged


def sound_of(path, stream=0):
    """(seconds, bytes) of the packets of a stream of sound."""
    with av.open(str(path)) as container:
        return [
            (float(packet.dts * packet.time_base), bytes(packet))
            for packet in container.demux(audio=stream)
            if packet.size
        ]


def loudness(path):
    """(channels, samples) float of the decoded sound, one layout, and seconds at which it begins."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    begin = float(frames[0].pts * frames[0].time_base)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), begin, frames[0].sample_rate


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv"])
@pytest.mark.parametrize(
    ("number", "milliseconds"),
    # the one before is at 209 ms: repeated, a step back, far back and far ahead
    [(10, 209), (10, 190), (10, 0), (10, 90_000)],
)
def test_one_wrong_time_costs_one_tick(tmp_path, name, number, milliseconds):
    path = clips.make_clip(tmp_path / "c.flv", 20, sound="aac")
    before = sound_of(path)
    damaged.retime_sound(path, number, milliseconds)
    assert sound_of(path)[number][0] == milliseconds / 1000
    writer = clips.copy(path, tmp_path / name)
    assert writer.notes == []
    after = sound_of(tmp_path / name)
    assert [data for _, data in after] == [data for _, data in before]
    seconds = [moment for moment, _ in after]
    assert (np.diff(seconds) > 0).all()
    others = [n for n in range(len(before)) if n != number]
    assert np.allclose([seconds[n] for n in others], [before[n][0] for n in others], atol=1.5e-3)
    assert abs(seconds[number] - before[number][0]) < 1 / 30


def test_many_repeated_times_stay_a_stream(tmp_path):
    path = clips.make_clip(tmp_path / "c.flv", 20, sound="aac")
    before = sound_of(path)
    for number in (5, 6, 7):
        damaged.retime_sound(path, number, 93)
    clips.copy(path, tmp_path / "o.mp4")
    after = sound_of(tmp_path / "o.mp4")
    assert [data for _, data in after] == [data for _, data in before]
    assert (np.diff([moment for moment, _ in after]) > 0).all()
    assert after[8][0] == pytest.approx(before[8][0], abs=1.5e-3)


def test_sound_that_cannot_be_copied_is_found_before_the_first_frame_is_written(tmp_path):
    parts = [clips.make_clip(tmp_path / f"{n}.ts", 10, sound="aac", layout=n) for n in ("mono", "stereo")]
    path = damaged.joined(tmp_path / "c.ts", parts)
    with VideoReader(path) as reader, open_writer(tmp_path / "o.mp4", reader) as writer:
        assert isinstance(writer, VideoWriter)
        # known before any frame: the plan is made when the block begins
        (plan,) = writer.sound_plans.values()
        for frame in reader:
            writer.write(frame.image, frame.pts)
    assert plan.why_encoded == "its channels or its rate change on the way"
    assert plan.channels == 2


@pytest.mark.parametrize("name", ["o.mp4", "o.webm"])
@pytest.mark.parametrize("order", [("mono", "stereo"), ("stereo", "mono")])
def test_channels_may_change_on_the_way(tmp_path, name, order):
    parts = [
        clips.make_clip(tmp_path / f"{layout}.ts", 20, sound="aac", layout=layout, sample_rate=48_000)
        for layout in order
    ]
    path = damaged.joined(tmp_path / "c.ts", parts)
    writer = clips.copy(path, tmp_path / name)
    assert len([note for note in writer.notes if "encoded anew" in note]) == 1
    samples, begin, rate = loudness(tmp_path / name)
    assert len(samples) == 2
    # the tone sounds in both channels, in both parts, and lasts as long as the pictures
    with VideoReader(path) as reader:
        end = float(reader.end * reader.time_base - reader.origin)
    assert begin + samples.shape[1] / rate == pytest.approx(end, abs=0.08)
    for second in (0.2, 0.5, 0.9, 1.2):
        heard = samples[:, round((second - begin) * rate) :][:, : rate // 10]
        peak = np.abs(np.fft.rfft(heard, axis=1)).argmax(axis=1) * rate / heard.shape[1]
        assert peak == pytest.approx([clips.TONE_HZ] * 2, abs=10)
        assert np.abs(heard).max() == pytest.approx(8000 / 32_768, rel=0.2)


def test_a_gap_is_silent_and_the_rest_stays_in_step(tmp_path):
    path = damaged.transport_stream(tmp_path / "c.ts", 60)
    clips.copy(path, tmp_path / "whole.webm")
    whole, _, rate = loudness(tmp_path / "whole.webm")
    # packets 40 to 47 of 1024 samples at 44100 a second: from 0.929 to 1.115 s
    for packet in reversed(damaged.frame_packets(path, damaged.SOUND_PID)[40:48]):
        for place in reversed(packet):
            damaged.lose(path, place)
    clips.copy(path, tmp_path / "o.webm")
    samples, begin, _ = loudness(tmp_path / "o.webm")
    assert samples.shape[1] == pytest.approx(whole.shape[1], abs=rate // 50)
    hundredths = np.abs(samples[0, : 190 * rate // 100]).reshape(190, -1).max(axis=1)
    (silent,) = np.nonzero(hundredths[2:] < 0.02)
    assert begin + (silent[0] + 2) / 100 == pytest.approx(0.94, abs=0.03)
    assert begin + (silent[-1] + 3) / 100 == pytest.approx(1.11, abs=0.03)
    assert len(silent) == silent[-1] - silent[0] + 1


def test_title_date_and_default_track_are_kept(tmp_path):
    source = clips.make_clip(
        tmp_path / "in.mkv",
        10,
        sound=("aac", "aac"),
        described={
            "title": "Late show",
            "creation_time": "2024-03-05T06:07:08.000000Z",
            "comment": "private",
        },
        default_sound=1,
    )
    for name in ("o.mp4", "o.mov", "o.mkv", "o.webm"):
        clips.copy(source, tmp_path / name)
        with av.open(str(tmp_path / name)) as container:
            said = {key.lower(): text for key, text in container.metadata.items()}
            assert said["title"] == "Late show"
            assert said["creation_time"] == "2024-03-05T06:07:08.000000Z"
            assert "comment" not in said
            defaults = [bool(s.disposition & av.stream.Disposition.default) for s in container.streams.audio]
            assert defaults == [False, True], name
            assert container.streams.video[0].disposition & av.stream.Disposition.default
