"""The same picture, or the same mask, more than once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from kolbench.data import duplicates
from kolbench.data.health.fault import Fault, fault
from kolbench.data.sources.base import Source
from kolbench.data.splits import Splits
from kolbench.types import BINARY


def alike(hashes: Mapping[int, np.uint64], rows: Sequence[int]) -> Iterator[duplicates.Pair]:
    """Pairs of pictures of one split whose hashes are near, (index, index, bits apart), in order.

    One by one: frames of a video that nobody grouped are alike by the million.

    Args:
        hashes: index -> perceptual hash. rows: those to compare, ascending.
    """
    values = np.array([hashes[row] for row in rows], np.uint64)
    for place, row in enumerate(rows):
        distances = np.bitwise_count(values[place + 1 :] ^ values[place])
        near = np.flatnonzero(distances <= duplicates.MAX_DISTANCE).tolist()
        yield from ((row, rows[place + 1 + k], int(distances[k])) for k in near)


def copies_across(
    source: Source, splits: Splits, hashes: Mapping[int, np.uint64], images: Mapping[int, bytes]
) -> list[Fault]:
    """Pictures that stand in two splits, exactly or nearly; training refuses them.

    Each picture is told of once, and so are those that are like it: see `_telling`.

    Args:
        source, splits: the set. hashes, images: index -> perceptual hash, digest of the pixels.
    """
    home = {row: split for split, rows in splits.apart() for row in rows}
    found = []
    for i, j, bits in _telling(duplicates.cross_split_duplicates(hashes, splits)):
        how = "identical" if images[i] == images[j] else f"hashes differ in {bits} of 64 bits"
        what = f"In {home[i]}, and as {source.names[j]} in {home[j]}: {how}."
        found.append(fault("duplicate_across", source.names[i], what, [i, j]))
    return found


def copies_within(
    source: Source, splits: Splits, hashes: Mapping[int, np.uint64], images: Mapping[int, bytes]
) -> list[Fault]:
    """Pictures that stand twice in one split, told of once; frames of one video are meant to be alike."""
    found = []
    for split, rows in splits.apart():
        known = [row for row in rows if row in hashes]
        pairs = (pair for pair in alike(hashes, known) if not _same_video(source, *pair[:2]))
        for i, j, bits in _telling(pairs):
            how = "identical" if images[i] == images[j] else f"hashes differ in {bits} of 64 bits"
            what = f"Also there as {source.names[j]}, both in {split}: {how}."
            found.append(fault("duplicate", source.names[i], what, [i, j]))
    return found


def same_masks(
    source: Source, rows: Iterable[int], masks: Mapping[int, bytes], hashes: Mapping[int, np.uint64]
) -> list[Fault]:
    """Masks that are pixel by pixel those of another picture, which looks otherwise.

    Args:
        rows: of pictures whose masks are neither empty nor full. masks: index -> digest. hashes: index ->
            perceptual hash.
    """
    first: dict[bytes, int] = {}
    found = []
    for row in rows:
        other = first.setdefault(masks[row], row)
        apart = int(np.bitwise_count(hashes[other] ^ hashes[row]))
        if apart > duplicates.MAX_DISTANCE and not _same_video(source, other, row):
            what = f"Identical to the mask of {source.names[other]}."
            found.append(fault("same_mask", source.names[row], what, [row, other]))
    return found


def _telling(pairs: Iterable[duplicates.Pair]) -> Iterator[duplicates.Pair]:
    """The pairs of which one picture at least was in none before: fewer than there are pictures."""
    told: set[int] = set()
    for i, j, bits in pairs:
        if i not in told or j not in told:
            told |= {i, j}
            yield i, j, bits


def _same_video(source: Source, i: int, j: int) -> bool:
    in_one_clip = bool(source.clips[i]) and source.clips[i] == source.clips[j]
    return in_one_clip or (source.groups[i] is not None and source.groups[i] == source.groups[j])


def plain_masks(source: Source, levels: Iterable[str]) -> bool:
    """Whether mask files hold black and white, not alphas or label maps; levels: of those that were read."""
    return source.truth == BINARY and any(kind not in ("", "label map") for kind in levels)
