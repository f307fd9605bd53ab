"""Finds the same image in two splits by its perceptual hash."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from kolbench.data.splits import Splits
from kolbench.errors import DataError

# Measured: unrelated street photographs differ in at least 10 bits, re-encoded or resized copies in at
# most 2, and each of 8 video clips has neighbouring frames within 4.
MAX_DISTANCE = 4
SHOWN = 5

Pair = tuple[int, int, int]


def cross_split_duplicates(
    hashes: Mapping[int, np.uint64], splits: Splits, max_distance: int = MAX_DISTANCE
) -> list[Pair]:
    """Finds pairs of images of different splits whose hashes differ in at most so many bits.

    Args:
        hashes: index -> perceptual hash; images without one are passed over.
        splits: what to compare.
        max_distance: in bits, of 64.

    Returns:
        (index, index, distance), nearest first.
    """
    pairs: list[Pair] = []
    for (_, left), (_, right) in combinations(splits.apart(), 2):
        left, right = _known(left, hashes), _known(right, hashes)
        others = np.array([hashes[j] for j in right], np.uint64)
        for i in left:
            distances = np.bitwise_count(others ^ hashes[i])
            pairs += [(i, right[k], int(distances[k])) for k in np.flatnonzero(distances <= max_distance)]
    return sorted(pairs, key=lambda pair: (pair[2], pair[:2]))


def _known(rows: Iterable[int], hashes: Mapping[int, np.uint64]) -> list[int]:
    return [row for row in rows if row in hashes]


def report(
    hashes: Mapping[int, np.uint64],
    splits: Splits,
    names: Sequence[str],
    allowed: bool,
    max_distance: int = MAX_DISTANCE,
) -> list[str]:
    """Refuses near-duplicates across splits, or where they are allowed counts them in a line to print.

    Raises:
        DataError: names a few pairs, the splits they stand in, and the key that allows them.
    """
    pairs = cross_split_duplicates(hashes, splits, max_distance)
    if not pairs:
        return ["no near-duplicates across splits"]
    home = {row: split for split, rows in splits.apart() for row in rows}
    shown = "; ".join(
        f"{names[i]} ({home[i]}) = {names[j]} ({home[j]}), {distance} of 64 bits apart"
        for i, j, distance in pairs[:SHOWN]
    )
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    found = f"{len(pairs)} near-duplicates across splits: {shown}{more}"
    if allowed:
        return [f"warning: {found}"]
    raise DataError(
        f"{found}. Scores would flatter. Keep each pair in one split (groups.csv, or the split files), or "
        "allow them with data.allow_duplicates=true."
    )
