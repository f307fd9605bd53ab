import errno
import os
import signal
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from kolbench.errors import ConfigError, DataError, KolbenchError
from kolbench.video.reader import VideoReader
from kolbench.video.sequence import PngSequence
from kolbench.video.writers import VideoWriter, open_writer
from tests.helpers import clips, damaged


@pytest.mark.parametrize(("name", "format_name"), clips.OUTPUTS)
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_folder_as_it_was(tmp_path, name, format_name, there, error):
    source = clips.make_clip(tmp_path / "in" / "in.mp4", 6, sound="aac")
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / name
    if there and name == "o":
        target.mkdir()
        (target / "000000.png").write_bytes(b"old")
    elif there:
        target.write_bytes(b"old")

    def interrupted():
        with VideoReader(source) as reader, open_writer(target, reader, format_name=format_name) as writer:
            for number, frame in enumerate(reader):
                if number == 4:
                    raise error
                writer.write(frame.image, frame.pts)

    with pytest.raises(error):
        interrupted()
    assert clips.names_in(tmp_path / "out") == ([name] if there else [])
    if there:
        old = target / "000000.png" if name == "o" else target
        assert old.read_bytes() == b"old"
        clips.copy(source, target, format_name)
        assert clips.names_in(tmp_path / "out") == [name]
        assert (target / "000000.png" if name == "o" else target).read_bytes() != b"old"


def test_a_clip_without_a_picture_is_no_output(tmp_path):
    with (
        pytest.raises(DataError, match="got no image; nothing was written"),
        VideoWriter(tmp_path / "o.mp4", None, 64, 64, "h264", time_base=Fraction(1, 25)),
    ):
        pass
    with (
        pytest.raises(DataError, match="got no image; nothing was written"),
        PngSequence(tmp_path / "o", time_base=Fraction(1, 25)),
    ):
        pass
    assert clips.names_in(tmp_path) == []


def test_a_source_that_changes_its_size_leaves_nothing(tmp_path):
    parts = [clips.make_clip(tmp_path / f"{n}.ts", 5, size=(96, 128 + 32 * n)) for n in range(2)]
    changing = damaged.joined(tmp_path / "in.ts", parts)
    for name in ("o.mp4", "o"):
        with pytest.raises(DataError, match=r"changes its size from 128x96 to 160x96 at 0\.1"):
            clips.copy(changing, tmp_path / "out" / name)
    assert clips.names_in(tmp_path / "out") == []


def test_strangers_in_a_folder_are_safe(tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "thesis.docx").write_bytes(b"years")
    source = clips.make_clip(tmp_path / "in.mp4", 3)
    with pytest.raises(ConfigError, match=r"holds other files \(thesis\.docx\).*give a new folder"):
        clips.copy(source, tmp_path / "o")
    assert clips.names_in(tmp_path / "o") == ["thesis.docx"]


def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.mp4").mkdir()
    for name, said in (("file/o.mp4", "cannot be written"), ("folder.mp4", "is a folder")):
        writer = VideoWriter(tmp_path / name, None, 64, 64, "h264", time_base=Fraction(1, 25))
        with pytest.raises(ConfigError, match=said), writer:
            pass
    with (
        pytest.raises(ConfigError, match="is a file; give the name of a folder"),
        PngSequence(tmp_path / "file", time_base=Fraction(1, 25)),
    ):
        pass


def test_an_encoder_that_refuses_says_so_in_a_sentence(tmp_path):
    with (
        pytest.raises(KolbenchError, match=r"^Writing .*o\.mp4 failed: .*Nothing was left of it\.$"),
        VideoWriter(
            tmp_path / "o.mp4", None, 64, 64, "h264", Fraction(1, 25), options={"preset": "no such"}
        ) as writer,
    ):
        writer.write(np.zeros((64, 64, 3), np.uint8), 0)
    assert clips.names_in(tmp_path) == []


def test_a_long_name_has_a_shorter_partial_one(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", 3)
    name = "视" * 80 + ".mp4"
    clips.copy(source, tmp_path / "out" / name)
    assert clips.names_in(tmp_path / "out") == [name]


# each child copies in.mp4 to what it is told, slowly, and says when it has begun
CHILD = """
import resource, sys, time
from kolbench.errors import KolbenchError
from kolbench.video.reader import VideoReader
from kolbench.video.writers import open_writer
source, target, pause, most = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
if most:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
try:
    with VideoReader(source) as reader, open_writer(target, reader) as writer:
        for number, frame in enumerate(reader):
            writer.write(frame.image, frame.pts)
            if number == 3:
                print("begun", flush=True)
            time.sleep(pause)
except KolbenchError as error:
    sys.exit(f"said: {error}")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def child(source, target, pause=0.0, most=0):
    command = [sys.executable, "-c", CHILD, str(source), str(target), str(pause), str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.usefixtures("keyboard")
@pytest.mark.parametrize("name", ["o.mp4", "o"])
def test_interrupts_leave_nothing_and_kills_leave_what_the_next_run_replaces(tmp_path, name):
    source = clips.make_clip(tmp_path / "in.mp4", 60, sound="aac")
    target = tmp_path / "out" / name
    for number in (signal.SIGINT, signal.SIGKILL):
        process = child(source, target, pause=0.2)
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode != 0
        left = clips.names_in(tmp_path / "out")
        assert left == ([] if number == signal.SIGINT else [f".{name}.part"])
    clips.copy(source, target)
    assert clips.names_in(tmp_path / "out") == [name]


@pytest.mark.slow
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    noisy = [np.random.default_rng(n).integers(0, 255, (240, 320, 3), dtype=np.uint8) for n in range(12)]
    source = clips.make_clip(tmp_path / "in.mkv", codec="ffv1", pictures=noisy)
    for name in ("o.mp4", "o.mkv", "o"):
        process = child(source, tmp_path / "out" / name, most=100_000)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert said.startswith(f"said: Writing {tmp_path / 'out' / name} failed: ")
        assert os.strerror(errno.EFBIG) in said
        assert clips.names_in(tmp_path / "out") == []


def test_no_space_has_words_of_its_own(tmp_path):
    writer = VideoWriter(tmp_path / "o.mp4", None, 64, 64, "h264", time_base=Fraction(1, 25))
    with (
        pytest.raises(
            KolbenchError, match=r"The disk is full: .*o\.mp4 could not be written\. Free some space"
        ),
        writer._said_plainly(),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for frames in (100, 1000):
        source = clips.make_clip(
            tmp_path / f"{frames}.mp4", frames, size=(180, 320), sound="aac", options={"preset": "ultrafast"}
        )
        out, said = child(source, tmp_path / "o.mp4").communicate(timeout=120)
        assert said == ""
        peaks.append(int(out.split()[-1]))
    assert peaks[1] < 1.05 * peaks[0]
