"""Writing files so that a reader never sees half of one."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from platformdirs import user_cache_path

from kolbench.types import JsonObject

HOME = "KOLBENCH_HOME"


def home() -> Path:
    """The cache folder: `KOLBENCH_HOME`, else kolbench's folder in the user's cache."""
    named = os.environ.get(HOME)
    return Path(named).expanduser() if named else user_cache_path("kolbench")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file beside `path`, forces it to the disk and moves it into place.

    The file that stood there stays whole until the very end; nothing is left behind by a failure.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("rb+") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes a text as UTF-8, as `write_atomically` does."""
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Writes plain values as indented JSON, atomically."""
    text = json.dumps(values, indent=2, sort_keys=True, default=str)
    write_text(path, text + "\n")


def read_json(path: Path) -> JsonObject:
    """Reads what `write_json` wrote: of any types, as JSON holds them."""
    loaded = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path) -> str:
    """Of a file's content, in hexadecimal digits; for publishers who give no other."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
