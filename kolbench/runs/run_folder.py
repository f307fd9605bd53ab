"""The run folder: the truth that every later step reads. No torch, no pictures needed for numbers."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kolbench.errors import KolbenchError
from kolbench.io.files import write_atomically
from kolbench.metrics import scores
from kolbench.metrics.counts import LEVELS, Counts, ImageCounts
from kolbench.runs.record import RUN as RUN

CONFIG = "config.yaml"
SCORES = "scores.parquet"
HISTOGRAMS = "histograms.parquet"
CURVE = "curve.csv"
HISTORY = "history.csv"
PROGRESS = "progress"
DETECTION = "detection.json"
CLIPS = "clips.json"
CLIP_FRAMES = "clips.parquet"
TRAITS = "traits.parquet"
# what a shard keeps for the merging: pictures of a baseline NAME, and persons of each picture
SHARD_BASELINES = Path("shard") / "baselines"
SHARD_PERSONS = Path("shard") / "persons"
_CLAIM = ".claimed"
_REPORTED = (RUN, CONFIG, HISTOGRAMS, CURVE, HISTORY, DETECTION, CLIPS, CLIP_FRAMES, TRAITS)
_PICTURES = ("alphas", "truths", "products", "thumbs", "progress")
_MOST_PICTURE_BYTES = 64e6
_IDENTITY = ("name", "group", "tags", "seconds", "notes")
_OTHER = ("split", *_IDENTITY, "height", "width")


def claim(folder: Path) -> None:
    """Makes the folder this run's own.

    Raises:
        KolbenchError: another run has claimed it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / _CLAIM).open("x").close()
    except FileExistsError:
        raise KolbenchError(
            f"{folder} belongs to another run. Leave hydra.run.dir alone, or name a new folder."
        ) from None


def give_up_claim(folder: Path) -> None:
    """Lets a run that is started a second time claim its folder again; it may not have claimed it yet."""
    (folder / _CLAIM).unlink(missing_ok=True)


def write_histograms(path: Path, scored: Mapping[str, ImageCounts]) -> None:
    """One row per picture: identity, size, seconds, 256 counts each of fg, bg, product and so on, values."""
    frames = []
    for part in scored.values():
        columns: dict[str, Any] = {"split": [part.split] * len(part.names)}
        columns |= {key: getattr(part, f"{key}s" if key in ("name", "group") else key) for key in _IDENTITY}
        columns["height"] = [height for height, _ in part.sizes]
        columns["width"] = [width for _, width in part.sizes]
        columns |= {name: list(array) for name, array in part.counts.items()}
        columns |= part.counts.values
        frames.append(pd.DataFrame(columns))
    table = pd.concat(frames, ignore_index=True)
    write_atomically(path, lambda partial: table.to_parquet(partial, index=False))


def read_histograms(path: Path) -> dict[str, ImageCounts]:
    """What `write_histograms` wrote, by split; columns that are neither counts nor numbers are passed over.

    A split whose pictures were not counted for a column does without it; values it lacks are NaN.
    """
    table = pd.read_parquet(path)
    found: dict[str, ImageCounts] = {}
    for split, rows in table.groupby("split", sort=False):
        own = [str(name) for name in table.columns if name not in _OTHER]
        arrays = {
            name: np.stack(list(rows[name])).astype(np.int64) for name in own if _holds_counts(rows[name])
        }
        values = {name: rows[name].to_numpy(np.float64) for name in own if _holds_values(rows[name])}
        found[str(split)] = ImageCounts(
            split=str(split),
            names=list(rows["name"]),
            groups=list(rows["group"]),
            tags=list(rows["tags"]),
            sizes=[(int(h), int(w)) for h, w in zip(rows["height"], rows["width"], strict=True)],
            seconds=[float(value) for value in rows["seconds"]],
            notes=list(rows["notes"]),
            parts=[Counts.of(arrays, values)],
        )
    return found


def _holds_counts(column: "pd.Series[Any]") -> bool:
    """Whether every cell is a list of 256 numbers: a run of another version may lack some, or have more."""
    return all(isinstance(cell, np.ndarray) and cell.shape == (LEVELS,) for cell in column)


def _holds_values(column: "pd.Series[Any]") -> bool:
    return bool(pd.api.types.is_float_dtype(column.dtype))


def write_scores(folder: Path, scored: Mapping[str, ImageCounts], threshold: float) -> None:
    """`scores.parquet` and `.csv`, a row per picture; `curve.csv`, a row per split and threshold.

    Columns that files of before have besides, such as scores of modules that are not loaded now, stay.
    """
    table = pd.concat(
        [pd.DataFrame(scores.image_columns(part, threshold)) for part in scored.values()], ignore_index=True
    )
    if (folder / SCORES).is_file():
        table = _with_others(table, pd.read_parquet(folder / SCORES), ("split", "name", "threshold"))
    curve = pd.concat([curve_of(part, threshold) for part in scored.values()], ignore_index=True)
    if (folder / CURVE).is_file():
        curve = _with_others(curve, pd.read_csv(folder / CURVE), ("split", "threshold", "chosen"))
    write_atomically(folder / SCORES, lambda partial: table.to_parquet(partial, index=False))
    write_atomically(folder / "scores.csv", lambda partial: table.to_csv(partial, index=False))
    write_atomically(folder / CURVE, lambda partial: curve.to_csv(partial, index=False))


def _with_others(table: pd.DataFrame, before: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """With the columns that only the table of before has, where both have the same rows."""
    if any(list(before.get(key, ())) != list(table[key]) for key in keys):
        return table
    return pd.concat([table, before[[name for name in before if name not in table]]], axis=1)


def curve_of(scored: ImageCounts, chosen: float) -> pd.DataFrame:
    """All mean scores of a split at 0.1 to 0.9 and at the chosen threshold."""
    thresholds: Sequence[float] = sorted({*scores.THRESHOLDS, chosen})
    columns = {"threshold": thresholds, **scores.threshold_curve(scored.counts, thresholds)}
    curve = pd.DataFrame(columns).assign(chosen=[t == chosen for t in thresholds])
    curve.insert(0, "split", scored.split)
    return curve


def report_files(folder: Path) -> list[Path]:
    """What a report is made of, by paths in the run folder; without pictures where they are over 64 MB."""
    files = [Path(name) for name in _REPORTED if (folder / name).is_file()]
    pictures = [path for name in _PICTURES for path in sorted((folder / name).rglob("*")) if path.is_file()]
    if sum(path.stat().st_size for path in pictures) > _MOST_PICTURE_BYTES:
        return files
    return files + [path.relative_to(folder) for path in pictures]


def link_tree(source: Path, target: Path) -> None:
    """Makes the files below `source` appear below `target`: hard links, or copies on another file system."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            link_file(path, target / path.relative_to(source))


def link_file(source: Path, target: Path) -> None:
    """One file as a hard link, or as a copy on another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
