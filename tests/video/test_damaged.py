import av
import numpy as np
import pytest

from kolbench.errors import DataError
from kolbench.video.reader import VideoReader
from tests.helpers import clips, damaged

# most mean error of a healthy frame in levels, which 4:2:0 has at edges
HEALTHY = 3.0


def read(path):
    with VideoReader(path) as reader:
        return reader, list(reader)


def packets_of(path, kind):
    """(seconds, bytes) of the packets of the first stream of a kind, in the order of the file."""
    with av.open(str(path)) as container:
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(**{kind: 0})
            if packet.size
        ]


@pytest.mark.parametrize("how", ["cut", "zeroed"])
def test_the_frame_before_stands_for_one_that_lost_a_packet_and_for_those_that_refer_to_it(tmp_path, how):
    path = damaged.transport_stream(tmp_path / "c.ts", 30)
    whole = read(path)[1]
    places = damaged.frame_packets(path)[14]
    assert len(places) > 4
    reader, frames = read(damaged.lose(path, places[len(places) // 2], how))
    assert [frame.pts for frame in frames] == [frame.pts for frame in whole]
    assert all(np.array_equal(frame.image, frames[13].image) for frame in frames[14:20])
    pictures = damaged.textured(30)
    for number in (*range(14), *range(20, 30)):
        assert clips.level_error(frames[number].image, pictures[number]) < HEALTHY
    assert reader.is_damaged
    assert reader.notes == [
        "c.ts is damaged: 6 of 30 frames are lost or damaged, first at 0.47 s; the frame before is held "
        "where one cannot be shown."
    ]


def test_of_a_damaged_key_frame_nothing_is_shown_before_the_next(tmp_path):
    path = damaged.transport_stream(tmp_path / "c.ts", 30)
    reader, frames = read(damaged.lose(path, damaged.frame_packets(path)[10][3]))
    assert all(np.array_equal(frame.image, frames[9].image) for frame in frames[10:20])
    assert clips.level_error(frames[20].image, damaged.textured(21)[20]) < HEALTHY
    assert "10 of 30 frames are lost or damaged, first at 0.33 s" in reader.notes[0]


def test_a_damaged_first_frame_is_left_out_and_the_sound_stays_in_step(tmp_path):
    path = damaged.transport_stream(tmp_path / "c.ts", 30)
    (start, _), *_ = packets_of(path, "video")
    (sound, _), *_ = packets_of(path, "audio")
    damaged.lose(path, damaged.frame_packets(path)[0][3])
    frames = read(path)[1]
    assert len(frames) == 20
    assert clips.level_error(frames[0].image, damaged.textured(11)[10]) < HEALTHY
    clips.copy(path, tmp_path / "o.mkv")
    assert packets_of(tmp_path / "o.mkv", "audio")[0][0] - packets_of(tmp_path / "o.mkv", "video")[0][
        0
    ] == pytest.approx(sound - start - 10 / 30, abs=2e-3)


def test_a_frame_that_is_lost_as_a_whole_is_counted(tmp_path):
    path = damaged.transport_stream(tmp_path / "c.ts", 30)
    # the first packet holds the frame's times, without which nobody knows of it
    reader, frames = read(damaged.lose(path, damaged.frame_packets(path)[14][0]))
    assert len(frames) == 29
    assert reader.seconds == pytest.approx(1, abs=2e-3)
    # one, and those up to the next key frame but the first, where nobody could know yet
    assert "6 of 29 frames are lost or damaged, first at 0.4" in reader.notes[0]
    assert np.array_equal(frames[18].image, frames[15].image)
    assert clips.level_error(frames[19].image, damaged.textured(21)[20]) < HEALTHY


def test_noise_in_the_middle_of_a_file_costs_the_frames_it_hits(tmp_path):
    path = clips.faulty_clips(tmp_path)["damaged"]
    reader, frames = read(path)
    assert [frame.seconds for frame in frames] == pytest.approx([n / 30 for n in range(90)], abs=1e-3)
    assert all(clips.level_error(frames[n].image, clips.picture(n)) < HEALTHY for n in range(40))
    assert "49 of 90 frames are lost or damaged, first at 1.3" in reader.notes[0]


def test_where_no_key_frame_comes_for_long_damaged_frames_are_shown_after_two_seconds(tmp_path):
    pictures = damaged.textured(60)
    # eight frames a second
    path = clips.make_clip(
        tmp_path / "c.ts", pictures=pictures, fps=8, options={"g": "200", "bf": "0", "crf": "6"}
    )
    places = damaged.frame_packets(path)[10]
    reader, frames = read(damaged.lose(path, places[len(places) // 2]))
    assert all(np.array_equal(frame.image, frames[9].image) for frame in frames[10:27])
    assert not any(np.array_equal(frame.image, frames[9].image) for frame in frames[27:])
    assert "50 of 60 frames are lost or damaged, first at 1.25 s" in reader.notes[0]


def test_what_is_whole_is_not_called_damaged(tmp_path):
    reader, _ = read(damaged.transport_stream(tmp_path / "c.ts", 12))
    assert (reader.notes, reader.is_damaged) == ([], False)


@pytest.mark.parametrize("suffix", ["ts", "flv"])
@pytest.mark.parametrize("name", ["o.mp4", "o.mkv"])
def test_files_that_were_joined_go_on_in_step_with_their_sound(tmp_path, suffix, name):
    parts = [damaged.transport_stream(tmp_path / f"{n}.{suffix}", 20, seed=n) for n in range(2)]
    path = damaged.joined(tmp_path / f"c.{suffix}", parts)
    reader, frames = read(path)
    pictures = damaged.textured(20) + damaged.textured(20, seed=1)
    assert [clips.level_error(f.image, p) < HEALTHY for f, p in zip(frames, pictures, strict=True)] == [
        True
    ] * 40
    steps = np.diff([frame.seconds for frame in frames])
    # the sound of the first part is longer than its pictures by less than two frames
    assert np.allclose(np.delete(steps, 19), 1 / 30, atol=1.1e-3)
    assert 1 / 30 - 1e-3 < steps[19] < 3 / 30
    assert reader.is_damaged
    said = f"c.{suffix} is joined or damaged: its clock starts anew once, first at 0."
    assert reader.notes[0].startswith(said)
    clips.copy(path, tmp_path / name)
    seen, heard = packets_of(tmp_path / name, "video"), packets_of(tmp_path / name, "audio")
    of_parts = [packets_of(part, "audio") for part in parts]
    for number, part in enumerate(parts):
        begun = packets_of(part, "video")[0][0]
        first = number * len(of_parts[0])
        for place in (0, len(of_parts[number]) - 1):
            apart = heard[first + place][0] - seen[20 * number][0]
            assert apart == pytest.approx(of_parts[number][place][0] - begun, abs=2.5e-3)
    times = [seconds for seconds, _ in heard]
    assert times == sorted(times)


def test_a_part_whose_clock_is_far_ahead_is_put_after_the_one_before(tmp_path):
    early = clips.make_clip(tmp_path / "a.ts", 10, sound="aac")
    late = clips.make_clip(tmp_path / "b.ts", stamps_ms=[90_000 + 1000 * n / 30 for n in range(10)])
    reader, frames = read(damaged.joined(tmp_path / "c.ts", [early, late]))
    assert len(frames) == 20
    assert reader.seconds == pytest.approx(20 / 30, abs=0.1)
    # a slow slide show is no joint
    still = clips.make_clip(tmp_path / "d.mp4", stamps_ms=[0, 90_000, 90_040])
    reader, frames = read(still)
    assert [frame.seconds for frame in frames] == pytest.approx([0, 90, 90.04])
    assert reader.notes == []


def test_a_file_without_an_intact_frame_is_no_video(tmp_path):
    path = damaged.transport_stream(tmp_path / "c.ts", 30)
    for frame in (20, 10, 0):
        damaged.lose(path, damaged.frame_packets(path)[frame][3])
    with pytest.raises(DataError, match=r"c\.ts holds no frame that can be decoded"):
        read(path)
