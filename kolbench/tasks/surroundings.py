"""What a run depends on besides its configuration: versions, code, machine."""

import os
import platform
import subprocess
from pathlib import Path

import lightning
import torch
import torchvision

import kolbench
from kolbench.runs.record import Machine


def versions() -> dict[str, str]:
    """Of the packages that decide what comes out."""
    return {
        "kolbench": kolbench.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": torchvision.__version__,
        "lightning": lightning.__version__,
    }


def commit() -> str | None:
    """The commit of this checkout, with `-dirty` where files differ from it; None outside a checkout."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / "pyproject.toml").is_file():
        return None
    command = ["git", "-C", str(package.parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - fixed words
    except (OSError, subprocess.CalledProcessError):
        return None


def machine() -> Machine:
    """This machine, and the threads that torch has of it."""
    return Machine(platform.platform(), os.cpu_count(), torch.get_num_threads())
