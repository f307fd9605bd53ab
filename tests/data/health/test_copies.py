"""The same picture or mask more than once, on hashes made by hand."""

from collections.abc import Sequence

import numpy as np

from kolbench.data.health import copies
from kolbench.data.health.fault import Fault
from kolbench.data.sources.base import Source
from kolbench.data.splits import Splits
from kolbench.types import Sample


class Named(Source):
    """Pictures by name alone."""

    def read(self, index: int) -> Sample:
        raise NotImplementedError

    def fingerprint(self) -> str:
        raise NotImplementedError

    def describe(self) -> list[str]:
        return []


def hashes(*values: int) -> dict[int, np.uint64]:
    return {row: np.uint64(value) for row, value in enumerate(values)}


def pixels(text: str) -> dict[int, bytes]:
    return {row: letter.encode() for row, letter in enumerate(text)}


def told(faults: Sequence[Fault]) -> list[tuple[str, str]]:
    return [(found.file, found.what) for found in faults]


def test_pairs_within_four_bits():
    # 31 is 5 bits from 0 and 1 bit from 15
    pairs = copies.alike(hashes(0, 15, 31, 1 << 40), [0, 1, 2, 3])
    assert list(pairs) == [(0, 1, 4), (0, 3, 1), (1, 2, 1)]
    assert list(copies.alike(hashes(0, 15, 31, 1 << 40), [0, 2])) == []


def test_across_and_within_splits_are_told_apart():
    source = Named(["a", "b", "c", "d"])
    splits = Splits([0, 1], [2], [3])
    # a and b alike, c the same picture as a, d like nobody
    values, digests = hashes(0, 1, 0, 2**63 - 1), pixels("abad")
    assert told(copies.copies_across(source, splits, values, digests)) == [
        ("a", "In train, and as c in val: identical."),
        ("b", "In train, and as c in val: hashes differ in 1 of 64 bits."),
    ]
    assert told(copies.copies_within(source, splits, values, digests)) == [
        ("a", "Also there as b, both in train: hashes differ in 1 of 64 bits.")
    ]


def test_a_picture_that_stands_many_times_is_told_of_once_a_copy():
    names = [f"f{number}" for number in range(6)]
    source, same, digests = Named(names), hashes(*[0] * 6), pixels("aaaaaa")
    # 6 pairs within train, 8 across
    splits = Splits([0, 1, 2, 3], [4], [5])
    within = copies.copies_within(source, splits, same, digests)
    assert [found.pictures for found in within] == [(0, 1), (0, 2), (0, 3)]
    across = copies.copies_across(source, splits, same, digests)
    assert {row for found in across for row in found.pictures} == set(range(6))
    assert len(across) == 5


def test_frames_of_one_video_are_meant_to_be_alike():
    splits = Splits([0, 1, 2], [], [])
    grouped = Named(["a", "b", "c"], groups=["v", "v", "w"])
    found = copies.copies_within(grouped, splits, hashes(0, 0, 0), pixels("abc"))
    assert [found_one.pictures for found_one in found] == [(0, 2), (1, 2)]
    clips = Named(["a", "b", "c"], clips=["v", "v", ""])
    found = copies.copies_within(clips, splits, hashes(0, 0, 0), pixels("abc"))
    assert [found_one.pictures for found_one in found] == [(0, 2), (1, 2)]


def test_the_same_mask_counts_where_pictures_differ():
    source = Named(["a", "b", "c", "d"])
    masks, values = pixels("xxxy"), hashes(0, 2**20 - 1, 1, 2**40 - 1)
    # c looks like a, so that the mask may be too
    assert told(copies.same_masks(source, range(4), masks, values)) == [("b", "Identical to the mask of a.")]
    assert copies.same_masks(source, [1, 3], masks, values) == []
