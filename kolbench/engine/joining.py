"""The files of one evaluation, put together from those of its parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kolbench.engine.completion import COUNTED
from kolbench.engine.evaluation import TIMING
from kolbench.errors import ConfigError, DataError
from kolbench.io.files import read_json, write_json
from kolbench.metrics.instance_ap import AveragePrecision, load_persons
from kolbench.metrics.traits import Traits
from kolbench.runs import clips, run_folder, traits


def join_files(parts: Sequence[Path], target: Path, names: Sequence[str]) -> None:
    """Writes what one evaluation would have left beside its counts.

    Args:
        parts: folders of evaluations of a part of the test pictures each. target: the folder of the whole.
        names: of all test pictures, in order.

    Raises:
        DataError: a part lacks a file.
    """
    for part in parts:
        for name in ("alphas", "truths", "products", "thumbs"):
            run_folder.link_tree(part / name, target / name)
    for name in (TIMING, COUNTED):
        run_folder.link_file(parts[0] / name, target / name)
    _join_tables(parts, target, names)
    _write_precision(parts, target, names)


def _join_tables(parts: Sequence[Path], target: Path, names: Sequence[str]) -> None:
    """What was found of each picture and each clip: traits, and clips where there are any."""
    known = pd.concat([traits.read(part) for part in parts])
    rows: Mapping[Any, Any] = known.to_dict("index")
    traits.write(target / run_folder.TRAITS, {name: Traits(**rows[name]) for name in names})
    in_clips = [part for part in parts if (part / run_folder.CLIPS).is_file()]
    if not in_clips:
        return
    of_clips = {clip: row for part in in_clips for clip, row in read_json(part / run_folder.CLIPS).items()}
    write_json(target / run_folder.CLIPS, of_clips)
    frames = [frame for part in in_clips for frame in clips.read_frames(part).values()]
    place = {name: number for number, name in enumerate(names)}
    of_frames = pd.concat(frames).to_dict("records")
    ordered = sorted(of_frames, key=lambda row: place[row[clips.NAME]])
    clips.write_frames(
        target / run_folder.CLIP_FRAMES, [{str(k): v for k, v in row.items()} for row in ordered]
    )


def _write_precision(parts: Sequence[Path], target: Path, names: Sequence[str]) -> None:
    """`detection.json`: box and mask AP of all pictures together, where the method finds single persons."""
    kept = {
        path.relative_to(root).as_posix().removesuffix(".npz"): path
        for root in (part / run_folder.SHARD_PERSONS for part in parts)
        for path in root.rglob("*.npz")
    }
    if not kept:
        return
    try:
        gathered = AveragePrecision()
    except ConfigError as missing:
        print(f"no AP: {missing}")
        return
    if lacking := [name for name in names if name not in kept]:
        raise DataError(f"the shards keep no persons of {lacking[0]}; score them again.")
    for name in names:
        gathered.add(*load_persons(kept[name]))
    write_json(target / run_folder.DETECTION, gathered.scores())
