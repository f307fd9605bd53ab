"""What `config.yaml` of a run folder says, as text and as values; nothing is resolved or checked."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from kolbench.errors import DataError
from kolbench.runs import run_folder


def text_of(folder: Path) -> str | None:
    """The file as it is; None where the folder has none.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    path = folder / run_folder.CONFIG
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove the folder.") from error


def group_of(folder: Path, group: str) -> Mapping[str, object]:
    """The keys of a group, such as `data`; empty where the folder has no such file or the file no such group.

    Raises:
        DataError: the file is damaged.
    """
    text = text_of(folder)
    try:
        values = None if text is None else yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise DataError(f"{folder / run_folder.CONFIG} is damaged ({told}); remove the folder.") from error
    found = values.get(group) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}
