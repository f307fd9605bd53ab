"""Where the YAML files lie."""

import sys
from itertools import pairwise
from pathlib import Path


def conf_dir() -> Path:
    """The folder of YAML files: the checkout's conf/, else the copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "conf"
    if (package.parent / "pyproject.toml").is_file() and (checkout / "config.yaml").is_file():
        return checkout
    return package / "conf"


def conf_words() -> list[str]:
    """Words for another command that is to read the same folders of YAML files."""
    return [f"--config-dir={folder}" for folder in typed_conf_dirs()]


def typed_conf_dirs() -> list[Path]:
    """The folders of YAML files that this command's `--config-dir` names, absolute."""
    words = sys.argv[1:]
    named = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    named += [after for word, after in pairwise(words) if word in ("--config-dir", "-cd")]
    return [Path(name).absolute() for name in named]
