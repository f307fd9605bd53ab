"""Where the YAML files lie."""

from pathlib import Path


def conf_dir() -> Path:
    """The folder of YAML files: the checkout's conf/, else the copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "conf"
    if (package.parent / "pyproject.toml").is_file() and (checkout / "config.yaml").is_file():
        return checkout
    return package / "conf"
