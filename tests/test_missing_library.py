"""A computer without a library of the system that OpenCV needs."""

import os
import subprocess
import sys

import pytest

from kolbench.errors import missing_library

TOLD = "libGL.so.1 is missing here, and OpenCV needs it. Debian, Ubuntu: apt-get install libgl1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-m", "kolbench", "task=predict", "experiment=ellipse", "input=a.png", "output=b.png"), 2),
        (("-c", "import kolbench; kolbench.load('grabcut')"), 1),
    ],
)
def test_the_command_and_python_say_what_to_install(words, code, tmp_path):
    (tmp_path / "cv2.py").write_text(
        'raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")'
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert TOLD in done.stderr
    assert ("Traceback" in done.stderr) == (code == 1)


def test_other_failures_are_not_taken_for_it():
    assert missing_library(ImportError("No module named 'cv2'")) is None
