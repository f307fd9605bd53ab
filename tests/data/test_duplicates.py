import numpy as np
import pytest

from kolbench.data import checking, duplicates
from kolbench.data.splits import Splits, make_splits
from kolbench.errors import DataError
from kolbench.io import images
from tests.helpers.sources import NamesOnly


def test_pairs_are_found_across_splits_only_and_nearest_first():
    bits = {0: 0b0, 1: 0b1, 2: 0b111, 3: 0b11111, 4: 0b1}
    hashes = {row: np.uint64(value) for row, value in bits.items()}
    found = duplicates.cross_split_duplicates(hashes, Splits([0, 1], [2, 9], [3, 4]), 2)
    assert found == [(1, 4, 0), (0, 4, 1), (1, 2, 2), (2, 3, 2), (2, 4, 2)]


def test_duplicates_are_refused_or_counted():
    hashes = {row: np.uint64(0) for row in range(4)}
    splits, names = Splits([0, 1], [2], [3]), ["a", "b", "c", "d"]
    with pytest.raises(DataError, match=r"5 near-duplicates .*a \(train\) = c \(val\), 0 of 64") as error:
        duplicates.report(hashes, splits, names, allowed=False)
    assert "data.allow_duplicates=true" in str(error.value)
    (line,) = duplicates.report(hashes, splits, names, allowed=True)
    assert line.startswith("warning: 5 near-duplicates")
    apart = {row: np.uint64(0xFF << (8 * row)) for row in range(4)}
    assert duplicates.report(apart, splits, names, allowed=False) == ["no near-duplicates across splits"]


def test_neighbouring_frames_of_real_clips_are_found(shared):
    for clip in ("breakdance", "swing"):
        paths = sorted((shared / "data" / "davis_person" / clip / "images").iterdir())
        hashes = {row: checking.perceptual_hash(images.read_rgb(path)) for row, path in enumerate(paths)}
        source = NamesOnly([path.stem for path in paths], [clip] * len(paths))
        pairs = duplicates.cross_split_duplicates(hashes, make_splits(source, "paper", 0))
        assert len(pairs) >= 3
        assert any(abs(i - j) == 1 for i, j, _ in pairs)
