"""Evaluations that lack what scores need: it is counted from the alphas and truths that they have kept.

`counted.json` beside the histograms says whether the truth is a true alpha, and by which code each column was
counted; what was counted by other code than today's is counted anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kolbench.errors import DataError
from kolbench.io import progress
from kolbench.io.files import read_json, write_json
from kolbench.io.masks import read_alpha
from kolbench.metrics import scores
from kolbench.metrics.counts import Counts, ImageCounts
from kolbench.metrics.histogram import extra_of, value_arrays
from kolbench.metrics.score import ExtraCounts, ExtraValues
from kolbench.runs import fingerprint, run_folder
from kolbench.types import Float64Array, Int64Array, JsonObject, UInt8Array

COUNTED = "counted.json"
# the split whose pictures are kept
_KEPT = "test"
_TRUE_ALPHA, _CODE = "true_alpha", "code"

Need = ExtraCounts | ExtraValues


def write_counted(folder: Path, true_alpha: bool, needs: Sequence[Need]) -> None:
    """Notes the truth, and the code of everything that was counted, in `counted.json`."""
    code = {name: _code(need) for need in needs for name in need.names}
    write_json(folder / COUNTED, {_TRUE_ALPHA: true_alpha, _CODE: code})


def has_alpha(folder: Path) -> bool:
    """Whether an evaluation was on true alphas; False where it does not say."""
    return bool(_noted(folder).get(_TRUE_ALPHA, False))


def complete(folder: Path, true_alpha: bool, label: str) -> list[str]:
    """Adds to `histograms.parquet` what it lacks for the scores that are asked for, of the test pictures.

    Files are replaced, never written in place, as they may be links into another folder.

    Args:
        folder: with `histograms.parquet`, `alphas/` and `truths/`.
        true_alpha: whether the truths are true alphas; values that need them are left out otherwise.
        label: of the run, for the progress bar.

    Returns:
        The names of the columns that were added; empty where nothing is lacking.

    Raises:
        DataError: a picture is missing or damaged; names the file.
    """
    path = folder / run_folder.HISTOGRAMS
    scored = run_folder.read_histograms(path)
    if _KEPT not in scored:
        raise DataError(f"{path} has no test images, and no others are kept.")
    test, noted = scored[_KEPT], _noted(folder)
    needs = [need for need in scores.needed(true_alpha) if _lacks(test.counts, need, noted.get(_CODE, {}))]
    if not needs:
        return []
    added = _of_maps(folder, test, needs, label)
    names = [name for need in needs for name in need.names]
    completed = {split: _less(part, names) for split, part in scored.items()}
    completed[_KEPT] = _with(completed[_KEPT], added)
    run_folder.write_histograms(path, completed)
    known = {name: digest for name, digest in noted.get(_CODE, {}).items() if name not in names}
    new = {name: _code(need) for need in needs for name in need.names}
    write_json(folder / COUNTED, {_TRUE_ALPHA: true_alpha, _CODE: {**known, **new}})
    return names


def _noted(folder: Path) -> JsonObject:
    path = folder / COUNTED
    return read_json(path) if path.is_file() else {}


def _lacks(counts: Counts, need: Need, code: Mapping[str, str]) -> bool:
    """Whether a column is absent, or was counted by other code; what is not noted is taken as it is."""
    today = _code(need)
    return any(not counts.holds(name) or code.get(name, today) != today for name in need.names)


def _code(need: Need) -> str:
    function = need.count if isinstance(need, ExtraCounts) else need.of
    return fingerprint.code_hash([function.__module__])


def _of_maps(folder: Path, test: ImageCounts, needs: Sequence[Need], label: str) -> Counts:
    """What is needed of each test picture, from its PNG files; fg, bg and product are those of the test."""
    rows: list[tuple[dict[str, Int64Array], Mapping[str, Float64Array]]] = []
    with progress.bar(f"scoring {label}, test images", len(test.names)) as advance:
        for name, size in zip(test.names, test.sizes, strict=True):
            levels, truth = (_map(folder / part, name, size) for part in ("alphas", "truths"))
            rows.append(_of_map(levels, truth, needs))
            advance(1)
    extra = {key: np.stack([counts[key] for counts, _ in rows]) for key in rows[0][0]}
    values = {key: np.concatenate([values[key] for _, values in rows]) for key in rows[0][1]}
    extra |= {name: test.counts[name] for name in ("fg", "bg", "product")}
    return Counts.of(extra, values)


def _of_map(
    levels: UInt8Array, truth: UInt8Array, needs: Sequence[Need]
) -> tuple[dict[str, Int64Array], Mapping[str, Float64Array]]:
    """(256,) counts and (1,) values of one picture, by name."""
    planes = torch.from_numpy(levels), torch.from_numpy(truth > 127)
    counts: dict[str, Int64Array] = {}
    for need in needs:
        if isinstance(need, ExtraCounts):
            counts |= dict(zip(need.names, extra_of(need, *planes).numpy(), strict=True))
    return counts, value_arrays([levels], [truth], [each for each in needs if isinstance(each, ExtraValues)])


def _map(folder: Path, name: str, size: tuple[int, int]) -> UInt8Array:
    """(H, W) uint8 levels of a picture that an evaluation has saved."""
    path = folder / f"{name}.png"
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path} leads out of its run folder; remove that run.")
    if not path.is_file():
        raise DataError(f"{path} is missing: scores are added from it. Score the run again.")
    levels, _ = read_alpha(path)
    if levels.shape != size or levels.dtype != np.uint8:
        raise DataError(
            f"{path} is {levels.shape[1]}x{levels.shape[0]} px, {levels.dtype}, and not the 8-bit map of "
            f"{size[1]}x{size[0]} px that was saved. Score the run again."
        )
    # Pillow's own memory is read-only
    return np.array(levels)


def _less(part: ImageCounts, names: Sequence[str]) -> ImageCounts:
    """Without some columns: what other code has counted must not stand beside what today's has."""
    counts = part.counts
    arrays = {name: array for name, array in counts.items() if name not in names}
    values = {name: array for name, array in counts.values.items() if name not in names}
    return replace(part, parts=[Counts.of(arrays, values)])


def _with(part: ImageCounts, added: Counts) -> ImageCounts:
    counts = part.counts
    merged = Counts.of({**dict(counts.items()), **dict(added.items())}, {**counts.values, **added.values})
    return replace(part, parts=[merged])
