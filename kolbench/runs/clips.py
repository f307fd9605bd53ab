"""What an evaluation left of the clips of its test pictures: their flicker, and the numbers of each frame."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from kolbench.errors import DataError
from kolbench.io.files import read_json, write_atomically
from kolbench.metrics.video.accuracy import UNTRIMMED
from kolbench.metrics.video.clip_scores import clip_scores
from kolbench.metrics.video.meter import COLUMNS
from kolbench.runs.record import ClipRecord, of_mapping
from kolbench.runs.run_folder import CLIP_FRAMES, CLIPS

CLIP, NAME = "clip", "name"


def write_frames(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """`clips.parquet`: a row per frame, in time: `clip`, `name` and `metrics.video.meter.COLUMNS`."""
    table = pd.DataFrame(rows, columns=[CLIP, NAME, *COLUMNS])
    write_atomically(path, lambda partial: table.to_parquet(partial, index=False))


def read_frames(folder: Path) -> dict[str, pd.DataFrame]:
    """Clip -> its rows of `write_frames`; empty where the folder has none, as those of earlier versions.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / CLIP_FRAMES
    if not path.is_file():
        return {}
    try:
        table = pd.read_parquet(path, columns=[CLIP, NAME, *COLUMNS])
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read ({told}); remove the folder or run it again.") from error
    return {str(clip): rows.reset_index(drop=True) for clip, rows in table.groupby(CLIP, sort=False)}


def read(folder: Path, trim: str = UNTRIMMED) -> dict[str, ClipRecord]:
    """The clips of a run folder with their scores; empty where its pictures are no frames of clips.

    Args:
        folder: where the evaluation lies.
        trim: which ends of a clip J and F leave out, one of `metrics.video.accuracy.TRIMS`.

    Raises:
        DataError: a file is damaged.
    """
    path = folder / CLIPS
    if not path.is_file():
        return {}
    frames = read_frames(folder)
    known = {clip: of_mapping(ClipRecord, row, path) for clip, row in read_json(path).items()}
    return {
        clip: _scored(record, frames[clip], trim) if clip in frames else record
        for clip, record in known.items()
    }


def _scored(record: ClipRecord, frames: pd.DataFrame, trim: str) -> ClipRecord:
    columns = {name: np.asarray(frames[name], np.float64) for name in COLUMNS}
    found = clip_scores(columns, trim)
    return replace(record, scores=dict(found.scores), scored_frames=found.frames, short=found.short)
