"""Reads and writes the manifest of extracted frames: which frame of which video each image is."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kolbench.data import listing
from kolbench.errors import DataError
from kolbench.io.files import write_text

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("mp4", "mov", "m4v", "mkv", "webm", "avi", "mpg", "mpeg"),
        *("wmv", "flv", "ts", "mts", "m2ts", "3gp", "ogv"),
        *("vob", "asf", "f4v", "3g2", "m2t", "qt", "mxf", "dv", "y4m"),
    )
)
MANIFEST = "manifest.csv"
HOW_TO_LABEL = (
    "Open the folder images in Labelme, draw the KOL (label kol) and what is held "
    "(label product), and save beside the frames; or put masks of the same names into masks/."
)


class ManifestRow(NamedTuple):
    """One extracted frame.

    name: below images/, without suffix. video: its folder there, which is its group. timestamp_s: from
    the video's first frame. frame: number in order of display, from 0. file: the video's path below the
    input. digest: of the video's content, by which it is known again.
    """

    name: str
    video: str
    timestamp_s: str
    frame: str
    file: str
    digest: str


def read_manifest(root: Path) -> list[ManifestRow]:
    """Reads the rows of `manifest.csv`; none where there is no file. Columns that are missing are empty.

    Raises:
        DataError: the file is not UTF-8, or the columns name and video are missing.
    """
    path = root / MANIFEST
    if not path.is_file():
        return []
    reader = csv.DictReader(io.StringIO(listing.read_text(path), newline=""))
    if not {"name", "video"} <= set(reader.fieldnames or ()):
        raise DataError(f"{path} lacks the columns name and video; run task=prepare again.")
    return [ManifestRow(*(row.get(field) or "" for field in ManifestRow._fields)) for row in reader]


def write_manifest(root: Path, rows: Iterable[ManifestRow]) -> None:
    """Writes `manifest.csv` atomically, sorted by name."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ManifestRow._fields)
    writer.writerows(sorted(rows))
    write_text(root / MANIFEST, text.getvalue())
