"""The whole of task=predict on a clip seven times as long takes no more memory."""

import subprocess
import sys

import pytest

from tests.helpers import clips

pytestmark = pytest.mark.slow

PEAK = """
import pathlib, re, sys
from kolbench import cli
sys.argv = ["kolbench", *sys.argv[1:]]
try:
    cli.main()
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = {}
    for frames in (30, 200):
        # one frame's pictures take 0.6 MB, so 170 that are kept would be 100 MB
        clip = clips.make_clip(tmp_path / f"{frames}.mp4", frames=frames, size=(240, 426), sound="aac")
        words = ["task=predict", "experiment=ellipse", f"input={clip}", "smooth=ofd"]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *words, f"output={tmp_path / f'o{frames}.mp4'}"],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        peaks[frames] = int(done.stdout.rpartition("peak ")[2])
    assert peaks[200] <= 1.05 * peaks[30]
