"""`fix=true`: a copy of a data set, without what can be mended safely, as `data=folder` reads it."""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kolbench.data.health.diagnosis import Diagnosis
from kolbench.data.health.examination import Examined
from kolbench.data.health.fault import Fault
from kolbench.data.health.file_facts import UPRIGHT
from kolbench.data.health.pictures import known_rows
from kolbench.data.sources.base import Source
from kolbench.data.splits import Splits
from kolbench.errors import ConfigError
from kolbench.io import progress
from kolbench.io.images import write_png
from kolbench.types import ALPHA, Sample

# what the copy does about a fault of a kind
_MENDED = {
    "unreadable": "left out",
    "sizes": "left out",
    "left_out": "left out",
    "orientation": "saved upright",
    "profile": "converted to sRGB",
    "levels": "saved as 0 and 255",
    "mixed_levels": "saved as 0 and 255",
    "product_outside": "added to the mask",
}
_LEVELS = ("levels", "mixed_levels")


def require_place(folder: Path, root: Path | None) -> None:
    """Refuses a folder for the copy that is there already, or lies in the data set itself.

    Raises:
        ConfigError: says which, and what to do.
    """
    if folder.exists():
        raise ConfigError(f"{folder} is there already; remove it, or name another folder in output=.")
    if root is not None and folder.absolute().is_relative_to(root.absolute()):
        raise ConfigError(f"output={folder.parent} lies in data.root={root}; name a folder outside of it.")


def mend(diagnosis: Diagnosis, folder: Path) -> list[Fault]:
    """Writes images/, masks/, products/, split lists and groups.csv; the originals are only read.

    Nothing is there unless all of it is. Images that need no change are copied byte by byte.

    Args:
        diagnosis: of a source that was opened. folder: to be made.

    Returns:
        The faults, each with what the copy does about it.
    """
    source, splits = diagnosis.source, diagnosis.splits
    assert source is not None
    assert splits is not None
    rows = known_rows(diagnosis.examined)
    dropped = exact_copies(splits, diagnosis.examined)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with progress.bar("writing the mended copy", len(rows)) as advance:
            for row in rows:
                _write_picture(source, row, diagnosis.examined[row], partial)
                advance(1)
        _write_lists(source, splits, set(rows), dropped, partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [found._replace(mended=_done(found, source, dropped)) for found in diagnosis.faults]


def exact_copies(splits: Splits, examined: Sequence[Examined]) -> set[int]:
    """Training pictures that are one that is validated or tested on, pixel by pixel; none without lists."""
    if not _lists_are_written(splits):
        return set()
    held = {examined[row].image for row in (*splits.val, *splits.test) if examined[row].measures is not None}
    return {row for row in splits.train if examined[row].measures is not None and examined[row].image in held}


def _done(found: Fault, source: Source, dropped: set[int]) -> str:
    if found.kind in ("duplicate_across", "duplicate_allowed"):
        gone = [source.names[row] for row in found.pictures if row in dropped]
        return f"{gone[0]} taken out of train.txt" if gone else ""
    if found.kind in _LEVELS and source.truth == ALPHA:
        return ""
    return _MENDED.get(found.kind, "")


def _write_picture(source: Source, row: int, examined: Examined, folder: Path) -> None:
    name, files, sample = source.names[row], source.files(row), source.read(row)
    unchanged = all(said.orientation == UPRIGHT and not said.profile for said in examined.files.values())
    if unchanged and {"image", "mask"} <= files.keys():
        _copy(files["image"], folder / "images" / f"{name}{files['image'].suffix}")
    else:
        _put(folder / "images" / f"{name}.png", sample.image)
    if source.truth == ALPHA and unchanged and "mask" in files:
        _copy(files["mask"], folder / "masks" / f"{name}{files['mask'].suffix}")
    else:
        _put(folder / "masks" / f"{name}.png", _truth(sample))
    if sample.product is not None and ("product" in files or sample.product.any()):
        _put(folder / "products" / f"{name}.png", sample.product * np.uint8(255))


def _truth(sample: Sample) -> np.ndarray:
    """The matte in 16 bits, or the mask in 8."""
    if sample.matte is not None:
        return np.rint(sample.matte.astype(np.float64) * 65535).astype(np.uint16)
    return sample.mask * np.uint8(255)


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


def _put(target: Path, array: np.ndarray) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_png(target, array)


def _lists_are_written(splits: Splits) -> bool:
    """Whether the copy says how its pictures are split: three lists cannot say that two of them are one."""
    return bool(splits.train) and not splits.one_held_out


def _write_lists(source: Source, splits: Splits, known: set[int], dropped: set[int], folder: Path) -> None:
    if _lists_are_written(splits):
        for split, rows in splits:
            gone = dropped if split == "train" else set()
            names = [source.names[row] for row in rows if row in known - gone]
            _write(folder / f"{split}.txt", "".join(f"{name}\n" for name in names))
    groups = {row: source.groups[row] or source.clips[row] for row in sorted(known)}
    if any(groups.values()) or any(source.tags):
        _write(folder / "groups.csv", _table(source, groups))


def _table(source: Source, groups: Mapping[int, str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stem", "group", "tag"))
    writer.writerows((source.names[row], group, source.tags[row]) for row, group in groups.items())
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
