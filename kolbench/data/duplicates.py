"""The same picture in two splits, found by a perceptual hash."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import cv2
import numpy as np

from kolbench.data.sources.base import Source, check_all
from kolbench.data.splits import Splits
from kolbench.errors import DataError
from kolbench.io import progress
from kolbench.types import UInt8Array

# Measured: unrelated street photographs differ in at least 10 bits, re-encoded or resized copies in at
# most 2, and each of 8 video clips has neighbouring frames within 4.
MAX_DISTANCE = 4
SHOWN = 5

Pair = tuple[int, int, int]


def perceptual_hash(image: UInt8Array) -> np.uint64:
    """64 bits that stay the same when a picture is resized or compressed again.

    The signs, against their median, of the 8 x 8 lowest frequencies of the 32 x 32 px grey picture (DCT);
    the mean brightness does not count.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low: Any = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))


def checked_hashes(source: Source, what: str) -> dict[int, np.uint64]:
    """Reads every picture with its truth once; index -> perceptual hash.

    Args:
        source: what to read.
        what: stands beside the progress.

    Raises:
        DataError: lists all pictures that cannot be used.
    """
    hashes: dict[int, np.uint64] = {}
    with progress.bar(what, len(source)) as advance:

        def keep(index: int, image: UInt8Array) -> None:
            hashes[index] = perceptual_hash(image)
            advance(1)

        check_all(source, keep)
    return hashes


def cross_split_duplicates(
    hashes: Mapping[int, np.uint64], splits: Splits, max_distance: int = MAX_DISTANCE
) -> list[Pair]:
    """Pairs of pictures of different splits whose hashes differ in at most so many bits.

    Args:
        hashes: index -> perceptual hash; pictures without one are passed over.
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
